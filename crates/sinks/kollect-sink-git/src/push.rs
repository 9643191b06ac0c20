//! From batches to a moved branch: build on the last known tip, push, and build again when somebody was faster.
//!
//! Separate because this is the decision making; building is in `tree`, talking in `remote`. Runs on a blocking thread
//! that holds the place.

use crate::branch::still_in_order;
use crate::config::PushPolicy;
use crate::error::Trouble;
use crate::job::Pulse;
use crate::place::{State, Tip};
use crate::remote::{self, Pushed};
use crate::transport::{Endpoint, OpenLine};
use crate::tree::{Built, Item, build};
use git2::Oid;
use kollect_export::{Receipt, SinkError, kill_point};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How often commits are built again because the branch moved.
const ATTEMPTS: u32 = 6;

/// What does not change from job to job.
pub(crate) struct Route {
    pub(crate) endpoint: Endpoint,
    pub(crate) reference: String,
    pub(crate) policy: PushPolicy,
    pub(crate) depth: u32,
    pub(crate) mirror_root: PathBuf,
    pub(crate) mirror_name: String,
    pub(crate) cluster: String,
}

/// One job at a place.
pub(crate) struct Writer<'a> {
    pub(crate) route: &'a Route,
    pub(crate) state: &'a mut State,
    pub(crate) pulse: &'a Arc<Pulse>,
}

type Outcome = Result<Receipt, SinkError>;

/// Why an attempt at a whole lane ended without outcomes.
enum Stop {
    /// Try again on the new tip.
    Moved,
    /// Try again with a new mirror.
    Damaged(Trouble),
    /// Try again without the items whose cycles may not write any more.
    LeftOut,
    /// The server refused; one commit may be to blame.
    Refused(SinkError),
    Failed(SinkError),
}

impl Writer<'_> {
    /// Makes the items durable, one outcome each. A refused push is repeated item by item.
    pub(crate) fn write(&mut self, items: &[Item]) -> Vec<Outcome> {
        let stop = match self.together(items) {
            Ok(outcomes) => return outcomes,
            Err(stop) => stop,
        };
        match stop {
            Stop::Refused(_) if items.len() > 1 => {
                items.iter().flat_map(|item| self.write(std::slice::from_ref(item))).collect()
            }
            Stop::Refused(error) | Stop::Failed(error) => items.iter().map(|_| Err(error.clone())).collect(),
            Stop::Moved | Stop::Damaged(_) | Stop::LeftOut => {
                let error = self.failed(Trouble::Moved(self.route.reference.clone()), false);
                items.iter().map(|_| Err(error.clone())).collect()
            }
        }
    }

    fn together(&mut self, items: &[Item]) -> Result<Vec<Outcome>, Stop> {
        let (mut damaged, mut attempt) = (false, 0);
        while attempt < ATTEMPTS {
            match self.attempt(items) {
                // At least one item less is pushed, so this ends.
                Err(Stop::LeftOut) => {}
                Err(Stop::Moved) => {
                    self.state.tip = Tip::Unknown;
                    self.pause(attempt).map_err(|trouble| Stop::Failed(self.failed(trouble, false)))?;
                    attempt += 1;
                }
                Err(Stop::Damaged(trouble)) if damaged => return Err(Stop::Failed(self.failed(trouble, false))),
                Err(Stop::Damaged(trouble)) => {
                    damaged = true;
                    attempt += 1;
                    self.start_over(&trouble).map_err(|trouble| Stop::Failed(self.failed(trouble, false)))?;
                }
                done => return done,
            }
        }
        Err(Stop::Moved)
    }

    fn attempt(&mut self, items: &[Item]) -> Result<Vec<Outcome>, Stop> {
        let built = self.build_all(items).map_err(|trouble| self.stop(trouble, false))?;
        let pushed =
            items.iter().zip(&built).filter(|(_, built)| built.as_ref().is_ok_and(|built| built.commit.is_some()));
        self.pulse.pushes(pushed.map(|(item, _)| item.cycle).collect());
        let newest = built.iter().rev().find_map(|built| built.as_ref().ok()?.commit);
        let mut revision = match self.state.tip {
            Tip::At(tip) => Some(tip),
            _ => None,
        };
        if let Some((commit, _)) = newest {
            self.push(revision, commit)?;
            revision = Some(commit);
        }
        for (item, built) in items.iter().zip(&built) {
            if let Ok(built) = built {
                self.remember(item, built);
            }
        }
        let receipt = |built: Built| Receipt {
            revision: built.commit.map(|(commit, _)| commit).or(revision).map(|commit| commit.to_string()),
            rows: built.rows,
            bytes: built.bytes,
            rejected: Vec::new(),
        };
        Ok(built.into_iter().map(|built| built.map(receipt)).collect())
    }

    /// One commit after the other. An item that cannot be built is left out; only trouble of the mirror ends it all.
    fn build_all(&mut self, items: &[Item]) -> Result<Vec<Result<Built, SinkError>>, Trouble> {
        if self.state.tip == Tip::Unknown || self.state.read_by.as_deref() != Some(self.auth()) {
            self.refresh()?;
        }
        let pulse = self.pulse.clone();
        let mut results = Vec::with_capacity(items.len());
        let mut disturbed = Vec::new();
        let known: Vec<_> = items.iter().map(|item| self.outdated(&item.batch.record)).collect();
        let (repo, mut base) = self.base()?;
        for (item, outdated) in items.iter().zip(known) {
            pulse.check()?;
            if let Some(why) = pulse.refusal(item.cycle) {
                results.push(Err(why));
                continue;
            }
            let path = &item.batch.record;
            let checked = match outdated {
                Some(seen) => still_in_order(repo, base.map(|(_, tree)| tree), path, seen),
                None => Ok(()),
            };
            match checked.and_then(|()| build(repo, &pulse, base, item)) {
                Ok(built) => {
                    base = built.commit.or(base);
                    results.push(Ok(built));
                }
                Err(trouble @ (Trouble::Cancelled | Trouble::Mirror(_))) => return Err(trouble),
                Err(trouble) => {
                    if matches!(trouble, Trouble::Disturbed) {
                        disturbed.push(path.clone());
                    }
                    results.push(Err(trouble.into_sink_error("commit", false)));
                }
            }
        }
        for path in disturbed {
            self.state.seen.remove(&path);
        }
        Ok(results)
    }

    fn push(&mut self, expected: Option<Oid>, commit: Oid) -> Result<(), Stop> {
        let open = OpenLine::open(self.route.endpoint.clone(), self.pulse.clone());
        let line = open.map_err(|trouble| self.stop(trouble, false))?;
        let force = self.route.policy == PushPolicy::ForcePush;
        let reference = &self.route.reference;
        let mirror = self.state.mirror.as_mut().ok_or(Stop::Moved)?;
        let answer =
            mirror.repo().and_then(|repo| remote::push(repo, &line, self.pulse, reference, (expected, commit), force));
        match answer {
            Ok(Pushed::Done) => {
                kill_point("acked");
                self.state.tip = Tip::At(commit);
                self.state.last = Tip::At(commit);
                // The push is done; a mirror that cannot be tidied shows at its next use.
                let limit = self.route.endpoint.limits.mirror;
                let _ = self.state.mirror.as_mut().map(|mirror| mirror.pushed(limit));
                Ok(())
            }
            Ok(Pushed::Moved) => Err(Stop::Moved),
            Ok(Pushed::Refused(words)) => Err(self.refused(expected, words)),
            Err(trouble) => Err(self.stop(trouble, line.sent())),
        }
    }

    /// A refusal because the branch moved meanwhile looks like any other; asking where it is tells them apart.
    fn refused(&mut self, expected: Option<Oid>, words: String) -> Stop {
        self.state.tip = Tip::Unknown;
        match self.refresh() {
            Err(trouble) => self.stop(trouble, false),
            Ok(now) if now != expected => Stop::Moved,
            Ok(_) if is_passing(&words) => Stop::Failed(self.failed(Trouble::Protocol(words), false)),
            Ok(_) => Stop::Refused(self.failed(Trouble::Rejected(words), false)),
        }
    }

    fn pause(&self, attempt: u32) -> Result<(), Trouble> {
        if attempt == 0 {
            return Ok(());
        }
        let millis = (50 << attempt.min(4)) / 2 + fastrand::u64(0..50 << attempt.min(4));
        self.pulse.wait(tokio::time::sleep(Duration::from_millis(millis)))
    }

    fn stop(&mut self, trouble: Trouble, sent: bool) -> Stop {
        if matches!(trouble, Trouble::LeftOut) {
            return Stop::LeftOut;
        }
        // A connection that ended after the pack was sent is not the mirror's fault.
        if trouble.is_local() && !sent { Stop::Damaged(trouble) } else { Stop::Failed(self.failed(trouble, sent)) }
    }

    fn failed(&mut self, trouble: Trouble, sent: bool) -> SinkError {
        self.state.tip = Tip::Unknown;
        trouble.into_sink_error("push", sent)
    }
}

/// The words a server uses for trouble of its own. Git's protocol has no other sign for it.
fn is_passing(words: &str) -> bool {
    [
        "failed to update ref",
        "cannot lock ref",
        "failed to lock",
        "unpacker error",
        "Internal Server Error",
        "try again",
    ]
    .iter()
    .any(|sign| words.contains(sign))
}

//! From batches to a moved branch: build on the last known tip, push, and build again when somebody was faster.
//!
//! Separate because this is the decision making; building is in `tree`, talking in `remote`. Runs on a blocking thread
//! that holds the place.

use crate::config::PushPolicy;
use crate::error::{Trouble, local};
use crate::job::Pulse;
use crate::ledger::Ledger;
use crate::mirror::Mirror;
use crate::place::{Seen, State, Tip};
use crate::remote::{self, Pushed};
use crate::transport::{Endpoint, OpenLine};
use crate::tree::{Built, Found, Item, Snapshot, build};
use git2::{Oid, Repository};
use kollect_export::{HeldFile, Receipt, SinkError, kill_point};
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
}

/// One job at a place.
pub(crate) struct Writer<'a> {
    pub(crate) route: &'a Route,
    pub(crate) state: &'a mut State,
    pub(crate) pulse: &'a Arc<Pulse>,
}

/// A commit and its tree; `None` when the branch does not exist yet.
type Base = Option<(Oid, Oid)>;
type Outcome = Result<Receipt, SinkError>;

/// Why an attempt at a whole lane ended without outcomes.
enum Stop {
    /// Try again on the new tip.
    Moved,
    /// Try again with a new mirror.
    Damaged(Trouble),
    /// The server refused; one commit may be to blame.
    Refused(SinkError),
    Failed(SinkError),
}

impl Writer<'_> {
    /// The files in the record at `path`, compared with the branch as it is now.
    pub(crate) fn held(&mut self, path: &str) -> Result<Vec<HeldFile>, Trouble> {
        let (files, entry) = self.again_if_damaged(|writer| {
            writer.refresh()?;
            writer.read_record(path)
        })?;
        self.state.seen.insert(path.to_owned(), Seen { moves: self.state.moves, entry });
        Ok(files)
    }

    fn read_record(&mut self, path: &str) -> Result<(Vec<HeldFile>, Option<Oid>), Trouble> {
        let pulse = self.pulse.clone();
        let (repo, base) = self.base()?;
        let mut snapshot = Snapshot::open(repo, base.map(|(_, tree)| tree))?;
        let ledger = Ledger::open(&mut snapshot, path)?;
        let record = ledger.all(&mut snapshot)?;
        let mut files = Vec::with_capacity(record.len());
        for (path, entry) in record.iter() {
            pulse.tick();
            let intact = is_intact(&mut snapshot, path, &entry.tag)?;
            files.push(HeldFile { path: path.clone(), digest: intact.then_some(entry.digest) });
        }
        Ok((files, ledger.entry))
    }

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
            Stop::Moved | Stop::Damaged(_) => {
                let error = self.failed(Trouble::Moved(self.route.reference.clone()), false);
                items.iter().map(|_| Err(error.clone())).collect()
            }
        }
    }

    fn together(&mut self, items: &[Item]) -> Result<Vec<Outcome>, Stop> {
        let mut damaged = false;
        for attempt in 0..ATTEMPTS {
            match self.attempt(items) {
                Err(Stop::Moved) => {
                    self.state.tip = Tip::Unknown;
                    self.pause(attempt).map_err(|trouble| Stop::Failed(self.failed(trouble, false)))?;
                }
                Err(Stop::Damaged(trouble)) if damaged => return Err(Stop::Failed(self.failed(trouble, false))),
                Err(Stop::Damaged(trouble)) => {
                    damaged = true;
                    self.start_over(&trouble).map_err(|trouble| Stop::Failed(self.failed(trouble, false)))?;
                }
                done => return done,
            }
        }
        Err(Stop::Moved)
    }

    fn attempt(&mut self, items: &[Item]) -> Result<Vec<Outcome>, Stop> {
        let built = self.build_all(items).map_err(|trouble| self.stop(trouble, false))?;
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
        let (seen, moves) = (self.state.seen.clone(), self.state.moves);
        let (repo, mut base) = self.base()?;
        for item in items {
            pulse.check()?;
            let path = &item.batch.record;
            let checked = match seen.get(path).filter(|seen| seen.moves != moves) {
                Some(seen) => still_in_order(repo, base.map(|(_, tree)| tree), path, *seen),
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
        let answer = mirror
            .repo()
            .and_then(|repo| remote::push(repo, &line, self.pulse, reference, (expected, commit), force));
        match answer {
            Ok(Pushed::Done) => {
                kill_point("acked");
                self.state.tip = Tip::At(commit);
                self.state.last = Tip::At(commit);
                // The push is done; a mirror that cannot be tidied shows at its next use.
                let _ = self.state.mirror.as_mut().map(Mirror::pushed);
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

    /// Asks the remote where the branch is, and fetches it if the mirror lacks it.
    fn refresh(&mut self) -> Result<Option<Oid>, Trouble> {
        self.state.tip = Tip::Unknown;
        let line = OpenLine::open(self.route.endpoint.clone(), self.pulse.clone())?;
        let mirror = match &mut self.state.mirror {
            Some(mirror) => mirror,
            none => none.insert(Mirror::take(&self.route.mirror_root, &self.route.mirror_name)?),
        };
        let present = mirror.present()?;
        let route = self.route;
        let tip = remote::fetch(mirror.repo()?, &line, self.pulse, &route.reference, route.depth, present)?;
        if present.is_none() {
            mirror.fetched();
        }
        self.state.tip = tip.map_or(Tip::Empty, Tip::At);
        let last = std::mem::replace(&mut self.state.last, self.state.tip);
        if last != Tip::Unknown && last != self.state.tip {
            self.state.moves += 1;
        }
        self.state.read_by = Some(self.auth().to_owned());
        Ok(tip)
    }

    /// The repository with the commit and tree to build on.
    fn base(&mut self) -> Result<(&Repository, Base), Trouble> {
        let tip = self.state.tip;
        let missing = || Trouble::Mirror("the last known commit is not in the mirror".to_owned());
        let mirror = self.state.mirror.as_mut().ok_or_else(missing)?;
        if let Tip::At(tip) = tip
            && mirror.present()? != Some(tip)
        {
            return Err(missing());
        }
        let repo = mirror.repo()?;
        let base = match tip {
            Tip::At(tip) => Some((tip, repo.find_commit(tip).map_err(local)?.tree_id())),
            Tip::Empty | Tip::Unknown => None,
        };
        Ok((repo, base))
    }

    fn remember(&mut self, item: &Item, built: &Built) {
        if item.forget {
            self.state.seen.remove(&item.batch.record);
        } else {
            let seen = Seen { moves: self.state.moves, entry: built.entry };
            self.state.seen.insert(item.batch.record.clone(), seen);
        }
    }

    fn again_if_damaged<T>(&mut self, step: impl Fn(&mut Self) -> Result<T, Trouble>) -> Result<T, Trouble> {
        match step(self) {
            Err(trouble) if trouble.is_local() => {
                self.start_over(&trouble)?;
                step(self)
            }
            done => done,
        }
    }

    fn start_over(&mut self, why: &Trouble) -> Result<(), Trouble> {
        tracing::debug!(error = %why, "the git mirror is fetched anew");
        self.state.tip = Tip::Unknown;
        match &mut self.state.mirror {
            Some(mirror) => mirror.delete(),
            None => Ok(()),
        }
    }

    fn pause(&self, attempt: u32) -> Result<(), Trouble> {
        if attempt == 0 {
            return Ok(());
        }
        let millis = (50 << attempt.min(4)) / 2 + fastrand::u64(0..50 << attempt.min(4));
        self.pulse.wait(tokio::time::sleep(Duration::from_millis(millis)))
    }

    fn auth(&self) -> &str {
        &self.route.endpoint.target.auth_digest
    }

    fn stop(&mut self, trouble: Trouble, sent: bool) -> Stop {
        // A connection that ended after the pack was sent is not the mirror's fault.
        if trouble.is_local() && !sent { Stop::Damaged(trouble) } else { Stop::Failed(self.failed(trouble, sent)) }
    }

    fn failed(&mut self, trouble: Trouble, sent: bool) -> SinkError {
        self.state.tip = Tip::Unknown;
        trouble.into_sink_error("push", sent)
    }
}

/// Fails when somebody else touched the record or a file in it. Proportional to the record, and only asked after
/// somebody else moved the branch.
fn still_in_order(repo: &Repository, tree: Option<Oid>, path: &str, seen: Seen) -> Result<(), Trouble> {
    let mut snapshot = Snapshot::open(repo, tree)?;
    let ledger = Ledger::open(&mut snapshot, path)?;
    if ledger.entry != seen.entry {
        return Err(Trouble::Disturbed);
    }
    for (path, entry) in ledger.all(&mut snapshot)?.iter() {
        if !is_intact(&mut snapshot, path, &entry.tag)? {
            return Err(Trouble::Disturbed);
        }
    }
    Ok(())
}

fn is_intact(snapshot: &mut Snapshot<'_>, path: &str, tag: &str) -> Result<bool, Trouble> {
    Ok(matches!(snapshot.find(path)?, Found::Blob(id) if Oid::from_str(tag).is_ok_and(|tag| tag == id)))
}

/// The words a server uses for trouble of its own. Git's protocol has no other sign for it.
fn is_passing(words: &str) -> bool {
    ["failed to update ref", "cannot lock ref", "failed to lock", "unpacker error", "Internal Server Error", "try again"]
        .iter()
        .any(|sign| words.contains(sign))
}

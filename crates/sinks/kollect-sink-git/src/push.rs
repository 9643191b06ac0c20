//! Builds commits on the last known tip, pushes them, and builds them again when the branch has moved.

use crate::branch::check_unchanged;
use crate::branch_state::Tip;
use crate::branch_writer::BranchWriter;
use crate::config::PushPolicy;
use crate::error::GitError;
use crate::remote::{self, PushOutcome};
use crate::transport::OpenConversation;
use crate::tree::{BindingBatch, BuiltCommit, build};
use git2::Oid;
use kollect_export::{Receipt, SinkError, kill_point};
use kollect_model::Backoff;
use std::time::Duration;

/// How often commits are built again because the branch moved.
const ATTEMPTS: u32 = 6;
/// Pause before building again, from the second attempt on.
const PAUSE: Backoff = Backoff::new(Duration::from_millis(100), Duration::from_millis(800));

type BatchResult = Result<Receipt, SinkError>;

/// Why an attempt at a whole lane ended without outcomes.
enum AttemptError {
    /// Retry on the new tip.
    Moved,
    /// Retry with a fresh mirror.
    Damaged(GitError),
    /// Retry without the items whose cycles lost the right to write.
    LeftOut,
    /// The server refused the push, possibly because of one commit in it.
    Refused(SinkError),
    Failed(SinkError),
}

impl BranchWriter<'_> {
    /// Makes the items durable, one outcome each. A refused push is repeated item by item.
    pub(crate) fn write(&mut self, items: &[BindingBatch]) -> Vec<BatchResult> {
        let stop = match self.together(items) {
            Ok(outcomes) => return outcomes,
            Err(stop) => stop,
        };
        match stop {
            AttemptError::Refused(_) if items.len() > 1 => {
                items.iter().flat_map(|item| self.write(std::slice::from_ref(item))).collect()
            }
            AttemptError::Refused(error) | AttemptError::Failed(error) => {
                items.iter().map(|_| Err(error.clone())).collect()
            }
            AttemptError::Moved | AttemptError::Damaged(_) | AttemptError::LeftOut => {
                let error = self.failed(GitError::Moved(self.target.reference.clone()), false);
                items.iter().map(|_| Err(error.clone())).collect()
            }
        }
    }

    fn together(&mut self, items: &[BindingBatch]) -> Result<Vec<BatchResult>, AttemptError> {
        let (mut damaged, mut attempt) = (false, 0);
        while attempt < ATTEMPTS {
            match self.attempt(items) {
                // Every retry pushes at least one item less, so this ends.
                Err(AttemptError::LeftOut) => {}
                Err(AttemptError::Moved) => {
                    self.state.tip = Tip::Unknown;
                    self.pause(attempt).map_err(|failure| AttemptError::Failed(self.failed(failure, false)))?;
                    attempt += 1;
                }
                Err(AttemptError::Damaged(failure)) if damaged => {
                    return Err(AttemptError::Failed(self.failed(failure, false)));
                }
                Err(AttemptError::Damaged(failure)) => {
                    damaged = true;
                    attempt += 1;
                    self.start_over(&failure).map_err(|failure| AttemptError::Failed(self.failed(failure, false)))?;
                }
                done => return done,
            }
        }
        Err(AttemptError::Moved)
    }

    fn attempt(&mut self, items: &[BindingBatch]) -> Result<Vec<BatchResult>, AttemptError> {
        let built = self.build_all(items).map_err(|failure| self.stop(failure, false))?;
        let pushed =
            items.iter().zip(&built).filter(|(_, built)| built.as_ref().is_ok_and(|built| built.commit.is_some()));
        self.job.pushes(pushed.map(|(item, _)| item.cycle).collect());
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
        let receipt = |built: BuiltCommit| Receipt {
            revision: built.commit.map(|(commit, _)| commit).or(revision).map(|commit| commit.to_string()),
            rows: built.rows,
            bytes: built.bytes,
            rejected: Vec::new(),
        };
        Ok(built.into_iter().map(|built| built.map(receipt)).collect())
    }

    /// Builds one commit per item, each on the previous one. An item that fails is left out; a damaged mirror fails all.
    fn build_all(&mut self, items: &[BindingBatch]) -> Result<Vec<Result<BuiltCommit, SinkError>>, GitError> {
        if self.state.tip == Tip::Unknown || self.state.read_by.as_deref() != Some(self.auth()) {
            self.refresh()?;
        }
        let job = self.job.clone();
        let mut results = Vec::with_capacity(items.len());
        let mut disturbed = Vec::new();
        let known: Vec<_> = items.iter().map(|item| self.outdated(&item.batch.record)).collect();
        let (repo, mut base) = self.base()?;
        for (item, outdated) in items.iter().zip(known) {
            job.check()?;
            if let Some(why) = job.refusal(item.cycle) {
                results.push(Err(why));
                continue;
            }
            let path = &item.batch.record;
            let checked = match outdated {
                Some(compared) => check_unchanged(repo, base.map(|(_, tree)| tree), path, compared),
                None => Ok(()),
            };
            match checked.and_then(|()| build(repo, &job, base, item)) {
                Ok(built) => {
                    base = built.commit.or(base);
                    results.push(Ok(built));
                }
                Err(failure @ (GitError::Cancelled | GitError::Mirror(_))) => return Err(failure),
                Err(failure) => {
                    if matches!(failure, GitError::Disturbed) {
                        disturbed.push(path.clone());
                    }
                    results.push(Err(failure.into_sink_error("commit", false)));
                }
            }
        }
        for path in disturbed {
            self.state.verified.remove(&path);
        }
        Ok(results)
    }

    fn push(&mut self, expected: Option<Oid>, commit: Oid) -> Result<(), AttemptError> {
        let open = OpenConversation::open(self.target.endpoint.clone(), self.job.clone());
        let conversation = open.map_err(|failure| self.stop(failure, false))?;
        let force = self.target.policy == PushPolicy::ForcePush;
        let reference = &self.target.reference;
        let mirror = self.state.mirror.as_mut().ok_or(AttemptError::Moved)?;
        let answer = mirror
            .repo()
            .and_then(|repo| remote::push(repo, &conversation, self.job, reference, (expected, commit), force));
        match answer {
            Ok(PushOutcome::Done) => {
                kill_point("acked");
                self.state.tip = Tip::At(commit);
                self.state.last = Tip::At(commit);
                // The push is durable; a mirror that cannot be cleaned up fails at its next use.
                let limit = self.target.endpoint.limits.mirror;
                let _ = self.state.mirror.as_mut().map(|mirror| mirror.pushed(limit));
                Ok(())
            }
            Ok(PushOutcome::Moved) => Err(AttemptError::Moved),
            Ok(PushOutcome::Refused(words)) => Err(self.refused(expected, words)),
            Err(failure) => Err(self.stop(failure, conversation.sent())),
        }
    }

    /// Lists the branch again, because a refusal does not state whether the branch had moved.
    fn refused(&mut self, expected: Option<Oid>, words: String) -> AttemptError {
        self.state.tip = Tip::Unknown;
        match self.refresh() {
            Err(failure) => self.stop(failure, false),
            Ok(now) if now != expected => AttemptError::Moved,
            Ok(_) if is_transient(&words) => AttemptError::Failed(self.failed(GitError::Protocol(words), false)),
            Ok(_) => AttemptError::Refused(self.failed(GitError::Rejected(words), false)),
        }
    }

    fn pause(&self, attempt: u32) -> Result<(), GitError> {
        let Some(earlier) = attempt.checked_sub(1) else { return Ok(()) };
        // ±50 %, because the writers that compete for a branch all start to wait at the same push.
        let delay = PAUSE.delay(earlier).mul_f64(0.5 + fastrand::f64());
        self.job.wait(tokio::time::sleep(delay))
    }

    fn stop(&mut self, failure: GitError, sent: bool) -> AttemptError {
        if matches!(failure, GitError::LeftOut) {
            return AttemptError::LeftOut;
        }
        // After the pack was sent, a local error may be a lost connection: keep the mirror.
        if failure.is_local() && !sent {
            AttemptError::Damaged(failure)
        } else {
            AttemptError::Failed(self.failed(failure, sent))
        }
    }

    fn failed(&mut self, failure: GitError, sent: bool) -> SinkError {
        self.state.tip = Tip::Unknown;
        failure.into_sink_error("push", sent)
    }
}

/// Whether a retry may succeed. Git's protocol has no code for it, so the message is matched.
fn is_transient(words: &str) -> bool {
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

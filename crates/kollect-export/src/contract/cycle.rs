//! One attempt to export a binding, as a sink receives it: identity, right to write, cancellation, progress.

use crate::contract::error::SinkError;
use crate::contract::ids::BindingId;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio_util::sync::CancellationToken;

/// Whether this process may still write. Checked right before every step that makes something durable.
pub trait WriteRight: Send + Sync {
    /// `true` while this process is the leader and its last renewal is young enough.
    fn may_write(&self) -> bool;
    /// Fencing number: grows with every leadership, so that a backend can refuse the writer of an earlier one.
    fn fence(&self) -> u64;
    /// A backend refused [`WriteRight::fence`] because it holds the higher `held`. A writer that proves to be the
    /// newest all the same (its clock was set back) continues with a higher fence in later cycles.
    fn outranked(&self, held: u64) {
        let _ = held;
    }
}

/// Always allowed: for the command line and for runs without leader election.
#[derive(Debug)]
pub struct AlwaysWrite;

impl WriteRight for AlwaysWrite {
    fn may_write(&self) -> bool {
        true
    }
    fn fence(&self) -> u64 {
        0
    }
}

/// Counts what a cycle moved, so that a deadline can be "without progress" instead of total.
#[derive(Debug, Default)]
pub struct Progress {
    ticks: AtomicU64,
}

impl Progress {
    /// Call after every step that moved something (a batch sent, a page read, a chunk written to a socket).
    pub fn tick(&self) {
        self.ticks.fetch_add(1, Ordering::Relaxed);
    }
    /// How often [`Progress::tick`] was called.
    pub fn ticks(&self) -> u64 {
        self.ticks.load(Ordering::Relaxed)
    }
}

/// One attempt to bring one binding up to date.
#[derive(Clone, Copy)]
pub struct Cycle<'a> {
    /// The binding.
    pub of: &'a BindingId,
    /// Counter of cycles of this binding in this process.
    pub number: u64,
    /// Fencing number of the writer; see [`WriteRight::fence`].
    pub fence: u64,
    /// Cancelled when the binding changes or leaves, when the process stops, or at the deadline. Check it between
    /// steps.
    pub cancel: &'a CancellationToken,
    /// Progress of this cycle.
    pub progress: &'a Progress,
    /// The right to write.
    pub right: &'a dyn WriteRight,
}

impl Cycle<'_> {
    /// The id of this cycle in logs, commit trailers, `application_name` and events.
    pub fn id(&self) -> String {
        format!("{}#{}@{}", self.of, self.number, self.fence)
    }

    /// Fails when this process may no longer write. Call right before every commit step.
    pub fn check_right(&self) -> Result<(), SinkError> {
        if self.cancel.is_cancelled() {
            return Err(SinkError::transient("cancelled", "the export was stopped before it wrote").local());
        }
        if self.right.may_write() {
            return Ok(());
        }
        Err(SinkError::transient("lease", "this process is no longer the leader, so it did not write").local())
    }
}

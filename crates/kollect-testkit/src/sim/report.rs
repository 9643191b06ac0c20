//! What a run of the simulation did, and how it failed.

use std::fmt;

/// A planted bug, to prove that the simulation finds it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Planted {
    /// None.
    #[default]
    Nothing,
    /// The cursor moves before the sink has acknowledged.
    CursorBeforeAck,
    /// A list whose workers ended before they made all rows counts as complete.
    IncompleteListCounts,
}

/// What a run did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SimReport {
    /// Seeds without a failure.
    pub seeds: u64,
    /// Finished cycles.
    pub cycles: u64,
    /// Comparisons with what a sink held.
    pub comparisons: u64,
    /// Rows deleted from sinks.
    pub deletes: u64,
    /// Bindings whose rows cannot be exported at the end, confirmed by a new binding.
    pub refused: u64,
    /// Processes that crashed.
    pub crashes: u64,
}

/// A violated invariant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SimFailure {
    /// The seed that repeats it.
    pub seed: u64,
    /// Number of the step.
    pub step: u64,
    /// What happened.
    pub what: String,
}

impl fmt::Display for SimFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seed {} step {}: {}", self.seed, self.step, self.what)
    }
}

impl std::error::Error for SimFailure {}

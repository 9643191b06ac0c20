//! How a cycle ended, as the driver reports it to the binding.

use crate::clock::Moment;
use crate::contract::error::SinkError;
use std::time::Duration;

/// How a cycle ended.
#[derive(Clone, Copy, Debug)]
pub struct Ending<'a> {
    /// Result.
    pub verdict: Verdict<'a>,
    /// When.
    pub now: Moment,
    /// Random number in 0..=1 that spreads retries.
    pub jitter: f64,
}

/// Result of a cycle.
#[derive(Clone, Copy, Debug)]
pub enum Verdict<'a> {
    /// It finished.
    Done,
    /// It failed.
    Failed(&'a SinkError),
    /// The open breaker of the sink refused it, for this long. Not counted as a failure of the binding.
    Refused(Duration),
}

/// Why a cycle cannot start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotReady {
    /// For the condition message.
    pub why: String,
}

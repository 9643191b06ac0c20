//! What the exporter reports: the status of a binding and the outcome of each cycle.

use crate::contract::error::SinkError;
use crate::contract::ids::BindingId;
use crate::contract::receipt::{Receipt, Rejected};
use crate::layout::LeftOut;
use std::time::{Duration, SystemTime};

/// Status of a binding.
#[derive(Clone, Debug)]
pub struct BindingStatus {
    /// State with its details.
    pub state: BindingState,
    /// When the sink was last known to equal the view. Kept across waits and failures.
    pub last_export: Option<SystemTime>,
    /// Checksum of what was last exported.
    pub checksum: Option<String>,
    /// Rows of the view at the last export.
    pub rows: u64,
    /// Rows that the backend cannot take.
    pub rejected: Vec<Rejected>,
    /// Rows without a file of their own: the others are exported.
    pub left_out: Vec<LeftOut>,
    /// What was last exported is a whole document.
    pub document: bool,
    /// The destination, without credentials.
    pub destination: String,
    /// The backend's name of the last state.
    pub revision: Option<String>,
    /// Number of the latest cycle in this process.
    pub cycle: u64,
}

/// State of a binding.
#[derive(Clone, Debug)]
pub enum BindingState {
    /// No export yet, or the next cycle cannot start.
    Waiting {
        /// What it waits for.
        why: String,
    },
    /// The sink equals the view, or a cycle is due.
    Exported,
    /// Changes wait for the end of the interval.
    Debounced {
        /// Number of changes, counted up to a bound.
        changes: u64,
        /// Time until the export.
        due_in: Duration,
    },
    /// The last attempt failed.
    Failed {
        /// The error.
        error: SinkError,
        /// Since when attempts fail.
        since: SystemTime,
        /// The next attempt without a change of what the failure depends on; `None` when there is none.
        retry_at: Option<SystemTime>,
    },
}

/// The end of a cycle, or the start of a long wait.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The binding.
    pub binding: BindingId,
    /// Value of the `sink_type` metric label.
    pub sink_type: &'static str,
    /// Id of the cycle.
    pub cycle: String,
    /// Duration of the cycle.
    pub duration: Duration,
    /// Rows or files written or deleted.
    pub rows: u64,
    /// Payload bytes sent.
    pub bytes: u64,
    /// The export is a whole document.
    pub document: bool,
    /// The result.
    pub result: OutcomeResult,
}

/// Result of a cycle.
#[derive(Clone, Debug)]
pub enum OutcomeResult {
    /// The sink equals the view as it was when the cycle began.
    Exported(Receipt),
    /// The cycle failed.
    Failed(SinkError),
    /// Changes wait this long for the interval.
    Debounced(Duration),
    /// The cycle cannot start yet.
    Waiting(String),
}

/// Receives the outcome of every cycle: for metrics, logs, and to wake the control loops.
pub trait Reporter: Send + Sync {
    /// Called after the status was updated; must not block.
    fn outcome(&self, outcome: &Outcome);
}

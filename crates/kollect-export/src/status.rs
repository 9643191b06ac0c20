//! What goes into the exporter and what comes out: specs, statuses, outcomes.

use crate::{BindingId, Receipt, Rejected, Sink, SinkError};
use kollect_store::View;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::layout::{DocumentSpec, LeftOut};

/// One binding as the specs want it.
#[derive(Clone)]
pub struct BindingSpec {
    /// Inventory and sink.
    pub id: BindingId,
    /// Rows to export.
    pub view: View,
    /// Where to. The same `Arc` as before means: the same destination.
    pub sink: Sink,
    /// Least time between two exports.
    pub min_interval: Duration,
    /// Hash of everything that matters: specs, Secrets. A changed one exports at once and leaves a terminal failure.
    pub config_version: u64,
    /// What files look like; needed by file sinks.
    pub document: Option<Arc<DocumentSpec>>,
    /// Name of the cluster in the sink.
    pub cluster: Arc<str>,
    /// Value of the `sink_type` metric label.
    pub sink_type: &'static str,
    /// Where the data goes, without credentials.
    pub destination: String,
}

impl fmt::Debug for BindingSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BindingSpec({} to {})", self.id, self.destination)
    }
}

/// How a binding is doing.
#[derive(Clone, Debug)]
pub struct BindingStatus {
    /// In one word, with its details.
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
    /// Where the data goes, without credentials.
    pub destination: String,
    /// The backend's name of the last state.
    pub revision: Option<String>,
    /// Number of the latest cycle in this process.
    pub cycle: u64,
}

/// State of a binding.
#[derive(Clone, Debug)]
pub enum BindingState {
    /// No outcome yet.
    Waiting {
        /// For what.
        why: String,
    },
    /// The sink equals the view, or will within moments.
    Exported,
    /// Changes wait for the interval.
    Debounced {
        /// How many, counted up to a bound.
        changes: u64,
        /// For how long.
        due_in: Duration,
    },
    /// The last attempt failed.
    Failed {
        /// How.
        error: SinkError,
        /// Since when attempts fail.
        since: SystemTime,
        /// The next attempt without a change of what the failure depends on; `None` when there is none.
        retry_at: Option<SystemTime>,
    },
}

/// The end of a cycle, or the begin of a long wait.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The binding.
    pub binding: BindingId,
    /// Value of the `sink_type` metric label.
    pub sink_type: &'static str,
    /// Id of the cycle.
    pub cycle: String,
    /// How long it took.
    pub duration: Duration,
    /// Rows or files written or deleted.
    pub rows: u64,
    /// Payload bytes sent.
    pub bytes: u64,
    /// They are those of a whole document.
    pub document: bool,
    /// What came of it.
    pub result: OutcomeResult,
}

/// What came of a cycle.
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

/// Hears of every cycle: for metrics, logs, and to wake the control loops.
pub trait Reporter: Send + Sync {
    /// Called after the status was updated; must not block.
    fn outcome(&self, outcome: &Outcome);
}

/// What happens to the data of a binding that goes away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// Everything the binding owns in the sink is deleted.
    Forget,
    /// It stays.
    Leave,
}

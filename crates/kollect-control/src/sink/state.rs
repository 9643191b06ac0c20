//! What the controller of sinks has in memory.

use super::decide::{LastProbe, Unusable};
use super::probe_state::ProbeState;
use kollect_resources::registry::BuiltSink;
use parking_lot::Mutex;
use std::sync::Arc;

/// A built sink and its probes.
pub(crate) struct SinkState {
    /// Changes with everything that a binding to this sink depends on.
    pub config_version: u64,
    /// The built sink, or why there is none.
    pub built: Result<BuiltSink, Unusable>,
    pub(super) probe: Arc<Mutex<ProbeState>>,
}

impl SinkState {
    /// The outcome of the newest probe.
    pub(crate) fn last_probe(&self) -> LastProbe {
        self.probe.lock().last()
    }
}

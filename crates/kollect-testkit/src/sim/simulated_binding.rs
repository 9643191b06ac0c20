//! What the simulation does with a binding of either family.

use fastrand::Rng;
use kollect_export::{Binding, ExportSettings, Moment};
use kollect_model::{Digest, Row, RowId};
use kollect_store::{Store, View};
use std::time::Duration;

/// Whether a row may be deleted from a sink.
pub(super) type DeleteCheck<'c> = &'c mut dyn FnMut(&RowId) -> Result<(), String>;

/// Small pages and batches, so that few rows make many steps.
pub(super) const SETTINGS: ExportSettings = ExportSettings {
    export_timeout: Duration::from_secs(10),
    debounced_after: Duration::from_secs(10),
    batch_rows: 3,
    batch_bytes: 700,
};

/// The surroundings of one step.
pub(super) struct SimStep<'s> {
    pub(super) store: &'s Store,
    pub(super) now: Moment,
    pub(super) random: &'s mut Rng,
    pub(super) faults: bool,
}

/// One binding, its sink, and its running cycle.
pub(super) trait SimulatedBinding {
    fn binding(&mut self) -> &mut Binding;
    /// The process ends and a new one starts: only the sink stays.
    fn crash(&mut self, store: &Store, view: &View, now: Moment);
    /// Sets another view of the same sink.
    fn set_view(&mut self, view: View, now: Moment);
    /// A cycle is running.
    fn is_running(&self) -> bool;
    /// No cycle is running or will become due.
    fn is_idle(&self) -> bool;
    /// An earlier decision may still reach the sink.
    fn is_exposed(&self) -> bool;
    /// Begins a due cycle, or makes the next request of the running one.
    fn step(&mut self, step: SimStep<'_>, check: DeleteCheck<'_>) -> Result<(), String>;
    /// Calls `each` with every row that the sink holds.
    fn held(&self, each: &mut dyn FnMut(&RowId, Digest));
    /// Another writer changes the sink, or the sink loses everything.
    fn tamper(&mut self, kind: u8, at: u64, foreign: &Row);
    /// The sink was not changed since the last comparison.
    fn is_intact(&self) -> bool;
    /// Whether a stop is correct without faults: the rows cannot be exported.
    fn may_be_stopped(&mut self, _store: &Store) -> bool {
        false
    }
    /// Cycles and comparisons so far.
    fn counts(&self) -> (u64, u64);
}

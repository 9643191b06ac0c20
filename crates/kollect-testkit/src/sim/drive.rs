//! What the world does with a binding of either sort.

use fastrand::Rng;
use kollect_export::{Binding, ExportSettings, Moment};
use kollect_model::{Digest, Row, RowId};
use kollect_store::{Store, View};
use std::time::Duration;

/// Says whether a row may leave a sink.
pub(super) type Check<'c> = &'c mut dyn FnMut(&RowId) -> Result<(), String>;

/// Small pages and batches, so that few rows make many steps.
pub(super) const SETTINGS: ExportSettings = ExportSettings {
    export_timeout: Duration::from_secs(10),
    gather_quiet: Duration::from_millis(10),
    gather_most: Duration::from_millis(100),
    debounced_after: Duration::from_secs(10),
    batch_rows: 3,
    batch_bytes: 700,
};

/// What happens at one step.
pub(super) struct Step<'s> {
    pub(super) store: &'s Store,
    pub(super) now: Moment,
    pub(super) random: &'s mut Rng,
    pub(super) faults: bool,
}

/// One binding, its sink, and the cycle it is in.
pub(super) trait Drive {
    fn binding(&mut self) -> &mut Binding;
    /// The process ends and a new one starts: only the sink is still there.
    fn crash(&mut self, store: &Store, view: &View, now: Moment);
    /// Another spec for the same sink.
    fn set_view(&mut self, view: View, now: Moment);
    /// A cycle is under way.
    fn is_running(&self) -> bool;
    /// Nothing runs and nothing is due, ever.
    fn is_idle(&self) -> bool;
    /// Something that was decided earlier may still be on its way to the sink.
    fn is_exposed(&self) -> bool;
    /// Takes one step: begins a due cycle, or goes on with the running one.
    fn step(&mut self, step: Step<'_>, check: Check<'_>) -> Result<(), String>;
    /// Calls `each` with every row that the sink has.
    fn held(&self, each: &mut dyn FnMut(&RowId, Digest));
    /// Another writer changes what is there, or it is lost.
    fn tamper(&mut self, kind: u8, at: u64, foreign: &Row);
    /// Nothing changed what is there since the last comparison.
    fn is_intact(&self) -> bool;
    /// Whether a stop is right although nothing fails any more: the rows themselves cannot be exported.
    fn may_stand_still(&mut self, _store: &Store) -> bool {
        false
    }
    /// Cycles and comparisons so far.
    fn counts(&self) -> (u64, u64);
}

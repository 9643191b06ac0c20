//! The hooks of a simulated driver: breaker, counts, and a check of every deletion.

use super::simulated_binding::DeleteCheck;
use kollect_export::{Breaker, CycleHooks, Moment, RowBatch, SinkError};
use kollect_model::{Change, RowId};

/// Hooks of one step.
pub(super) struct SimHooks<'s, 'c> {
    pub(super) breaker: &'s mut Breaker,
    /// The breaker admitted the cycle.
    pub(super) admitted: bool,
    pub(super) now: Moment,
    pub(super) comparisons: &'s mut u64,
    pub(super) is_held: &'s dyn Fn(&RowId) -> bool,
    pub(super) check: DeleteCheck<'c>,
    /// The first deletion that the check refused.
    pub(super) violation: Option<String>,
}

impl CycleHooks for SimHooks<'_, '_> {
    fn admit(&mut self) -> Result<(), SinkError> {
        if !self.admitted {
            self.breaker.admit(self.now)?;
            self.admitted = true;
        }
        Ok(())
    }

    fn read_back(&mut self) {
        *self.comparisons += 1;
    }

    fn sending(&mut self, batch: &RowBatch) {
        let deletes = batch.changes.iter().filter(|change| matches!(change, Change::Delete(_))).map(Change::id);
        for id in deletes.filter(|id| (self.is_held)(id)) {
            if let Err(violation) = (self.check)(id) {
                self.violation.get_or_insert(violation);
            }
        }
    }
}

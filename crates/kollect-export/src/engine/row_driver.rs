//! Drives one cycle of a row binding against its sink: one request per step.

use crate::binding::row_cycle::{RowCycle, RowStep};
use crate::contract::cycle::Cycle;
use crate::contract::error::SinkError;
use crate::contract::rows::{RowBatch, RowSink};
use crate::engine::cycle_hooks::{CycleError, CycleHooks};
use crate::kill_point::kill_point;
use kollect_store::Store;

/// A cycle, its sink and its hooks.
pub struct RowDriver<'a, H> {
    /// The rows.
    pub store: &'a Store,
    /// The sink.
    pub sink: &'a dyn RowSink,
    /// Passed to every request.
    pub cycle: Cycle<'a>,
    /// Called around the requests.
    pub hooks: &'a mut H,
}

impl<H: CycleHooks> RowDriver<'_, H> {
    /// Runs the cycle to its end.
    pub async fn run(&mut self, rows: &mut RowCycle) -> Result<(), CycleError> {
        while self.step(rows).await? {
            self.cycle.progress.tick();
        }
        Ok(())
    }

    /// Makes the next request. `false` when the cycle has finished.
    pub async fn step(&mut self, rows: &mut RowCycle) -> Result<bool, CycleError> {
        let step = rows.step(self.store);
        if matches!(step, RowStep::Done) {
            return Ok(false);
        }
        self.hooks.admit().map_err(CycleError::Refused)?;
        self.request(step, rows).await.map_err(CycleError::Failed)?;
        Ok(true)
    }

    async fn request(&mut self, step: RowStep, rows: &mut RowCycle) -> Result<(), SinkError> {
        match step {
            RowStep::Done => {}
            RowStep::TooManyChanges => {
                let message = "changes come faster than the sink can be compared; the next attempt starts again";
                return Err(SinkError::transient("compare", message).local());
            }
            RowStep::CheckIntact => rows.intact(self.store, self.sink.intact(&self.cycle).await?),
            RowStep::ReadHeld => {
                let store = self.store;
                let read_back = self.sink.held(&self.cycle, &mut |row| rows.held(store, row)).await?;
                rows.held_all(store, read_back);
                self.hooks.read_back();
            }
            RowStep::Apply(batch) => self.apply(batch, rows).await?,
        }
        Ok(())
    }

    async fn apply(&mut self, batch: RowBatch, rows: &mut RowCycle) -> Result<(), SinkError> {
        self.cycle.check_right()?;
        self.hooks.sending(&batch);
        kill_point("sent");
        let receipt = self.sink.apply(&self.cycle, batch).await?;
        kill_point("acked");
        self.hooks.acknowledged(receipt);
        rows.acked(self.store);
        kill_point("cursor_moved");
        Ok(())
    }
}

//! Drives cycles of file bindings against their sink: reads per binding, writes per lane.

use crate::binding::file_cycle::{FileCycle, FileStep};
use crate::contract::cycle::Cycle;
use crate::contract::error::SinkError;
use crate::contract::files::{FileBatch, FileSink};
use crate::contract::receipt::Receipt;
use crate::engine::cycle_hooks::{CycleError, CycleHooks};
use crate::kill_point::kill_point;
use kollect_store::Store;
use std::ops::ControlFlow;

/// A cycle, its sink and its hooks.
pub struct FileDriver<'a, H> {
    /// The sink.
    pub sink: &'a dyn FileSink,
    /// Passed to every request.
    pub cycle: Cycle<'a>,
    /// Called before the requests.
    pub hooks: &'a mut H,
}

impl<H: CycleHooks> FileDriver<'_, H> {
    /// Makes the request of a planned step. Breaks with the batch to write, or with `None` when the cycle has finished.
    pub async fn request(
        &mut self,
        step: FileStep,
        files: &mut FileCycle,
    ) -> Result<ControlFlow<Option<FileBatch>>, CycleError> {
        if matches!(step, FileStep::Done) {
            return Ok(ControlFlow::Break(None));
        }
        self.hooks.admit().map_err(CycleError::Refused)?;
        match step {
            FileStep::Done => return Ok(ControlFlow::Break(None)),
            FileStep::Apply(batch) => return Ok(ControlFlow::Break(Some(batch))),
            FileStep::ReadHeld => {
                let record = files.record();
                let read_back = self.sink.held(&self.cycle, &record, &mut |file| files.held(file)).await;
                files.held_all(read_back.map_err(CycleError::Failed)?);
                self.hooks.read_back();
            }
            FileStep::ReadFile(path) => {
                let content = self.sink.read(&self.cycle, &files.record(), &path).await;
                files.content(content.map_err(CycleError::Failed)?);
            }
        }
        self.cycle.progress.tick();
        Ok(ControlFlow::Continue(()))
    }
}

/// Writes the batches of a lane. Returns one result per batch, in order.
pub async fn write_lane(sink: &dyn FileSink, lane: Vec<(Cycle<'_>, FileBatch)>) -> Vec<Result<Receipt, SinkError>> {
    let batches = lane.len();
    kill_point("sent");
    let mut results = sink.apply(lane).await;
    kill_point("acked");
    let missing = || Err(SinkError::transient("write", "the sink did not answer for this inventory").maybe_landed());
    results.resize_with(batches, missing);
    results
}

/// Moves the cursor of a cycle whose batch was written.
pub fn acknowledge(store: &Store, files: &mut FileCycle) {
    files.acked(store);
    kill_point("cursor_moved");
}

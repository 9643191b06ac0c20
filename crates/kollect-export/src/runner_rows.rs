//! Drives one cycle of a row binding against its sink.

use crate::exporter_slot::{Slot, Tally};
use crate::runner::{Running, Trouble, admit, not_ready};
use crate::runner_watch::watched;
use crate::{Cycle, Exporter, Progress, Round, RowBatch, RowCycle, RowSink, RowStep, Sink, SinkError, kill_point};
use kollect_model::RowId;
use std::collections::HashSet;
use std::sync::Arc;

/// Runs one cycle to its end.
pub(crate) async fn cycle(exporter: &Arc<Exporter>, slot: &Arc<Slot>) {
    let started = exporter.clock.now();
    let cancel = exporter.abort.child_token();
    let fence = exporter.right.fence();
    let begun = {
        let mut guard = slot.state.lock();
        let state = &mut *guard;
        let Sink::Rows(sink) = &state.spec.sink else { return };
        let sink = sink.clone();
        let begun = state.binding.begin_rows(&exporter.store, &slot.id.to_string());
        state.cancel = Some(cancel.clone());
        begun.map(|cycle| (cycle, sink, state.binding.cycles(), state.report.rejects()))
    };
    let (mut rows, sink, number, rejected) = match begun {
        Ok(begun) => begun,
        Err(wait) => return not_ready(exporter, slot, wait.why),
    };
    let running = Running::new(exporter, slot);
    let (progress, mut round) = (Progress::default(), Round::default());
    let cycle =
        Cycle { of: &slot.id, number, fence, cancel: &cancel, progress: &progress, right: exporter.right.as_ref() };
    let work = Drive { exporter, slot, sink: sink.as_ref(), cycle, rejected: rejected.into_iter().collect() };
    let driven = work.run(&mut rows, &mut round);
    let result =
        watched(&exporter.clock, exporter.settings.export_timeout, &|| progress.ticks(), &cancel, driven).await;
    let result = result.unwrap_or_else(|error| Err(Trouble::Failed(error)));
    let touched = rows.touched();
    running.conclude(&mut round, result, (touched, started), |binding, ending| {
        binding.end_rows(&exporter.store, rows, ending);
    });
}

struct Drive<'a> {
    exporter: &'a Exporter,
    slot: &'a Slot,
    sink: &'a dyn RowSink,
    cycle: Cycle<'a>,
    rejected: HashSet<RowId>,
}

impl Drive<'_> {
    async fn run(&self, rows: &mut RowCycle, round: &mut Round) -> Result<Tally, Trouble> {
        let store = &*self.exporter.store;
        let mut tally = Tally::default();
        let mut admitted = false;
        loop {
            let step = rows.step(store);
            if !admitted && !matches!(step, RowStep::Done) {
                admit(self.exporter, round, self.slot)?;
                admitted = true;
            }
            match step {
                RowStep::Done => return Ok(tally),
                RowStep::Outrun => {
                    let message = "changes come faster than the sink can be compared; the next attempt starts again";
                    return Err(Trouble::Failed(SinkError::transient("compare", message).local()));
                }
                RowStep::CheckIntact => {
                    let intact = self.sink.intact(&self.cycle).await.map_err(Trouble::Failed)?;
                    rows.intact(store, intact);
                }
                RowStep::ReadHeld => {
                    let held = self.sink.held(&self.cycle, &mut |row| rows.held(store, row)).await;
                    rows.held_all(store, held.map_err(Trouble::Failed)?);
                    tally.compared = true;
                }
                RowStep::Apply(batch) => {
                    self.apply(batch, &mut tally).await.map_err(Trouble::Failed)?;
                    rows.acked(store);
                    kill_point("cursor_moved");
                }
            }
            self.cycle.progress.tick();
        }
    }

    async fn apply(&self, batch: RowBatch, tally: &mut Tally) -> Result<(), SinkError> {
        self.cycle.check_right()?;
        let ids = batch.changes.iter().map(kollect_model::Change::id);
        tally.accepted.extend(ids.filter(|id| self.rejected.contains(id)).cloned());
        kill_point("sent");
        let receipt = self.sink.apply(&self.cycle, batch).await?;
        kill_point("acked");
        tally.add(receipt);
        Ok(())
    }
}

//! A cycle of a row binding in the engine.

use crate::contract::Sink;
use crate::contract::cycle::Progress;
use crate::engine::binding_entry::BindingEntry;
use crate::engine::breaker_round::BreakerRound;
use crate::engine::context::EngineContext;
use crate::engine::cycle_hooks::CycleError;
use crate::engine::deadline::with_deadline;
use crate::engine::row_driver::RowDriver;
use crate::engine::running_cycle::{EngineHooks, RunningCycle, report_waiting};
use std::sync::Arc;

/// Runs one cycle to its end.
pub(crate) async fn run_cycle(context: &Arc<EngineContext>, entry: &Arc<BindingEntry>) {
    let cancel = context.abort.child_token();
    let begun = {
        let mut state = entry.state.lock();
        let Sink::Rows(sink) = &state.spec.sink else { return };
        let sink = sink.clone();
        let begun = state.binding.begin_rows(&context.store, &entry.id.to_string());
        state.cancel = Some(cancel.clone());
        begun.map(|rows| (rows, sink, state.binding.cycles(), state.history.rejected_ids()))
    };
    let (mut rows, sink, number, rejected) = match begun {
        Ok(begun) => begun,
        Err(wait) => return report_waiting(context, entry, wait.why),
    };
    let running = RunningCycle::new(context, entry);
    let (progress, mut round) = (Progress::default(), BreakerRound::default());
    let mut hooks = EngineHooks { rejected, ..EngineHooks::new(context, entry, &mut round) };
    let cycle = context.cycle(&entry.id, number, (&cancel, &progress));
    let mut driver = RowDriver { store: &context.store, sink: sink.as_ref(), cycle, hooks: &mut hooks };
    let (clock, timeout) = (&context.clock, context.settings.export_timeout);
    let ended = with_deadline(clock, timeout, &|| progress.ticks(), &cancel, driver.run(&mut rows)).await;
    let totals = hooks.totals;
    let result = ended.map_err(CycleError::Failed).and_then(|ended| ended).map(|()| totals);
    let touched = rows.touched();
    running.conclude(&mut round, result, touched, |binding, ending| binding.end_rows(&context.store, rows, ending));
}

//! The cycles of the due file bindings of a lane: each is planned by itself, then all are written together.

use crate::binding::file_cycle::{FileCycle, FileStep};
use crate::contract::Sink;
use crate::contract::cycle::{Cycle, Progress};
use crate::contract::error::SinkError;
use crate::contract::files::{FileBatch, FileSink};
use crate::contract::receipt::Receipt;
use crate::engine::binding_entry::BindingEntry;
use crate::engine::breaker_round::BreakerRound;
use crate::engine::context::EngineContext;
use crate::engine::cycle_hooks::CycleError;
use crate::engine::cycle_totals::CycleTotals;
use crate::engine::deadline::with_deadline;
use crate::engine::file_driver::{FileDriver, acknowledge, write_lane};
use crate::engine::running_cycle::{EngineHooks, RunningCycle, report_waiting};
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// A binding of the lane in its cycle.
struct Member {
    running: RunningCycle,
    entry: Arc<BindingEntry>,
    sink: Arc<dyn FileSink>,
    files: FileCycle,
    number: u64,
    cancel: CancellationToken,
    progress: Progress,
}

impl Member {
    fn cycle<'a>(&'a self, context: &'a EngineContext) -> Cycle<'a> {
        context.cycle(&self.entry.id, self.number, (&self.cancel, &self.progress))
    }

    fn conclude(self, context: &EngineContext, round: &mut BreakerRound, result: Result<Receipt, CycleError>) {
        let files = self.files;
        let (checksum, left_out) = (files.checksum().map(str::to_owned), files.left_out().clone());
        let result = result.map(|receipt| {
            let mut totals = CycleTotals { checksum, left_out, ..CycleTotals::default() };
            totals.add(receipt);
            totals
        });
        let touched = files.touched();
        self.running.conclude(round, result, touched, |binding, ending| {
            binding.end_files(&context.store, files, ending);
        });
    }
}

/// Runs one cycle of every due binding.
pub(crate) async fn run_cycles(context: &Arc<EngineContext>, due: Vec<Arc<BindingEntry>>) {
    let (mut ready, mut round) = (Vec::new(), BreakerRound::default());
    for entry in due {
        let Some(member) = begin(context, entry) else { continue };
        match plan(context, &mut round, member).await {
            (member, Ok(Some(batch))) => ready.push((member, batch)),
            (member, Ok(None)) => member.conclude(context, &mut round, Ok(Receipt::default())),
            (member, Err(error)) => member.conclude(context, &mut round, Err(error)),
        }
    }
    if !ready.is_empty() {
        write(context, &mut round, ready).await;
    }
}

fn begin(context: &Arc<EngineContext>, entry: Arc<BindingEntry>) -> Option<Member> {
    let cancel = context.abort.child_token();
    let begun = {
        let mut guard = entry.state.lock();
        let state = &mut *guard;
        let (Sink::Files(sink), Some(document)) = (&state.spec.sink, &state.spec.document) else { return None };
        let name = entry.id.to_string();
        let begun = state.binding.begin_files(&context.store, &name, document, context.clock.timestamp());
        state.cancel = Some(cancel.clone());
        begun.map(|files| (files, sink.clone(), state.binding.cycles()))
    };
    match begun {
        Err(wait) => {
            report_waiting(context, &entry, wait.why);
            None
        }
        Ok((files, sink, number)) => {
            let running = RunningCycle::new(context, &entry);
            Some(Member { running, entry, sink, files, number, cancel, progress: Progress::default() })
        }
    }
}

/// Reads the record if needed and plans; `None` when there is nothing to write.
async fn plan(
    context: &Arc<EngineContext>,
    round: &mut BreakerRound,
    mut member: Member,
) -> (Member, Result<Option<FileBatch>, CycleError>) {
    loop {
        let (back, step) = next_step(context, member).await;
        member = back;
        let result = match step {
            Ok(step) => request(context, round, &mut member, step).await,
            Err(error) => Err(CycleError::Failed(error)),
        };
        match result {
            Ok(ControlFlow::Continue(())) => {}
            Ok(ControlFlow::Break(batch)) => return (member, Ok(batch)),
            Err(error) => return (member, Err(error)),
        }
    }
}

async fn request(
    context: &EngineContext,
    round: &mut BreakerRound,
    member: &mut Member,
    step: FileStep,
) -> Result<ControlFlow<Option<FileBatch>>, CycleError> {
    let Member { entry, sink, files, number, cancel, progress, .. } = member;
    let mut hooks = EngineHooks::new(context, entry, round);
    let cycle = context.cycle(&entry.id, *number, (cancel, progress));
    let mut driver = FileDriver { sink: sink.as_ref(), cycle, hooks: &mut hooks };
    let (clock, timeout) = (&context.clock, context.settings.export_timeout);
    let ended = with_deadline(clock, timeout, &|| progress.ticks(), cancel, driver.request(step, files)).await;
    ended.unwrap_or_else(|error| Err(CycleError::Failed(error)))
}

/// Rendering many rows takes seconds, so it runs on a thread that may block.
async fn next_step(context: &Arc<EngineContext>, mut member: Member) -> (Member, Result<FileStep, SinkError>) {
    let store = context.store.clone();
    let planned = tokio::task::spawn_blocking(move || {
        let step = catch_unwind(AssertUnwindSafe(|| member.files.step(&store))).unwrap_or_else(|_| {
            let message = "planning the files panicked; see the log for the place";
            Err(SinkError::transient("panic", message).maybe_landed().local())
        });
        (member, step)
    });
    match planned.await {
        Ok(planned) => planned,
        // Panics are caught above, so the thread is missing only when the run time stops, and this task with it.
        Err(_) => std::future::pending().await,
    }
}

async fn write(context: &Arc<EngineContext>, round: &mut BreakerRound, ready: Vec<(Member, FileBatch)>) {
    let (members, batches): (Vec<Member>, Vec<FileBatch>) = ready.into_iter().unzip();
    let sink = members[0].sink.clone();
    // A cancelled member fails alone. This token ends the whole write: at the deadline and at the stop.
    let cancel = context.abort.child_token();
    let written = {
        let lane = members.iter().map(|member| member.cycle(context)).zip(batches).collect::<Vec<_>>();
        let work = async {
            let mut write = std::pin::pin!(write_lane(sink.as_ref(), lane));
            tokio::select! {
                biased;
                results = &mut write => results,
                () = cancel.cancelled() => {
                    for member in &members {
                        member.cancel.cancel();
                    }
                    write.await
                }
            }
        };
        let ticks = || members.iter().map(|member| member.progress.ticks()).sum();
        with_deadline(&context.clock, context.settings.export_timeout, &ticks, &cancel, work).await
    };
    let results = written.unwrap_or_else(|error| members.iter().map(|_| Err(error.clone())).collect());
    for (mut member, result) in members.into_iter().zip(results) {
        if result.is_ok() {
            acknowledge(&context.store, &mut member.files);
        }
        member.conclude(context, round, result.map_err(CycleError::Failed));
    }
}

//! Drives the due file bindings of a lane: each is planned by itself, then all are written together.

use crate::exporter_slot::{Slot, Tally};
use crate::runner::{Running, Trouble, admit, not_ready};
use crate::runner_watch::watched;
use crate::{
    Cycle, Exporter, FileBatch, FileCycle, FileSink, FileStep, Moment, Progress, Receipt, Round, Sink, SinkError,
    kill_point,
};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// One binding of the lane on its way through a cycle.
struct Member {
    running: Running,
    slot: Arc<Slot>,
    sink: Arc<dyn FileSink>,
    files: FileCycle,
    number: u64,
    cancel: CancellationToken,
    progress: Progress,
    started: Moment,
}

impl Member {
    fn cycle<'a>(&'a self, exporter: &'a Exporter) -> Cycle<'a> {
        Cycle {
            of: &self.slot.id,
            number: self.number,
            fence: exporter.right.fence(),
            cancel: &self.cancel,
            progress: &self.progress,
            right: exporter.right.as_ref(),
        }
    }

    fn conclude(self, exporter: &Exporter, round: &mut Round, result: Result<Tally, Trouble>) {
        let touched = self.files.touched();
        let (checksum, left_out) = (self.files.checksum().map(str::to_owned), self.files.left_out().clone());
        let result = result.map(|tally| Tally { checksum, left_out, ..tally });
        self.running.conclude(round, result, (touched, self.started), |binding, ending| {
            binding.end_files(&exporter.store, self.files, ending);
        });
    }
}

/// Runs one cycle of every due binding.
pub(crate) async fn cycles(exporter: &Arc<Exporter>, slots: Vec<Arc<Slot>>) {
    let (mut ready, mut round) = (Vec::new(), Round::default());
    for slot in slots {
        let Some(member) = begin(exporter, slot) else { continue };
        match plan(exporter, &mut round, member).await {
            (member, Ok(Some(batch))) => ready.push((member, batch)),
            (member, Ok(None)) => member.conclude(exporter, &mut round, Ok(Tally::default())),
            (member, Err(trouble)) => member.conclude(exporter, &mut round, Err(trouble)),
        }
    }
    if !ready.is_empty() {
        write(exporter, &mut round, ready).await;
    }
}

fn begin(exporter: &Arc<Exporter>, slot: Arc<Slot>) -> Option<Member> {
    let cancel = exporter.abort.child_token();
    let begun = {
        let mut guard = slot.state.lock();
        let state = &mut *guard;
        let (Sink::Files(sink), Some(document)) = (&state.spec.sink, &state.spec.document) else { return None };
        let (sink, document) = (sink.clone(), document.clone());
        let name = slot.id.to_string();
        let begun = state.binding.begin_files(&exporter.store, &name, &document, exporter.clock.timestamp());
        state.cancel = Some(cancel.clone());
        begun.map(|files| (files, sink, state.binding.cycles()))
    };
    match begun {
        Err(wait) => {
            not_ready(exporter, &slot, wait.why);
            None
        }
        Ok((files, sink, number)) => {
            let started = exporter.clock.now();
            let running = Running::new(exporter, &slot);
            Some(Member { running, slot, sink, files, number, cancel, progress: Progress::default(), started })
        }
    }
}

/// Reads the record if needed and says what to write; `None` when nothing is to be written.
async fn plan(
    exporter: &Arc<Exporter>,
    round: &mut Round,
    mut member: Member,
) -> (Member, Result<Option<FileBatch>, Trouble>) {
    let mut admitted = false;
    loop {
        let planned = step(exporter, member).await;
        member = planned.0;
        let step = match planned.1 {
            Err(error) => return (member, Err(Trouble::Failed(error))),
            Ok(FileStep::Done) => return (member, Ok(None)),
            Ok(step) => step,
        };
        if !admitted {
            if let Err(refused) = admit(exporter, round, &member.slot) {
                return (member, Err(refused));
            }
            admitted = true;
        }
        let read = match step {
            FileStep::Apply(batch) => return (member, Ok(Some(batch))),
            FileStep::ReadFile(path) => read_file(exporter, &mut member, &path).await,
            FileStep::ReadHeld | FileStep::Done => read(exporter, &mut member).await,
        };
        if let Err(error) = read {
            return (member, Err(Trouble::Failed(error)));
        }
    }
}

/// Rendering many rows takes a while, so it happens on a thread that may block.
async fn step(exporter: &Arc<Exporter>, mut member: Member) -> (Member, Result<FileStep, SinkError>) {
    let store = exporter.store.clone();
    let planned = tokio::task::spawn_blocking(move || {
        let step = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| member.files.step(&store)));
        let step = step.unwrap_or_else(|_| {
            Err(SinkError::transient("panic", "planning the files panicked; see the log for the place")
                .maybe_landed()
                .local())
        });
        (member, step)
    });
    match planned.await {
        Ok(planned) => planned,
        // Panics are caught above, so the thread is gone only when the run time stops, and this task with it.
        Err(_) => std::future::pending().await,
    }
}

async fn read(exporter: &Exporter, member: &mut Member) -> Result<(), SinkError> {
    let record = member.files.record();
    let Member { slot, sink, files, number, cancel, progress, .. } = member;
    let (cancel, progress) = (&*cancel, &*progress);
    let (fence, right) = (exporter.right.fence(), exporter.right.as_ref());
    let cycle = Cycle { of: &slot.id, number: *number, fence, cancel, progress, right };
    let mut each = |file| files.held(file);
    let work = sink.held(&cycle, &record, &mut each);
    let patience = exporter.settings.export_timeout;
    let knowledge = watched(&exporter.clock, patience, &|| progress.ticks(), cancel, work).await??;
    member.files.held_all(knowledge);
    Ok(())
}

async fn read_file(exporter: &Exporter, member: &mut Member, path: &str) -> Result<(), SinkError> {
    let content = {
        let (cycle, record) = (member.cycle(exporter), member.files.record());
        let work = member.sink.read(&cycle, &record, path);
        let ticks = || member.progress.ticks();
        watched(&exporter.clock, exporter.settings.export_timeout, &ticks, &member.cancel, work).await??
    };
    member.files.content(content);
    Ok(())
}

async fn write(exporter: &Arc<Exporter>, round: &mut Round, ready: Vec<(Member, FileBatch)>) {
    let (members, batches): (Vec<Member>, Vec<FileBatch>) = ready.into_iter().unzip();
    let sink = members[0].sink.clone();
    // A member that is cancelled fails alone. The lane's own token ends the whole write: at the deadline and at the stop.
    let cancel = exporter.abort.child_token();
    let results = {
        let lane = members.iter().map(|member| member.cycle(exporter)).zip(batches).collect::<Vec<_>>();
        let work = async {
            kill_point("sent");
            let mut apply = sink.apply(lane);
            let results = tokio::select! {
                biased;
                results = &mut apply => results,
                () = cancel.cancelled() => {
                    for member in &members {
                        member.cancel.cancel();
                    }
                    apply.await
                }
            };
            kill_point("acked");
            results
        };
        let ticks = || members.iter().map(|member| member.progress.ticks()).sum();
        watched(&exporter.clock, exporter.settings.export_timeout, &ticks, &cancel, work).await
    };
    let mut results: Vec<Result<Receipt, SinkError>> = match results {
        Ok(results) => results,
        Err(error) => members.iter().map(|_| Err(error.clone())).collect(),
    };
    let missing = || Err(SinkError::transient("write", "the sink did not answer for this inventory").maybe_landed());
    results.resize_with(members.len(), missing);
    for (mut member, result) in members.into_iter().zip(results) {
        let result = result.map_err(Trouble::Failed).map(|receipt| {
            member.files.acked(&exporter.store);
            kill_point("cursor_moved");
            let mut tally = Tally::default();
            tally.add(receipt);
            tally
        });
        member.conclude(exporter, round, result);
    }
}

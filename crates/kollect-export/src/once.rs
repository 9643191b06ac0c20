//! One export of one binding, without cadence, breaker or tasks: for the command line.

use crate::runner_watch::watched;
use crate::{
    Binding, BindingSpec, Clock, Cycle, ExportSettings, FileCycle, FileStep, LeftOutChange, Progress, Receipt,
    Rejected, RowCycle, RowSink, RowStep, Sink, SinkError, WriteRight,
};
use kollect_store::Store;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Brings the sink of `spec` up to date with the store and says what was written. No part of the
/// view may be waiting for its first list; a failure is not retried.
pub async fn export_once(
    store: &Store,
    spec: &BindingSpec,
    settings: ExportSettings,
    right: &dyn WriteRight,
    cancel: &CancellationToken,
) -> Result<Receipt, SinkError> {
    let clock = Clock::start();
    let progress = Progress::default();
    let cancel = cancel.child_token();
    let cycle = Cycle { of: &spec.id, number: 1, fence: right.fence(), cancel: &cancel, progress: &progress, right };
    let reader = store.register_reader();
    let mut binding = Binding::new(spec.view.clone(), reader, Duration::ZERO, settings, clock.now());
    let work = async {
        match &spec.sink {
            Sink::Rows(sink) => {
                let name = spec.id.to_string();
                let rows = binding.begin_rows(store, &name).map_err(|wait| SinkError::transient("plan", wait.why))?;
                send_rows(store, sink.as_ref(), &cycle, rows).await
            }
            Sink::Files(_) => send_files(store, spec, &clock, &cycle, &mut binding).await,
        }
    };
    let result = watched(&clock, settings.export_timeout, &|| progress.ticks(), &cancel, work).await;
    store.drop_reader(reader);
    result?
}

async fn send_rows(
    store: &Store,
    sink: &dyn RowSink,
    cycle: &Cycle<'_>,
    mut rows: RowCycle,
) -> Result<Receipt, SinkError> {
    let mut total = Receipt::default();
    loop {
        match rows.step(store) {
            RowStep::Done => return Ok(total),
            RowStep::Outrun => return Err(SinkError::transient("compare", "the store changes faster than the sink")),
            RowStep::CheckIntact => {
                let intact = sink.intact(cycle).await?;
                rows.intact(store, intact);
            }
            RowStep::ReadHeld => {
                let knowledge = sink.held(cycle, &mut |row| rows.held(store, row)).await?;
                rows.held_all(store, knowledge);
            }
            RowStep::Apply(batch) => {
                cycle.check_right()?;
                let receipt = sink.apply(cycle, batch).await?;
                rows.acked(store);
                total.rows += receipt.rows;
                total.bytes += receipt.bytes;
                total.revision = receipt.revision.or(total.revision);
                total.rejected.extend(receipt.rejected);
            }
        }
        cycle.progress.tick();
    }
}

async fn send_files(
    store: &Store,
    spec: &BindingSpec,
    clock: &Clock,
    cycle: &Cycle<'_>,
    binding: &mut Binding,
) -> Result<Receipt, SinkError> {
    let (Sink::Files(sink), Some(document)) = (&spec.sink, &spec.document) else {
        return Err(SinkError::terminal("plan", "a file sink needs to know what its files look like"));
    };
    let begun = binding.begin_files(store, &spec.id.to_string(), document, clock.timestamp());
    let mut files = begun.map_err(|wait| SinkError::transient("plan", wait.why))?;
    loop {
        match files.step(store)? {
            FileStep::Done => return Ok(with_left_out(Receipt::default(), &files)),
            FileStep::ReadHeld => {
                let record = files.record();
                let knowledge = sink.held(cycle, &record, &mut |file| files.held(file)).await?;
                files.held_all(knowledge);
            }
            FileStep::ReadFile(path) => files.content(sink.read(cycle, &files.record(), &path).await?),
            FileStep::Apply(batch) => {
                let missing = || Err(SinkError::transient("write", "the sink did not answer").maybe_landed());
                let receipt = sink.apply(vec![(*cycle, batch)]).await.pop().unwrap_or_else(missing)?;
                files.acked(store);
                return Ok(with_left_out(receipt, &files));
            }
        }
        cycle.progress.tick();
    }
}

/// Rows without a file are named beside those that the backend cannot take.
fn with_left_out(mut receipt: Receipt, files: &FileCycle) -> Receipt {
    if let LeftOutChange::All(rows) = files.left_out() {
        receipt.rejected.extend(rows.iter().map(|row| Rejected { id: row.id.clone(), why: row.why.clone() }));
    }
    receipt
}

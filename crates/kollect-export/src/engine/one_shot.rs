//! One export of one binding, without cadence, breaker or tasks: for the command line.

use crate::binding::Binding;
use crate::binding::file_cycle::{FileCycle, LeftOutChange};
use crate::clock::Clock;
use crate::contract::Sink;
use crate::contract::cycle::{Cycle, Progress, WriteRight};
use crate::contract::error::SinkError;
use crate::contract::files::FileSink;
use crate::contract::receipt::{Receipt, Rejected};
use crate::engine::binding_spec::BindingSpec;
use crate::engine::cycle_hooks::{CycleError, CycleHooks};
use crate::engine::deadline::with_deadline;
use crate::engine::file_driver::{FileDriver, acknowledge, write_lane};
use crate::engine::row_driver::RowDriver;
use crate::settings::ExportSettings;
use kollect_store::Store;
use std::ops::ControlFlow;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The sum of all receipts.
#[derive(Default)]
struct ReceiptSum(Receipt);

impl CycleHooks for ReceiptSum {
    fn acknowledged(&mut self, receipt: Receipt) {
        self.0.merge(receipt);
    }
}

/// Brings the sink of `spec` up to date with the store and returns what was written. Fails while a part of the view
/// waits for its first list. Does not retry.
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
    let name = spec.id.to_string();
    let mut sum = ReceiptSum::default();
    let work = async {
        match (&spec.sink, &spec.document) {
            (Sink::Rows(sink), _) => {
                let begun = binding.begin_rows(store, &name);
                let mut rows = begun.map_err(|wait| SinkError::transient("plan", wait.why))?;
                let mut driver = RowDriver { store, sink: sink.as_ref(), cycle, hooks: &mut sum };
                driver.run(&mut rows).await.map_err(CycleError::into_error)
            }
            (Sink::Files(sink), Some(document)) => {
                let begun = binding.begin_files(store, &name, document, clock.timestamp());
                let files = begun.map_err(|wait| SinkError::transient("plan", wait.why))?;
                send_files(store, sink.as_ref(), cycle, files, &mut sum).await
            }
            (Sink::Files(_), None) => {
                Err(SinkError::terminal("plan", "a file sink needs to know what its files look like"))
            }
        }
    };
    let result = with_deadline(&clock, settings.export_timeout, &|| progress.ticks(), &cancel, work).await;
    store.drop_reader(reader);
    result?.map(|()| sum.0)
}

async fn send_files(
    store: &Store,
    sink: &dyn FileSink,
    cycle: Cycle<'_>,
    mut files: FileCycle,
    sum: &mut ReceiptSum,
) -> Result<(), SinkError> {
    let mut driver = FileDriver { sink, cycle, hooks: sum };
    let batch = loop {
        let request = driver.request(files.step(store)?, &mut files);
        if let ControlFlow::Break(batch) = request.await.map_err(CycleError::into_error)? {
            break batch;
        }
    };
    if let Some(batch) = batch {
        for result in write_lane(sink, vec![(cycle, batch)]).await {
            sum.0.merge(result?);
            acknowledge(store, &mut files);
        }
    }
    // Rows without a file are named beside those that the backend rejects.
    if let LeftOutChange::All(rows) = files.left_out() {
        let left_out = rows.iter().map(|row| Rejected { id: row.id.clone(), why: row.why.clone() });
        sum.0.rejected.extend(left_out);
    }
    Ok(())
}

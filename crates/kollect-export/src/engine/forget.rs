//! Removes the data of a binding from its sink.

use crate::binding::file_batch::forget_batch;
use crate::contract::Sink;
use crate::contract::cycle::Progress;
use crate::contract::error::SinkError;
use crate::contract::receipt::Receipt;
use crate::engine::binding_entry::{BindingEntry, PendingRemoval};
use crate::engine::context::EngineContext;
use crate::engine::deadline::with_deadline;
use crate::engine::removal::{DataOverlap, data_overlap};
use std::sync::Arc;

/// Removes a binding and its data, and sends the result to the caller.
pub(crate) async fn remove(context: &EngineContext, entry: &Arc<BindingEntry>, removal: PendingRemoval) {
    let result = forget_unless_shared(context, entry).await;
    // Also after a failure: the tombstones of a binding that no caller removes again would stay for ever.
    context.drop_if_leaving(entry);
    // The caller may have dropped the receiver.
    let _ = removal.done.send(result);
}

/// Removes the data of a binding, unless a binding that stays owns the same rows.
async fn forget_unless_shared(context: &EngineContext, entry: &BindingEntry) -> Result<Receipt, SinkError> {
    let spec = entry.state.lock().spec.clone();
    let overlapping = |kinds: &[DataOverlap]| {
        let mut others = context.registry.filtered(|other| other.id != entry.id && !other.state.lock().leaving);
        others.retain(|other| kinds.contains(&data_overlap(&spec, &other.state.lock().spec)));
        others
    };
    let is_shared = !overlapping(&[DataOverlap::Rows]).is_empty();
    let result = if is_shared { Ok(Receipt::default()) } else { forget(context, entry).await };
    // Evaluated again: a binding may have been added while the sink was busy.
    for other in overlapping(&[DataOverlap::Rows, DataOverlap::Perhaps]) {
        context.compare(&other);
    }
    for other in overlapping(&[DataOverlap::Paths]) {
        other.state.lock().binding.backend_changed(context.clock.now());
        other.wake();
    }
    result
}

async fn forget(context: &EngineContext, entry: &BindingEntry) -> Result<Receipt, SinkError> {
    let (spec, number) = {
        let mut state = entry.state.lock();
        state.binding.invalidate_cursor();
        (state.spec.clone(), state.binding.cycles() + 1)
    };
    let (cancel, progress) = (context.abort.child_token(), Progress::default());
    let cycle = context.cycle(&entry.id, number, (&cancel, &progress));
    let work = async {
        cycle.check_right()?;
        match (&spec.sink, &spec.document) {
            (Sink::Rows(sink), _) => sink.forget(&cycle).await,
            (Sink::Files(sink), Some(document)) => {
                let batch = forget_batch(document, &cycle.id(), &context.clock.timestamp());
                sink.forget(&cycle, batch).await
            }
            (Sink::Files(_), None) => Ok(Receipt::default()),
        }
    };
    with_deadline(&context.clock, context.settings.export_timeout, &|| progress.ticks(), &cancel, work).await?
}

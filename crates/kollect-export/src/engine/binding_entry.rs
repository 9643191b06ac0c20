//! One binding in the exporter: its spec, its machine, its history, and the lane that runs it.

use crate::binding::Binding;
use crate::clock::{Clock, Moment};
use crate::contract::error::{DependsOn, SinkError};
use crate::contract::ids::BindingId;
use crate::contract::receipt::{Receipt, Rejected};
use crate::engine::binding_spec::BindingSpec;
use crate::engine::export_history::ExportHistory;
use crate::engine::lane::LaneKey;
use crate::engine::status::{BindingState, BindingStatus};
use crate::settings::ExportSettings;
use kollect_store::Store;
use parking_lot::{Mutex, RwLock};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, oneshot};
use tokio_util::sync::CancellationToken;

/// Most waiting changes that a status counts.
const MOST_COUNTED: usize = 10_000;

/// The task of a lane.
#[derive(Debug)]
pub(crate) struct LaneHandle {
    pub(crate) key: LaneKey,
    pub(crate) wakeup: Notify,
    /// The task was started.
    pub(crate) spawned: AtomicBool,
}

#[derive(Debug)]
pub(crate) struct BindingEntry {
    pub(crate) id: BindingId,
    /// Rows of the view changed since the lane last collected its due bindings.
    pub(crate) changed: AtomicBool,
    pub(crate) lane: RwLock<Arc<LaneHandle>>,
    pub(crate) state: Mutex<EntryState>,
}

impl BindingEntry {
    /// Rows of the view changed. `true` for the first change since the lane last collected its due bindings.
    pub(crate) fn mark_changed(&self) -> bool {
        !self.changed.swap(true, Ordering::SeqCst)
    }

    /// Wakes the lane.
    pub(crate) fn wake(&self) {
        self.lane.read().wakeup.notify_one();
    }
}

#[derive(Debug)]
pub(crate) struct EntryState {
    pub(crate) spec: BindingSpec,
    pub(crate) binding: Binding,
    pub(crate) history: ExportHistory,
    /// Cancels the running cycle.
    pub(crate) cancel: Option<CancellationToken>,
    pub(crate) removal: Option<PendingRemoval>,
    /// The binding is being removed: no further cycle starts.
    pub(crate) leaving: bool,
    /// The current wait was reported as debounced.
    pub(crate) debounce_reported: bool,
}

/// Receiver of the result of a removal.
#[derive(Debug)]
pub(crate) struct PendingRemoval {
    pub(crate) done: oneshot::Sender<Result<Receipt, SinkError>>,
}

impl EntryState {
    pub(crate) fn new(spec: BindingSpec, binding: Binding) -> Self {
        Self {
            spec,
            binding,
            history: ExportHistory::default(),
            cancel: None,
            removal: None,
            leaving: false,
            debounce_reported: false,
        }
    }

    /// Time that changes still wait for the interval, if it is long enough to be reported.
    pub(crate) fn long_wait(&self, settings: &ExportSettings, now: Moment) -> Option<Duration> {
        let wait = self.binding.due()?.saturating_sub(now);
        (wait > settings.debounced_after && self.binding.retry_at().is_none()).then_some(wait)
    }

    pub(crate) fn status(&self, store: &Store, settings: &ExportSettings, clock: &Clock) -> BindingStatus {
        let history = &self.history;
        let rejected = history.rejected.iter().map(|(id, why)| Rejected { id: id.clone(), why: why.clone() });
        BindingStatus {
            state: self.state(store, settings, clock),
            last_export: history.last_export,
            checksum: history.checksum.clone(),
            rows: history.rows,
            rejected: rejected.collect(),
            left_out: history.left_out.clone(),
            document: history.document,
            destination: self.spec.destination.clone(),
            revision: history.revision.clone(),
            cycle: self.binding.cycles(),
        }
    }

    pub(crate) fn state(&self, store: &Store, settings: &ExportSettings, clock: &Clock) -> BindingState {
        let now = clock.now();
        if let Some((error, since)) = &self.history.failure {
            // A failure that depends on the rows or on a spec is not retried by time.
            let timed = matches!(self.binding.stop(), None | Some(DependsOn::Backend));
            let retry = self.binding.retry_at().filter(|_| timed);
            let retry_at = retry.map(|at| clock.wall() + at.saturating_sub(now));
            return BindingState::Failed { error: error.clone(), since: *since, retry_at };
        }
        if let Some(why) = &self.history.waiting {
            return BindingState::Waiting { why: why.clone() };
        }
        if self.history.last_export.is_none() {
            return BindingState::Waiting { why: "the first export has not come to its end yet".to_owned() };
        }
        if let Some(due_in) = self.long_wait(settings, now)
            && let Some(changes @ 1..) = self.binding.waiting(store, MOST_COUNTED)
        {
            return BindingState::Debounced { changes, due_in };
        }
        BindingState::Exported
    }
}

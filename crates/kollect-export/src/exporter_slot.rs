//! One binding in the exporter: its spec, its machine, and what its status says.

use crate::lane::LaneKey;
use crate::layout::LeftOut;
use crate::{
    Binding, BindingId, BindingSpec, BindingState, BindingStatus, Clock, DependsOn, ExportSettings, LeftOutChange,
    Moment, Receipt, Rejected, SinkError,
};
use kollect_model::RowId;
use kollect_store::Store;
use parking_lot::{Mutex, RwLock};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};
use tokio::sync::{Notify, oneshot};
use tokio_util::sync::CancellationToken;

/// Most waiting changes that a status counts.
const COUNTED: usize = 10_000;
/// Most rejected rows that a status remembers.
const REJECTED: usize = 1_000;

/// The members of a lane and the bell of its task.
#[derive(Debug)]
pub(crate) struct Lane {
    pub(crate) key: LaneKey,
    pub(crate) bell: Notify,
    pub(crate) members: Mutex<BTreeMap<BindingId, Arc<Slot>>>,
}

#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) id: BindingId,
    /// Something of the view changed since the lane last looked.
    pub(crate) changed: AtomicBool,
    pub(crate) lane: RwLock<Arc<Lane>>,
    pub(crate) state: Mutex<SlotState>,
}

#[derive(Debug)]
pub(crate) struct SlotState {
    pub(crate) spec: BindingSpec,
    pub(crate) binding: Binding,
    pub(crate) report: Report,
    /// Cancels the running cycle.
    pub(crate) cancel: Option<CancellationToken>,
    pub(crate) removal: Option<PendingRemoval>,
    /// Its data is being removed: it does not export any more.
    pub(crate) leaving: bool,
    /// The current wait was reported as debounced.
    pub(crate) told: bool,
}

/// What waits for the data of a binding to be removed.
#[derive(Debug)]
pub(crate) struct PendingRemoval {
    pub(crate) done: oneshot::Sender<Result<Receipt, SinkError>>,
}

/// What the status says, apart from the machine's state.
#[derive(Debug, Default)]
pub(crate) struct Report {
    last_export: Option<SystemTime>,
    checksum: Option<String>,
    document: bool,
    rows: u64,
    rejected: BTreeMap<RowId, String>,
    left_out: Vec<LeftOut>,
    revision: Option<String>,
    failure: Option<(SinkError, SystemTime)>,
    waiting: Option<String>,
}

/// What the cycles of one binding moved.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) receipt: Receipt,
    /// Rows that were accepted although they are known as rejected.
    pub(crate) accepted: Vec<RowId>,
    /// Everything was compared: what is not in the receipt is not rejected any more.
    pub(crate) compared: bool,
    /// Checksum of an exported document.
    pub(crate) checksum: Option<String>,
    /// Of a tree: rows without a file.
    pub(crate) left_out: LeftOutChange,
}

impl Tally {
    pub(crate) fn add(&mut self, receipt: Receipt) {
        self.receipt.rows += receipt.rows;
        self.receipt.bytes += receipt.bytes;
        self.receipt.revision = receipt.revision.or(self.receipt.revision.take());
        let room = REJECTED.saturating_sub(self.receipt.rejected.len());
        self.receipt.rejected.extend(receipt.rejected.into_iter().take(room));
    }
}

impl Slot {
    /// Something of the view changed. Rings the bell only the first time since the lane looked.
    pub(crate) fn wake(&self) {
        if !self.changed.swap(true, Ordering::SeqCst) {
            self.lane.read().bell.notify_one();
        }
    }
}

impl Report {
    pub(crate) fn waits(&mut self, why: String) {
        self.waiting = Some(why);
    }

    pub(crate) fn failed(&mut self, error: &SinkError, now: SystemTime) {
        let since = self.failure.take().map_or(now, |(_, since)| since);
        self.failure = Some((error.clone(), since));
        self.waiting = None;
    }

    /// Whether the cycle says something new of rows without a file.
    pub(crate) fn leaves_others_out(&self, tally: &Tally) -> bool {
        match &tally.left_out {
            LeftOutChange::All(rows) => *rows != self.left_out,
            LeftOutChange::Gone(ids) => self.left_out.iter().any(|row| ids.contains(&row.id)),
        }
    }

    /// Whether the row is known as rejected.
    pub(crate) fn rejects(&self) -> Vec<RowId> {
        self.rejected.keys().cloned().collect()
    }

    pub(crate) fn succeeded(&mut self, store: &Store, binding: &Binding, tally: &Tally, touched: bool, clock: &Clock) {
        self.failure = None;
        self.waiting = None;
        if tally.compared {
            self.rejected.clear();
        }
        match &tally.left_out {
            LeftOutChange::All(rows) => self.left_out.clone_from(rows),
            LeftOutChange::Gone(ids) => self.left_out.retain(|row| !ids.contains(&row.id)),
        }
        for id in &tally.accepted {
            self.rejected.remove(id);
        }
        for Rejected { id, why } in &tally.receipt.rejected {
            if self.rejected.len() < REJECTED {
                self.rejected.insert(id.clone(), why.clone());
            }
        }
        if !touched && self.last_export.is_some() {
            return;
        }
        self.last_export = Some(clock.wall());
        if let Some(revision) = &tally.receipt.revision {
            self.revision = Some(revision.clone());
        }
        self.sum(store, binding, tally);
    }

    fn sum(&mut self, store: &Store, binding: &Binding, tally: &Tally) {
        self.document = tally.checksum.is_some();
        if let Some(checksum) = &tally.checksum {
            self.checksum = Some(checksum.clone());
            self.rows = store.counts(binding.view());
            return;
        }
        self.rows = store.counts(binding.view());
        self.checksum = Some(store.checksum(binding.view()).to_string());
    }
}

impl SlotState {
    /// How long changes still have to wait, if that is long enough to speak of.
    pub(crate) fn long_wait(&self, settings: &ExportSettings, now: Moment) -> Option<Duration> {
        let wait = self.binding.due()?.saturating_sub(now);
        (wait > settings.debounced_after && self.binding.retry_at().is_none()).then_some(wait)
    }

    pub(crate) fn status(&self, store: &Store, settings: &ExportSettings, clock: &Clock) -> BindingStatus {
        let report = &self.report;
        let rejected = report.rejected.iter().map(|(id, why)| Rejected { id: id.clone(), why: why.clone() });
        BindingStatus {
            state: self.state(store, settings, clock),
            last_export: report.last_export,
            checksum: report.checksum.clone(),
            rows: report.rows,
            rejected: rejected.collect(),
            left_out: report.left_out.clone(),
            document: report.document,
            destination: self.spec.destination.clone(),
            revision: report.revision.clone(),
            cycle: self.binding.cycles(),
        }
    }

    fn state(&self, store: &Store, settings: &ExportSettings, clock: &Clock) -> BindingState {
        let now = clock.now();
        if let Some((error, since)) = &self.report.failure {
            // A failure that depends on the rows or on a spec has no time of its own.
            let timed = matches!(self.binding.stop(), None | Some(DependsOn::Backend));
            let retry = self.binding.retry_at().filter(|_| timed);
            let retry_at = retry.map(|at| clock.wall() + at.saturating_sub(now));
            return BindingState::Failed { error: error.clone(), since: *since, retry_at };
        }
        if let Some(why) = &self.report.waiting {
            return BindingState::Waiting { why: why.clone() };
        }
        if self.report.last_export.is_none() {
            return BindingState::Waiting { why: "the first export has not come to its end yet".to_owned() };
        }
        if let Some(due_in) = self.long_wait(settings, now)
            && let Some(changes @ 1..) = self.binding.waiting(store, COUNTED)
        {
            return BindingState::Debounced { changes, due_in };
        }
        BindingState::Exported
    }
}

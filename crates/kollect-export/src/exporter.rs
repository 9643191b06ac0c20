//! The exporter: takes bindings, runs their lanes, tells how they do.
//!
//! Everything that decides is in the pure machines; here are the maps from bindings, targets and sinks to them.

use crate::exporter_slot::{Lane, PendingRemoval, Report, Slot, SlotState};
use crate::lane::LaneKey;
use crate::{
    Binding, BindingId, BindingSpec, BindingStatus, Breaker, Clock, ExportSettings, Outcome, Receipt, Removal,
    Reporter, Sink, SinkError, SinkKey, WriteRight, runner,
};
use kollect_model::TargetKey;
use kollect_store::{Store, StoreObserver};
use parking_lot::{Mutex, RwLock};
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::{Notify, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Time that cancelled cycles get to notice, before they are dropped.
const LAST_GRACE: Duration = Duration::from_secs(2);

/// Owns all bindings and one task per lane.
pub struct Exporter {
    pub(crate) store: Arc<Store>,
    pub(crate) right: Arc<dyn WriteRight>,
    pub(crate) settings: ExportSettings,
    pub(crate) clock: Clock,
    report: Arc<dyn Reporter>,
    slots: RwLock<HashMap<BindingId, Arc<Slot>>>,
    lanes: Mutex<HashMap<LaneKey, Arc<Lane>>>,
    by_target: RwLock<HashMap<Arc<TargetKey>, Vec<Arc<Slot>>>>,
    breakers: Mutex<HashMap<SinkKey, Breaker>>,
    started: AtomicBool,
    /// No new cycles.
    pub(crate) stopping: CancellationToken,
    /// Running cycles are cancelled.
    pub(crate) abort: CancellationToken,
    tasks: TaskTracker,
}

impl fmt::Debug for Exporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exporter").field("bindings", &self.slots.read().len()).finish_non_exhaustive()
    }
}

impl Exporter {
    /// An exporter without bindings. Must be called inside a tokio run time, like all its methods.
    pub fn new(
        store: Arc<Store>,
        right: Arc<dyn WriteRight>,
        settings: ExportSettings,
        report: Arc<dyn Reporter>,
    ) -> Arc<Self> {
        let exporter = Arc::new(Self {
            store,
            right,
            settings,
            clock: Clock::start(),
            report,
            slots: RwLock::default(),
            lanes: Mutex::default(),
            by_target: RwLock::default(),
            breakers: Mutex::default(),
            started: AtomicBool::new(false),
            stopping: CancellationToken::new(),
            abort: CancellationToken::new(),
            tasks: TaskTracker::new(),
        });
        let observer: Weak<dyn StoreObserver> = Arc::downgrade(&exporter) as Weak<dyn StoreObserver>;
        exporter.store.observe(observer);
        exporter
    }

    /// Adds or changes a binding. `config_version` decides: with a changed one the binding exports at once and leaves a
    /// terminal failure; with the same one only a changed view has an effect.
    pub fn set_binding(self: &Arc<Self>, spec: BindingSpec) {
        let mut slots = self.slots.write();
        let known = slots.get(&spec.id).cloned();
        let targets_before = known.as_ref().map(|slot| slot.state.lock().spec.view.targets.clone());
        let targets = spec.view.targets.clone();
        let slot = if let Some(slot) = known {
            self.change_slot(&slot, spec);
            slot
        } else {
            let slot = self.new_slot(spec);
            slots.insert(slot.id.clone(), slot.clone());
            slot
        };
        drop(slots);
        self.index(&slot, targets_before.as_deref().unwrap_or_default(), &targets);
        slot.lane.read().bell.notify_one();
    }

    fn new_slot(self: &Arc<Self>, spec: BindingSpec) -> Arc<Slot> {
        let reader = self.store.register_reader();
        let binding = Binding::new(spec.view.clone(), reader, spec.min_interval, self.settings, self.clock.now());
        let key = LaneKey::of(&spec.id, &spec.sink);
        let id = spec.id.clone();
        let state = SlotState {
            spec,
            binding,
            report: Report::default(),
            cancel: None,
            removal: None,
            leaving: false,
            told: false,
        };
        let mut lanes = self.lanes.lock();
        let lane = self.lane(&mut lanes, key);
        let slot = Arc::new(Slot {
            id: id.clone(),
            changed: AtomicBool::new(false),
            lane: RwLock::new(lane.clone()),
            state: Mutex::new(state),
        });
        lane.members.lock().insert(id, slot.clone());
        slot
    }

    fn change_slot(self: &Arc<Self>, slot: &Arc<Slot>, mut spec: BindingSpec) {
        let now = self.clock.now();
        let mut guard = slot.state.lock();
        let state = &mut *guard;
        let came_back = std::mem::replace(&mut state.leaving, false);
        state.removal = None;
        if spec.config_version == state.spec.config_version && !came_back {
            if spec.view != state.spec.view {
                state.binding.view_changed(spec.view.clone(), now);
            }
            // The sink that is there is the same, and it may know things about its backend.
            spec.sink = state.spec.sink.clone();
            state.spec = spec;
            return;
        }
        let same_sink = same_sink(&spec.sink, &state.spec.sink);
        let same_place = same_sink && spec.cluster == state.spec.cluster && spec.document == state.spec.document;
        if !same_sink && let Some(cancel) = &state.cancel {
            cancel.cancel();
        }
        state.binding.spec_changed(spec.view.clone(), spec.min_interval, same_place && !came_back, now);
        state.told = false;
        let key = LaneKey::of(&spec.id, &spec.sink);
        state.spec = spec;
        drop(guard);
        self.move_to(slot, key);
    }

    fn move_to(self: &Arc<Self>, slot: &Arc<Slot>, key: LaneKey) {
        let mut lanes = self.lanes.lock();
        let from = slot.lane.read().clone();
        if from.key == key {
            return;
        }
        from.members.lock().remove(&slot.id);
        from.bell.notify_one();
        let to = self.lane(&mut lanes, key);
        to.members.lock().insert(slot.id.clone(), slot.clone());
        *slot.lane.write() = to;
    }

    fn lane(self: &Arc<Self>, lanes: &mut HashMap<LaneKey, Arc<Lane>>, key: LaneKey) -> Arc<Lane> {
        if let Some(lane) = lanes.get(&key) {
            return lane.clone();
        }
        let lane = Arc::new(Lane { key: key.clone(), bell: Notify::new(), members: Mutex::new(BTreeMap::new()) });
        lanes.insert(key, lane.clone());
        if self.started.load(Ordering::SeqCst) {
            self.tasks.spawn(runner::run(self.clone(), lane.clone()));
        }
        lane
    }

    /// `true` when the lane had no members and is gone. Its task ends then.
    pub(crate) fn close_if_empty(&self, lane: &Arc<Lane>) -> bool {
        let mut lanes = self.lanes.lock();
        let empty = lane.members.lock().is_empty();
        if empty {
            lanes.remove(&lane.key);
        }
        empty
    }

    fn index(&self, slot: &Arc<Slot>, before: &[Arc<TargetKey>], now: &[Arc<TargetKey>]) {
        let mut by_target = self.by_target.write();
        for target in before.iter().filter(|target| now.binary_search(target).is_err()) {
            if let Some(slots) = by_target.get_mut(target) {
                slots.retain(|other| other.id != slot.id);
                if slots.is_empty() {
                    by_target.remove(target);
                }
            }
        }
        for target in now.iter().filter(|target| before.binary_search(target).is_err()) {
            by_target.entry(target.clone()).or_default().push(slot.clone());
        }
    }

    /// Ends a binding and leaves its data where it is. It has ended when this returns: setting it again makes a new one.
    pub fn leave_binding(&self, id: &BindingId) {
        let known = self.slots.read().get(id).cloned();
        if let Some(slot) = known {
            let mut slots = self.slots.write();
            let cancel = {
                let mut state = slot.state.lock();
                state.leaving = true;
                state.removal = None;
                state.cancel.take()
            };
            self.drop_slot(&mut slots, &slot);
            drop(slots);
            if let Some(cancel) = cancel {
                cancel.cancel();
            }
        }
    }

    /// Ends a binding, with or without its data. It exports nothing any more from the call on, whenever the returned
    /// future is polled; setting it again brings it back. After a failure to remove the data the exporter does not have
    /// the binding any more: to try again, set it and remove it again.
    pub fn remove_binding(
        &self,
        id: &BindingId,
        removal: Removal,
    ) -> impl Future<Output = Result<Receipt, SinkError>> + Send + 'static {
        let (done, answer) = oneshot::channel();
        let known = self.slots.read().get(id).cloned();
        match (known, removal) {
            (None, _) => drop(done.send(Ok(Receipt::default()))),
            (Some(_), Removal::Leave) => {
                self.leave_binding(id);
                drop(done.send(Ok(Receipt::default())));
            }
            (Some(slot), Removal::Forget) => {
                let mut state = slot.state.lock();
                state.leaving = true;
                state.removal = Some(PendingRemoval { done });
                if let Some(cancel) = &state.cancel {
                    cancel.cancel();
                }
                drop(state);
                slot.lane.read().bell.notify_one();
            }
        }
        let stopping = self.stopping.clone();
        async move {
            tokio::select! {
                biased;
                answer = answer => answer.unwrap_or_else(|_| {
                    Err(SinkError::transient("remove", "the binding was set again before it was removed").local())
                }),
                () = stopping.cancelled() => {
                    Err(SinkError::transient("remove", "the exporter stopped before the binding was removed").local())
                }
            }
        }
    }

    /// Takes a binding out of all maps, unless it was set again since it began to leave.
    pub(crate) fn drop_if_leaving(&self, slot: &Arc<Slot>) {
        let mut slots = self.slots.write();
        if slot.state.lock().leaving {
            self.drop_slot(&mut slots, slot);
        }
    }

    fn drop_slot(&self, slots: &mut HashMap<BindingId, Arc<Slot>>, slot: &Arc<Slot>) {
        let (reader, targets) = {
            let state = slot.state.lock();
            (state.binding.reader(), state.spec.view.targets.clone())
        };
        if !slots.get(&slot.id).is_some_and(|now| Arc::ptr_eq(now, slot)) {
            return;
        }
        slots.remove(&slot.id);
        let lane = slot.lane.read().clone();
        lane.members.lock().remove(&slot.id);
        lane.bell.notify_one();
        self.index(slot, &targets, &[]);
        self.store.drop_reader(reader);
    }

    /// How a binding is doing.
    pub fn status(&self, id: &BindingId) -> Option<BindingStatus> {
        let slot = self.slots.read().get(id).cloned()?;
        let state = slot.state.lock();
        Some(state.status(&self.store, &self.settings, &self.clock))
    }

    /// Compares with what the sink holds, at the next time that the cadence allows.
    pub fn compare(&self, id: &BindingId) {
        let known = self.slots.read().get(id).cloned();
        if let Some(slot) = known {
            self.compare_slot(&slot);
        }
    }

    pub(crate) fn compare_slot(&self, slot: &Slot) {
        {
            let mut state = slot.state.lock();
            state.binding.doubt();
            state.binding.changed(self.clock.now());
        }
        slot.lane.read().bell.notify_one();
    }

    /// A probe of the sink passed: its bindings that stopped for a fault of the backend try again.
    pub fn probe_passed(&self, sink: &SinkKey) {
        let now = self.clock.now();
        self.each_slot(|slot| slot.id.sink == *sink, |state| state.binding.backend_changed(now));
    }

    /// Changes the binding of every slot that `of` chooses, and wakes its lane.
    pub(crate) fn each_slot(&self, of: impl Fn(&Slot) -> bool, mut act: impl FnMut(&mut SlotState)) {
        let chosen: Vec<_> = self.slots.read().values().filter(|slot| of(slot)).cloned().collect();
        for slot in chosen {
            act(&mut slot.state.lock());
            slot.lane.read().bell.notify_one();
        }
    }

    /// The bindings that are not leaving, apart from one.
    pub(crate) fn others(&self, than: &BindingId) -> Vec<Arc<Slot>> {
        let slots = self.slots.read();
        slots.values().filter(|slot| slot.id != *than && !slot.state.lock().leaving).cloned().collect()
    }

    /// Starts the lanes.
    pub fn start(self: &Arc<Self>) {
        let lanes = self.lanes.lock();
        if self.started.swap(true, Ordering::SeqCst) {
            return;
        }
        for lane in lanes.values() {
            self.tasks.spawn(runner::run(self.clone(), lane.clone()));
        }
    }

    /// Starts no more cycles, gives running ones the grace to end, then cancels them.
    pub async fn stop(&self, grace: Duration) {
        self.stopping.cancel();
        self.tasks.close();
        if tokio::time::timeout(grace, self.tasks.wait()).await.is_err() {
            self.abort.cancel();
            // What does not end now ends with the process; the next one compares.
            let _ = tokio::time::timeout(LAST_GRACE, self.tasks.wait()).await;
        }
    }

    pub(crate) fn tell(&self, outcome: &Outcome) {
        self.report.outcome(outcome);
    }

    pub(crate) fn with_breaker<T>(&self, sink: &SinkKey, act: impl FnOnce(&mut Breaker) -> T) -> T {
        act(self.breakers.lock().entry(sink.clone()).or_default())
    }
}

fn same_sink(a: &Sink, b: &Sink) -> bool {
    match (a, b) {
        (Sink::Rows(a), Sink::Rows(b)) => Arc::ptr_eq(a, b),
        (Sink::Files(a), Sink::Files(b)) => Arc::ptr_eq(a, b),
        _ => false,
    }
}

impl StoreObserver for Exporter {
    fn changed(&self, target: &TargetKey) {
        if let Some(slots) = self.by_target.read().get(target) {
            for slot in slots {
                slot.wake();
            }
        }
    }
}

//! The export engine: bindings come in, the tasks of their lanes run, outcomes go out.

pub(crate) mod binding_entry;
pub(crate) mod binding_spec;
pub(crate) mod breaker_round;
pub(crate) mod context;
pub(crate) mod cycle_hooks;
pub(crate) mod cycle_totals;
pub(crate) mod deadline;
pub(crate) mod export_history;
pub(crate) mod file_driver;
pub(crate) mod file_lane;
pub(crate) mod forget;
pub(crate) mod lane;
pub(crate) mod lane_task;
pub(crate) mod one_shot;
pub(crate) mod registry;
pub(crate) mod removal;
pub(crate) mod row_driver;
pub(crate) mod row_lane;
pub(crate) mod running_cycle;
pub(crate) mod status;

use crate::binding::Binding;
use crate::contract::Sink;
use crate::contract::cycle::WriteRight;
use crate::contract::error::SinkError;
use crate::contract::ids::{BindingId, SinkKey};
use crate::contract::receipt::Receipt;
use binding_entry::{BindingEntry, EntryState, LaneHandle, PendingRemoval};
use binding_spec::BindingSpec;
use context::EngineContext;
use kollect_store::{Store, StoreObserver};
use lane::LaneKey;
use parking_lot::{Mutex, RwLock};
use registry::LockedEntries;
use removal::Removal;
use status::{BindingStatus, Reporter};
use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;

use crate::settings::ExportSettings;

/// Time that cancelled cycles have to return, before they are dropped.
const LAST_GRACE: Duration = Duration::from_secs(2);

/// Owns all bindings and one task per lane.
pub struct Exporter {
    context: Arc<EngineContext>,
    started: AtomicBool,
    tasks: TaskTracker,
}

impl fmt::Debug for Exporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exporter").field("bindings", &self.context.registry.len()).finish_non_exhaustive()
    }
}

impl Exporter {
    /// An exporter without bindings. Must be called inside a tokio run time, like all its methods.
    pub fn new(
        store: Arc<Store>,
        right: Arc<dyn WriteRight>,
        settings: ExportSettings,
        reporter: Arc<dyn Reporter>,
    ) -> Arc<Self> {
        let context = Arc::new(EngineContext::new(store, right, settings, reporter));
        let observer: Weak<dyn StoreObserver> = Arc::downgrade(&context) as Weak<dyn StoreObserver>;
        context.store.observe(observer);
        Arc::new(Self { context, started: AtomicBool::new(false), tasks: TaskTracker::new() })
    }

    /// Adds or changes a binding. A changed `config_version` exports at once and ends a terminal failure; with an equal
    /// one only a changed view has an effect.
    pub fn set_binding(&self, spec: BindingSpec) {
        let registry = &self.context.registry;
        let mut entries = registry.lock();
        let known = entries.get(&spec.id).cloned();
        let targets_before = known.as_ref().map(|entry| entry.state.lock().spec.view.targets.clone());
        let targets = spec.view.targets.clone();
        let entry = match known {
            Some(entry) => {
                self.change_entry(&entry, spec);
                entry
            }
            None => self.add_entry(&mut entries, spec),
        };
        drop(entries);
        registry.index(&entry, targets_before.as_deref().unwrap_or_default(), &targets);
        let lane = entry.lane.read().clone();
        self.ensure_task(&lane);
        lane.wakeup.notify_one();
    }

    fn add_entry(&self, entries: &mut LockedEntries<'_>, spec: BindingSpec) -> Arc<BindingEntry> {
        let context = &self.context;
        let (reader, now) = (context.store.register_reader(), context.clock.now());
        let binding = Binding::new(spec.view.clone(), reader, spec.min_interval, context.settings, now);
        context.registry.add(entries, LaneKey::of(&spec.id, &spec.sink), |lane| BindingEntry {
            id: spec.id.clone(),
            changed: AtomicBool::new(false),
            lane: RwLock::new(lane),
            state: Mutex::new(EntryState::new(spec, binding)),
        })
    }

    fn change_entry(&self, entry: &Arc<BindingEntry>, mut spec: BindingSpec) {
        let now = self.context.clock.now();
        let mut guard = entry.state.lock();
        let state = &mut *guard;
        let came_back = std::mem::replace(&mut state.leaving, false);
        state.removal = None;
        if spec.config_version == state.spec.config_version && !came_back {
            if spec.view != state.spec.view {
                state.binding.view_changed(spec.view.clone(), now);
            }
            // Keep the sink: it may have cached the state of its backend.
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
        state.debounce_reported = false;
        let key = LaneKey::of(&spec.id, &spec.sink);
        state.spec = spec;
        drop(guard);
        self.context.registry.move_to(entry, key);
    }

    /// Starts the task of a lane once the exporter has started.
    fn ensure_task(&self, lane: &Arc<LaneHandle>) {
        if self.started.load(Ordering::SeqCst) && !lane.spawned.swap(true, Ordering::SeqCst) {
            self.tasks.spawn(lane_task::supervise_lane(self.context.clone(), lane.clone()));
        }
    }

    /// Removes a binding and leaves its data in the sink. Complete when this returns: setting it again makes a new one.
    pub fn leave_binding(&self, id: &BindingId) {
        let Some(entry) = self.context.registry.get(id) else { return };
        let mut entries = self.context.registry.lock();
        let cancel = {
            let mut state = entry.state.lock();
            state.leaving = true;
            state.removal = None;
            state.cancel.take()
        };
        self.context.drop_entry(&mut entries, &entry);
        drop(entries);
        if let Some(cancel) = cancel {
            cancel.cancel();
        }
    }

    /// Removes a binding, with or without its data. No cycle starts after the call, whenever the returned future is
    /// polled; setting it again keeps it. After a failure to remove the data the exporter no longer has the binding: to
    /// retry, set it and remove it again.
    pub fn remove_binding(
        &self,
        id: &BindingId,
        removal: Removal,
    ) -> impl Future<Output = Result<Receipt, SinkError>> + Send + 'static {
        let (done, answer) = oneshot::channel();
        match (self.context.registry.get(id), removal) {
            (None, _) => drop(done.send(Ok(Receipt::default()))),
            (Some(_), Removal::Leave) => {
                self.leave_binding(id);
                drop(done.send(Ok(Receipt::default())));
            }
            (Some(entry), Removal::Forget) => {
                let mut state = entry.state.lock();
                state.leaving = true;
                state.removal = Some(PendingRemoval { done });
                if let Some(cancel) = &state.cancel {
                    cancel.cancel();
                }
                drop(state);
                entry.wake();
            }
        }
        let stopping = self.context.stopping.clone();
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

    /// Status of a binding.
    pub fn status(&self, id: &BindingId) -> Option<BindingStatus> {
        let context = &self.context;
        let entry = context.registry.get(id)?;
        let state = entry.state.lock();
        Some(state.status(&context.store, &context.settings, &context.clock))
    }

    /// Compares with what the sink holds, at the next time that the cadence allows.
    pub fn compare(&self, id: &BindingId) {
        if let Some(entry) = self.context.registry.get(id) {
            self.context.compare(&entry);
        }
    }

    /// A probe of the sink passed: ends failures of its bindings that depended on the backend.
    pub fn probe_passed(&self, sink: &SinkKey) {
        let now = self.context.clock.now();
        self.context.update(|entry| entry.id.sink == *sink, |state| state.binding.backend_changed(now));
    }

    /// Starts the lanes.
    pub fn start(&self) {
        self.started.store(true, Ordering::SeqCst);
        self.context.registry.lanes().iter().for_each(|lane| self.ensure_task(lane));
    }

    /// Starts no more cycles, waits `grace` for running ones, then cancels them.
    pub async fn stop(&self, grace: Duration) {
        self.context.stopping.cancel();
        self.tasks.close();
        if tokio::time::timeout(grace, self.tasks.wait()).await.is_err() {
            self.context.abort.cancel();
            // A cycle that does not return now ends with the process; the next process compares.
            let _ = tokio::time::timeout(LAST_GRACE, self.tasks.wait()).await;
        }
    }
}

fn same_sink(a: &Sink, b: &Sink) -> bool {
    match (a, b) {
        (Sink::Rows(a), Sink::Rows(b)) => Arc::ptr_eq(a, b),
        (Sink::Files(a), Sink::Files(b)) => Arc::ptr_eq(a, b),
        _ => false,
    }
}

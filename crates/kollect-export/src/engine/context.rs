//! What the tasks of all lanes share.

use crate::breaker::Breaker;
use crate::clock::Clock;
use crate::contract::cycle::{Cycle, Progress, WriteRight};
use crate::contract::ids::{BindingId, SinkKey};
use crate::engine::binding_entry::{BindingEntry, EntryState};
use crate::engine::registry::{BindingRegistry, LockedEntries};
use crate::engine::status::{BindingState, Outcome, OutcomeResult, Reporter};
use crate::settings::ExportSettings;
use kollect_model::TargetKey;
use kollect_store::{Store, StoreObserver};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Store, clock, settings, bindings and breakers of an exporter.
pub(crate) struct EngineContext {
    pub(crate) store: Arc<Store>,
    pub(crate) right: Arc<dyn WriteRight>,
    pub(crate) settings: ExportSettings,
    pub(crate) clock: Clock,
    pub(crate) reporter: Arc<dyn Reporter>,
    pub(crate) registry: BindingRegistry,
    breakers: Mutex<HashMap<SinkKey, Breaker>>,
    /// Cancelled when no new cycle may start.
    pub(crate) stopping: CancellationToken,
    /// Parent of the tokens of all cycles.
    pub(crate) abort: CancellationToken,
}

impl EngineContext {
    pub(crate) fn new(
        store: Arc<Store>,
        right: Arc<dyn WriteRight>,
        settings: ExportSettings,
        reporter: Arc<dyn Reporter>,
    ) -> Self {
        Self {
            store,
            right,
            settings,
            clock: Clock::start(),
            reporter,
            registry: BindingRegistry::default(),
            breakers: Mutex::default(),
            stopping: CancellationToken::new(),
            abort: CancellationToken::new(),
        }
    }

    pub(crate) fn with_breaker<T>(&self, sink: &SinkKey, act: impl FnOnce(&mut Breaker) -> T) -> T {
        act(self.breakers.lock().entry(sink.clone()).or_default())
    }

    pub(crate) fn cycle<'a>(
        &'a self,
        of: &'a BindingId,
        number: u64,
        (cancel, progress): (&'a CancellationToken, &'a Progress),
    ) -> Cycle<'a> {
        Cycle { of, number, fence: self.right.fence(), cancel, progress, right: self.right.as_ref() }
    }

    pub(crate) fn state(&self, state: &EntryState) -> BindingState {
        state.state(&self.store, &self.settings, &self.clock)
    }

    /// An outcome without numbers.
    pub(crate) fn outcome(&self, entry: &BindingEntry, state: &EntryState, result: OutcomeResult) -> Outcome {
        Outcome {
            binding: entry.id.clone(),
            sink_type: state.spec.sink_type,
            cycle: format!("{}#{}@{}", entry.id, state.binding.cycles(), self.right.fence()),
            duration: Duration::ZERO,
            rows: 0,
            bytes: 0,
            document: false,
            result,
        }
    }

    /// Makes the next cycle of a binding compare.
    pub(crate) fn compare(&self, entry: &BindingEntry) {
        {
            let mut state = entry.state.lock();
            state.binding.invalidate_cursor();
            state.binding.changed(self.clock.now());
        }
        entry.wake();
    }

    /// Changes the chosen bindings and wakes their lanes.
    pub(crate) fn update(&self, chosen: impl Fn(&BindingEntry) -> bool, mut act: impl FnMut(&mut EntryState)) {
        for entry in self.registry.filtered(chosen) {
            act(&mut entry.state.lock());
            entry.wake();
        }
    }

    /// Takes a binding out of the registry, unless it was set again since its removal began.
    pub(crate) fn drop_if_leaving(&self, entry: &Arc<BindingEntry>) {
        let mut entries = self.registry.lock();
        if entry.state.lock().leaving {
            self.drop_entry(&mut entries, entry);
        }
    }

    pub(crate) fn drop_entry(&self, entries: &mut LockedEntries<'_>, entry: &Arc<BindingEntry>) {
        let (reader, targets) = {
            let state = entry.state.lock();
            (state.binding.reader(), state.spec.view.targets.clone())
        };
        if self.registry.remove(entries, entry, &targets) {
            self.store.drop_reader(reader);
        }
    }
}

impl StoreObserver for EngineContext {
    fn changed(&self, target: &TargetKey) {
        self.registry.target_changed(target);
    }
}

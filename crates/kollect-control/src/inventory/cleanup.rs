//! What happens to exported data when an inventory or one of its sink references goes away.
//!
//! Level-triggered: every round ends the bindings that must end and have not, and an inventory is let go when none is
//! left. Credentials still in memory are used if the sink or its Secret went first. What cannot be cleaned up is named
//! in an event, and holds back a deletion for a limited time only.

use crate::control::Control;
use crate::inventory::InventoryState;
use crate::inventory::binding::{binding_id, kind_of};
use crate::inventory::decide::State;
use crate::inventory::ending::{removal, remove};
use crate::inventory::object::{InventoryObject, reference};
use crate::kinds::{NamespacedName, ObjectRef};
use crate::shared::{finalizers, supervise};
use crate::sink::Unusable;
use kollect_api::{DeletionPolicy, SinkFamily, SinkRef};
use kollect_export::{BindingSpec, Removal, SinkError};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::Instant;

/// Why a binding cannot be rebuilt for its clean-up.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Obstacle {
    /// Its sink is not known yet; it will be.
    NotYet,
    /// Only a user could change that.
    Unusable(String),
}

/// What came of the attempt to end a binding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    Begun,
    /// Its data stays: it is retained, or it cannot be removed, which was announced.
    Done,
    /// Tried again when its sink is known, at this time at the latest.
    Waits(Instant),
}

impl InventoryState {
    /// Bindings that this process or the status knows and that have not ended.
    fn unended(&self, inventory: &InventoryObject) -> BTreeSet<String> {
        let exported = inventory.sink_exports().iter().map(|entry| &entry.name);
        let known = self.bindings.keys().chain(self.resting.keys()).chain(exported);
        known.filter(|name| !self.leaving.contains_key(*name) && !self.left.contains(*name)).cloned().collect()
    }
}

impl Control {
    /// Ends the bindings whose references left the spec. `wanted` are those that stay.
    pub(crate) fn forget_removed(
        &mut self,
        object: &ObjectRef,
        inventory: &InventoryObject,
        wanted: &[(String, Result<BindingSpec, State>)],
    ) {
        let key = object.key();
        let exported: BTreeSet<&str> = inventory.sink_exports().iter().map(|e| e.name.as_str()).collect();
        let state = self.inventories.entry(key.clone()).or_default();
        // The status may list a binding for a while after its clean-up.
        state.left.retain(|name| exported.contains(name.as_str()));
        let mut removed = state.unended(inventory);
        removed.retain(|name| !wanted.iter().any(|(other, _)| other == name));
        state.postponed.retain(|name| removed.contains(name));
        if removed.is_empty() {
            return;
        }
        let stay: Vec<BindingSpec> = wanted
            .iter()
            .filter_map(|(name, binding)| binding.as_ref().ok().or_else(|| state.resting.get(name)).cloned())
            .collect();
        // A reference whose sink is not known yet may lead to the same rows.
        let undecided = wanted.iter().any(|(_, binding)| matches!(binding, Err(State::Waiting(_))));
        for name in removed {
            let state = self.inventories.entry(key.clone()).or_default();
            if undecided && let Some(until) = state.postponed.until(&name, Instant::now()) {
                self.dirty.mark_at(object.clone(), until);
                continue;
            }
            if let Ended::Waits(until) = self.end_binding(object, inventory, &name, &stay) {
                self.dirty.mark_at(object.clone(), until);
            }
        }
    }

    /// Ends every binding of an inventory that is being deleted, then lets it go.
    pub(crate) fn clean_up_inventory(&mut self, object: &ObjectRef, inventory: &InventoryObject) {
        if !finalizers::has(inventory.meta(), inventory.finalizer()) {
            return;
        }
        let key = object.key();
        for name in self.inventories.entry(key.clone()).or_default().unended(inventory) {
            if let Ended::Waits(until) = self.end_binding(object, inventory, &name, &[]) {
                self.dirty.mark_at(object.clone(), until);
            }
        }
        let state = self.inventories.entry(key).or_default();
        if state.leaving.is_empty() && state.unended(inventory).is_empty() {
            // Each round asks again until the object is gone: this may fail any number of times.
            self.set_finalizer(object, inventory.meta(), inventory.finalizer(), false);
        }
    }

    fn end_binding(
        &mut self,
        object: &ObjectRef,
        inventory: &InventoryObject,
        name: &str,
        stay: &[BindingSpec],
    ) -> Ended {
        let key = object.key();
        if inventory.deletion_policy() == DeletionPolicy::Retain {
            self.retain(&key, name);
            return Ended::Done;
        }
        let known = self.inventories.get(&key).and_then(|state| state.bindings.get(name)).cloned();
        let built = known.map_or_else(|| self.rebuild(&key, inventory, name), Ok);
        let state = self.inventories.entry(key.clone()).or_default();
        if matches!(built, Err(Obstacle::NotYet))
            && let Some(until) = state.postponed.until(name, Instant::now())
        {
            return Ended::Waits(until);
        }
        state.postponed.done(name);
        state.bindings.remove(name);
        let rested = state.resting.remove(name);
        match built.or_else(|obstacle| rested.ok_or(obstacle)) {
            Ok(spec) => {
                state.leaving.insert(name.to_owned(), spec.destination.clone());
                let removal = removal(&spec, stay);
                self.start_cleanup(&key, name.to_owned(), spec, removal);
                Ended::Begun
            }
            Err(obstacle) => {
                state.left.insert(name.to_owned());
                let why = match obstacle {
                    Obstacle::NotYet => "its sink's Secrets could not be read in 5 minutes".to_owned(),
                    Obstacle::Unusable(why) => why,
                };
                self.left_behind(object, inventory, name, &why);
                Ended::Done
            }
        }
    }

    /// Ends a binding whose data stays, which needs no sink.
    fn retain(&mut self, key: &NamespacedName, name: &str) {
        let state = self.inventories.entry(key.clone()).or_default();
        if let Some(spec) = state.bindings.remove(name) {
            self.exporter.leave_binding(&spec.id);
        }
        state.resting.remove(name);
        state.postponed.done(name);
        state.left.insert(name.to_owned());
    }

    /// A binding that this process has not given to the exporter, made from what is there.
    fn rebuild(&self, key: &NamespacedName, inventory: &InventoryObject, name: &str) -> Result<BindingSpec, Obstacle> {
        let unusable = |why: &str| Obstacle::Unusable(why.to_owned());
        let unknown = || unusable("its entry in status.sinkExports names no sink");
        let (family, sink) = name.split_once('/').ok_or_else(unknown)?;
        let family = SinkFamily::ALL.into_iter().find(|f| f.as_str() == family).ok_or_else(unknown)?;
        let kind = kind_of(family);
        let reference = Self::left_reference(inventory, name, sink);
        let sink_key = inventory.sink_key(&reference);
        let object = crate::sink::find(self, kind, &sink_key).ok_or_else(|| unusable("its sink does not exist"))?;
        let built = match self.sinks.get(&ObjectRef::new(kind, &sink_key)).map(|sink| &sink.built) {
            None | Some(Err(Unusable::Waiting)) => return Err(Obstacle::NotYet),
            Some(Err(Unusable::Fault { fault, .. })) => return Err(unusable(&fault.message)),
            Some(Ok(built)) => built.clone(),
        };
        let document = self.document(key, inventory, &reference, &object).map_err(|state| match state {
            State::Failed { message, .. } => Obstacle::Unusable(message),
            _ => unusable("its sink cannot be used"),
        })?;
        Ok(BindingSpec {
            id: binding_id(key, family, &sink_key),
            view: self.selection_of(key, inventory).view,
            sink: built.sink,
            min_interval: Duration::ZERO,
            config_version: 0,
            document,
            cluster: built.cluster,
            sink_type: object.sink_type(),
            destination: built.destination,
        })
    }

    /// The reference as the spec has it, or as the status remembers it.
    fn left_reference(inventory: &InventoryObject, name: &str, sink: &str) -> SinkRef {
        if let Some((_, reference)) = inventory.reference(name) {
            return reference.clone();
        }
        let remembered = inventory.sink_exports().iter().find(|entry| entry.name == name);
        SinkRef { namespace: remembered.and_then(|entry| entry.namespace.clone()), ..SinkRef::named(sink) }
    }

    fn left_behind(&self, object: &ObjectRef, inventory: &InventoryObject, name: &str, why: &str) {
        let message = format!("{name}: what was exported stays there, because {why}; delete it by hand if it must go");
        tracing::warn!(inventory = %object.key(), sink = name, why, error_class = "terminal", "exported data left behind");
        self.warn(object, inventory.meta().uid.clone(), "CleanupTerminal", &message);
    }

    /// Ends the bindings of an inventory object that does not exist any more; what they exported stays. Clean-ups on
    /// their way stay known, so that a new object of the same name waits for them.
    pub(crate) fn detach_inventory(&mut self, key: &NamespacedName) {
        let Some(state) = self.inventories.remove(key) else { return };
        for spec in state.bindings.values() {
            self.exporter.leave_binding(&spec.id);
        }
        if !state.leaving.is_empty() {
            let leaving = InventoryState { leaving: state.leaving, ..InventoryState::default() };
            self.inventories.insert(key.clone(), leaving);
        }
    }

    fn start_cleanup(&self, key: &NamespacedName, name: String, spec: BindingSpec, removal: Removal) {
        let (done, dirty, key) = (self.cleanups.clone(), self.dirty.clone(), key.clone());
        let destination = spec.destination.clone();
        // The binding stops before this returns.
        let ending = remove(self.exporter.clone(), spec, removal);
        tokio::spawn(async move {
            let ended = supervise::caught(ending).await;
            let failed =
                ended.unwrap_or_else(|panicked| Err(SinkError::terminal("cleanup", panicked.to_string()))).err();
            done.lock().push(Finished { inventory: key.clone(), name, destination, failed });
            dirty.mark(reference(&key));
        });
    }

    /// Takes note of finished clean-ups: their entries leave the status, and what waits for their place may begin.
    pub(crate) fn note_cleanups(&mut self, object: &ObjectRef) {
        let key = object.key();
        let finished: Vec<Finished> = {
            let mut all = self.cleanups.lock();
            let (ours, others) = std::mem::take(&mut *all).into_iter().partition(|f| f.inventory == key);
            *all = others;
            ours
        };
        let inventory = self.find_inventory(&key);
        for end in finished {
            if let Some(error) = &end.failed {
                tracing::warn!(inventory = %key, sink = %end.name, %error, error_class = error.class.label(),
                    "inventory cleanup failed");
                if let Some(inventory) = &inventory {
                    self.left_behind(object, inventory, &end.name, &error.to_string());
                }
            }
            let Some(state) = self.inventories.get_mut(&key) else { continue };
            state.leaving.remove(&end.name);
            for stays in state.bindings.values().filter(|stays| stays.destination == end.destination) {
                self.exporter.compare(&stays.id);
            }
            state.left.insert(end.name);
        }
    }
}

/// The end of one binding's clean-up.
pub struct Finished {
    inventory: NamespacedName,
    name: String,
    destination: String,
    failed: Option<SinkError>,
}

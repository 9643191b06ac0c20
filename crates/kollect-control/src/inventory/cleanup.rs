//! What happens to exported data when an inventory or one of its sink references is removed.
//!
//! Level-triggered: every round ends the bindings that must end and have not, and an inventory is released when none is
//! left. Credentials still in memory are used if the sink or its Secret went first. What cannot be cleaned up is named
//! in an event, and holds back a deletion for a limited time only.

use super::ending::{removal, remove};
use super::facts::BindingOutcome;
use super::observed::{ActiveInventory, Obstacle};
use super::state::{FinishedCleanup, InventoryController, InventoryState};
use crate::context::Context;
use crate::shared::finalizers;
use kollect_api::DeletionPolicy;
use kollect_export::{BindingSpec, Removal, SinkError};
use kollect_model::Reason;
use kollect_resources::kinds::{NamespacedName, ObjectRef};
use kollect_resources::supervise;
use std::collections::BTreeSet;
use tokio::time::Instant;

/// The result of an attempt to end a binding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    Begun,
    /// Its data stays: it is retained, or it cannot be removed, which was announced.
    Done,
    /// Tried again when its sink is known, at this time at the latest.
    Waits(Instant),
}

impl InventoryController {
    /// Ends the bindings whose references left the spec. `wanted` are those that stay.
    pub(super) fn end_unwanted(
        &mut self,
        context: &Context,
        key: &NamespacedName,
        active: &ActiveInventory,
        wanted: &[(String, Result<BindingSpec, BindingOutcome>)],
    ) {
        let exported: BTreeSet<&str> = active.inventory.sink_exports().iter().map(|e| e.name.as_str()).collect();
        let state = self.state(key);
        // The status may list a binding for a while after its clean-up.
        state.deleted.retain(|name| exported.contains(name.as_str()));
        let mut removed = state.unended(&active.inventory);
        removed.retain(|name| !wanted.iter().any(|(other, _)| other == name));
        state.postponed.retain(|name| removed.contains(name));
        if removed.is_empty() {
            return;
        }
        let stay: Vec<BindingSpec> = wanted
            .iter()
            .filter_map(|(name, binding)| binding.as_ref().ok().or_else(|| state.suspended.get(name)).cloned())
            .collect();
        // A reference whose sink is not known yet may lead to the same rows.
        let undecided = wanted.iter().any(|(_, binding)| matches!(binding, Err(BindingOutcome::Waiting(_))));
        for name in removed {
            let postponed = &mut self.state(key).postponed;
            if undecided && let Some(until) = postponed.until(&name, Instant::now()) {
                context.queue.add_at(active.object.clone(), until);
                continue;
            }
            self.end_or_wait(context, key, active, &name, &stay);
        }
    }

    /// Ends every binding of an inventory that is being deleted, then releases it.
    pub(super) fn end_all(&mut self, context: &Context, key: &NamespacedName, active: &ActiveInventory) {
        let (meta, finalizer) = (active.inventory.meta(), active.inventory.finalizer());
        if !finalizers::has(meta, finalizer) {
            return;
        }
        for name in self.state(key).unended(&active.inventory) {
            self.end_or_wait(context, key, active, &name, &[]);
        }
        let state = self.state(key);
        if state.deleting.is_empty() && state.unended(&active.inventory).is_empty() {
            // Each round asks again until the object is gone: this may fail any number of times.
            context.finalizers.set(&active.object, meta, finalizer, false);
        }
    }

    fn end_or_wait(
        &mut self,
        context: &Context,
        key: &NamespacedName,
        active: &ActiveInventory,
        name: &str,
        stay: &[BindingSpec],
    ) {
        if let Ended::Waits(until) = self.end_binding(context, key, active, name, stay) {
            context.queue.add_at(active.object.clone(), until);
        }
    }

    fn end_binding(
        &mut self,
        context: &Context,
        key: &NamespacedName,
        active: &ActiveInventory,
        name: &str,
        stay: &[BindingSpec],
    ) -> Ended {
        if active.inventory.deletion_policy() == DeletionPolicy::Retain {
            self.retain(context, key, name);
            return Ended::Done;
        }
        let state = self.state(key);
        let built = state.active.get(name).cloned().map_or_else(|| active.rebuild(name), Ok);
        if matches!(built, Err(Obstacle::NotYet))
            && let Some(until) = state.postponed.until(name, Instant::now())
        {
            return Ended::Waits(until);
        }
        state.postponed.done(name);
        state.active.remove(name);
        let suspended = state.suspended.remove(name);
        match built.or_else(|obstacle| suspended.ok_or(obstacle)) {
            Ok(spec) => {
                state.deleting.insert(name.to_owned(), spec.destination.clone());
                let removal = removal(&spec, stay);
                self.start_cleanup(context, &active.object, name.to_owned(), spec, removal);
                Ended::Begun
            }
            Err(obstacle) => {
                state.deleted.insert(name.to_owned());
                let why = match obstacle {
                    Obstacle::NotYet => "its sink's Secrets could not be read in 5 minutes".to_owned(),
                    Obstacle::Unusable(why) => why,
                };
                report_orphaned(context, active, name, &why);
                Ended::Done
            }
        }
    }

    /// Ends a binding whose data stays, which needs no sink.
    fn retain(&mut self, context: &Context, key: &NamespacedName, name: &str) {
        let state = self.state(key);
        if let Some(spec) = state.active.remove(name) {
            context.exporter.leave_binding(&spec.id);
        }
        state.suspended.remove(name);
        state.postponed.done(name);
        state.deleted.insert(name.to_owned());
    }

    /// Ends the bindings of an inventory object that does not exist any more; what they exported stays. Clean-ups on
    /// their way stay known, so that a new object of the same name waits for them.
    pub(super) fn detach(&mut self, context: &Context, key: &NamespacedName) {
        let Some(state) = self.inventories.remove(key) else { return };
        for spec in state.active.values() {
            context.exporter.leave_binding(&spec.id);
        }
        if !state.deleting.is_empty() {
            let deleting = InventoryState { deleting: state.deleting, ..InventoryState::default() };
            self.inventories.insert(key.clone(), deleting);
        }
    }

    fn start_cleanup(&self, context: &Context, object: &ObjectRef, name: String, spec: BindingSpec, removal: Removal) {
        let (done, queue, object) = (self.cleanups.clone(), context.queue.clone(), object.clone());
        let destination = spec.destination.clone();
        // The binding stops before this returns.
        let ending = remove(context.exporter.clone(), spec, removal);
        tokio::spawn(async move {
            let ended = supervise::caught(ending).await;
            let failed =
                ended.unwrap_or_else(|panicked| Err(SinkError::terminal("cleanup", panicked.to_string()))).err();
            done.lock().push(FinishedCleanup { inventory: object.key(), name, destination, failed });
            queue.add(object);
        });
    }

    /// Takes finished clean-ups: their entries leave the status, and what waits for their place may begin.
    pub(super) fn take_finished(&mut self, context: &Context, key: &NamespacedName, active: Option<&ActiveInventory>) {
        let finished: Vec<FinishedCleanup> = {
            let mut all = self.cleanups.lock();
            let (ours, others) = std::mem::take(&mut *all).into_iter().partition(|f| f.inventory == *key);
            *all = others;
            ours
        };
        for end in finished {
            if let Some(error) = &end.failed {
                tracing::warn!(inventory = %key, sink = %end.name, %error, error_class = error.class.label(),
                    "inventory cleanup failed");
                if let Some(active) = active {
                    report_orphaned(context, active, &end.name, &error.to_string());
                }
            }
            let Some(state) = self.inventories.get_mut(key) else { continue };
            state.deleting.remove(&end.name);
            for stays in state.active.values().filter(|stays| stays.destination == end.destination) {
                context.exporter.compare(&stays.id);
            }
            state.deleted.insert(end.name);
        }
    }
}

fn report_orphaned(context: &Context, active: &ActiveInventory, name: &str, why: &str) {
    let message = format!("{name}: what was exported stays there, because {why}; delete it by hand if it must go");
    let key = active.object.key();
    tracing::warn!(inventory = %key, sink = name, why, error_class = "terminal", "exported data left behind");
    context.reporter.warn(&active.object, active.inventory.meta().uid.clone(), Reason::CleanupTerminal, message);
}

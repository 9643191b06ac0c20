//! What happens to exported data when an inventory or one of its sink references goes away.
//!
//! Credentials still in memory are used if the sink or its Secret went first. What cannot be cleaned up is said in an
//! event, and never holds back a deletion.

use crate::control::Control;
use crate::inventory::binding::{binding_id, kind_of};
use crate::inventory::object::{InventoryObject, reference};
use crate::kinds::{NamespacedName, ObjectRef};
use crate::shared::finalizers;
use kollect_api::{DeletionPolicy, SinkFamily, SinkRef};
use kollect_export::{BindingSpec, Class, Removal, SinkError};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

const FIRST_RETRY: Duration = Duration::from_secs(2);
const LAST_RETRY: Duration = Duration::from_mins(1);
/// After this many transient failures a deletion goes on without the clean-up.
const ATTEMPTS: u32 = 8;
/// Stands for every binding of an inventory that is being deleted.
pub const ALL: &str = "*";

impl Control {
    /// Ends the bindings whose references left the spec.
    pub(crate) fn forget_removed(
        &mut self,
        key: &NamespacedName,
        inventory: &InventoryObject,
        names: &BTreeSet<String>,
    ) {
        let exported: BTreeSet<String> = inventory.sink_exports().iter().map(|e| e.name.clone()).collect();
        let state = self.inventories.entry(key.clone()).or_default();
        // The status may list a binding for a while after its clean-up.
        state.left.retain(|name| exported.contains(name));
        let known: BTreeSet<String> =
            state.bindings.keys().chain(state.resting.keys()).cloned().chain(exported).collect();
        let gone = |n: &String| !names.contains(n) && !state.leaving.contains_key(n) && !state.left.contains(n);
        let removed: Vec<String> = known.into_iter().filter(gone).collect();
        for name in removed {
            if let Some(spec) = self.last_binding(key, inventory, &name) {
                if let Some(state) = self.inventories.get_mut(key) {
                    state.leaving.insert(name.clone(), spec.destination.clone());
                }
                self.start_cleanup(key, inventory, vec![(name, spec)], false);
            }
        }
    }

    /// Ends every binding of an inventory that is being deleted, then lets it go.
    pub(crate) fn clean_up_inventory(&mut self, object: &ObjectRef, inventory: &InventoryObject) {
        if !finalizers::has(inventory.meta(), inventory.finalizer()) {
            return;
        }
        let key = object.key();
        let state = self.inventories.entry(key.clone()).or_default();
        if state.leaving.contains_key(ALL) {
            return;
        }
        state.leaving.insert(ALL.to_owned(), String::new());
        let exported = inventory.sink_exports().iter().map(|e| e.name.clone());
        let mut names: BTreeSet<String> =
            state.bindings.keys().chain(state.resting.keys()).cloned().chain(exported).collect();
        names.retain(|name| !state.left.contains(name));
        let mut bindings = Vec::new();
        for name in names {
            match self.last_binding(&key, inventory, &name) {
                Some(spec) => bindings.push((name, spec)),
                None => self.left_behind(object, inventory, &name, "its sink is gone or cannot be used"),
            }
        }
        self.start_cleanup(&key, inventory, bindings, true);
    }

    /// A binding as it ran last, or as it would run now; with the newest credentials where it does not run.
    fn last_binding(&mut self, key: &NamespacedName, inventory: &InventoryObject, name: &str) -> Option<BindingSpec> {
        let state = self.inventories.get_mut(key);
        let (bound, rested) = state.map_or((None, None), |s| (s.bindings.remove(name), s.resting.remove(name)));
        bound.or_else(|| self.rebuild(key, inventory, name)).or(rested)
    }

    /// A binding that this process has not given to the exporter, made from what is there.
    fn rebuild(&self, key: &NamespacedName, inventory: &InventoryObject, name: &str) -> Option<BindingSpec> {
        let (family, sink) = name.split_once('/')?;
        let family = SinkFamily::ALL.into_iter().find(|f| f.as_str() == family)?;
        let kind = kind_of(family);
        let reference = Self::left_reference(inventory, name, sink);
        let sink_key = inventory.sink_key(&reference);
        let object = crate::sink::find(self, kind, &sink_key)?;
        let built = self.sinks.get(&ObjectRef::new(kind, &sink_key))?.built.as_ref().ok()?.clone();
        let document = self.document(key, inventory, &reference, &object).ok()?;
        Some(BindingSpec {
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
        self.warn(object, inventory.meta().uid.clone(), "CleanupTerminal", &message);
    }

    /// Ends bindings of an inventory object that is already gone; what they exported stays.
    pub(crate) fn leave<'b>(&self, bindings: impl Iterator<Item = &'b BindingSpec>) {
        for spec in bindings {
            self.exporter.leave_binding(&spec.id);
        }
    }

    fn start_cleanup(
        &self,
        key: &NamespacedName,
        inventory: &InventoryObject,
        bindings: Vec<(String, BindingSpec)>,
        last: bool,
    ) {
        let removal = match inventory.deletion_policy() {
            DeletionPolicy::Delete => Removal::Forget,
            DeletionPolicy::Retain => Removal::Leave,
        };
        let object = reference(key);
        let done = self.cleanups.clone();
        let exporter = self.exporter.clone();
        let dirty = self.dirty.clone();
        let key = key.clone();
        tokio::spawn(async move {
            for (name, spec) in bindings {
                let failed = remove(&exporter, &spec, removal).await.err();
                done.lock().push(Finished { inventory: key.clone(), name, failed, last: false });
            }
            if last {
                done.lock().push(Finished { inventory: key.clone(), name: ALL.to_owned(), failed: None, last: true });
            }
            dirty.mark(object);
        });
    }

    /// Takes note of finished clean-ups: their entries leave the status, and a deleted inventory may go.
    pub(crate) fn note_cleanups(&mut self, object: &ObjectRef) {
        let key = object.key();
        let finished: Vec<Finished> = {
            let mut all = self.cleanups.lock();
            let (ours, others) = std::mem::take(&mut *all).into_iter().partition(|f| f.inventory == key);
            *all = others;
            ours
        };
        let Some(inventory) = self.find_inventory(&key) else { return };
        for end in finished {
            if let Some(error) = &end.failed {
                tracing::warn!(inventory = %key, sink = %end.name, %error, error_class = error.class.label(),
                    "inventory cleanup failed");
                self.left_behind(object, &inventory, &end.name, &error.to_string());
            }
            if let Some(state) = self.inventories.get_mut(&key) {
                state.leaving.remove(&end.name);
                state.left.insert(end.name.clone());
            }
            if end.last {
                self.inventories.remove(&key);
                self.set_finalizer(object, inventory.meta(), inventory.finalizer(), false);
                // Until the API server has let it go, nothing must start again.
                self.inventories.entry(key.clone()).or_default().leaving.insert(ALL.to_owned(), String::new());
            }
        }
    }
}

/// The end of one binding's clean-up.
pub struct Finished {
    inventory: NamespacedName,
    name: String,
    failed: Option<SinkError>,
    last: bool,
}

async fn remove(
    exporter: &Arc<kollect_export::Exporter>,
    spec: &BindingSpec,
    removal: Removal,
) -> Result<(), SinkError> {
    let mut pause = FIRST_RETRY;
    let mut attempt = 1;
    loop {
        if exporter.status(&spec.id).is_none() {
            exporter.set_binding(spec.clone());
        }
        match exporter.remove_binding(&spec.id, removal).await {
            Ok(_) => return Ok(()),
            Err(error) if matches!(error.class, Class::Transient { .. }) && attempt < ATTEMPTS => {
                tracing::warn!(binding = %spec.id, %error, error_class = "transient", "cleanup failed; trying again");
                tokio::time::sleep_until(Instant::now() + pause.mul_f64(0.75 + fastrand::f64() / 4.0)).await;
                pause = (pause * 2).min(LAST_RETRY);
                attempt += 1;
            }
            Err(error) => return Err(error),
        }
    }
}

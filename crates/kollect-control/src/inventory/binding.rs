//! The bindings of an inventory: one per sink reference, or why there is none.

use crate::control::Control;
use crate::inventory::decide::State;
use crate::inventory::object::{InventoryObject, export_key};
use crate::kinds::{Kind, NamespacedName, ObjectRef};
use crate::registry::{DocumentContext, SinkObject};
use crate::scope::Scopes;
use crate::sink::Unusable;
use kollect_api::{GoDuration, SinkFamily, SinkRef};
use kollect_export::{BindingId, BindingSpec, BindingState, Class, Family, SinkKey};
use kollect_store::View;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

/// The sink kind of a family.
pub fn kind_of(family: SinkFamily) -> Kind {
    match family {
        SinkFamily::Snapshot => Kind::SnapshotSink,
        SinkFamily::Database => Kind::DatabaseSink,
        SinkFamily::Event => Kind::EventSink,
    }
}

/// The key under which the exporter knows a sink object.
pub fn sink_key(sink: &ObjectRef) -> SinkKey {
    let family = match sink.kind {
        Kind::SnapshotSink => Family::Snapshot,
        Kind::DatabaseSink => Family::Database,
        _ => Family::Event,
    };
    SinkKey { family, namespace: sink.namespace.clone(), name: sink.name.clone() }
}

/// The key of a binding.
pub fn binding_id(inventory: &NamespacedName, family: SinkFamily, sink: &NamespacedName) -> BindingId {
    BindingId { inventory: export_key(inventory), sink: sink_key(&ObjectRef::new(kind_of(family), sink)) }
}

/// Why a binding cannot exist, in the words of a condition.
fn failed(class: Class, reason: &str, message: impl Into<String>) -> State {
    State::Failed { class, reason: reason.to_owned(), message: message.into() }
}

impl Control {
    /// One entry per sink reference: the binding to have, or why there is none.
    pub(super) fn wanted_bindings(
        &self,
        key: &NamespacedName,
        inventory: &InventoryObject,
        view: &View,
    ) -> Vec<(String, Result<BindingSpec, State>)> {
        let floor = self.interval_floor(key, inventory);
        inventory
            .all_refs()
            .map(|(family, reference)| {
                let name = format!("{family}/{}", reference.name);
                (name, self.wanted_binding(key, inventory, floor.as_ref(), view, family, reference))
            })
            .collect()
    }

    /// The least interval that the scopes permit.
    fn interval_floor(&self, key: &NamespacedName, inventory: &InventoryObject) -> Option<GoDuration> {
        let world = self.world.read();
        let of_namespace = |namespace: &str| Scopes::of_namespace(&world.scopes, namespace);
        match inventory {
            InventoryObject::Namespaced(_) => of_namespace(&key.namespace).ceiling().floor().cloned(),
            InventoryObject::Cluster(inventory) => {
                let near = of_namespace(&inventory.spec.sink_namespace);
                let wide = Scopes::of_cluster(&world.cluster_scopes);
                kollect_rules::highest_floor(near.ceiling().floor(), wide.ceiling().floor()).cloned()
            }
        }
    }

    /// Whether the scope of the inventory lets it use a sink.
    fn sink_permitted(
        &self,
        inventory: &InventoryObject,
        family: SinkFamily,
        sink: &NamespacedName,
    ) -> Result<(), State> {
        let denied = |reason: &str, why: String| failed(Class::Terminal, reason, why);
        let world = self.world.read();
        let scopes = match inventory {
            InventoryObject::Namespaced(_) => Scopes::of_namespace(&world.scopes, &sink.namespace),
            InventoryObject::Cluster(_) => Scopes::of_cluster(&world.cluster_scopes),
        };
        let ceiling = scopes.ceiling();
        ceiling
            .static_ref_allowed(&sink.namespace)
            .map_err(|why| denied("SinkNamespaceDenied", format!("namespace {} {why}", sink.namespace)))?;
        ceiling.sink_allowed(family, &sink.name).map_err(|why| denied("ScopeSinkDenied", why))
    }

    fn wanted_binding(
        &self,
        key: &NamespacedName,
        inventory: &InventoryObject,
        floor: Option<&GoDuration>,
        view: &View,
        family: SinkFamily,
        reference: &SinkRef,
    ) -> Result<BindingSpec, State> {
        let (kind, sink_key) = (kind_of(family), inventory.sink_key(reference));
        self.sink_permitted(inventory, family, &sink_key)?;
        let Some(sink) = crate::sink::find(self, kind, &sink_key) else {
            let why = format!("{} {sink_key} does not exist; create it there or correct the reference", kind.name());
            return Err(failed(Class::Terminal, "SinkNotFound", why));
        };
        let object = ObjectRef::new(kind, &sink_key);
        let Some(state) = self.sinks.get(&object) else {
            return Err(State::Waiting("the sink is being looked at".to_owned()));
        };
        let built = match &state.built {
            Ok(built) => built.clone(),
            Err(Unusable::Waiting) => return Err(State::Waiting("the sink's Secrets are being read".to_owned())),
            Err(Unusable::Fault { class, fault }) => return Err(failed(*class, fault.reason, fault.message.clone())),
        };
        let interval = kollect_rules::effective_interval(
            family,
            reference.export_min_interval.as_ref(),
            sink.common().export_min_interval.as_ref(),
            inventory.min_interval(),
            floor,
        );
        let document = self.document(key, inventory, reference, &sink)?;
        let id = binding_id(key, family, &sink_key);
        self.reread_refused(&object, &id);
        let mut version = DefaultHasher::new();
        (state.config_version, inventory.generation(), interval, self.object_store_bound(inventory)).hash(&mut version);
        Ok(BindingSpec {
            id,
            view: view.clone(),
            sink: built.sink,
            min_interval: interval,
            config_version: version.finish(),
            document,
            cluster: built.cluster,
            sink_type: sink.sink_type(),
            destination: built.destination,
        })
    }

    /// Whether one of the inventory's sinks that can be used is an object store.
    fn object_store_bound(&self, inventory: &InventoryObject) -> bool {
        inventory.all_refs().filter(|(family, _)| *family == SinkFamily::Snapshot).any(|(family, reference)| {
            let (kind, key) = (kind_of(family), inventory.sink_key(reference));
            let usable = self.sinks.get(&ObjectRef::new(kind, &key)).is_some_and(|sink| sink.built.is_ok());
            usable && crate::sink::find(self, kind, &key).is_some_and(|sink| matches!(sink.sink_type(), "s3" | "gcs"))
        })
    }

    /// A backend that refuses a binding may know a newer Secret than the operator does. One that changed has the sink
    /// built anew, which starts the binding again.
    fn reread_refused(&self, sink: &ObjectRef, binding: &BindingId) {
        let state = self.exporter.status(binding).map(|status| status.state);
        if matches!(state, Some(BindingState::Failed { error, .. }) if error.class == Class::Terminal) {
            let (secrets, sink) = (self.secrets.clone(), sink.clone());
            tokio::spawn(async move { secrets.reread(&sink).await });
        }
    }

    pub(super) fn document(
        &self,
        key: &NamespacedName,
        inventory: &InventoryObject,
        reference: &SinkRef,
        sink: &SinkObject,
    ) -> Result<Option<Arc<kollect_export::layout::DocumentSpec>>, State> {
        let max = reference.max_export_bytes.or(inventory.max_export_bytes());
        let context = DocumentContext {
            inventory: export_key(key),
            generation: inventory.generation(),
            max_bytes: u64::try_from(max.unwrap_or(self.settings.max_export_bytes)).unwrap_or(0),
            partitioning: inventory.partitioning(),
            object_store: self.object_store_bound(inventory),
            sink_name: reference.name.as_str().into(),
        };
        self.registry
            .document(sink, &context)
            .map(|document| document.map(Arc::new))
            .map_err(|error| failed(error.class, error.reason.unwrap_or("SinkInvalid"), error.message))
    }

    /// Gives a binding to the exporter if it is new or changed, and tells how it stands.
    pub(super) fn bind(&mut self, key: &NamespacedName, name: &str, spec: BindingSpec) -> State {
        // The reference names a sink of another namespace now: what the old one holds is left there.
        let known = self.inventories.get(key).and_then(|state| state.bindings.get(name));
        if let Some(old) = known.map(|known| known.id.clone()).filter(|old| *old != spec.id) {
            self.exporter.leave_binding(&old);
        }
        let state = self.inventories.entry(key.clone()).or_default();
        if state.leaving.iter().any(|(other, place)| other == name || *place == spec.destination) {
            return State::Waiting("a removed reference to the same place is being cleaned up".to_owned());
        }
        state.resting.remove(name);
        state.left.remove(name);
        let known = state.bindings.get(name);
        let same =
            known.is_some_and(|k| k.config_version == spec.config_version && k.view == spec.view && k.id == spec.id);
        let id = spec.id.clone();
        if !same || self.exporter.status(&id).is_none() {
            self.exporter.set_binding(spec.clone());
            state.bindings.insert(name.to_owned(), spec);
        }
        let Some(status) = self.exporter.status(&id) else {
            return State::Waiting("the first export has not started".to_owned());
        };
        match status.state {
            BindingState::Waiting { why } => State::Waiting(why),
            BindingState::Exported => State::InSync,
            BindingState::Debounced { changes, due_in } => State::Debounced { changes, due_in },
            BindingState::Failed { error, .. } => {
                let reason = match error.class {
                    Class::Terminal | Class::Forbidden => error.reason.unwrap_or("ExportTerminal"),
                    Class::Transient { .. } => "ExportFailed",
                };
                failed(error.class, reason, error.to_string())
            }
        }
    }

    /// Stops a binding without touching what the sink holds.
    pub(super) fn pause(&mut self, key: &NamespacedName, name: &str, id: &BindingId) {
        let Some(state) = self.inventories.get_mut(key) else { return };
        if let Some(spec) = state.bindings.remove(name) {
            state.resting.insert(name.to_owned(), spec);
            self.exporter.leave_binding(id);
        }
    }
}

//! Inventories: which rows go to which sinks, and how that stands.

pub mod cleanup;
pub mod decide;
pub mod status;

use crate::control::Control;
use crate::kinds::{Kind, NamespacedName, ObjectRef};
use crate::registry::{DocumentContext, SinkObject};
use crate::shared::finalizers;
use crate::sink::Unusable;
use decide::{Facts, State};
use kollect_api::names::finalizer;
use kollect_api::{KollectInventory, KollectScope, SinkFamily, SinkRef};
use kollect_export::{BindingId, BindingSpec, BindingState, Class, Family, InventoryKey, SinkKey};
use kollect_model::TargetKey;
use kollect_store::View;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

/// What the operator holds of one inventory.
#[derive(Default)]
pub struct InventoryState {
    /// Bindings that the exporter has, by `family/name`, as they were last given to it.
    pub bindings: BTreeMap<String, BindingSpec>,
    /// Bindings that cannot run at the moment, as they last ran: their credentials may be needed for a clean-up.
    pub resting: BTreeMap<String, BindingSpec>,
    /// Bindings whose clean-up is running, and where they wrote.
    pub leaving: BTreeMap<String, String>,
    /// Bindings whose clean-up has ended, while the status still lists them.
    pub left: BTreeSet<String>,
    /// Rows of the view at the last look.
    pub items: u64,
    /// Export failures whose warning was already given.
    pub warned: BTreeMap<String, String>,
}

/// The family of a reference list as the export engine calls it.
pub fn family_of(family: SinkFamily) -> Family {
    match family {
        SinkFamily::Snapshot => Family::Snapshot,
        SinkFamily::Database => Family::Database,
        SinkFamily::Event => Family::Event,
    }
}

/// The sink kind of a family that this operator has.
pub fn kind_of(family: SinkFamily) -> Option<Kind> {
    match family {
        SinkFamily::Snapshot => Some(Kind::SnapshotSink),
        SinkFamily::Database => Some(Kind::DatabaseSink),
        SinkFamily::Event => None,
    }
}

/// The key of a binding.
pub fn binding_id(inventory: &NamespacedName, family: SinkFamily, sink: &str) -> BindingId {
    BindingId {
        inventory: InventoryKey { namespace: inventory.namespace.clone(), name: inventory.name.clone() },
        sink: SinkKey { family: family_of(family), namespace: inventory.namespace.clone(), name: sink.into() },
    }
}

/// Why a binding cannot exist, in the words of a condition.
fn failed(class: Class, reason: &str, message: impl Into<String>) -> State {
    State::Failed { class, reason: reason.to_owned(), message: message.into() }
}

impl Control {
    /// Brings one inventory up to date.
    pub(crate) fn reconcile_inventory(&mut self, object: &ObjectRef) {
        let key = object.key();
        self.note_cleanups(object);
        let Some(inventory) = self.world.read().inventories.get(&key).cloned() else {
            if let Some(state) = self.inventories.remove(&key) {
                self.leave(&key, state.bindings.into_values().collect());
            }
            return self.gone(object);
        };
        if inventory.metadata.deletion_timestamp.is_some() {
            return self.clean_up_inventory(object, &inventory);
        }
        if !finalizers::has(&inventory.metadata, finalizer::INVENTORY) {
            self.set_finalizer(object, &inventory.metadata, finalizer::INVENTORY, true);
        }
        // An inventory of the same name may have been deleted a moment ago.
        if let Some(state) = self.inventories.get_mut(&key) {
            state.leaving.remove(cleanup::ALL);
        }
        let scope = crate::scope::enforced(&self.world.read().scopes, &key.namespace);
        let violations = kollect_rules::check_inventory(&inventory, self.settings.max_export_bytes);
        let view = self.view_of(&key.namespace, &inventory);
        let mut facts =
            Facts { suspended: inventory.spec.suspend, items: self.store.counts(&view), ..Facts::default() };
        if !violations.is_empty() {
            facts.blocked = Some(("InvalidSpec", crate::profile::join(&violations)));
        }
        let wanted = self.wanted_bindings(&key, &inventory, scope.as_deref(), &view);
        let names: BTreeSet<String> = wanted.iter().map(|(name, _)| name.clone()).collect();
        // Before anything new is bound: a new reference may lead to the place that an old one leaves.
        self.forget_removed(&key, &inventory, &names);
        self.look_at_counts(&key, facts.items);
        let halted = facts.suspended || facts.blocked.is_some();
        for (name, binding) in wanted {
            let state = match binding {
                Ok(spec) if halted => {
                    self.pause(&key, &name, &spec.id);
                    continue;
                }
                Ok(spec) => self.bind(&key, &name, spec),
                Err(state) => {
                    let id = self.inventories.get(&key).and_then(|s| s.bindings.get(&name)).map(|s| s.id.clone());
                    if let Some(id) = id {
                        self.pause(&key, &name, &id);
                    }
                    state
                }
            };
            facts.bindings.push(decide::Binding { name, state });
        }
        self.report_inventory(object, &inventory, facts);
    }

    /// The targets that the inventory exports, in canonical order.
    pub(crate) fn view_of(&self, namespace: &str, inventory: &KollectInventory) -> View {
        let refs = &inventory.spec.target_refs;
        let world = self.world.read();
        let targets = crate::world::in_namespace(&world.targets, namespace)
            .filter(|(key, target)| {
                let labels = target.metadata.labels.clone().unwrap_or_default();
                let selected = inventory
                    .spec
                    .target_selector
                    .as_ref()
                    .is_none_or(|selector| kollect_rules::selector_matches(selector, &labels));
                (refs.is_empty() || refs.iter().any(|name| *name == *key.name)) && selected
            })
            .filter_map(|(key, _)| match self.targets.get(key) {
                Some(state) => state.in_view.then(|| state.key.clone()),
                // Not looked at yet: it stays in, because a view without it would delete its rows.
                None => Some(Arc::new(TargetKey::namespaced(&key.namespace, &key.name))),
            })
            .collect();
        View::of(targets)
    }

    /// One entry per sink reference: the binding to have, or why there is none.
    fn wanted_bindings(
        &self,
        key: &NamespacedName,
        inventory: &KollectInventory,
        scope: Option<&KollectScope>,
        view: &View,
    ) -> Vec<(String, Result<BindingSpec, State>)> {
        let mut all = Vec::new();
        for family in SinkFamily::ALL {
            for reference in inventory.spec.sink_refs(family) {
                let name = format!("{family}/{}", reference.name);
                all.push((name, self.wanted_binding(key, inventory, scope, view, family, reference)));
            }
        }
        all
    }

    fn wanted_binding(
        &self,
        key: &NamespacedName,
        inventory: &KollectInventory,
        scope: Option<&KollectScope>,
        view: &View,
        family: SinkFamily,
        reference: &SinkRef,
    ) -> Result<BindingSpec, State> {
        if let Some(scope) = scope
            && let Err(why) = kollect_rules::sink_allowed(scope, family, &reference.name)
        {
            return Err(failed(Class::Terminal, "ScopeSinkDenied", why));
        }
        let Some(kind) = kind_of(family) else {
            let why = "this release exports to snapshot and database sinks only; remove the reference";
            return Err(failed(Class::Terminal, "SinkNotFound", why));
        };
        let sink_key = NamespacedName::new(&key.namespace, &reference.name);
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
            inventory.spec.export_min_interval.as_ref(),
            scope.and_then(|s| s.spec.min_export_interval.as_ref()),
        );
        let document = self.document(key, inventory, reference, &sink)?;
        let mut version = DefaultHasher::new();
        (state.config_version, inventory.metadata.generation, interval).hash(&mut version);
        Ok(BindingSpec {
            id: binding_id(key, family, &reference.name),
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

    fn document(
        &self,
        key: &NamespacedName,
        inventory: &KollectInventory,
        reference: &SinkRef,
        sink: &SinkObject,
    ) -> Result<Option<Arc<kollect_export::layout::DocumentSpec>>, State> {
        let max = reference.max_export_bytes.or(inventory.spec.max_export_bytes);
        let context = DocumentContext {
            inventory: InventoryKey { namespace: key.namespace.clone(), name: key.name.clone() },
            generation: inventory.metadata.generation.unwrap_or(0),
            max_bytes: u64::try_from(max.unwrap_or(self.settings.max_export_bytes)).unwrap_or(0),
            partitioning: inventory.spec.partitioning,
            sink_name: reference.name.as_str().into(),
        };
        self.registry
            .document(sink, &context)
            .map(|document| document.map(Arc::new))
            .map_err(|error| failed(error.class, error.reason.unwrap_or("SinkInvalid"), error.message))
    }

    /// Gives a binding to the exporter if it is new or changed, and tells how it stands.
    fn bind(&mut self, key: &NamespacedName, name: &str, spec: BindingSpec) -> State {
        let state = self.inventories.entry(key.clone()).or_default();
        if state.leaving.iter().any(|(other, place)| other == name || *place == spec.destination) {
            return State::Waiting("a removed reference to the same place is being cleaned up".to_owned());
        }
        state.resting.remove(name);
        state.left.remove(name);
        let known = state.bindings.get(name);
        let same = known.is_some_and(|k| k.config_version == spec.config_version && k.view == spec.view);
        let id = spec.id.clone();
        if !same {
            let whole = spec.document.as_ref().is_some_and(|d| d.mode == kollect_export::layout::Mode::Document);
            let mut documents = self.documents.lock();
            if whole {
                documents.insert(id.clone())
            } else {
                documents.remove(&id)
            };
            drop(documents);
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

    /// When the number of rows moved, the targets' counts follow soon, but not at every change.
    fn look_at_counts(&mut self, key: &NamespacedName, items: u64) {
        let state = self.inventories.entry(key.clone()).or_default();
        if std::mem::replace(&mut state.items, items) == items {
            return;
        }
        let when = tokio::time::Instant::now() + crate::shared::status::QUIET_PERIOD;
        let world = self.world.read();
        for (target, _) in crate::world::in_namespace(&world.targets, &key.namespace) {
            self.dirty.mark_at(ObjectRef::new(Kind::Target, target), when);
        }
    }

    /// Stops a binding without touching what the sink holds.
    fn pause(&mut self, key: &NamespacedName, name: &str, id: &BindingId) {
        let Some(state) = self.inventories.get_mut(key) else { return };
        if let Some(spec) = state.bindings.remove(name) {
            state.resting.insert(name.to_owned(), spec);
            let (exporter, id) = (self.exporter.clone(), id.clone());
            tokio::spawn(async move {
                // Leaving never fails: it only ends the binding's task.
                let _ = exporter.remove_binding(&id, kollect_export::Removal::Leave).await;
            });
        }
    }

    /// Removes or adds our finalizer in the background; the change comes back as an event.
    pub(crate) fn set_finalizer(
        &self,
        object: &ObjectRef,
        meta: &kube::api::ObjectMeta,
        name: &'static str,
        wanted: bool,
    ) {
        if !self.finalizing.lock().insert(object.clone()) {
            return;
        }
        let (client, object, meta, dirty) = (self.client.clone(), object.clone(), meta.clone(), self.dirty.clone());
        let finalizing = self.finalizing.clone();
        tokio::spawn(async move {
            let outcome = finalizers::set(&client, &object, &meta, name, wanted).await;
            finalizing.lock().remove(&object);
            let Err(error) = outcome else { return };
            if error.is_conflict() {
                tracing::debug!(object = %object, "finalizer not changed yet: somebody else changed the object");
            } else {
                tracing::warn!(object = %object, %error, error_class = "transient", "finalizer not changed; trying again");
            }
            dirty.mark_at(object, tokio::time::Instant::now() + Duration::from_secs(2));
        });
    }

    /// Shares one allocation of a view's inventory names.
    pub(crate) fn inventory_refs_sinks(&self, namespace: &str) -> Vec<(SinkFamily, Arc<str>)> {
        let world = self.world.read();
        crate::world::in_namespace(&world.inventories, namespace)
            .flat_map(|(_, inventory)| {
                SinkFamily::ALL.into_iter().flat_map(move |family| {
                    inventory.spec.sink_refs(family).iter().map(move |r| (family, Arc::from(r.name.as_str())))
                })
            })
            .collect()
    }
}

//! An inventory with everything that its decision depends on, and the bindings that follow from it.

use super::facts::BindingOutcome;
use super::selection::Selection;
use crate::context::{Context, ControlSettings};
use crate::controllers::Controllers;
use crate::shared::namespace_ends::NamespaceEnd;
use crate::sink::decide::{LastProbe, Unusable};
use crate::sink::state::SinkState;
use kollect_api::{DeletionPolicy, GoDuration, SinkFamily, SinkRef};
use kollect_export::{BindingSpec, Class, SinkError};
use kollect_model::Reason;
use kollect_resources::binding::{InventoryFields, binding_spec, check_sink_allowed};
use kollect_resources::cache::ResourceCache;
use kollect_resources::inventory::{InventoryObject, InventoryStatusBefore};
use kollect_resources::keys::{binding_id, export_key, kind_of};
use kollect_resources::kinds::{Kind, NamespacedName, ObjectRef};
use kollect_resources::profile::join_violations;
use kollect_resources::registry::{BuiltSink, SinkObject, SinkRegistry};
use kollect_resources::scopes::Scopes;
use kollect_resources::target::{cannot_list, violations};
use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

/// An inventory that exists, with everything that it depends on.
pub struct ActiveInventory {
    pub(super) object: ObjectRef,
    pub(super) inventory: InventoryObject,
    pub(super) selection: Selection,
    /// What its status was before.
    pub(super) before: InventoryStatusBefore,
    /// What is known of its namespace's end.
    pub(super) namespace: NamespaceEnd,
    /// The sinks that it refers to, and those that it has left, by `family/name`.
    pub(super) sinks: Vec<ReferencedSink>,
    scopes: Scopes,
    /// The least interval that the scopes permit.
    floor: Option<GoDuration>,
    unreadable: Option<Kind>,
    settings: Arc<ControlSettings>,
    registry: Arc<dyn SinkRegistry>,
}

/// A sink that an inventory refers to, or wrote to before.
pub(super) struct ReferencedSink {
    /// `family/name`, as statuses name it.
    pub(super) name: String,
    /// The spec refers to it.
    pub(super) is_wanted: bool,
    family: SinkFamily,
    reference: SinkRef,
    key: NamespacedName,
    sink: Option<SinkObject>,
    state: Option<(u64, Result<BuiltSink, Unusable>)>,
    /// The newest probe.
    pub(super) last_probe: Option<LastProbe>,
}

/// Why a binding cannot be rebuilt for its clean-up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Obstacle {
    /// Its sink is not known yet; it will be.
    NotYet,
    /// Only a user could change that.
    Unusable(String),
}

impl ReferencedSink {
    fn of(
        cache: &ResourceCache,
        all: &Controllers,
        inventory: &InventoryObject,
        family: SinkFamily,
        reference: SinkRef,
        is_wanted: bool,
    ) -> Self {
        let key = inventory.sink_key(&reference);
        let object = ObjectRef::new(kind_of(family), &key);
        let state = all.sink(&object);
        Self {
            name: format!("{family}/{}", reference.name),
            is_wanted,
            family,
            reference,
            sink: SinkObject::find(cache, &object),
            state: state.map(|state| (state.config_version, state.built.clone())),
            last_probe: state.map(SinkState::last_probe),
            key,
        }
    }

    /// The sink object that it names.
    pub(super) fn object(&self) -> ObjectRef {
        ObjectRef::new(kind_of(self.family), &self.key)
    }
}

/// Every sink of the spec, and those that `left` names. `left` are names of statuses.
fn referenced(
    cache: &ResourceCache,
    all: &Controllers,
    inventory: &InventoryObject,
    before: &InventoryStatusBefore,
    left: &BTreeSet<String>,
) -> Vec<ReferencedSink> {
    let of = |family, reference: SinkRef, wanted| ReferencedSink::of(cache, all, inventory, family, reference, wanted);
    let mut sinks: Vec<_> =
        inventory.all_refs().map(|(family, reference)| of(family, reference.clone(), true)).collect();
    for name in left.iter().filter(|name| inventory.reference(name).is_none()) {
        let Some((family, sink)) = name.split_once('/') else { continue };
        let Some(family) = SinkFamily::ALL.into_iter().find(|f| f.as_str() == family) else { continue };
        // The reference as the status remembers it.
        let entry = before.sink_exports.iter().find(|entry| entry.name == *name);
        let namespace = entry.and_then(|entry| entry.namespace.clone());
        sinks.push(of(family, SinkRef { namespace, ..SinkRef::named(sink) }, false));
    }
    sinks
}

/// A binding that cannot exist.
fn refused(error: &SinkError) -> BindingOutcome {
    let reason = error.reason.unwrap_or(Reason::SinkInvalid);
    BindingOutcome::Failed { class: error.class, reason, message: error.message.clone() }
}

impl ActiveInventory {
    /// Reads what the inventory depends on. `known` are bindings that this process has, by name.
    pub(super) fn of(
        context: &Context,
        all: &Controllers,
        object: &ObjectRef,
        inventory: InventoryObject,
        known: BTreeSet<String>,
    ) -> Self {
        let status = context.reporter.newest(object, inventory.meta(), &inventory.status());
        let before: InventoryStatusBefore = serde_json::from_value(status).unwrap_or_default();
        let selection = Selection::of(context, all, object, &inventory);
        let namespace = context.namespace_ends.state(&object.namespace);
        let cache = context.cache.read();
        let (scopes, floor) = limits(&cache, object, &inventory);
        let mut left = known;
        left.extend(inventory.sink_exports().iter().map(|entry| entry.name.clone()));
        // Without them the view would be empty, and an empty view deletes.
        let needed = [Kind::ClusterScope, Kind::ClusterTarget].into_iter();
        let unreadable =
            needed.filter(|_| object.kind == Kind::ClusterInventory).find(|k| cache.unreadable.contains(k));
        Self {
            object: object.clone(),
            sinks: referenced(&cache, all, &inventory, &before, &left),
            inventory,
            selection,
            before,
            namespace,
            scopes,
            floor,
            unreadable,
            settings: context.settings.clone(),
            registry: context.registry.clone(),
        }
    }

    /// What it does when its namespace ends: an inventory that retains its data goes without it.
    pub(super) fn namespace_end(&self) -> NamespaceEnd {
        match self.inventory.deletion_policy() {
            DeletionPolicy::Delete => NamespaceEnd::Active,
            DeletionPolicy::Retain => self.namespace,
        }
    }

    /// Why nothing of the inventory can be exported.
    pub(super) fn blocked(&self) -> Option<(Reason, String)> {
        if let Some(kind) = self.unreadable {
            return Some((Reason::ScopeLookupFailed, cannot_list(kind)));
        }
        let settings = &self.settings;
        let found = match &self.inventory {
            InventoryObject::Namespaced(inventory) => {
                kollect_rules::check_inventory(inventory, settings.max_export_bytes)
            }
            InventoryObject::Cluster(inventory) => {
                violations(&**inventory, settings.max_export_bytes, settings.policy.tenant_mode)
            }
        };
        (!found.is_empty()).then(|| (Reason::InvalidSpec, join_violations(&found)))
    }

    /// One entry per sink reference: the binding to have, or why there is none.
    pub(super) fn wanted(&self) -> Vec<(String, Result<BindingSpec, BindingOutcome>)> {
        let wanted = self.sinks.iter().filter(|sink| sink.is_wanted);
        wanted.map(|sink| (sink.name.clone(), self.wanted_binding(sink))).collect()
    }

    fn wanted_binding(&self, referenced: &ReferencedSink) -> Result<BindingSpec, BindingOutcome> {
        let failed = |class, reason, message| BindingOutcome::Failed { class, reason, message };
        check_sink_allowed(&self.scopes, referenced.family, &referenced.key).map_err(|error| refused(&error))?;
        let Some(sink) = &referenced.sink else {
            let why = format!("{} does not exist; create it there or correct the reference", referenced.object());
            return Err(failed(Class::Terminal, Reason::SinkNotFound, why));
        };
        let (version, built) = match &referenced.state {
            None => return Err(BindingOutcome::Waiting("the sink is not reconciled yet".to_owned())),
            Some((_, Err(Unusable::Waiting))) => {
                return Err(BindingOutcome::Waiting("the sink's Secrets are being read".to_owned()));
            }
            Some((_, Err(Unusable::Fault { class, fault }))) => {
                return Err(failed(*class, fault.reason, fault.message.clone()));
            }
            Some((version, Ok(built))) => (version, built),
        };
        let interval = kollect_rules::effective_interval(
            referenced.family,
            referenced.reference.export_min_interval.as_ref(),
            sink.common().export_min_interval.as_ref(),
            self.inventory.min_interval(),
            self.floor.as_ref(),
        );
        let fields = self.fields();
        let mut hash = DefaultHasher::new();
        (version, self.inventory.generation(), interval, fields.object_store).hash(&mut hash);
        self.binding(referenced, sink, built, interval, hash.finish()).map_err(|error| refused(&error))
    }

    /// A binding that the exporter does not have, made from what exists.
    pub(super) fn rebuild(&self, name: &str) -> Result<BindingSpec, Obstacle> {
        let unusable = |why: &str| Obstacle::Unusable(why.to_owned());
        let referenced = self
            .sinks
            .iter()
            .find(|sink| sink.name == name)
            .ok_or_else(|| unusable("its entry in status.sinkExports names no sink"))?;
        let sink = referenced.sink.as_ref().ok_or_else(|| unusable("its sink does not exist"))?;
        let built = match &referenced.state {
            None | Some((_, Err(Unusable::Waiting))) => return Err(Obstacle::NotYet),
            Some((_, Err(Unusable::Fault { fault, .. }))) => return Err(unusable(&fault.message)),
            Some((_, Ok(built))) => built,
        };
        self.binding(referenced, sink, built, Duration::ZERO, 0).map_err(|error| Obstacle::Unusable(error.message))
    }

    fn binding(
        &self,
        referenced: &ReferencedSink,
        sink: &SinkObject,
        built: &BuiltSink,
        min_interval: Duration,
        config_version: u64,
    ) -> Result<BindingSpec, SinkError> {
        let document = self.fields().document(&*self.registry, &referenced.reference, sink)?;
        let id = binding_id(&self.object, referenced.family, &referenced.key);
        let view = self.selection.view.clone();
        let binding = binding_spec(id, view, built.clone(), sink.sink_type(), document);
        Ok(BindingSpec { min_interval, config_version, ..binding })
    }

    fn fields(&self) -> InventoryFields {
        let is_store = |sink: &SinkObject| matches!(sink.sink_type(), "s3" | "gcs");
        let usable = |one: &ReferencedSink| one.is_wanted && matches!(one.state, Some((_, Ok(_))));
        InventoryFields {
            key: export_key(&self.object),
            generation: self.inventory.generation(),
            max_export_bytes: self.inventory.max_export_bytes().unwrap_or(self.settings.max_export_bytes),
            partitioning: self.inventory.partitioning(),
            object_store: self.sinks.iter().any(|one| usable(one) && one.sink.as_ref().is_some_and(is_store)),
        }
    }
}

/// The scopes that limit an inventory, and the least interval that they permit.
fn limits(cache: &ResourceCache, object: &ObjectRef, inventory: &InventoryObject) -> (Scopes, Option<GoDuration>) {
    match inventory {
        InventoryObject::Namespaced(_) => {
            let scopes = Scopes::of_namespace(&cache.scopes, &object.namespace);
            let floor = scopes.ceiling().floor().cloned();
            (scopes, floor)
        }
        InventoryObject::Cluster(inventory) => {
            let near = Scopes::of_namespace(&cache.scopes, &inventory.spec.sink_namespace);
            let wide = Scopes::of_cluster(&cache.cluster_scopes);
            let floor = kollect_rules::highest_floor(near.ceiling().floor(), wide.ceiling().floor()).cloned();
            (wide, floor)
        }
    }
}

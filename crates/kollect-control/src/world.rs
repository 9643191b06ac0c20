//! What the API server holds of the Kollect kinds, as last seen. Small: one entry per Kollect object, none per row.

use crate::kinds::{Kind, NamespacedName, ObjectRef};
use kollect_api::{
    KollectClusterInventory, KollectClusterScope, KollectClusterTarget, KollectConnectionTest, KollectDatabaseSink,
    KollectEventSink, KollectInventory, KollectProfile, KollectScope, KollectSnapshotSink, KollectTarget, SinkFamily,
};
use kube::Api;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// All objects of one kind.
pub type Objects<K> = BTreeMap<NamespacedName, Arc<K>>;

/// All Kollect objects.
#[derive(Default)]
pub struct World {
    pub scopes: Objects<KollectScope>,
    pub cluster_scopes: Objects<KollectClusterScope>,
    pub profiles: Objects<KollectProfile>,
    pub snapshot_sinks: Objects<KollectSnapshotSink>,
    pub database_sinks: Objects<KollectDatabaseSink>,
    pub event_sinks: Objects<KollectEventSink>,
    pub targets: Objects<KollectTarget>,
    pub cluster_targets: Objects<KollectClusterTarget>,
    pub inventories: Objects<KollectInventory>,
    pub cluster_inventories: Objects<KollectClusterInventory>,
    pub connection_tests: Objects<KollectConnectionTest>,
    /// Kinds of which nothing is known, because the API server refuses to list them.
    pub unreadable: BTreeSet<Kind>,
}

/// A kind that the world holds.
pub trait Held:
    kube::Resource<DynamicType = ()> + serde::de::DeserializeOwned + Clone + std::fmt::Debug + Send + Sync + 'static
{
    /// Which kind it is.
    const KIND: Kind;
    /// Where the world keeps it.
    fn objects(world: &mut World) -> &mut Objects<Self>;
    /// The objects of one namespace, or of all.
    fn api(client: &kube::Client, namespace: Option<&str>) -> Api<Self>;
}

macro_rules! held {
    ($($type:ty => $kind:ident, $field:ident, $api:expr;)+) => {
        $(impl Held for $type {
            const KIND: Kind = Kind::$kind;
            fn objects(world: &mut World) -> &mut Objects<Self> {
                &mut world.$field
            }
            fn api(client: &kube::Client, namespace: Option<&str>) -> Api<Self> {
                let in_one: fn(kube::Client, &str) -> Api<Self> = $api;
                namespace.map_or_else(|| Api::all(client.clone()), |namespace| in_one(client.clone(), namespace))
            }
        })+
    };
}

held! {
    KollectScope => Scope, scopes, Api::namespaced;
    KollectClusterScope => ClusterScope, cluster_scopes, |client, _| Api::all(client);
    KollectProfile => Profile, profiles, Api::namespaced;
    KollectSnapshotSink => SnapshotSink, snapshot_sinks, Api::namespaced;
    KollectDatabaseSink => DatabaseSink, database_sinks, Api::namespaced;
    KollectEventSink => EventSink, event_sinks, Api::namespaced;
    KollectTarget => Target, targets, Api::namespaced;
    KollectClusterTarget => ClusterTarget, cluster_targets, |client, _| Api::all(client);
    KollectInventory => Inventory, inventories, Api::namespaced;
    KollectClusterInventory => ClusterInventory, cluster_inventories, |client, _| Api::all(client);
    KollectConnectionTest => ConnectionTest, connection_tests, Api::namespaced;
}

/// The objects of one namespace.
pub fn in_namespace<'a, K>(
    objects: &'a Objects<K>,
    namespace: &str,
) -> impl Iterator<Item = (&'a NamespacedName, &'a Arc<K>)> {
    let from = NamespacedName::new(namespace, "");
    let namespace = from.namespace.clone();
    objects.range(from..).take_while(move |(key, _)| key.namespace == namespace)
}

impl World {
    /// Puts or removes an object.
    pub fn note<K: Held>(&mut self, key: NamespacedName, object: Option<Arc<K>>) {
        let objects = K::objects(self);
        match object {
            Some(object) => objects.insert(key, object),
            None => objects.remove(&key),
        };
    }

    /// The objects whose decision depends on `changed`, itself included.
    pub fn dependents(&self, changed: &ObjectRef) -> Vec<ObjectRef> {
        let ns = &changed.namespace;
        let mut all = vec![changed.clone()];
        let mut add = |kind: Kind, keys: &mut dyn Iterator<Item = &NamespacedName>| {
            all.extend(keys.map(|key| ObjectRef::new(kind, key)));
        };
        let targets = || in_namespace(&self.targets, ns).map(|(key, _)| key);
        let inventories = || in_namespace(&self.inventories, ns).map(|(key, _)| key);
        match changed.kind {
            Kind::Scope => {
                add(Kind::Scope, &mut in_namespace(&self.scopes, ns).map(|(key, _)| key));
                add(Kind::Target, &mut targets());
                add(Kind::Inventory, &mut inventories());
                add(Kind::ClusterInventory, &mut self.inventories_with_sinks_in(ns));
            }
            Kind::ClusterScope => {
                add(Kind::ClusterScope, &mut self.cluster_scopes.keys());
                add(Kind::ClusterTarget, &mut self.cluster_targets.keys());
                add(Kind::ClusterInventory, &mut self.cluster_inventories.keys());
            }
            Kind::Profile => {
                let uses = |t: &KollectTarget| t.spec.profile_ref == *changed.name;
                add(Kind::Target, &mut in_namespace(&self.targets, ns).filter(|(_, t)| uses(t)).map(|(key, _)| key));
                let uses = |t: &KollectClusterTarget| {
                    let reference = &t.spec.profile_ref;
                    reference.name == *changed.name && reference.namespace.as_deref() == Some(&**ns)
                };
                add(Kind::ClusterTarget, &mut self.cluster_targets.iter().filter(|(_, t)| uses(t)).map(|(key, _)| key));
            }
            Kind::SnapshotSink | Kind::DatabaseSink | Kind::EventSink => {
                add(Kind::Target, &mut targets());
                add(Kind::Inventory, &mut inventories());
                add(Kind::ClusterInventory, &mut self.inventories_with_sinks_in(ns));
                add(Kind::ConnectionTest, &mut in_namespace(&self.connection_tests, ns).map(|(key, _)| key));
            }
            Kind::Target => add(Kind::Inventory, &mut inventories()),
            Kind::ClusterTarget => add(Kind::ClusterInventory, &mut self.cluster_inventories.keys()),
            Kind::Inventory => add(Kind::Target, &mut targets()),
            Kind::ClusterInventory | Kind::ConnectionTest => {}
        }
        all
    }

    /// Cluster inventories that export to a sink of the namespace.
    fn inventories_with_sinks_in(&self, namespace: &str) -> impl Iterator<Item = &NamespacedName> {
        let there = move |inventory: &KollectClusterInventory| {
            let spec = &inventory.spec;
            let mut refs = SinkFamily::ALL.into_iter().flat_map(|family| spec.sink_refs(family));
            refs.any(|reference| spec.namespace_of(reference) == namespace)
        };
        self.cluster_inventories.iter().filter(move |(_, inventory)| there(inventory)).map(|(key, _)| key)
    }
}

//! The Kollect objects as the API server last reported them. Small: one entry per Kollect object, none per row.

use crate::kinds::{Kind, NamespacedName, ObjectRef};
use kollect_api::{KollectClusterInventory, KollectClusterTarget, KollectTarget, SinkFamily};
use kube::Api;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// All objects of one kind.
pub type Objects<K> = BTreeMap<NamespacedName, Arc<K>>;

/// A kind that the cache holds.
pub trait Cached:
    kube::Resource<DynamicType = ()> + serde::de::DeserializeOwned + Clone + std::fmt::Debug + Send + Sync + 'static
{
    /// Which kind it is.
    const KIND: Kind;
    /// Its objects.
    fn objects(cache: &ResourceCache) -> &Objects<Self>;
    /// Its objects, to change.
    fn objects_mut(cache: &mut ResourceCache) -> &mut Objects<Self>;
    /// The objects of one namespace, or of all.
    fn api(client: &kube::Client, namespace: Option<&str>) -> Api<Self>;
}

macro_rules! define_cache {
    ($($kind:ident $object:ident $field:ident $controller:literal $plural:literal $scope:ident $presence:ident;)+) => {
        /// All Kollect objects.
        #[derive(Default)]
        pub struct ResourceCache {
            $(
                #[doc = concat!("Every `", stringify!($object), "`.")]
                pub $field: Objects<kollect_api::$object>,
            )+
            /// Kinds that the API server refuses to list, so that nothing is known of them.
            pub unreadable: BTreeSet<Kind>,
        }

        $(impl Cached for kollect_api::$object {
            const KIND: Kind = Kind::$kind;
            fn objects(cache: &ResourceCache) -> &Objects<Self> {
                &cache.$field
            }
            fn objects_mut(cache: &mut ResourceCache) -> &mut Objects<Self> {
                &mut cache.$field
            }
            fn api(client: &kube::Client, namespace: Option<&str>) -> Api<Self> {
                define_cache!(@api $scope client namespace)
            }
        })+
    };
    (@api Namespaced $client:ident $namespace:ident) => {
        match $namespace {
            Some(namespace) => Api::namespaced($client.clone(), namespace),
            None => Api::all($client.clone()),
        }
    };
    (@api Cluster $client:ident $namespace:ident) => {{
        let _ = $namespace;
        Api::all($client.clone())
    }};
}

crate::for_each_kind!(define_cache);

/// The objects of one namespace.
pub fn in_namespace<'a, K>(
    objects: &'a Objects<K>,
    namespace: &str,
) -> impl Iterator<Item = (&'a NamespacedName, &'a Arc<K>)> {
    let from = NamespacedName::new(namespace, "");
    let namespace = from.namespace.clone();
    objects.range(from..).take_while(move |(key, _)| key.namespace == namespace)
}

impl ResourceCache {
    /// Puts or removes an object.
    pub fn set<K: Cached>(&mut self, key: NamespacedName, object: Option<Arc<K>>) {
        let objects = K::objects_mut(self);
        match object {
            Some(object) => objects.insert(key, object),
            None => objects.remove(&key),
        };
    }

    /// An object, if it exists.
    pub fn get<K: Cached>(&self, key: &NamespacedName) -> Option<Arc<K>> {
        K::objects(self).get(key).cloned()
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
            // No other kind reads the rest.
            _ => {}
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

//! What the API server holds of the Kollect kinds, as last seen. Small: one entry per Kollect object, none per row.

use crate::kinds::{Kind, NamespacedName, ObjectRef};
use kollect_api::{
    KollectDatabaseSink, KollectInventory, KollectProfile, KollectScope, KollectSnapshotSink, KollectTarget,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// All objects of one kind.
pub type Objects<K> = BTreeMap<NamespacedName, Arc<K>>;

/// All Kollect objects.
#[derive(Default)]
pub struct World {
    pub scopes: Objects<KollectScope>,
    pub profiles: Objects<KollectProfile>,
    pub snapshot_sinks: Objects<KollectSnapshotSink>,
    pub database_sinks: Objects<KollectDatabaseSink>,
    pub targets: Objects<KollectTarget>,
    pub inventories: Objects<KollectInventory>,
}

/// A kind that the world holds.
pub trait Held:
    kube::Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
    + serde::de::DeserializeOwned
    + Clone
    + std::fmt::Debug
    + Send
    + Sync
    + 'static
{
    /// Which kind it is.
    const KIND: Kind;
    /// Where the world keeps it.
    fn objects(world: &mut World) -> &mut Objects<Self>;
}

macro_rules! held {
    ($($type:ty => $kind:ident, $field:ident;)+) => {
        $(impl Held for $type {
            const KIND: Kind = Kind::$kind;
            fn objects(world: &mut World) -> &mut Objects<Self> {
                &mut world.$field
            }
        })+
    };
}

held! {
    KollectScope => Scope, scopes;
    KollectProfile => Profile, profiles;
    KollectSnapshotSink => SnapshotSink, snapshot_sinks;
    KollectDatabaseSink => DatabaseSink, database_sinks;
    KollectTarget => Target, targets;
    KollectInventory => Inventory, inventories;
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
            }
            Kind::Profile => {
                let uses = |t: &KollectTarget| t.spec.profile_ref == *changed.name;
                add(Kind::Target, &mut in_namespace(&self.targets, ns).filter(|(_, t)| uses(t)).map(|(key, _)| key));
            }
            Kind::SnapshotSink | Kind::DatabaseSink => {
                add(Kind::Target, &mut targets());
                add(Kind::Inventory, &mut inventories());
            }
            Kind::Target => add(Kind::Inventory, &mut inventories()),
            Kind::Inventory => add(Kind::Target, &mut targets()),
        }
        all
    }
}

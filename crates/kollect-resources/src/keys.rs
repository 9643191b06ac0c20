//! The names under which the export engine and the sinks know Kollect's objects.

use crate::kinds::{Kind, NamespacedName, ObjectRef, Scope};
use kollect_api::SinkFamily;
use kollect_export::{BindingId, Family, InventoryKey, SinkKey};
use std::sync::Arc;

/// The namespace of cluster inventories in keys and paths.
pub const CLUSTER: &str = "cluster";

/// The name under which sinks know an inventory.
pub fn export_key(object: &ObjectRef) -> InventoryKey {
    let namespace = match object.kind.scope() {
        Scope::Cluster => CLUSTER.into(),
        Scope::Namespaced => object.namespace.clone(),
    };
    InventoryKey { namespace, name: object.name.clone() }
}

/// The inventory that sinks know under this name. No namespaced inventory is in a namespace of that name: admission and
/// control refuse it.
pub fn inventory_of(key: &InventoryKey) -> ObjectRef {
    let (kind, namespace) = if &*key.namespace == CLUSTER {
        (Kind::ClusterInventory, Arc::default())
    } else {
        (Kind::Inventory, key.namespace.clone())
    };
    ObjectRef { kind, namespace, name: key.name.clone() }
}

/// The sink kind of a family.
pub fn kind_of(family: SinkFamily) -> Kind {
    match family {
        SinkFamily::Snapshot => Kind::SnapshotSink,
        SinkFamily::Database => Kind::DatabaseSink,
        SinkFamily::Event => Kind::EventSink,
    }
}

/// The engine's name of a family.
pub fn engine_family(family: SinkFamily) -> Family {
    match family {
        SinkFamily::Snapshot => Family::Snapshot,
        SinkFamily::Database => Family::Database,
        SinkFamily::Event => Family::Event,
    }
}

/// The key under which the exporter knows a sink object.
pub fn sink_key(family: SinkFamily, sink: &NamespacedName) -> SinkKey {
    SinkKey { family: engine_family(family), namespace: sink.namespace.clone(), name: sink.name.clone() }
}

/// The key of a binding.
pub fn binding_id(inventory: &ObjectRef, family: SinkFamily, sink: &NamespacedName) -> BindingId {
    BindingId { inventory: export_key(inventory), sink: sink_key(family, sink) }
}

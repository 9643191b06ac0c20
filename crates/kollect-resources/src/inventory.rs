//! An inventory of either kind behind one type: what differs between the kinds is here, except which rows they have.

use crate::cache::ResourceCache;
use crate::kinds::{Kind, NamespacedName, ObjectRef};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kollect_api::names::finalizer;
use kollect_api::{
    DeletionPolicy, GoDuration, KollectClusterInventory, KollectInventory, Partitioning, SinkExportStatus, SinkFamily,
    SinkRef,
};
use kube::api::ObjectMeta;
use serde_json::Value;
use std::sync::Arc;

/// An inventory of either kind.
#[derive(Clone, Debug)]
pub enum InventoryObject {
    /// Rows of the targets of its namespace.
    Namespaced(Arc<KollectInventory>),
    /// Rows of cluster targets.
    Cluster(Arc<KollectClusterInventory>),
}

impl InventoryObject {
    /// The inventory that `object` names, if it exists.
    pub fn find(cache: &ResourceCache, object: &ObjectRef) -> Option<Self> {
        let key = object.key();
        match object.kind {
            Kind::Inventory => cache.get(&key).map(Self::Namespaced),
            Kind::ClusterInventory => cache.get(&key).map(Self::Cluster),
            _ => None,
        }
    }

    /// Its kind.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Namespaced(_) => Kind::Inventory,
            Self::Cluster(_) => Kind::ClusterInventory,
        }
    }

    /// Its finalizer.
    pub fn finalizer(&self) -> &'static str {
        match self {
            Self::Namespaced(_) => finalizer::INVENTORY,
            Self::Cluster(_) => finalizer::CLUSTER_INVENTORY,
        }
    }

    /// Metadata.
    pub fn meta(&self) -> &ObjectMeta {
        match self {
            Self::Namespaced(inventory) => &inventory.metadata,
            Self::Cluster(inventory) => &inventory.metadata,
        }
    }

    /// `metadata.generation`.
    pub fn generation(&self) -> i64 {
        self.meta().generation.unwrap_or(0)
    }

    /// The references to sinks of one family.
    pub fn sink_refs(&self, family: SinkFamily) -> &[SinkRef] {
        match self {
            Self::Namespaced(inventory) => inventory.spec.sink_refs(family),
            Self::Cluster(inventory) => inventory.spec.sink_refs(family),
        }
    }

    /// Every reference with its family.
    pub fn all_refs(&self) -> impl Iterator<Item = (SinkFamily, &SinkRef)> {
        SinkFamily::ALL.into_iter().flat_map(|family| self.sink_refs(family).iter().map(move |r| (family, r)))
    }

    /// The reference that a status calls `family/name`.
    pub fn reference(&self, name: &str) -> Option<(SinkFamily, &SinkRef)> {
        self.all_refs().find(|(family, r)| name == format!("{family}/{}", r.name))
    }

    /// The sink that a reference names.
    pub fn sink_key(&self, reference: &SinkRef) -> NamespacedName {
        match self {
            Self::Namespaced(inventory) => {
                NamespacedName::new(inventory.metadata.namespace.as_deref().unwrap_or_default(), &reference.name)
            }
            Self::Cluster(inventory) => NamespacedName::new(inventory.spec.namespace_of(reference), &reference.name),
        }
    }

    /// `spec.suspend`.
    pub fn suspended(&self) -> bool {
        match self {
            Self::Namespaced(inventory) => inventory.spec.suspend,
            Self::Cluster(inventory) => inventory.spec.suspend,
        }
    }

    /// `spec.exportMinInterval`.
    pub fn min_interval(&self) -> Option<&GoDuration> {
        match self {
            Self::Namespaced(inventory) => inventory.spec.export_min_interval.as_ref(),
            Self::Cluster(inventory) => inventory.spec.export_min_interval.as_ref(),
        }
    }

    /// `spec.maxExportBytes`, which cluster inventories have on their references only.
    pub fn max_export_bytes(&self) -> Option<i64> {
        match self {
            Self::Namespaced(inventory) => inventory.spec.max_export_bytes,
            Self::Cluster(_) => None,
        }
    }

    /// `spec.partitioning`.
    pub fn partitioning(&self) -> Partitioning {
        match self {
            Self::Namespaced(inventory) => inventory.spec.partitioning,
            Self::Cluster(inventory) => inventory.spec.partitioning,
        }
    }

    /// `spec.deletionPolicy`.
    pub fn deletion_policy(&self) -> DeletionPolicy {
        match self {
            Self::Namespaced(inventory) => inventory.spec.deletion_policy,
            Self::Cluster(inventory) => inventory.spec.deletion_policy,
        }
    }

    /// `status.sinkExports`.
    pub fn sink_exports(&self) -> &[SinkExportStatus] {
        match self {
            Self::Namespaced(inventory) => inventory.status.as_ref().map_or(&[], |status| &status.sink_exports),
            Self::Cluster(inventory) => inventory.status.as_ref().map_or(&[], |status| &status.sink_exports),
        }
    }

    /// The status as the API server has it.
    pub fn status(&self) -> Value {
        match self {
            Self::Namespaced(inventory) => serde_json::to_value(&inventory.status),
            Self::Cluster(inventory) => serde_json::to_value(&inventory.status),
        }
        .unwrap_or_default()
    }
}

/// The parts of an earlier status that the next one depends on.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct InventoryStatusBefore {
    /// Conditions.
    pub conditions: Vec<Condition>,
    /// One entry per binding.
    pub sink_exports: Vec<SinkExportStatus>,
}

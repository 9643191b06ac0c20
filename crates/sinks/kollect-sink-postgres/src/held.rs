//! Reads held rows: keys and digests, with shared strings, so that a million of them stay small.

use kollect_export::{HeldRow, InventoryKey};
use kollect_model::{Digest, Interner, RowId, TargetKey, TargetScope, Uid};
use std::collections::HashMap;
use std::sync::Arc;

/// Namespace that stands for cluster inventories, whose rows come from cluster targets only.
const CLUSTER_INVENTORIES: &str = "cluster";

/// Makes held rows, sharing what repeats.
pub(crate) struct Decoder {
    scope: TargetScope,
    targets: HashMap<(String, String), Arc<TargetKey>>,
    namespaces: Interner,
}

impl Decoder {
    pub(crate) fn new(inventory: &InventoryKey) -> Self {
        let scope =
            if &*inventory.namespace == CLUSTER_INVENTORIES { TargetScope::Cluster } else { TargetScope::Namespaced };
        Self { scope, targets: HashMap::new(), namespaces: Interner::default() }
    }

    pub(crate) fn decode(&mut self, row: &tokio_postgres::Row) -> Result<HeldRow, tokio_postgres::Error> {
        let scope = self.scope;
        let name: (String, String) = (row.try_get(0)?, row.try_get(1)?);
        let target = self.targets.entry(name).or_insert_with_key(|(namespace, name)| {
            Arc::new(TargetKey { namespace: namespace.as_str().into(), name: name.as_str().into(), scope })
        });
        let digest: Option<&[u8]> = row.try_get(3)?;
        Ok(HeldRow {
            id: RowId { target: target.clone(), uid: Uid::parse(row.try_get(2)?) },
            object_namespace: self.namespaces.get(row.try_get(4)?),
            digest: digest.and_then(|bytes| bytes.try_into().ok()).map(Digest),
        })
    }
}

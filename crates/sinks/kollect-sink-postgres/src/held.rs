//! Decodes held rows (key and digest) and sizes the pages in which they are read.

use kollect_export::{HeldRow, InventoryKey};
use kollect_model::{Digest, Interner, RowId, TargetKey, TargetScope, Uid};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// Namespace value of cluster inventories, whose rows come from cluster targets only.
const CLUSTER_INVENTORIES: &str = "cluster";

/// Decodes held rows; equal targets and namespaces share one allocation.
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

/// Rows per page: as many as the server returns in a small part of its time limit.
pub(crate) struct PageSize {
    pub(crate) rows: i32,
    limit: Duration,
}

impl PageSize {
    const LEAST: i32 = 16;
    const MOST: i32 = 16 * 1024;

    pub(crate) fn new(limit: Duration) -> Self {
        Self { rows: 128, limit }
    }

    /// Adjusts the size to the time that the last page took.
    pub(crate) fn took(&mut self, time: Duration) {
        if time < self.limit / 20 {
            self.rows = (self.rows * 4).min(Self::MOST);
        } else if time > self.limit / 5 {
            self.rows = (self.rows / 4).max(Self::LEAST);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_grow_while_the_server_is_quick_and_shrink_when_it_is_not() {
        let mut page = PageSize::new(Duration::from_secs(10));
        (0..9).for_each(|_| page.took(Duration::from_millis(3)));
        assert_eq!(page.rows, PageSize::MOST);
        page.took(Duration::from_secs(1));
        assert_eq!(page.rows, PageSize::MOST);
        (0..9).for_each(|_| page.took(Duration::from_secs(3)));
        assert_eq!(page.rows, PageSize::LEAST);
    }
}

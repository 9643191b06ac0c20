//! Reads held rows: keys and digests, with shared strings, so that a million of them stay small.

use kollect_export::{HeldRow, InventoryKey};
use kollect_model::{Digest, Interner, RowId, TargetKey, TargetScope, Uid};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

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

/// How many rows are asked for at once: so many that the server needs a small part of its time limit for them.
pub(crate) struct Piece {
    pub(crate) rows: i32,
    limit: Duration,
}

impl Piece {
    const LEAST: i32 = 16;
    const MOST: i32 = 16 * 1024;

    pub(crate) fn new(limit: Duration) -> Self {
        Self { rows: 128, limit }
    }

    /// Adjusts the next piece by what the last one took.
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
    fn pieces_grow_while_the_server_is_quick_and_shrink_when_it_is_not() {
        let mut piece = Piece::new(Duration::from_secs(10));
        (0..9).for_each(|_| piece.took(Duration::from_millis(3)));
        assert_eq!(piece.rows, Piece::MOST);
        piece.took(Duration::from_secs(1));
        assert_eq!(piece.rows, Piece::MOST);
        (0..9).for_each(|_| piece.took(Duration::from_secs(3)));
        assert_eq!(piece.rows, Piece::LEAST);
    }
}

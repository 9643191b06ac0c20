//! Rows in memory: sink and backend in one, so what is stored outlives the writer.

use crate::contract::cycle::Cycle;

use crate::contract::error::SinkError;

use crate::contract::ids::InventoryKey;

use crate::contract::receipt::{Probe, Receipt};

use crate::contract::rows::{HeldRow, RowBatch, RowSink};

use crate::contract::receipt::ReadBack;
use async_trait::async_trait;
use kollect_model::{Change, Digest, Row, RowId, item_bytes};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// A row in the memory sink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRow {
    /// Namespace of the object.
    pub object_namespace: Arc<str>,
    /// Digest of the content.
    pub digest: Digest,
    /// The Item's JSON.
    pub item: Box<[u8]>,
}

impl StoredRow {
    /// The stored form of a row.
    pub fn of(row: &Row) -> Self {
        let object_namespace = row.object.namespace.clone();
        Self { object_namespace, digest: row.digest, item: item_bytes(row).into() }
    }
}

/// The rows of one inventory.
pub type StoredRows = BTreeMap<RowId, StoredRow>;

/// Rows in memory, by inventory.
#[derive(Debug, Default)]
pub struct MemoryRows(Mutex<RowsState>);

#[derive(Debug, Default)]
struct RowsState {
    inventories: BTreeMap<InventoryKey, Inventory>,
    upserts: u64,
    deletes: u64,
    batches: u64,
}

#[derive(Debug, Default)]
struct Inventory {
    rows: StoredRows,
    /// The rows were not tampered with since the last comparison.
    intact: bool,
}

impl MemoryRows {
    /// A copy of the rows of one inventory.
    pub fn rows(&self, of: &InventoryKey) -> StoredRows {
        self.0.lock().inventories.get(of).map(|inventory| inventory.rows.clone()).unwrap_or_default()
    }

    /// A copy of all rows.
    pub fn inventories(&self) -> BTreeMap<InventoryKey, StoredRows> {
        let state = self.0.lock();
        state.inventories.iter().map(|(of, inventory)| (of.clone(), inventory.rows.clone())).collect()
    }

    /// Upserts, deletes and batches so far.
    pub fn counts(&self) -> (u64, u64, u64) {
        let state = self.0.lock();
        (state.upserts, state.deletes, state.batches)
    }

    /// Deletes all rows, as a truncated table.
    pub fn wipe(&self) {
        self.0.lock().inventories.clear();
    }

    /// Changes the rows of one inventory as another writer would.
    pub fn tamper(&self, of: &InventoryKey, change: impl FnOnce(&mut StoredRows)) {
        let mut state = self.0.lock();
        let inventory = state.inventories.entry(of.clone()).or_default();
        change(&mut inventory.rows);
        inventory.intact = false;
    }

    /// [`RowSink::held`] without a cycle.
    pub fn held_now(&self, of: &InventoryKey, each: &mut (dyn FnMut(HeldRow) + Send)) {
        let rows = {
            let mut state = self.0.lock();
            let inventory = state.inventories.entry(of.clone()).or_default();
            inventory.intact = true;
            inventory.rows.clone()
        };
        for (id, row) in rows {
            each(HeldRow { id, object_namespace: row.object_namespace, digest: Some(row.digest) });
        }
    }

    /// [`RowSink::intact`] without a cycle.
    pub fn intact_now(&self, of: &InventoryKey) -> bool {
        self.0.lock().inventories.get(of).is_some_and(|inventory| inventory.intact)
    }

    /// [`RowSink::apply`] without a cycle.
    pub fn apply_now(&self, of: &InventoryKey, batch: RowBatch) -> Receipt {
        let (deletes, upserts): (Vec<_>, Vec<_>) =
            batch.changes.into_iter().partition(|change| matches!(change, Change::Delete(_)));
        let mut receipt = Receipt { rows: (deletes.len() + upserts.len()) as u64, ..Receipt::default() };
        let mut state = self.0.lock();
        state.batches += 1;
        state.deletes += deletes.len() as u64;
        state.upserts += upserts.len() as u64;
        let rows = &mut state.inventories.entry(of.clone()).or_default().rows;
        for change in deletes.into_iter().chain(upserts) {
            match change {
                Change::Delete(gone) => drop(rows.remove(&gone.id)),
                Change::Upsert(row) => {
                    let stored = StoredRow::of(&row);
                    receipt.bytes += stored.item.len() as u64;
                    rows.insert(row.id.clone(), stored);
                }
            }
        }
        receipt
    }
}

#[async_trait]
impl RowSink for MemoryRows {
    async fn held(&self, cycle: &Cycle<'_>, each: &mut (dyn FnMut(HeldRow) + Send)) -> Result<ReadBack, SinkError> {
        self.held_now(&cycle.of.inventory, each);
        Ok(ReadBack::Complete)
    }

    async fn apply(&self, cycle: &Cycle<'_>, batch: RowBatch) -> Result<Receipt, SinkError> {
        cycle.check_right()?;
        Ok(self.apply_now(&cycle.of.inventory, batch))
    }

    async fn intact(&self, cycle: &Cycle<'_>) -> Result<bool, SinkError> {
        Ok(self.intact_now(&cycle.of.inventory))
    }

    async fn forget(&self, cycle: &Cycle<'_>) -> Result<Receipt, SinkError> {
        cycle.check_right()?;
        let gone = self.0.lock().inventories.remove(&cycle.of.inventory).unwrap_or_default();
        Ok(Receipt { rows: gone.rows.len() as u64, ..Receipt::default() })
    }

    async fn probe(&self, _: &CancellationToken) -> Result<Probe, SinkError> {
        Ok(Probe { message: "memory is there".to_owned() })
    }
}

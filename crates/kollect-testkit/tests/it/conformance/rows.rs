//! The row suite passes for a right sink and finds a wrong one.

use async_trait::async_trait;
use kollect_export::{Cycle, HeldRow, Knowledge, Probe, Receipt, Rejected, RowBatch, RowSink, SinkError};
use kollect_model::{Change, Row, RowId, item_bytes};
use kollect_testkit::conformance::{RowBackend, StoredRow, rows};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fault {
    None,
    KeepsDeleted,
    WritesWithoutRight,
    ForgetsEverything,
}

type Inventory = (String, String);

struct Backend {
    rows: Mutex<BTreeMap<(Inventory, RowId), Arc<Row>>>,
    up: Mutex<bool>,
    wiped: Mutex<bool>,
    fault: Fault,
}

struct Memory {
    backend: Arc<Backend>,
    credentials: bool,
}

impl Memory {
    fn reach(&self) -> Result<(), SinkError> {
        if !*self.backend.up.lock() {
            return Err(SinkError::transient("connect", "down"));
        }
        if !self.credentials {
            return Err(SinkError::terminal("login", "refused"));
        }
        Ok(())
    }
}

fn key(cycle: &Cycle<'_>) -> Inventory {
    (cycle.of.inventory.namespace.to_string(), cycle.of.inventory.name.to_string())
}

#[async_trait]
impl RowSink for Memory {
    async fn held(&self, cycle: &Cycle<'_>, each: &mut (dyn FnMut(HeldRow) + Send)) -> Result<Knowledge, SinkError> {
        self.reach()?;
        *self.backend.wiped.lock() = false;
        for ((inventory, id), row) in self.backend.rows.lock().iter() {
            if *inventory == key(cycle) {
                let object_namespace = row.object.namespace.clone();
                each(HeldRow { id: id.clone(), object_namespace, digest: Some(row.digest) });
            }
        }
        Ok(Knowledge::Complete)
    }

    async fn apply(&self, cycle: &Cycle<'_>, batch: RowBatch) -> Result<Receipt, SinkError> {
        self.reach()?;
        if self.backend.fault != Fault::WritesWithoutRight {
            cycle.check_right()?;
        }
        let mut rows = self.backend.rows.lock();
        let mut receipt = Receipt::default();
        for change in batch.changes {
            match change {
                Change::Upsert(row) if row.attributes.get().contains("\\u0000") => {
                    receipt.rejected.push(Rejected { id: row.id.clone(), why: "has a NUL".into() });
                    continue;
                }
                Change::Upsert(row) => {
                    receipt.bytes += row.attributes.get().len() as u64;
                    rows.insert((key(cycle), row.id.clone()), row);
                }
                Change::Delete(_) if self.backend.fault == Fault::KeepsDeleted => {}
                Change::Delete(gone) => drop(rows.remove(&(key(cycle), gone.id))),
            }
            receipt.rows += 1;
        }
        Ok(receipt)
    }

    async fn intact(&self, _: &Cycle<'_>) -> Result<bool, SinkError> {
        Ok(!*self.backend.wiped.lock())
    }

    async fn forget(&self, cycle: &Cycle<'_>) -> Result<Receipt, SinkError> {
        let all = self.backend.fault == Fault::ForgetsEverything;
        self.backend.rows.lock().retain(|(inventory, _), _| !all && *inventory != key(cycle));
        Ok(Receipt::default())
    }

    async fn probe(&self, _: &CancellationToken) -> Result<Probe, SinkError> {
        self.reach().map(|()| Probe { message: "fine".into() })
    }
}

struct Shared(Arc<Backend>);

#[async_trait]
impl RowBackend for Shared {
    async fn sink(&self) -> anyhow::Result<Arc<dyn RowSink>> {
        Ok(Arc::new(Memory { backend: self.0.clone(), credentials: true }))
    }
    async fn sink_with_wrong_credentials(&self) -> anyhow::Result<Arc<dyn RowSink>> {
        Ok(Arc::new(Memory { backend: self.0.clone(), credentials: false }))
    }
    async fn read_back(&self) -> anyhow::Result<Vec<StoredRow>> {
        let stored = |((inventory, id), row): (&(Inventory, RowId), &Arc<Row>)| StoredRow {
            inventory: inventory.clone(),
            target: (id.target.namespace.to_string(), id.target.name.to_string()),
            uid: id.uid.to_string(),
            item: serde_json::from_slice(&item_bytes(row)).unwrap(),
        };
        Ok(self.0.rows.lock().iter().map(stored).collect())
    }
    async fn wipe(&self) -> anyhow::Result<()> {
        self.0.rows.lock().clear();
        *self.0.wiped.lock() = true;
        Ok(())
    }
    async fn stop(&self) -> anyhow::Result<()> {
        *self.0.up.lock() = false;
        Ok(())
    }
    async fn start(&self) -> anyhow::Result<()> {
        *self.0.up.lock() = true;
        Ok(())
    }
    fn refuses_nul(&self) -> bool {
        true
    }
}

async fn run(fault: Fault) -> anyhow::Result<()> {
    let (rows_of, up, wiped) = (Mutex::default(), Mutex::new(true), Mutex::new(false));
    rows(&Shared(Arc::new(Backend { rows: rows_of, up, wiped, fault }))).await
}

#[tokio::test]
async fn a_right_sink_passes_the_row_suite() {
    run(Fault::None).await.unwrap();
}

#[tokio::test]
async fn wrong_sinks_fail_the_row_suite() {
    for (fault, case) in [
        (Fault::KeepsDeleted, "first export, difference, delete"),
        (Fault::WritesWithoutRight, "without the right to write nothing is written"),
        (Fault::ForgetsEverything, "forget removes one inventory"),
    ] {
        let error = run(fault).await.unwrap_err();
        assert_eq!(error.to_string(), case, "{fault:?}: {error:#}");
    }
}

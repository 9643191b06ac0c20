//! The row suite over the memory sink.

use super::{Door, unchecked};
use async_trait::async_trait;
use kollect_export::testing::MemoryRows;
use kollect_export::{Cycle, HeldRow, Probe, ReadBack, Receipt, Rejected, RowBatch, RowSink, SinkError};
use kollect_model::{Change, Row};
use kollect_testkit::conformance::{RowBackend, StoredRow, rows};
use serde_json::value::RawValue;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// What is wrong with a sink.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fault {
    None,
    KeepsDeleted,
    ReportsOthers,
    ForgetsEverything,
    Mangles,
    HidesRejected,
    WritesWithoutRight,
    ForgetsWithoutRight,
    BlindToWipes,
    LetsEverybodyIn,
    GivesUpWhenDown,
    DropsTheTail,
}

/// A memory sink that can be shut.
pub(super) struct Memory {
    rows: MemoryRows,
    door: Door,
    refuses_nul: bool,
    fault: Fault,
}

struct Wrapped {
    memory: Arc<Memory>,
    credentials: bool,
}

impl Wrapped {
    fn enter(&self) -> Result<(), SinkError> {
        let fault = self.memory.fault;
        let entered = self.memory.door.enter(self.credentials || fault == Fault::LetsEverybodyIn);
        entered.map_err(|error| if fault == Fault::GivesUpWhenDown { SinkError::terminal("x", "down") } else { error })
    }

    /// The part of a batch that the backend takes, and the rest.
    fn sort(&self, batch: RowBatch) -> (RowBatch, Vec<Rejected>) {
        let mut rejected = Vec::new();
        let mut changes = batch.changes;
        match self.memory.fault {
            Fault::KeepsDeleted => changes.retain(|change| matches!(change, Change::Upsert(_))),
            Fault::DropsTheTail => changes.truncate(5_000),
            Fault::Mangles => changes.iter_mut().for_each(mangle),
            _ => {}
        }
        changes.retain(|change| match change {
            Change::Upsert(row) if self.memory.refuses_nul && row.attributes.get().contains("\\u0000") => {
                rejected.push(Rejected { id: row.id.clone(), why: "has a NUL".into() });
                false
            }
            _ => true,
        });
        if self.memory.fault == Fault::HidesRejected {
            rejected.clear();
        }
        (RowBatch { changes, ..batch }, rejected)
    }
}

/// As a backend does that does not know all of Unicode.
fn mangle(change: &mut Change) {
    if let Change::Upsert(row) = change {
        let attributes = RawValue::from_string(row.attributes.get().replace('🦀', "?")).unwrap();
        *row = Arc::new(Row::new(row.id.clone(), row.object.clone(), attributes));
    }
}

#[async_trait]
impl RowSink for Wrapped {
    async fn held(&self, cycle: &Cycle<'_>, each: &mut (dyn FnMut(HeldRow) + Send)) -> Result<ReadBack, SinkError> {
        self.enter()?;
        if self.memory.fault == Fault::ReportsOthers {
            for of in self.memory.rows.inventories().keys() {
                self.memory.rows.held_now(of, each);
            }
        }
        self.memory.rows.held(cycle, each).await
    }

    async fn apply(&self, cycle: &Cycle<'_>, batch: RowBatch) -> Result<Receipt, SinkError> {
        self.enter()?;
        let cycle = if self.memory.fault == Fault::WritesWithoutRight { unchecked(cycle) } else { *cycle };
        let (batch, rejected) = self.sort(batch);
        Ok(Receipt { rejected, ..self.memory.rows.apply(&cycle, batch).await? })
    }

    async fn intact(&self, cycle: &Cycle<'_>) -> Result<bool, SinkError> {
        Ok(self.memory.fault == Fault::BlindToWipes || self.memory.rows.intact(cycle).await?)
    }

    async fn forget(&self, cycle: &Cycle<'_>) -> Result<Receipt, SinkError> {
        self.enter()?;
        let cycle = if self.memory.fault == Fault::ForgetsWithoutRight { unchecked(cycle) } else { *cycle };
        if self.memory.fault == Fault::ForgetsEverything {
            self.memory.rows.wipe();
        }
        self.memory.rows.forget(&cycle).await
    }

    async fn probe(&self, cancel: &CancellationToken) -> Result<Probe, SinkError> {
        self.enter()?;
        self.memory.rows.probe(cancel).await
    }
}

/// The memory under the suite's control.
pub(super) struct Backend(Arc<Memory>);

impl Backend {
    fn new(fault: Fault, refuses_nul: bool) -> Self {
        Self(Arc::new(Memory { rows: MemoryRows::default(), door: Door::new(), refuses_nul, fault }))
    }

    /// A backend that takes everything, with right sinks.
    pub(super) fn right() -> Self {
        Self::new(Fault::None, false)
    }

    fn wrap(&self, credentials: bool) -> Arc<dyn RowSink> {
        Arc::new(Wrapped { memory: self.0.clone(), credentials })
    }
}

#[async_trait]
impl RowBackend for Backend {
    async fn sink(&self) -> anyhow::Result<Arc<dyn RowSink>> {
        Ok(self.wrap(true))
    }
    async fn sink_with_wrong_credentials(&self) -> anyhow::Result<Arc<dyn RowSink>> {
        Ok(self.wrap(false))
    }
    async fn read_back(&self) -> anyhow::Result<Vec<StoredRow>> {
        let mut stored = Vec::new();
        for (of, rows) in self.0.rows.inventories() {
            for (id, row) in rows {
                stored.push(StoredRow {
                    inventory: (of.namespace.to_string(), of.name.to_string()),
                    target: (id.target.namespace.to_string(), id.target.name.to_string()),
                    uid: id.uid.to_string(),
                    item: serde_json::from_slice(&row.item)?,
                });
            }
        }
        Ok(stored)
    }
    async fn wipe(&self) -> anyhow::Result<()> {
        self.0.rows.wipe();
        Ok(())
    }
    async fn stop(&self) -> anyhow::Result<()> {
        self.0.door.set(false);
        Ok(())
    }
    async fn start(&self) -> anyhow::Result<()> {
        self.0.door.set(true);
        Ok(())
    }
    fn refuses_nul(&self) -> bool {
        self.0.refuses_nul
    }
}

#[tokio::test]
async fn the_memory_sink_passes_the_row_suite() {
    for refuses_nul in [false, true] {
        rows(&Backend::new(Fault::None, refuses_nul)).await.unwrap();
    }
}

#[tokio::test]
async fn every_case_of_the_row_suite_finds_its_wrong_sink() {
    for (fault, case) in [
        (Fault::KeepsDeleted, "first export, difference, delete"),
        (Fault::ReportsOthers, "inventories do not touch each other"),
        (Fault::ForgetsEverything, "forget removes one inventory"),
        (Fault::Mangles, "hostile values come back unchanged"),
        (Fault::HidesRejected, "a row the backend cannot take is named, and the rest goes on"),
        (Fault::WritesWithoutRight, "without the right to write nothing is written"),
        (Fault::ForgetsWithoutRight, "without the right to write nothing is written"),
        (Fault::BlindToWipes, "a wiped backend is repaired"),
        (Fault::LetsEverybodyIn, "wrong credentials are terminal"),
        (Fault::GivesUpWhenDown, "a backend that is down is transient"),
        (Fault::DropsTheTail, "ten thousand rows"),
    ] {
        let error = rows(&Backend::new(fault, true)).await.unwrap_err();
        assert_eq!(error.to_string(), case, "{fault:?}: {error:#}");
    }
}

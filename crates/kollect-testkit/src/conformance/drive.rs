//! The smallest driver of a sink: ask what it holds, send the difference.
//!
//! It shares no code with the export engine: the suite must not pass because both make the same mistake.

use kollect_export::{
    AlwaysWrite, BindingId, Cycle, Family, HeldRow, InventoryKey, Progress, ReadBack, Receipt, RowBatch, RowSink,
    SinkError, SinkKey, SnapshotBracket, WriteRight,
};
use kollect_model::{Cause, Change, Deleted, Digest, Row, RowId};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A right to write that is never given.
#[derive(Debug)]
pub struct NeverWrite;

impl WriteRight for NeverWrite {
    fn may_write(&self) -> bool {
        false
    }
    fn fence(&self) -> u64 {
        1
    }
}

/// What a [`Cycle`] borrows from.
pub struct CycleParts {
    of: BindingId,
    cancel: CancellationToken,
    progress: Progress,
    right: Box<dyn WriteRight>,
}

/// Owns what a cycle of the inventory `<namespace>/<name>` borrows.
pub fn cycle_parts(family: Family, namespace: &str, name: &str) -> CycleParts {
    let inventory = InventoryKey { namespace: namespace.into(), name: name.into() };
    let sink = SinkKey { family, namespace: namespace.into(), name: "sink".into() };
    CycleParts {
        of: BindingId { inventory, sink },
        cancel: CancellationToken::new(),
        progress: Progress::default(),
        right: Box::new(AlwaysWrite),
    }
}

impl CycleParts {
    /// The same with another right to write.
    pub fn with_right(mut self, right: impl WriteRight + 'static) -> Self {
        self.right = Box::new(right);
        self
    }

    /// Cancels the cycles after this time; never without one. Abort the task when the cycle is over.
    pub(super) fn cancel_after(&self, time: Option<Duration>) -> JoinHandle<()> {
        let cancel = self.cancel.clone();
        tokio::spawn(async move {
            match time {
                Some(time) => tokio::time::sleep(time).await,
                None => std::future::pending().await,
            }
            cancel.cancel();
        })
    }

    /// Makes the following cycles free of an earlier cancellation.
    pub(super) fn renew(&mut self) {
        self.cancel = CancellationToken::new();
    }

    /// The cycle with this number.
    pub fn cycle(&self, number: u64) -> Cycle<'_> {
        Cycle {
            of: &self.of,
            number,
            fence: self.right.fence(),
            cancel: &self.cancel,
            progress: &self.progress,
            right: &*self.right,
        }
    }
}

/// Rows that should be in the backend, and the way to get them there.
pub(super) struct Wanted {
    pub(super) parts: CycleParts,
    pub(super) rows: BTreeMap<RowId, Arc<Row>>,
    number: u64,
}

impl Wanted {
    pub(super) fn new(namespace: &str, name: &str) -> Self {
        Self { parts: cycle_parts(Family::Database, namespace, name), rows: BTreeMap::new(), number: 0 }
    }

    pub(super) fn put(&mut self, row: Arc<Row>) {
        self.rows.insert(row.id.clone(), row);
    }

    pub(super) async fn held(&mut self, sink: &dyn RowSink) -> Result<BTreeMap<RowId, Option<Digest>>, SinkError> {
        self.number += 1;
        let mut held = BTreeMap::new();
        let mut each = |row: HeldRow| {
            held.insert(row.id, row.digest);
        };
        sink.held(&self.parts.cycle(self.number), &mut each).await?;
        Ok(held)
    }

    /// Compares and sends the difference. Returns the receipt and the number of changes sent.
    pub(super) async fn export(&mut self, sink: &dyn RowSink) -> Result<(Receipt, usize), SinkError> {
        self.number += 1;
        let mut held = BTreeMap::new();
        let mut each = |row: HeldRow| {
            held.insert(row.id, row.digest);
        };
        let knowledge = sink.held(&self.parts.cycle(self.number), &mut each).await?;
        let missing = |row: &&Arc<Row>| held.get(&row.id) != Some(&Some(row.digest));
        let deletes = held.keys().filter(|id| !self.rows.contains_key(id));
        let deletes = deletes.map(|id| Change::Delete(Deleted { id: id.clone(), object: None, cause: Cause::Absent }));
        let upserts = self.rows.values().filter(missing).map(|row| Change::Upsert(row.clone()));
        let changes: Vec<Change> = deletes.chain(upserts).collect();
        let size = changes.len();
        let bracket = (knowledge == ReadBack::Unknown).then(|| SnapshotBracket {
            id: format!("snapshot-{}", self.number),
            begin: true,
            end: true,
        });
        if size == 0 && bracket.is_none() {
            return Ok((Receipt::default(), 0));
        }
        let receipt = sink.apply(&self.parts.cycle(self.number), RowBatch { changes, bracket }).await?;
        Ok((receipt, size))
    }
}

//! Sinks that keep everything in memory: for tests, the simulation, and to see what a sink has to do.

use crate::{
    Cycle, FileBatch, FileChange, FileSink, HeldFile, HeldRow, Knowledge, Probe, Receipt, RowBatch, RowSink, SinkError,
};
use async_trait::async_trait;
use kollect_model::{Change, Digest, RowId};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio_util::sync::CancellationToken;

/// A row as the memory sink has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRow {
    /// Namespace of the object.
    pub object_namespace: Arc<str>,
    /// Digest of the content.
    pub digest: Digest,
    /// The attributes' JSON.
    pub attributes: Box<str>,
}

/// Rows in memory.
#[derive(Debug, Default)]
pub struct MemoryRows {
    rows: Mutex<BTreeMap<RowId, StoredRow>>,
    upserts: AtomicU64,
    deletes: AtomicU64,
    batches: AtomicU64,
    /// Grows when somebody else tampers, so that `intact` notices.
    tampered: AtomicU64,
    seen: AtomicU64,
}

impl MemoryRows {
    /// A copy of what is there.
    pub fn rows(&self) -> BTreeMap<RowId, StoredRow> {
        self.rows.lock().clone()
    }

    /// Upserts, deletes and batches so far.
    pub fn counts(&self) -> (u64, u64, u64) {
        let read = |counter: &AtomicU64| counter.load(Ordering::SeqCst);
        (read(&self.upserts), read(&self.deletes), read(&self.batches))
    }

    /// Loses everything, as a truncated table does.
    pub fn wipe(&self) {
        self.rows.lock().clear();
        self.tampered.fetch_add(1, Ordering::SeqCst);
    }

    /// Changes what is there behind the writer's back.
    pub fn tamper(&self, change: impl FnOnce(&mut BTreeMap<RowId, StoredRow>)) {
        change(&mut self.rows.lock());
        self.tampered.fetch_add(1, Ordering::SeqCst);
    }

    /// [`RowSink::held`] without a cycle.
    pub fn held_now(&self, each: &mut (dyn FnMut(HeldRow) + Send)) {
        self.seen.store(self.tampered.load(Ordering::SeqCst), Ordering::SeqCst);
        for (id, row) in self.rows() {
            each(HeldRow { id, object_namespace: row.object_namespace, digest: Some(row.digest) });
        }
    }

    /// [`RowSink::intact`] without a cycle.
    pub fn intact_now(&self) -> bool {
        self.seen.load(Ordering::SeqCst) == self.tampered.load(Ordering::SeqCst)
    }

    /// [`RowSink::apply`] without a cycle.
    pub fn apply_now(&self, batch: RowBatch) -> Receipt {
        let mut rows = self.rows.lock();
        let (deletes, upserts): (Vec<_>, Vec<_>) =
            batch.changes.into_iter().partition(|change| matches!(change, Change::Delete(_)));
        let mut receipt = Receipt { rows: (deletes.len() + upserts.len()) as u64, ..Receipt::default() };
        self.batches.fetch_add(1, Ordering::SeqCst);
        self.deletes.fetch_add(deletes.len() as u64, Ordering::SeqCst);
        self.upserts.fetch_add(upserts.len() as u64, Ordering::SeqCst);
        for change in deletes.into_iter().chain(upserts) {
            match change {
                Change::Delete(gone) => drop(rows.remove(&gone.id)),
                Change::Upsert(row) => {
                    receipt.bytes += row.attributes.get().len() as u64;
                    let stored = StoredRow {
                        object_namespace: row.object.namespace.clone(),
                        digest: row.digest,
                        attributes: row.attributes.get().into(),
                    };
                    rows.insert(row.id.clone(), stored);
                }
            }
        }
        receipt
    }
}

#[async_trait]
impl RowSink for MemoryRows {
    async fn held(&self, _: &Cycle<'_>, each: &mut (dyn FnMut(HeldRow) + Send)) -> Result<Knowledge, SinkError> {
        self.held_now(each);
        Ok(Knowledge::Complete)
    }

    async fn apply(&self, cycle: &Cycle<'_>, batch: RowBatch) -> Result<Receipt, SinkError> {
        cycle.check_right()?;
        Ok(self.apply_now(batch))
    }

    async fn intact(&self, _: &Cycle<'_>) -> Result<bool, SinkError> {
        Ok(self.intact_now())
    }

    async fn forget(&self, _: &Cycle<'_>) -> Result<Receipt, SinkError> {
        let rows = std::mem::take(&mut *self.rows.lock()).len() as u64;
        Ok(Receipt { rows, ..Receipt::default() })
    }

    async fn probe(&self, _: &CancellationToken) -> Result<Probe, SinkError> {
        Ok(Probe { message: "memory is there".to_owned() })
    }
}

/// Files in memory, with a record per binding.
#[derive(Debug)]
pub struct MemoryFiles {
    lane: String,
    state: Mutex<Files>,
}

/// Path → content and digest.
pub type StoredFiles = BTreeMap<Arc<str>, (Digest, Vec<u8>)>;

#[derive(Debug, Default)]
struct Files {
    /// By record.
    owned: BTreeMap<String, StoredFiles>,
    messages: Vec<String>,
}

impl MemoryFiles {
    /// An empty destination whose bindings are written together with others of the same lane.
    pub fn new(lane: &str) -> Self {
        Self { lane: lane.to_owned(), state: Mutex::default() }
    }

    /// Everything below one record.
    pub fn files(&self, record: &str) -> StoredFiles {
        self.state.lock().owned.get(record).cloned().unwrap_or_default()
    }

    /// Messages of all batches, oldest first.
    pub fn messages(&self) -> Vec<String> {
        self.state.lock().messages.clone()
    }

    fn apply_one(&self, batch: FileBatch) -> Result<Receipt, SinkError> {
        let mut rendered = Vec::with_capacity(batch.changes.len());
        for change in batch.changes {
            rendered.push(match change {
                FileChange::Delete { path } => (path, None),
                FileChange::Put { path, digest, body } => {
                    let mut bytes = Vec::new();
                    body.write_to(&mut bytes)
                        .map_err(|error| SinkError::terminal("render", format!("cannot write {path}: {error}")))?;
                    (path, Some((digest, bytes)))
                }
            });
        }
        let mut state = self.state.lock();
        state.messages.push(batch.message);
        let files = state.owned.entry(batch.record).or_default();
        let mut receipt = Receipt { rows: rendered.len() as u64, ..Receipt::default() };
        for (path, content) in rendered {
            match content {
                None => drop(files.remove(&path)),
                Some(content) => {
                    receipt.bytes += content.1.len() as u64;
                    files.insert(path, content);
                }
            }
        }
        receipt.revision = Some(state.messages.len().to_string());
        Ok(receipt)
    }
}

#[async_trait]
impl FileSink for MemoryFiles {
    fn lane(&self) -> String {
        self.lane.clone()
    }

    async fn held(
        &self,
        _: &Cycle<'_>,
        record: &str,
        each: &mut (dyn FnMut(HeldFile) + Send),
    ) -> Result<Knowledge, SinkError> {
        for (path, (digest, _)) in self.files(record) {
            each(HeldFile { path, digest: Some(digest) });
        }
        Ok(Knowledge::Complete)
    }

    async fn apply(&self, lane: Vec<(Cycle<'_>, FileBatch)>) -> Vec<Result<Receipt, SinkError>> {
        lane.into_iter().map(|(cycle, batch)| cycle.check_right().and_then(|()| self.apply_one(batch))).collect()
    }

    async fn forget(&self, _: &Cycle<'_>, batch: FileBatch) -> Result<Receipt, SinkError> {
        let mut state = self.state.lock();
        let files = state.owned.remove(&batch.record).unwrap_or_default();
        state.messages.push(batch.message);
        Ok(Receipt { rows: files.len() as u64, ..Receipt::default() })
    }

    async fn probe(&self, _: &CancellationToken) -> Result<Probe, SinkError> {
        Ok(Probe { message: "memory is there".to_owned() })
    }
}

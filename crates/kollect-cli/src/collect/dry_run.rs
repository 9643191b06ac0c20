//! Sinks of a dry run: they read from the real sink, and record writes instead of sending them.

use async_trait::async_trait;
use kollect_export::{
    Cycle, FileBatch, FileChange, FileSink, HeldFile, HeldRow, Probe, ReadBack, Receipt, RowBatch, RowSink, SinkError,
};
use kollect_model::{Change, RowId};
use parking_lot::Mutex;
use std::collections::HashSet;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// What would be done.
#[derive(Clone, Debug, Default)]
pub(super) struct Intent {
    pub(super) added: Vec<String>,
    pub(super) changed: Vec<String>,
    pub(super) removed: Vec<String>,
}

struct Notes<K> {
    held: HashSet<K>,
    intent: Intent,
}

impl<K> Default for Notes<K> {
    fn default() -> Self {
        Self { held: HashSet::new(), intent: Intent::default() }
    }
}

/// A file sink that records writes.
pub(super) struct DryFiles {
    inner: Arc<dyn FileSink>,
    /// The inner sink was opened for a dry run: `apply` validates without writing.
    validates: bool,
    notes: Mutex<Notes<Arc<str>>>,
}

impl DryFiles {
    pub(super) fn new(inner: Arc<dyn FileSink>, validates: bool) -> Self {
        Self { inner, validates, notes: Mutex::default() }
    }

    pub(super) fn intent(&self) -> Intent {
        self.notes.lock().intent.clone()
    }

    fn note(&self, batch: &FileBatch) {
        let mut notes = self.notes.lock();
        for change in &batch.changes {
            let path = change.path().to_string();
            let list = match change {
                FileChange::Delete { .. } => &mut notes.intent.removed,
                FileChange::Put { path, .. } if notes.held.contains(path) => &mut notes.intent.changed,
                FileChange::Put { .. } => &mut notes.intent.added,
            };
            list.push(path);
        }
    }
}

#[async_trait]
impl FileSink for DryFiles {
    fn lane(&self) -> String {
        self.inner.lane()
    }

    async fn held(
        &self,
        cycle: &Cycle<'_>,
        record: &str,
        each: &mut (dyn FnMut(HeldFile) + Send),
    ) -> Result<ReadBack, SinkError> {
        let mut noted = |file: HeldFile| {
            self.notes.lock().held.insert(file.path.clone());
            each(file);
        };
        self.inner.held(cycle, record, &mut noted).await
    }

    async fn read(&self, cycle: &Cycle<'_>, record: &str, path: &str) -> Result<Option<Vec<u8>>, SinkError> {
        self.inner.read(cycle, record, path).await
    }

    async fn apply(&self, lane: Vec<(Cycle<'_>, FileBatch)>) -> Vec<Result<Receipt, SinkError>> {
        for (_, batch) in &lane {
            self.note(batch);
        }
        if self.validates {
            return self.inner.apply(lane).await;
        }
        lane.iter().map(|(_, batch)| Ok(Receipt { rows: batch.changes.len() as u64, ..Receipt::default() })).collect()
    }

    async fn forget(&self, _: &Cycle<'_>, _: FileBatch) -> Result<Receipt, SinkError> {
        Ok(Receipt::default())
    }

    async fn probe(&self, cancel: &CancellationToken) -> Result<Probe, SinkError> {
        self.inner.probe(cancel).await
    }
}

/// A row sink that records writes.
pub(super) struct DryRows {
    inner: Arc<dyn RowSink>,
    /// A real run would make the table, so that a missing one holds nothing.
    creates: bool,
    notes: Mutex<Notes<RowId>>,
}

impl DryRows {
    pub(super) fn new(inner: Arc<dyn RowSink>, creates: bool) -> Self {
        Self { inner, creates, notes: Mutex::default() }
    }

    pub(super) fn intent(&self) -> Intent {
        self.notes.lock().intent.clone()
    }
}

#[async_trait]
impl RowSink for DryRows {
    async fn held(&self, cycle: &Cycle<'_>, each: &mut (dyn FnMut(HeldRow) + Send)) -> Result<ReadBack, SinkError> {
        let mut noted = |row: HeldRow| {
            self.notes.lock().held.insert(row.id.clone());
            each(row);
        };
        match self.inner.held(cycle, &mut noted).await {
            Err(error) if error.absent && self.creates => Ok(ReadBack::Complete),
            held => held,
        }
    }

    async fn apply(&self, _: &Cycle<'_>, batch: RowBatch) -> Result<Receipt, SinkError> {
        let mut notes = self.notes.lock();
        let rows = batch.changes.len() as u64;
        for change in batch.changes {
            match change {
                Change::Delete(deleted) => notes.intent.removed.push(deleted.id.to_string()),
                Change::Upsert(row) => {
                    let name = format!("{} (target {})", row.object, row.id.target);
                    let known = notes.held.contains(&row.id);
                    if known { &mut notes.intent.changed } else { &mut notes.intent.added }.push(name);
                }
            }
        }
        Ok(Receipt { rows, ..Receipt::default() })
    }

    async fn forget(&self, _: &Cycle<'_>) -> Result<Receipt, SinkError> {
        Ok(Receipt::default())
    }

    async fn probe(&self, cancel: &CancellationToken) -> Result<Probe, SinkError> {
        self.inner.probe(cancel).await
    }
}

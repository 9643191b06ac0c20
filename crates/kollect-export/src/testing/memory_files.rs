//! Files in memory, with an ownership record per binding: sink and backend in one.
//!
//! Records are files in the tree, as in any backend, and are read again for every batch.

use crate::contract::cycle::Cycle;
use crate::contract::error::SinkError;
use crate::contract::files::{FileBatch, FileChange, FileSink, HeldFile, LARGEST_READ};
use crate::contract::receipt::ReadBack;
use crate::contract::receipt::{Probe, Receipt};
use crate::layout::{Record, RecordChange, RecordEntry};
use async_trait::async_trait;
use kollect_model::Digest;
use kollect_model::Reason;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Path → content and digest.
pub type StoredFiles = BTreeMap<Arc<str>, (Digest, Vec<u8>)>;

/// Path → content, records included.
type Tree = BTreeMap<Arc<str>, Vec<u8>>;

/// A destination in memory.
#[derive(Debug)]
pub struct MemoryFiles {
    lane: String,
    state: Mutex<FilesState>,
}

#[derive(Debug, Default)]
struct FilesState {
    tree: Tree,
    messages: Vec<String>,
    revision: u64,
}

/// A put whose body was written out.
struct Rendered {
    path: Arc<str>,
    digest: Digest,
    bytes: Vec<u8>,
}

impl MemoryFiles {
    /// An empty destination whose bindings are written together with others of the same lane.
    pub fn new(lane: &str) -> Self {
        Self { lane: lane.to_owned(), state: Mutex::default() }
    }

    /// The files that one record lists, as they are now; empty if the record cannot be read.
    pub fn files(&self, record: &str) -> StoredFiles {
        let state = self.state.lock();
        let owned = read_record(&state.tree, record).unwrap_or_default();
        let stored = |(path, entry): (&Arc<str>, &RecordEntry)| {
            Some((path.clone(), (entry.digest, state.tree.get(path)?.clone())))
        };
        owned.iter().filter_map(stored).collect()
    }

    /// Every file, ownership records included.
    pub fn tree(&self) -> BTreeMap<Arc<str>, Vec<u8>> {
        self.state.lock().tree.clone()
    }

    /// Changes the tree as another writer would.
    pub fn tamper(&self, change: impl FnOnce(&mut BTreeMap<Arc<str>, Vec<u8>>)) {
        let mut state = self.state.lock();
        change(&mut state.tree);
        state.revision += 1;
    }

    /// Messages of all batches, oldest first.
    pub fn messages(&self) -> Vec<String> {
        self.state.lock().messages.clone()
    }

    /// Name of the newest state; `None` before the first change.
    pub fn revision(&self) -> Option<String> {
        self.state.lock().name()
    }

    fn apply_one(&self, batch: FileBatch) -> Result<Receipt, SinkError> {
        let (deletes, puts) = render(&batch)?;
        let mut state = self.state.lock();
        let mut record = read_record(&state.tree, &batch.record)?;
        // No file is changed before the owner of every path is checked.
        for put in &puts {
            check_owner(&state.tree, &record, &batch.record, &put.path)?;
        }
        let mut changes = Vec::with_capacity(puts.len() + deletes.len());
        for path in deletes {
            // A file that is not in the record is not deleted.
            if record.get(&path).is_some() {
                state.tree.remove(&path);
                changes.push(RecordChange::Delete { path });
            }
        }
        let mut bytes = 0;
        for put in puts {
            bytes += put.bytes.len() as u64;
            let entry = RecordEntry { digest: put.digest, tag: tag_of(&put.bytes) };
            state.tree.insert(put.path.clone(), put.bytes);
            changes.push(RecordChange::Put { path: put.path, entry });
        }
        Ok(state.finish(batch, &mut record, changes, bytes))
    }

    fn forget_one(&self, batch: FileBatch) -> Result<Receipt, SinkError> {
        let mut state = self.state.lock();
        let mut record = read_record(&state.tree, &batch.record)?;
        if record.is_empty() {
            return Ok(Receipt { revision: state.name(), ..Receipt::default() });
        }
        let paths: Vec<_> = record.iter().map(|(path, _)| path.clone()).collect();
        for path in &paths {
            state.tree.remove(path);
        }
        let changes = paths.into_iter().map(|path| RecordChange::Delete { path }).collect();
        Ok(state.finish(batch, &mut record, changes, 0))
    }
}

impl FilesState {
    fn name(&self) -> Option<String> {
        (self.revision > 0).then(|| self.revision.to_string())
    }

    /// Updates the record and returns the receipt.
    fn finish(&mut self, batch: FileBatch, record: &mut Record, changes: Vec<RecordChange>, bytes: u64) -> Receipt {
        let rows = changes.len() as u64;
        let files = record.apply(changes);
        let path_of = |suffix: &str| format!("{}{suffix}", batch.record);
        for suffix in files.deletes {
            self.tree.remove(path_of(&suffix).as_str());
        }
        for (suffix, content) in files.writes {
            self.tree.insert(path_of(&suffix).into(), content);
        }
        self.messages.push(batch.message);
        self.revision += 1;
        Receipt { revision: self.name(), rows, bytes, rejected: Vec::new() }
    }
}

/// Deletes and puts of a batch. Writes every body before anything is changed.
fn render(batch: &FileBatch) -> Result<(Vec<Arc<str>>, Vec<Rendered>), SinkError> {
    let (mut deletes, mut puts) = (Vec::new(), Vec::new());
    for change in &batch.changes {
        match change {
            FileChange::Delete { path } => deletes.push(path.clone()),
            FileChange::Put { path, digest, body } => {
                let mut bytes = Vec::new();
                body.write_to(&mut bytes)
                    .map_err(|error| SinkError::terminal("render", format!("cannot write {path}: {error}")))?;
                puts.push(Rendered { path: path.clone(), digest: *digest, bytes });
            }
        }
    }
    Ok((deletes, puts))
}

/// The backend's tag of a content: it differs when another writer changed the file.
fn tag_of(content: &[u8]) -> Box<str> {
    Digest::of(content).to_string().into()
}

/// A record is one file, or a folder of files.
fn read_record(tree: &Tree, path: &str) -> Result<Record, SinkError> {
    let from = (Bound::Included(path), Bound::Unbounded);
    let files = tree.range::<str, _>(from).map_while(|(name, content)| Some((name.strip_prefix(path)?, &**content)));
    // Other files may share the prefix.
    Record::parse(files.filter(|(suffix, _)| suffix.is_empty() || suffix.starts_with('/')))
        .map_err(|error| SinkError::terminal("record", error.to_string()))
}

/// Fails when another owner has the path.
fn check_owner(tree: &Tree, own: &Record, record: &str, path: &str) -> Result<(), SinkError> {
    let folder = record.split('/').next().unwrap_or(record);
    if path.is_empty() || path.split('/').next() == Some(folder) {
        return Err(SinkError::terminal(
            "write",
            format!("{path:?} is not a path for a file: {folder} keeps the records"),
        ));
    }
    if own.get(path).is_some() || !tree.contains_key(path) {
        return Ok(());
    }
    let owner = owner_of(tree, folder, path).unwrap_or("another writer than Kollect (no record lists it)");
    Err(SinkError::terminal("write", format!("{path} is owned by {owner}")).with_reason(Reason::LayoutCollision))
}

/// The file of a record that lists the path.
fn owner_of<'t>(tree: &'t Tree, folder: &str, path: &str) -> Option<&'t str> {
    let lists = |content: &[u8]| Record::parse([("", content)]).is_ok_and(|record| record.get(path).is_some());
    let mut records = tree.iter().filter(|(name, _)| name.split('/').next() == Some(folder));
    records.find(|(_, content)| lists(content)).map(|(name, _)| &**name)
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
    ) -> Result<ReadBack, SinkError> {
        let tree = self.tree();
        for (path, entry) in read_record(&tree, record)?.iter() {
            let intact = tree.get(path).is_some_and(|content| tag_of(content) == entry.tag);
            each(HeldFile { path: path.clone(), digest: intact.then_some(entry.digest) });
        }
        Ok(ReadBack::Complete)
    }

    async fn read(&self, _: &Cycle<'_>, record: &str, path: &str) -> Result<Option<Vec<u8>>, SinkError> {
        let state = self.state.lock();
        let owned = read_record(&state.tree, record)?.get(path).is_some();
        let Some(content) = state.tree.get(path).filter(|_| owned) else { return Ok(None) };
        let size = content.len() as u64;
        if size > LARGEST_READ { Err(SinkError::too_large_to_read(path, size)) } else { Ok(Some(content.clone())) }
    }

    async fn apply(&self, lane: Vec<(Cycle<'_>, FileBatch)>) -> Vec<Result<Receipt, SinkError>> {
        lane.into_iter().map(|(cycle, batch)| cycle.check_right().and_then(|()| self.apply_one(batch))).collect()
    }

    async fn forget(&self, cycle: &Cycle<'_>, batch: FileBatch) -> Result<Receipt, SinkError> {
        cycle.check_right()?;
        self.forget_one(batch)
    }

    async fn probe(&self, _: &CancellationToken) -> Result<Probe, SinkError> {
        Ok(Probe { message: "memory is there".to_owned() })
    }
}

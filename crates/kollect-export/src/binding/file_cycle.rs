//! One cycle of a file binding as a state machine: it returns the next request to the sink and receives the result.
//!
//! It decides which rows are planned (`layout` renders them), when the record is read, and which files are deleted:
//! never a file that may belong to an unknown part. A document is never written without the rows of a part that cannot
//! be listed: they are carried over from the held document (`carry_over`).

use crate::binding::carry_over::{Carrying, merge, still_unproven};
use crate::binding::compare::{Part, unknown_parts};
use crate::binding::cursor::Cursor;
use crate::binding::file_batch::file_batch;
use crate::contract::error::SinkError;
use crate::contract::files::{FileBatch, FileChange, HeldFile};
use crate::contract::receipt::ReadBack;
use crate::layout::{Delta, DocumentSpec, IndexUpdate, LeftOut, Mode, PathIndex, RetainedPaths, plan_delta, plan_full};
use kollect_model::{Row, RowId, Version};
use kollect_store::{Changes, ChangesQuery, PartState, ReaderId, Store, View};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The next request to the sink.
#[derive(Debug)]
pub enum FileStep {
    /// Have the sink report the binding's record to [`FileCycle::held`], then call [`FileCycle::held_all`].
    ReadHeld,
    /// Have the sink read a file of the record, and hand its content to [`FileCycle::content`].
    ReadFile(Arc<str>),
    /// Make the batch durable, then call [`FileCycle::acked`].
    Apply(FileBatch),
    /// The cycle has ended.
    Done,
}

#[derive(Debug)]
enum Phase {
    Delta { old: View, since: Version },
    Read,
    Reading(Vec<HeldFile>),
    Compare(Vec<HeldFile>, ReadBack),
    Carry(Carrying),
    InFlight(Box<PendingCommit>),
    Done,
}

/// What the cycle takes over once the batch is durable.
#[derive(Debug)]
struct PendingCommit {
    index: Next,
    upto: Version,
    checksum: Option<String>,
    unresolved_parts: BTreeSet<Part>,
    left_out: LeftOutChange,
}

/// How a cycle changes the set of rows that have no file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeftOutChange {
    /// These, and no others.
    All(Vec<LeftOut>),
    /// These are gone, the others are as before.
    Gone(Vec<RowId>),
}

impl Default for LeftOutChange {
    fn default() -> Self {
        Self::Gone(Vec::new())
    }
}

#[derive(Debug)]
enum Next {
    Same,
    Whole(PathIndex),
    Part(IndexUpdate),
}

/// A cycle of a file binding.
#[derive(Debug)]
pub struct FileCycle {
    id: String,
    view: View,
    spec: Arc<DocumentSpec>,
    reader: ReaderId,
    exported_at: String,
    phase: Phase,
    cursor: Cursor,
    index: PathIndex,
    unresolved_parts: BTreeSet<Part>,
    checksum: Option<String>,
    left_out: LeftOutChange,
    touched: bool,
    /// How much of the record the sink could read.
    read_back: ReadBack,
}

impl FileCycle {
    pub(crate) fn new(
        id: String,
        spec: Arc<DocumentSpec>,
        view: View,
        progress: (Cursor, BTreeSet<Part>, PathIndex),
        reader: ReaderId,
        exported_at: String,
    ) -> Self {
        let (cursor, unresolved_parts, index) = progress;
        let phase = match &cursor {
            Cursor::Known { view, version } => Phase::Delta { old: view.clone(), since: *version },
            Cursor::Unknown | Cursor::Underway(_) => Phase::Read,
        };
        Self {
            id,
            view,
            spec,
            reader,
            exported_at,
            phase,
            cursor,
            index,
            unresolved_parts,
            checksum: None,
            left_out: LeftOutChange::default(),
            touched: false,
            read_back: ReadBack::Complete,
        }
    }

    /// The next request. Call again after every result. Renders files, so it may take seconds for many rows.
    pub fn step(&mut self, store: &Store) -> Result<FileStep, SinkError> {
        match std::mem::replace(&mut self.phase, Phase::Done) {
            Phase::Delta { old, since } => self.plan_delta(store, &old, since),
            Phase::Read => Ok(self.read(store)),
            Phase::Compare(held, read_back) => {
                self.read_back = read_back;
                self.plan_full(store, held, None)
            }
            Phase::Carry(carrying) => self.carry(store, carrying),
            Phase::Reading(_) | Phase::InFlight(_) | Phase::Done => Ok(FileStep::Done),
        }
    }

    /// One file of the record.
    pub fn held(&mut self, file: HeldFile) {
        if let Phase::Reading(files) = &mut self.phase {
            files.push(file);
        }
    }

    /// The sink has reported the whole record, or cannot read it.
    pub fn held_all(&mut self, read_back: ReadBack) {
        // A sink that cannot be read back receives every file: none is known to be held.
        if let Phase::Reading(files) = std::mem::replace(&mut self.phase, Phase::Done) {
            self.phase = Phase::Compare(files, read_back);
        }
    }

    /// Result of [`FileStep::ReadFile`]; `None` when the file is gone.
    pub fn content(&mut self, content: Option<Vec<u8>>) {
        if let Phase::Carry(carrying) = &mut self.phase {
            carrying.content(content);
        }
    }

    /// The sink has made the batch durable.
    pub fn acked(&mut self, store: &Store) {
        if let Phase::InFlight(pending) = std::mem::replace(&mut self.phase, Phase::Done) {
            self.complete(store, *pending);
        }
    }

    /// Path of the binding's ownership record.
    pub fn record(&self) -> String {
        self.spec.record_path()
    }

    /// Whether the cycle made a request to the sink.
    pub fn touched(&self) -> bool {
        self.touched
    }

    /// Fingerprint of what the cycle exported, if it planned a document.
    pub fn checksum(&self) -> Option<&str> {
        self.checksum.as_deref()
    }

    /// How the set of rows without a file changed.
    pub fn left_out(&self) -> &LeftOutChange {
        &self.left_out
    }

    pub(crate) fn finish(self) -> (Cursor, BTreeSet<Part>, PathIndex) {
        (self.cursor, self.unresolved_parts, self.index)
    }

    fn read(&mut self, store: &Store) -> FileStep {
        self.touched = true;
        self.cursor = Cursor::Unknown;
        // The comparison uses a later snapshot; tombstones from here on must last until then.
        store.advance_reader(self.reader, store.cut(), &self.view);
        self.phase = Phase::Reading(Vec::new());
        FileStep::ReadHeld
    }

    fn plan_delta(&mut self, store: &Store, old: &View, since: Version) -> Result<FileStep, SinkError> {
        let (began, after) = (store.cut(), Version(0));
        // One page: at most one change per row, and the rows are shared with the store.
        let query = ChangesQuery { old, since, new: &self.view, began, after, limit: usize::MAX, skip: None };
        let Changes::Delta { changes, upto, .. } = store.changes(&query) else { return Ok(self.read(store)) };
        if changes.is_empty() {
            let (index, unresolved_parts, left_out) =
                (Next::Same, self.unresolved_parts.clone(), LeftOutChange::default());
            self.complete(store, PendingCommit { index, upto, checksum: None, unresolved_parts, left_out });
            return Ok(FileStep::Done);
        }
        match plan_delta(&self.spec, &self.index, &changes) {
            Delta::Planned(plan) => {
                let checksum = store.checksum(&self.view).to_string();
                let left_out = LeftOutChange::Gone(plan.forgotten);
                let (index, unresolved_parts) = (Next::Part(plan.update), self.unresolved_parts.clone());
                let pending = PendingCommit { index, upto, checksum: None, unresolved_parts, left_out };
                Ok(self.send(store, plan.changes, (store.counts(&self.view), &checksum), pending))
            }
            Delta::NeedsFullPlan => {
                let held: Vec<HeldFile> = self.index.held_documents().collect();
                if held.is_empty() {
                    return Ok(self.read(store));
                }
                // The store still has the rows of parts that were lost since.
                self.plan_full(store, held, Some(self.index.carried().to_vec()))
            }
        }
    }

    /// Reads the held files that may contain rows of parts that cannot be listed.
    fn carry_over(&mut self, store: &Store, held: Vec<HeldFile>) -> Result<FileStep, SinkError> {
        if self.read_back == ReadBack::Unknown {
            return Err(SinkError::transient(
                "plan",
                "a part of the inventory cannot be listed, and the sink cannot say what it holds of it",
            ));
        }
        self.carry(store, Carrying::new(held))
    }

    fn carry(&mut self, store: &Store, mut carrying: Carrying) -> Result<FileStep, SinkError> {
        carrying.take_unproven(store, &self.view, self.spec.format)?;
        if let Some(path) = carrying.next_file() {
            self.phase = Phase::Carry(carrying);
            return Ok(FileStep::ReadFile(path));
        }
        let (held, carried) = carrying.finish();
        self.plan_full(store, held, Some(carried))
    }

    /// `carried`: rows that exist only in the held document; `None` while it has not been read.
    fn plan_full(
        &mut self,
        store: &Store,
        held: Vec<HeldFile>,
        carried: Option<Vec<Arc<Row>>>,
    ) -> Result<FileStep, SinkError> {
        let upto = store.cut();
        let unknown = unknown_parts(store, &self.view);
        let pending = || store.parts(&self.view).iter().any(|(_, _, state)| *state == PartState::Pending);
        if self.spec.mode.needs_all_rows() && !unknown.is_empty() && pending() {
            return Err(SinkError::transient(
                "plan",
                "a part of the inventory is being listed again; the files stay as they are",
            ));
        }
        // Evaluated before the snapshot: a row that comes back in between is in both, never in neither.
        let known = carried.is_some();
        let carried = still_unproven(store, &self.view, carried.unwrap_or_default());
        let (rows, carried) = merge(&self.view, store.snapshot(&self.view), carried);
        let spec = self.spec.clone();
        let layout = spec.resolved(&rows);
        if layout.spec.mode == Mode::Document && !known && !unknown.is_empty() {
            return self.carry_over(store, held);
        }
        let lost =
            RetainedPaths::new(&layout.spec, unknown.iter().map(|(target, namespace)| (target, namespace.as_deref())));
        let kept = held.iter().filter(|file| !lost.may_delete(&file.path)).cloned().collect();
        let planned = plan_full(layout, &rows, &self.exported_at, kept);
        let mut plan = planned.map_err(crate::layout::LayoutError::into_sink_error)?;
        plan.index.carry(carried);
        let changes = plan.difference(held, &|path| lost.may_delete(path));
        let checksum = plan.checksum.clone();
        let words = checksum.clone().unwrap_or_else(|| store.checksum(&self.view).to_string());
        let left_out = LeftOutChange::All(plan.left_out);
        let pending =
            PendingCommit { index: Next::Whole(plan.index), upto, checksum, unresolved_parts: unknown, left_out };
        Ok(self.send(store, changes, (plan.rows, &words), pending))
    }

    fn send(
        &mut self,
        store: &Store,
        changes: Vec<FileChange>,
        (item_count, checksum): (u64, &str),
        pending: PendingCommit,
    ) -> FileStep {
        if changes.is_empty() {
            self.complete(store, pending);
            return FileStep::Done;
        }
        self.touched = true;
        self.phase = Phase::InFlight(Box::new(pending));
        FileStep::Apply(file_batch(&self.spec, (&self.id, &self.exported_at), (item_count, checksum), changes))
    }

    fn complete(&mut self, store: &Store, pending: PendingCommit) {
        match pending.index {
            Next::Same => {}
            Next::Whole(index) => self.index = index,
            Next::Part(update) => self.index.commit(update),
        }
        self.unresolved_parts = pending.unresolved_parts;
        self.checksum = pending.checksum;
        self.left_out = pending.left_out;
        store.advance_reader(self.reader, pending.upto, &self.view);
        self.cursor = Cursor::Known { view: self.view.clone(), version: pending.upto };
    }
}

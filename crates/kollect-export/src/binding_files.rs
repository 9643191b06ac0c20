//! One cycle of a file binding as a machine: it says what to ask or send next, and hears what came of it.
//!
//! Rows become files in `layout`. Here is decided which rows, when the record must be read, and what may be deleted:
//! never a file that may belong to a part that is not known, and never a document with only some of its rows: what the
//! held document says of parts that cannot be listed is carried over into the next one (`binding_carry`).

use crate::binding_carry::{Carrying, merge, still_unproven};
use crate::binding_compare::{Part, unknown_parts};
use crate::binding_rows::Cursor;
use crate::layout::{
    CommitFacts, Delta, DocumentSpec, IndexUpdate, LeftOut, LostFiles, Mode, PathIndex, plan_delta, plan_full,
};
use crate::{FileBatch, FileChange, HeldFile, Knowledge, SinkError};
use kollect_model::{Row, RowId, Version};
use kollect_store::{Changes, ChangesQuery, PartState, ReaderId, Store, View};
use std::collections::BTreeSet;
use std::sync::Arc;

/// What the driver has to do next.
#[derive(Debug)]
pub enum FileStep {
    /// Have the sink report the binding's record to [`FileCycle::held`], then call [`FileCycle::held_all`].
    ReadHeld,
    /// Have the sink read a file of the record, and hand its content to [`FileCycle::content`].
    ReadFile(Arc<str>),
    /// Make the batch durable, then call [`FileCycle::acked`].
    Apply(FileBatch),
    /// The cycle is over.
    Done,
}

#[derive(Debug)]
enum Phase {
    Delta { old: View, since: Version },
    Read,
    Reading(Vec<HeldFile>),
    Compare(Vec<HeldFile>, Knowledge),
    Carry(Carrying),
    InFlight(Box<Landing>),
    Done,
}

/// What becomes true once the batch is durable.
#[derive(Debug)]
struct Landing {
    index: Next,
    upto: Version,
    checksum: Option<String>,
    owed: BTreeSet<Part>,
    left_out: LeftOutChange,
}

/// What a cycle says of the rows that its tree leaves out.
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
    owed: BTreeSet<Part>,
    checksum: Option<String>,
    left_out: LeftOutChange,
    touched: bool,
    /// What the sink could say of what it holds.
    knowledge: Knowledge,
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
        let (cursor, owed, index) = progress;
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
            owed,
            checksum: None,
            left_out: LeftOutChange::default(),
            touched: false,
            knowledge: Knowledge::Complete,
        }
    }

    /// What to do next. Asked again after every answer. Renders files, so it may take a while for many rows.
    pub fn step(&mut self, store: &Store) -> Result<FileStep, SinkError> {
        match std::mem::replace(&mut self.phase, Phase::Done) {
            Phase::Delta { old, since } => self.plan_delta(store, &old, since),
            Phase::Read => Ok(self.read(store)),
            Phase::Compare(held, knowledge) => self.compare(store, held, knowledge),
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

    /// The sink has reported the whole record, or that it has none to report.
    pub fn held_all(&mut self, knowledge: Knowledge) {
        // A sink that cannot be read back gets everything: nothing is known to be held.
        if let Phase::Reading(files) = std::mem::replace(&mut self.phase, Phase::Done) {
            self.phase = Phase::Compare(files, knowledge);
        }
    }

    /// Content of the file that was asked for; `None` when it is gone.
    pub fn content(&mut self, content: Option<Vec<u8>>) {
        if let Phase::Carry(carrying) = &mut self.phase {
            carrying.content(content);
        }
    }

    /// The sink has made the batch durable.
    pub fn acked(&mut self, store: &Store) {
        if let Phase::InFlight(landing) = std::mem::replace(&mut self.phase, Phase::Done) {
            self.land(store, *landing);
        }
    }

    /// Path of the binding's ownership record.
    pub fn record(&self) -> String {
        self.spec.record_path()
    }

    /// Whether the sink was asked or sent anything.
    pub fn touched(&self) -> bool {
        self.touched
    }

    /// Fingerprint of what the cycle exported, if it planned a document.
    pub fn checksum(&self) -> Option<&str> {
        self.checksum.as_deref()
    }

    /// What became of rows without a file of their own.
    pub fn left_out(&self) -> &LeftOutChange {
        &self.left_out
    }

    pub(crate) fn finish(self) -> (Cursor, BTreeSet<Part>, PathIndex) {
        (self.cursor, self.owed, self.index)
    }

    fn read(&mut self, store: &Store) -> FileStep {
        self.touched = true;
        self.cursor = Cursor::Unknown;
        // Deletions from here on reach the comparison through the snapshot, but tombstones must last until then.
        store.advance_reader(self.reader, store.cut(), &self.view);
        self.phase = Phase::Reading(Vec::new());
        FileStep::ReadHeld
    }

    fn plan_delta(&mut self, store: &Store, old: &View, since: Version) -> Result<FileStep, SinkError> {
        let (began, after) = (store.cut(), Version(0));
        // One page: at most one change per row. What is in it are references to rows that exist anyway.
        let query = ChangesQuery { old, since, new: &self.view, began, after, limit: usize::MAX, skip: None };
        let Changes::Delta { changes, upto, .. } = store.changes(&query) else { return Ok(self.read(store)) };
        if changes.is_empty() {
            let (index, owed, left_out) = (Next::Same, self.owed.clone(), LeftOutChange::default());
            self.land(store, Landing { index, upto, checksum: None, owed, left_out });
            return Ok(FileStep::Done);
        }
        match plan_delta(&self.spec, &self.index, &changes) {
            Delta::Planned(plan) => {
                let checksum = store.checksum(&self.view).to_string();
                let left_out = LeftOutChange::Gone(plan.forgotten);
                let (index, owed) = (Next::Part(plan.update), self.owed.clone());
                let landing = Landing { index, upto, checksum: None, owed, left_out };
                Ok(self.send(store, plan.changes, (store.counts(&self.view), &checksum), landing))
            }
            Delta::NeedsFullPlan => {
                let held: Vec<HeldFile> = self.index.held_documents().collect();
                if held.is_empty() {
                    return Ok(self.read(store));
                }
                // Of parts that were lost since, the store still has the rows.
                self.plan_full(store, held, Some(self.index.carried().to_vec()))
            }
        }
    }

    /// A document needs what the held one says of lost parts; a tree has files of its own for them.
    fn compare(&mut self, store: &Store, held: Vec<HeldFile>, knowledge: Knowledge) -> Result<FileStep, SinkError> {
        self.knowledge = knowledge;
        self.plan_full(store, held, None)
    }

    /// Has the held files read that may say something of parts that cannot be listed.
    fn carry_over(&mut self, store: &Store, held: Vec<HeldFile>) -> Result<FileStep, SinkError> {
        if self.knowledge == Knowledge::Unknown {
            return Err(SinkError::transient(
                "plan",
                "a part of the inventory cannot be listed, and the sink cannot say what it holds of it",
            ));
        }
        self.carry(store, Carrying::new(held))
    }

    fn carry(&mut self, store: &Store, mut carrying: Carrying) -> Result<FileStep, SinkError> {
        carrying.look(store, &self.view, self.spec.format)?;
        if let Some(path) = carrying.next_file() {
            self.phase = Phase::Carry(carrying);
            return Ok(FileStep::ReadFile(path));
        }
        let (held, carried) = carrying.finish();
        self.plan_full(store, held, Some(carried))
    }

    /// `carried`: rows that only the held document knows; `None` when nobody looked yet.
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
        // Judged before the snapshot: a row that comes back in between is in both, and not in neither.
        let known = carried.is_some();
        let carried = still_unproven(store, &self.view, carried.unwrap_or_default());
        let (rows, carried) = merge(&self.view, store.snapshot(&self.view), carried);
        let spec = self.spec.clone();
        let layout = spec.resolved(&rows);
        if layout.spec.mode == Mode::Document && !known && !unknown.is_empty() {
            return self.carry_over(store, held);
        }
        let lost =
            LostFiles::new(&layout.spec, unknown.iter().map(|(target, namespace)| (target, namespace.as_deref())));
        let kept = held.iter().filter(|file| !lost.may_delete(&file.path)).cloned().collect();
        let planned = plan_full(layout, &rows, &self.exported_at, kept);
        let mut plan = planned.map_err(crate::layout::LayoutError::into_sink_error)?;
        plan.index.carry(carried);
        let changes = plan.difference(held, &|path| lost.may_delete(path));
        let checksum = plan.checksum.clone();
        let words = checksum.clone().unwrap_or_else(|| store.checksum(&self.view).to_string());
        let left_out = LeftOutChange::All(plan.left_out);
        let landing = Landing { index: Next::Whole(plan.index), upto, checksum, owed: unknown, left_out };
        if changes.is_empty() {
            self.land(store, landing);
            return Ok(FileStep::Done);
        }
        Ok(self.send(store, changes, (plan.rows, &words), landing))
    }

    fn send(
        &mut self,
        store: &Store,
        changes: Vec<FileChange>,
        (item_count, checksum): (u64, &str),
        landing: Landing,
    ) -> FileStep {
        if changes.is_empty() {
            self.land(store, landing);
            return FileStep::Done;
        }
        self.touched = true;
        self.phase = Phase::InFlight(Box::new(landing));
        FileStep::Apply(batch(&self.spec, (&self.id, &self.exported_at), (item_count, checksum), changes))
    }

    fn land(&mut self, store: &Store, landing: Landing) {
        match landing.index {
            Next::Same => {}
            Next::Whole(index) => self.index = index,
            Next::Part(update) => self.index.commit(update),
        }
        self.owed = landing.owed;
        self.checksum = landing.checksum;
        self.left_out = landing.left_out;
        store.advance_reader(self.reader, landing.upto, &self.view);
        self.cursor = Cursor::Known { view: self.view.clone(), version: landing.upto };
    }
}

fn batch(
    spec: &DocumentSpec,
    (id, exported_at): (&str, &str),
    (item_count, checksum): (u64, &str),
    changes: Vec<FileChange>,
) -> FileBatch {
    let path = spec.document_path().unwrap_or_default();
    let message = spec.commit.render(&CommitFacts {
        cluster: &spec.cluster,
        namespace: &spec.inventory.namespace,
        name: &spec.inventory.name,
        generation: spec.generation,
        item_count,
        checksum,
        exported_at,
        sink: &spec.sink_name,
        path: &path,
        cycle: id,
    });
    FileBatch {
        changes,
        record: spec.record_path(),
        message,
        author_name: spec.author.name.clone(),
        author_email: spec.author.email.clone(),
    }
}

/// The batch that tells a sink to remove everything in the record.
pub(crate) fn forget_batch(spec: &DocumentSpec, id: &str, exported_at: &str) -> FileBatch {
    batch(spec, (id, exported_at), (0, kollect_model::EMPTY_ITEMS_FINGERPRINT), Vec::new())
}

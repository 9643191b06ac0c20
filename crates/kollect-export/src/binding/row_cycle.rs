//! One cycle of a row binding as a state machine: it returns the next request to the sink and receives the result.
//!
//! The driver makes the requests. A cursor moves only in [`RowCycle::acked`].

use crate::binding::compare::{Comparison, Part, unknown_parts};
use crate::binding::cursor::{Cursor, PagedDelta};
use crate::contract::receipt::ReadBack;
use crate::contract::rows::{HeldRow, RowBatch, SnapshotBracket};
use crate::settings::ExportSettings;
use kollect_model::{Change, Version};
use kollect_store::{Changes, ChangesQuery, ReaderId, Store, View};
use std::collections::{BTreeSet, HashSet, VecDeque};

/// Comparisons that one cycle may start: a cursor that falls behind the store's floor repeatedly means that the cluster
/// changes faster than the sink writes.
const COMPARISONS_PER_CYCLE: u32 = 3;

/// The next request to the sink.
#[derive(Debug)]
pub enum RowStep {
    /// Ask the sink whether it is still what was last written, and call [`RowCycle::intact`].
    CheckIntact,
    /// Have the sink report everything it holds to [`RowCycle::held`], then call [`RowCycle::held_all`].
    ReadHeld,
    /// Make the batch durable, then call [`RowCycle::acked`].
    Apply(RowBatch),
    /// The cycle has ended.
    Done,
    /// The cluster changes faster than the sink can be compared: end the cycle with an error.
    TooManyChanges,
}

#[derive(Debug)]
enum Phase {
    Compare(Comparison),
    Delete(Comparison),
    Send(Sending),
    Done,
}

#[derive(Debug)]
struct Sending {
    delta: PagedDelta,
    skip: Option<HashSet<u64>>,
    /// Unacknowledged batches of the current page.
    batches: VecDeque<RowBatch>,
    /// End of the current page, and whether another follows.
    page: Option<(Version, bool)>,
    checked: bool,
    bracket: Option<String>,
    /// The first batch of a bracketed send was sent.
    opened: bool,
}

/// A cycle of a row binding.
#[derive(Debug)]
pub struct RowCycle {
    id: String,
    view: View,
    reader: ReaderId,
    limits: ExportSettings,
    phase: Phase,
    cursor: Cursor,
    unresolved_parts: BTreeSet<Part>,
    comparisons: u32,
    /// The cycle made a request to the sink.
    touched: bool,
}

impl RowCycle {
    pub(crate) fn new(
        id: String,
        store: &Store,
        view: View,
        cursor: Cursor,
        unresolved_parts: BTreeSet<Part>,
        reader: ReaderId,
        limits: ExportSettings,
    ) -> Self {
        let mut cycle = Self {
            id,
            view,
            reader,
            limits,
            phase: Phase::Done,
            cursor,
            unresolved_parts,
            comparisons: 0,
            touched: false,
        };
        match cycle.cursor.clone() {
            Cursor::Unknown => cycle.compare(store),
            Cursor::Known { view: old, version } => {
                let (new, began) = (cycle.view.clone(), store.cut());
                cycle.send(store, PagedDelta::new(old, version, new, began));
            }
            Cursor::Underway(delta) => cycle.send(store, delta),
        }
        cycle
    }

    /// The next request. Call again after every result.
    pub fn step(&mut self, store: &Store) -> RowStep {
        loop {
            match &mut self.phase {
                Phase::Done => return RowStep::Done,
                Phase::Compare(_) if self.comparisons > COMPARISONS_PER_CYCLE => return RowStep::TooManyChanges,
                Phase::Compare(_) => {
                    self.touched = true;
                    return RowStep::ReadHeld;
                }
                Phase::Delete(comparison) => {
                    let changes = comparison.next_deletes(store, self.limits.batch_rows);
                    if !changes.is_empty() {
                        return RowStep::Apply(RowBatch { changes, bracket: None });
                    }
                    self.send_compared();
                }
                Phase::Send(sending) => {
                    if let Some(batch) = sending.batches.front_mut() {
                        self.touched = true;
                        if !sending.checked {
                            return RowStep::CheckIntact;
                        }
                        let bracket = batch.bracket.clone();
                        return RowStep::Apply(RowBatch { changes: std::mem::take(&mut batch.changes), bracket });
                    }
                    match sending.page {
                        Some((upto, false)) => self.arrive(store, upto),
                        _ => self.turn_page(store),
                    }
                }
            }
        }
    }

    /// Result of [`RowStep::CheckIntact`].
    pub fn intact(&mut self, store: &Store, intact: bool) {
        if !intact {
            self.compare(store);
        } else if let Phase::Send(sending) = &mut self.phase {
            sending.checked = true;
        }
    }

    /// One row that the sink holds.
    pub fn held(&mut self, store: &Store, row: HeldRow) {
        if let Phase::Compare(comparison) = &mut self.phase {
            comparison.held(store, row);
        }
    }

    /// The sink has reported every row, or cannot read its backend back.
    pub fn held_all(&mut self, store: &Store, read_back: ReadBack) {
        let Phase::Compare(comparison) = std::mem::replace(&mut self.phase, Phase::Done) else { return };
        match read_back {
            ReadBack::Complete => self.phase = Phase::Delete(comparison),
            ReadBack::Unknown => self.send_everything(store, &comparison),
        }
    }

    /// The sink has made the last batch durable.
    pub fn acked(&mut self, store: &Store) {
        let Phase::Send(sending) = &mut self.phase else { return };
        sending.batches.pop_front();
        let Some((upto, more)) = sending.page else { return };
        let page_done = sending.batches.is_empty();
        if page_done {
            sending.delta.after = upto;
        }
        if sending.skip.is_none() && sending.bracket.is_none() {
            // Also within a page: rows of joined parts that landed must be covered again by the same `began`.
            self.cursor = Cursor::Underway(sending.delta.clone());
        }
        if page_done && !more {
            self.arrive(store, upto);
        }
    }

    /// How far the sink is, and the parts that need a later comparison.
    pub(crate) fn finish(self) -> (Cursor, BTreeSet<Part>) {
        (self.cursor, self.unresolved_parts)
    }

    /// Whether the cycle made a request to the sink.
    pub fn touched(&self) -> bool {
        self.touched
    }

    fn compare(&mut self, store: &Store) {
        self.cursor = Cursor::Unknown;
        self.comparisons += 1;
        let comparison = Comparison::new(store, self.view.clone());
        store.advance_reader(self.reader, comparison.began, &self.view);
        self.phase = Phase::Compare(comparison);
    }

    /// The sink cannot be read back: send every row in a bracket, after which consumers drop all other rows. While a
    /// part is unknown there is no bracket, because rows of that part are not known to be gone.
    fn send_everything(&mut self, store: &Store, comparison: &Comparison) {
        self.unresolved_parts = unknown_parts(store, &self.view);
        let bracket = self.unresolved_parts.is_empty().then(|| self.id.clone());
        let delta = from_nothing(comparison);
        self.phase = Phase::Send(Sending { checked: true, bracket, ..Sending::new(delta, Some(HashSet::new())) });
    }

    fn send_compared(&mut self) {
        let Phase::Delete(comparison) = std::mem::replace(&mut self.phase, Phase::Done) else { return };
        let delta = from_nothing(&comparison);
        let (equal, unresolved_parts) = comparison.finish();
        self.unresolved_parts = unresolved_parts;
        self.phase = Phase::Send(Sending { checked: true, ..Sending::new(delta, Some(equal)) });
    }

    fn send(&mut self, store: &Store, delta: PagedDelta) {
        if delta.old != delta.new {
            let both = delta.old.targets.iter().chain(delta.new.targets.iter()).cloned().collect();
            store.advance_reader(self.reader, delta.since, &View::of(both));
        }
        self.phase = Phase::Send(Sending::new(delta, None));
    }

    fn turn_page(&mut self, store: &Store) {
        let Phase::Send(sending) = &mut self.phase else { return };
        if let Some((upto, _)) = sending.page {
            sending.delta.after = upto;
        }
        let delta = &sending.delta;
        let page = store.changes(&ChangesQuery {
            old: &delta.old,
            since: delta.since,
            new: &delta.new,
            began: delta.began,
            after: delta.after,
            limit: self.limits.batch_rows,
            skip: sending.skip.as_ref(),
        });
        match page {
            Changes::Unknown => self.compare(store),
            Changes::Delta { changes, upto, more } => {
                sending.page = Some((upto, more));
                sending.batches = split(changes, self.limits.batch_bytes);
                sending.bracket_batches(more);
            }
        }
    }

    fn arrive(&mut self, store: &Store, upto: Version) {
        let Phase::Send(sending) = std::mem::replace(&mut self.phase, Phase::Done) else { return };
        let view = sending.delta.new;
        store.advance_reader(self.reader, upto, &view);
        self.cursor = Cursor::Known { view: view.clone(), version: upto };
        if view != self.view {
            // The wanted view changed while this delta was sent.
            let (new, began) = (self.view.clone(), store.cut());
            self.send(store, PagedDelta::new(view, upto, new, began));
        }
    }
}

impl Sending {
    fn new(delta: PagedDelta, skip: Option<HashSet<u64>>) -> Self {
        let batches = VecDeque::new();
        Self { delta, skip, batches, page: None, checked: false, bracket: None, opened: false }
    }

    fn bracket_batches(&mut self, more: bool) {
        let Some(id) = &self.bracket else { return };
        if self.batches.is_empty() && !more {
            self.batches.push_back(RowBatch::default());
        }
        let last = self.batches.len();
        for (at, batch) in self.batches.iter_mut().enumerate() {
            let begin = !std::mem::replace(&mut self.opened, true);
            batch.bracket = Some(SnapshotBracket { id: id.clone(), begin, end: !more && at + 1 == last });
        }
    }
}

fn from_nothing(comparison: &Comparison) -> PagedDelta {
    let (began, new) = (comparison.began, comparison.view.clone());
    PagedDelta::new(View::empty(), began, new, began)
}

/// Splits a page into batches of at most `most` payload bytes; a single row always fits.
fn split(changes: Vec<Change>, most: usize) -> VecDeque<RowBatch> {
    let mut batches: VecDeque<RowBatch> = VecDeque::new();
    let mut room = 0;
    for change in changes {
        let size = match &change {
            Change::Upsert(row) => row.attributes.get().len() + 256,
            Change::Delete(_) => 128,
        };
        match batches.back_mut() {
            Some(batch) if size <= room => batch.changes.push(change),
            _ => {
                room = most;
                batches.push_back(RowBatch { changes: vec![change], bracket: None });
            }
        }
        room = room.saturating_sub(size);
    }
    batches
}

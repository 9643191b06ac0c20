//! One cycle of a row binding as a machine: it says what to ask or send next, and hears what came of it.
//!
//! The driver does the asking and sending. A cursor moves only in [`RowCycle::acked`].

use crate::binding_compare::{Comparison, Part, unknown_parts};
use crate::{ExportSettings, HeldRow, Knowledge, RowBatch, SnapshotBracket};
use kollect_model::{Change, Version};
use kollect_store::{Changes, ChangesQuery, ReaderId, Store, View};
use std::collections::{BTreeSet, HashSet, VecDeque};

/// Comparisons that one cycle may start before it gives up; a cursor that is too old again and again means that the
/// cluster changes faster than the sink takes it.
const COMPARISONS_PER_CYCLE: u32 = 3;

/// How far a binding has delivered.
#[derive(Clone, Debug)]
pub enum Cursor {
    /// Nobody knows: ask the sink what it holds.
    Unknown,
    /// The sink has the view up to the version.
    Known {
        /// The delivered view.
        view: View,
        /// Its version.
        version: Version,
    },
    /// Some pages of the way to another view or version are delivered.
    Underway(Route),
}

/// A way from one view and version to a view now.
#[derive(Clone, Debug)]
pub struct Route {
    old: View,
    since: Version,
    new: View,
    began: Version,
    after: Version,
}

/// What the driver has to do next.
#[derive(Debug)]
pub enum RowStep {
    /// Ask the sink whether it is still what was last written, and call [`RowCycle::intact`].
    CheckIntact,
    /// Have the sink report everything it holds to [`RowCycle::held`], then call [`RowCycle::held_all`].
    ReadHeld,
    /// Make the batch durable, then call [`RowCycle::acked`].
    Apply(RowBatch),
    /// The cycle is over.
    Done,
    /// The cluster changes faster than the sink can be compared: try again later.
    Outrun,
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
    route: Route,
    skip: Option<HashSet<u64>>,
    /// Batches of the current page that are not acknowledged yet.
    batches: VecDeque<RowBatch>,
    /// End of the current page, and whether another follows.
    page: Option<(Version, bool)>,
    checked: bool,
    bracket: Option<String>,
    /// The first batch of a bracketed send is out.
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
    owed: BTreeSet<Part>,
    comparisons: u32,
    /// Something was asked of or sent to the sink.
    touched: bool,
}

impl RowCycle {
    pub(crate) fn new(
        id: String,
        store: &Store,
        view: View,
        cursor: Cursor,
        owed: BTreeSet<Part>,
        reader: ReaderId,
        limits: ExportSettings,
    ) -> Self {
        let mut cycle =
            Self { id, view, reader, limits, phase: Phase::Done, cursor, owed, comparisons: 0, touched: false };
        match cycle.cursor.clone() {
            Cursor::Unknown => cycle.compare(store),
            Cursor::Known { view: old, version } => {
                let (new, began) = (cycle.view.clone(), store.cut());
                cycle.send(store, Route { old, since: version, new, began, after: Version(0) });
            }
            Cursor::Underway(route) => cycle.send(store, route),
        }
        cycle
    }

    /// What to do next. Asked again after every answer.
    pub fn step(&mut self, store: &Store) -> RowStep {
        loop {
            match &mut self.phase {
                Phase::Done => return RowStep::Done,
                Phase::Compare(_) if self.comparisons > COMPARISONS_PER_CYCLE => return RowStep::Outrun,
                Phase::Compare(_) => {
                    self.touched = true;
                    return RowStep::ReadHeld;
                }
                Phase::Delete(comparison) => {
                    let changes = comparison.next_deletes(store, self.limits.batch_rows);
                    if !changes.is_empty() {
                        return RowStep::Apply(RowBatch { changes, bracket: None });
                    }
                    self.send_compared(store);
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

    /// The sink's answer to [`RowStep::CheckIntact`].
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

    /// The sink has reported everything, or that it cannot.
    pub fn held_all(&mut self, store: &Store, knowledge: Knowledge) {
        let Phase::Compare(comparison) = std::mem::replace(&mut self.phase, Phase::Done) else { return };
        match knowledge {
            Knowledge::Complete => self.phase = Phase::Delete(comparison),
            Knowledge::Unknown => self.send_everything(store, &comparison),
        }
    }

    /// The sink has made the last batch durable.
    pub fn acked(&mut self, store: &Store) {
        let Phase::Send(sending) = &mut self.phase else { return };
        sending.batches.pop_front();
        let Some((upto, more)) = sending.page else { return };
        let page_done = sending.batches.is_empty();
        if page_done {
            sending.route.after = upto;
        }
        if sending.skip.is_none() && sending.bracket.is_none() {
            // Also within a page: what landed of joined parts must be found again by the same `began`.
            self.cursor = Cursor::Underway(sending.route.clone());
        }
        if page_done && !more {
            self.arrive(store, upto);
        }
    }

    /// What is certain now: how far the sink is, and which parts it must be compared for later.
    pub(crate) fn finish(self) -> (Cursor, BTreeSet<Part>) {
        (self.cursor, self.owed)
    }

    /// Whether the sink was asked or sent anything.
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

    /// The sink cannot be read back: send every row, bracketed, so that consumers can drop the rest. While a part is
    /// not known there is no bracket, because then the rest is not known to be gone.
    fn send_everything(&mut self, store: &Store, comparison: &Comparison) {
        self.owed = unknown_parts(store, &self.view);
        let bracket = self.owed.is_empty().then(|| self.id.clone());
        let route = from_nothing(comparison);
        self.phase = Phase::Send(Sending { checked: true, bracket, ..Sending::new(route, Some(HashSet::new())) });
    }

    fn send_compared(&mut self, _store: &Store) {
        let Phase::Delete(comparison) = std::mem::replace(&mut self.phase, Phase::Done) else { return };
        let route = from_nothing(&comparison);
        let (equal, owed) = comparison.finish();
        self.owed = owed;
        self.phase = Phase::Send(Sending { checked: true, ..Sending::new(route, Some(equal)) });
    }

    fn send(&mut self, store: &Store, route: Route) {
        if route.old != route.new {
            let both = route.old.targets.iter().chain(route.new.targets.iter()).cloned().collect();
            store.advance_reader(self.reader, route.since, &View::of(both));
        }
        self.phase = Phase::Send(Sending::new(route, None));
    }

    fn turn_page(&mut self, store: &Store) {
        let Phase::Send(sending) = &mut self.phase else { return };
        if let Some((upto, _)) = sending.page {
            sending.route.after = upto;
        }
        let route = &sending.route;
        let page = store.changes(&ChangesQuery {
            old: &route.old,
            since: route.since,
            new: &route.new,
            began: route.began,
            after: route.after,
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
        let view = sending.route.new;
        store.advance_reader(self.reader, upto, &view);
        self.cursor = Cursor::Known { view: view.clone(), version: upto };
        if view != self.view {
            // The wanted view changed again while the sink was on the way to this one.
            let (new, began) = (self.view.clone(), store.cut());
            self.send(store, Route { old: view, since: upto, new, began, after: Version(0) });
        }
    }
}

impl Sending {
    fn new(route: Route, skip: Option<HashSet<u64>>) -> Self {
        let batches = VecDeque::new();
        Self { route, skip, batches, page: None, checked: false, bracket: None, opened: false }
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

fn from_nothing(comparison: &Comparison) -> Route {
    let (began, new) = (comparison.began, comparison.view.clone());
    Route { old: View::empty(), since: began, new, began, after: Version(0) }
}

/// Cuts a page into batches of at most `most` payload bytes; a single row always fits.
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

//! Rows of parts that cannot be listed now, read back from the held document.
//!
//! A document is written as a whole, so rows that must stay have to be written again. The store decides about each of
//! them as about a row that a row sink holds.

use crate::contract::error::SinkError;
use crate::contract::files::HeldFile;
use crate::encode::Format;
use crate::encode::decode::read_items;
use kollect_model::{Item, Row, RowId, TargetKey, Uid, canonical_cmp};
use kollect_store::{Dedupe, HeldRowState, Store, View};
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

/// Reads the held files one after the other.
#[derive(Debug)]
pub(crate) struct Carrying {
    held: Vec<HeldFile>,
    /// Files before this one are read.
    next: usize,
    /// Content of the file before `next`, not parsed yet.
    content: Option<Vec<u8>>,
    rows: BTreeMap<RowId, Arc<Row>>,
}

impl Carrying {
    pub(crate) fn new(held: Vec<HeldFile>) -> Self {
        Self { held, next: 0, content: None, rows: BTreeMap::new() }
    }

    /// The next file to read; `None` when every file was read.
    pub(crate) fn next_file(&mut self) -> Option<Arc<str>> {
        let path = self.held.get(self.next)?.path.clone();
        self.next += 1;
        Some(path)
    }

    /// Content of the last file from [`Self::next_file`]; `None` when it is gone, and its rows with it.
    pub(crate) fn content(&mut self, content: Option<Vec<u8>>) {
        self.content = content;
    }

    /// Parses the latest content and keeps its unproven rows.
    pub(crate) fn take_unproven(&mut self, store: &Store, view: &View, format: Format) -> Result<(), SinkError> {
        let Some(content) = self.content.take() else { return Ok(()) };
        let Some(file) = self.next.checked_sub(1).and_then(|at| self.held.get(at)) else { return Ok(()) };
        let mut targets = Targets { view, name: (String::new(), String::new()), found: Vec::new() };
        let mut odd = None;
        let read = read_items(&content, Format::of_path(&file.path).unwrap_or(format), &mut |item| {
            let Some(target) = targets.unproven(store, &item) else { return };
            match item.into_row(target) {
                Ok(row) => {
                    self.rows.insert(row.id.clone(), Arc::new(row));
                }
                Err(error) => odd = Some(error.to_string()),
            }
        });
        match read.err().map(|error| error.to_string()).or(odd) {
            None => Ok(()),
            Some(why) => Err(unreadable(&file.path, &why)),
        }
    }

    /// The held files, and the rows to carry.
    pub(crate) fn finish(self) -> (Vec<HeldFile>, Vec<Arc<Row>>) {
        (self.held, self.rows.into_values().collect())
    }
}

/// Transient: it ends when the file is repaired, or when the part can be listed again.
fn unreadable(path: &str, why: &str) -> SinkError {
    SinkError::transient(
        "read",
        format!(
            "{path} cannot be read back ({why}), and rows of parts that cannot be listed now may be only there; nothing \
             was overwritten: restore the file as Kollect wrote it, or delete it to go on without those rows"
        ),
    )
}

/// The targets of a view that an item may name. Items are ordered by target, so the latest result is cached.
struct Targets<'v> {
    view: &'v View,
    name: (String, String),
    found: Vec<Arc<TargetKey>>,
}

impl Targets<'_> {
    /// The target of an item whose row is unproven.
    fn unproven(&mut self, store: &Store, item: &Item) -> Option<Arc<TargetKey>> {
        if self.found.is_empty() || self.name.0 != item.target_namespace || self.name.1 != item.target_name {
            self.name = (item.target_namespace.clone(), item.target_name.clone());
            let named = |target: &&Arc<TargetKey>| *target.namespace == *self.name.0 && *target.name == *self.name.1;
            self.found = self.view.targets.iter().filter(named).cloned().collect();
        }
        let unproven = |target: &&Arc<TargetKey>| {
            let id = RowId { target: Arc::clone(target), uid: Uid::parse(&item.uid) };
            store.held_row_state(self.view, &id, &item.namespace) == HeldRowState::Unproven
        };
        self.found.iter().find(unproven).cloned()
    }
}

/// The carried rows that are still unproven.
pub(crate) fn still_unproven(store: &Store, view: &View, mut carried: Vec<Arc<Row>>) -> Vec<Arc<Row>> {
    carried.retain(|row| store.held_row_state(view, &row.id, &row.object.namespace) == HeldRowState::Unproven);
    if view.dedupe == Dedupe::ByResourceUid {
        // The last target wins, as in the store.
        let last: BTreeMap<_, _> = carried.into_iter().map(|row| (object(&row), row)).collect();
        carried = last.into_values().collect();
    }
    carried
}

/// The rows of the store and the carried ones in canonical order, and the carried ones that are in it. A row that came
/// into the store since is taken from the store.
pub(crate) fn merge(
    view: &View,
    mut rows: Vec<Arc<Row>>,
    mut carried: Vec<Arc<Row>>,
) -> (Vec<Arc<Row>>, Vec<Arc<Row>>) {
    if carried.is_empty() {
        return (rows, carried);
    }
    let ids: HashSet<_> = carried.iter().map(|row| row.id.clone()).collect();
    let back: HashSet<_> = rows.iter().filter(|row| ids.contains(&row.id)).map(|row| row.id.clone()).collect();
    carried.retain(|row| !back.contains(&row.id));
    if view.dedupe == Dedupe::ByResourceUid {
        // A carried row is unproven only while no later target has its object, so it replaces the row of an earlier
        // target.
        let taken: HashSet<_> = carried.iter().map(object).collect();
        rows.retain(|row| !taken.contains(&object(row)));
    }
    rows.extend(carried.iter().cloned());
    rows.sort_by(|a, b| canonical_cmp(a, b));
    (rows, carried)
}

fn object(row: &Arc<Row>) -> (Arc<str>, Uid) {
    (row.object.namespace.clone(), row.id.uid.clone())
}

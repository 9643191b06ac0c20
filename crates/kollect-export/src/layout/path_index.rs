//! Which row owns which path, as hashes: a delta finds collisions and re-used paths without the other rows.

use crate::contract::files::HeldFile;
use crate::layout::folders::{Folders, above, depth_of};
use kollect_model::{Row, RowId};
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

/// What planning needs of the delivered files: about 50 bytes per row of a tree, one entry per part of a
/// document, and the rows of lost parts in it.
#[derive(Clone, Debug, Default)]
pub struct PathIndex {
    hashes: RandomState,
    /// Hash of a row's identity → hash of its path, in the form in which paths are compared.
    pub(super) paths: HashMap<u64, u64>,
    /// Hash of a path → hash of its row's identity.
    pub(super) owners: HashMap<u64, u64>,
    /// Hash of the identity of a row that was left out → hash of the conflicting path: its own, or a folder above.
    pub(super) left_out: HashMap<u64, Option<u64>>,
    /// Folders stay in it until the next full plan; a stale one causes a full plan that was not needed.
    pub(super) folders: Folders,
    documents: Vec<HeldFile>,
    /// Rows that exist only in the delivered document.
    carried: Vec<Arc<Row>>,
    /// The tree was chosen because every row holds a copy of its object under this attribute.
    copies: Option<String>,
}

impl PathIndex {
    pub(super) fn with_capacity(rows: usize) -> Self {
        Self { paths: HashMap::with_capacity(rows), owners: HashMap::with_capacity(rows), ..Self::default() }
    }

    /// Of files that are planned as a whole each time, and others that stay beside them.
    pub(super) fn of_files(files: impl IntoIterator<Item = HeldFile>) -> Self {
        Self { documents: files.into_iter().collect(), ..Self::default() }
    }

    pub(super) fn copies_under(&mut self, key: Option<String>) {
        self.copies = key;
    }

    pub(super) fn copies(&self) -> Option<&str> {
        self.copies.as_deref()
    }

    /// Rows that have a file once an update is committed.
    pub(super) fn len_after(&self, update: &IndexUpdate) -> usize {
        let fresh = update.added.iter().filter(|(row, _)| !self.paths.contains_key(row)).count();
        (self.paths.len() + fresh).saturating_sub(update.removed.len())
    }

    /// The delivered files that are planned as a whole: documents, and split trees. Empty for other trees.
    pub fn held_documents(&self) -> impl Iterator<Item = HeldFile> + '_ {
        self.documents.iter().cloned()
    }

    /// Keeps rows of the document that are not in the store, for the next full plan.
    pub fn carry(&mut self, rows: Vec<Arc<Row>>) {
        self.carried = rows;
    }

    /// The rows of the latest [`PathIndex::carry`].
    pub fn carried(&self) -> &[Arc<Row>] {
        &self.carried
    }

    /// Rows that have a file.
    pub fn len(&self) -> usize {
        self.paths.len()
    }

    /// Whether no row has a file.
    pub fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }

    /// Takes over what a delta changed. Call once the sink has acknowledged.
    pub fn commit(&mut self, update: IndexUpdate) {
        for (row, path) in update.removed {
            self.paths.remove(&row);
            self.owners.remove(&path);
        }
        for row in update.forgotten {
            self.left_out.remove(&row);
        }
        for (row, path) in update.added {
            self.paths.insert(row, path);
            self.owners.insert(path, row);
        }
        self.folders.begin(update.depths);
        update.folders.into_iter().for_each(|folder| self.folders.add(folder));
    }

    pub(super) fn hash_of_row(&self, id: &RowId) -> u64 {
        self.hashes.hash_one(id)
    }

    pub(super) fn hash(&self, folded_path: &str) -> u64 {
        self.hashes.hash_one(folded_path)
    }

    /// Notes the folders of a path, in the form in which paths are compared.
    pub(super) fn enter(&mut self, path: &str) {
        self.folders.begin(depth_of(path));
        if self.folders.are_kept() {
            for folder in above(path) {
                let hash = self.hash(folder);
                self.folders.add(hash);
            }
        }
    }

    /// The hash of what conflicts with the path of a row: another row's file at the path or above it, or files below
    /// it.
    pub(super) fn blocked_by(&self, path: &str, row: u64) -> Option<u64> {
        let hash = self.hash(path);
        let owned = |hash: &u64| self.owners.get(hash).is_some_and(|owner| *owner != row);
        if owned(&hash) || self.folders.contains(hash) {
            return Some(hash);
        }
        if !self.folders.are_kept() {
            return None;
        }
        above(path).map(|folder| self.hash(folder)).find(owned)
    }
}

/// What a delta changes in the index once it is acknowledged.
#[derive(Debug, Default)]
pub struct IndexUpdate {
    pub(super) removed: Vec<(u64, u64)>,
    pub(super) added: Vec<(u64, u64)>,
    /// Rows that were left out and are gone.
    pub(super) forgotten: Vec<u64>,
    /// How many segments the added paths have, and the hashes of their folders where those are kept.
    pub(super) depths: u64,
    pub(super) folders: HashSet<u64>,
}

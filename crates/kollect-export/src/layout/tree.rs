//! One file per row.
//!
//! A binding keeps an index of which row owns which path, as hashes, so that a delta finds collisions and re-used paths
//! without the other rows. Where hashes cannot answer, a full plan is asked for; it has every row at hand.

use super::{DocumentSpec, FilePlan, LayoutError, PlannedFile, row_name};
use crate::encode::manifest::{NoCopy, has_manifest};
use crate::encode::{Content, RowBody};
use crate::{FileChange, HeldFile};
use kollect_model::{Change, Digest, ENCODER_EPOCH, ObjectKey, Row, RowId};
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

/// What a binding has delivered, as far as planning needs it: about 50 bytes per row of a tree, one entry per part of a
/// document, and the rows of lost parts in it.
#[derive(Clone, Debug, Default)]
pub struct PathIndex {
    hashes: RandomState,
    /// Hash of a row's identity → hash of its path.
    paths: HashMap<u64, u64>,
    /// Hash of a path → hash of its row's identity.
    owners: HashMap<u64, u64>,
    documents: Vec<(Arc<str>, Option<Digest>)>,
    /// Rows of the delivered document that only it knows.
    carried: Vec<Arc<Row>>,
    /// The tree was chosen because every row holds a copy of its object under this attribute.
    copies: Option<String>,
}

impl PathIndex {
    pub(super) fn of_documents(files: &[PlannedFile]) -> Self {
        Self::of_files(files, Vec::new())
    }

    /// Of files that are planned as a whole each time, and others that stay beside them.
    pub(super) fn of_files(files: &[PlannedFile], kept: Vec<HeldFile>) -> Self {
        let planned = files.iter().map(|file| (file.path.clone(), Some(file.digest)));
        let kept = kept.into_iter().map(|file| (file.path, file.digest));
        Self { documents: planned.chain(kept).collect(), ..Self::default() }
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
        self.documents.iter().map(|(path, digest)| HeldFile { path: path.clone(), digest: *digest })
    }

    /// Remembers rows of the document that are not in the store, for the next full plan.
    pub fn carry(&mut self, rows: Vec<Arc<Row>>) {
        self.carried = rows;
    }

    /// What [`PathIndex::carry`] was told.
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
        for (row, path) in update.added {
            self.paths.insert(row, path);
            self.owners.insert(path, row);
        }
    }
}

/// What a delta changes in the index once it is acknowledged.
#[derive(Debug, Default)]
pub struct IndexUpdate {
    removed: Vec<(u64, u64)>,
    added: Vec<(u64, u64)>,
}

/// Files that some changes touch.
#[derive(Debug, Default)]
pub struct DeltaPlan {
    /// Changes of files, deletes first; at most one per path.
    pub changes: Vec<FileChange>,
    /// For [`PathIndex::commit`].
    pub update: IndexUpdate,
}

/// Result of planning a delta.
#[derive(Debug)]
pub enum Delta {
    /// The files that change.
    Planned(DeltaPlan),
    /// The changes alone do not say it (documents, an index, two rows with one path, a row whose path moved): plan all rows and
    /// compare with what the sink holds.
    NeedsFullPlan,
}

fn render(spec: &DocumentSpec, id: &RowId, object: &ObjectKey) -> Result<String, LayoutError> {
    spec.row_template
        .render_row(&spec.facts(), id, object)
        .map_err(|why| LayoutError::Path { what: format!("{object} (target {})", id.target), why })
}

fn file(spec: &DocumentSpec, row: &Arc<Row>, path: String) -> Result<PlannedFile, LayoutError> {
    if spec.content == Content::Manifest && !has_manifest(row) {
        // Whoever writes the file could not say which row it was.
        return Err(LayoutError::Encode { what: row_name(row), why: NoCopy.to_string() });
    }
    let mut source = [0; 20];
    source[..4].copy_from_slice(&[b'R', ENCODER_EPOCH, spec.format as u8, spec.content as u8]);
    source[4..].copy_from_slice(&row.digest.0);
    Ok(PlannedFile {
        path: path.into(),
        digest: Digest::of(&source),
        body: Arc::new(RowBody { row: row.clone(), content: spec.content, format: spec.format }),
    })
}

pub(super) fn plan(spec: &DocumentSpec, rows: &[Arc<Row>]) -> Result<FilePlan, LayoutError> {
    let mut files = Vec::with_capacity(rows.len());
    let mut taken: HashMap<Arc<str>, &Row> = HashMap::with_capacity(rows.len());
    let mut index = PathIndex {
        paths: HashMap::with_capacity(rows.len()),
        owners: HashMap::with_capacity(rows.len()),
        ..PathIndex::default()
    };
    for row in rows {
        let file = file(spec, row, render(spec, &row.id, &row.object)?)?;
        if let Some(first) = taken.insert(file.path.clone(), row) {
            let path = file.path.to_string();
            return Err(LayoutError::Collision { path, first: row_name(first), second: row_name(row) });
        }
        let (row_hash, path_hash) = (index.hashes.hash_one(&row.id), index.hashes.hash_one(&*file.path));
        index.paths.insert(row_hash, path_hash);
        index.owners.insert(path_hash, row_hash);
        files.push(file);
    }
    Ok(FilePlan { files, rows: rows.len() as u64, checksum: None, bytes: None, index })
}

pub(super) fn plan_delta(spec: &DocumentSpec, index: &PathIndex, changes: &[Change]) -> Result<Delta, LayoutError> {
    let mut update = IndexUpdate::default();
    // Paths given up by deleted rows; a later upsert may take one over, e.g. an object deleted and created again.
    let mut given_up: HashMap<u64, Arc<str>> = HashMap::new();
    for change in changes {
        let Change::Delete(deleted) = change else { continue };
        let row = index.hashes.hash_one(&deleted.id);
        // A row that came and went between two exports has no file.
        let Some(&path_hash) = index.paths.get(&row) else { continue };
        let Some(object) = &deleted.object else { return Ok(Delta::NeedsFullPlan) };
        let path = render(spec, &deleted.id, object)?;
        let still_owner = index.hashes.hash_one(&*path) == path_hash && index.owners.get(&path_hash) == Some(&row);
        if !still_owner || given_up.insert(path_hash, path.into()).is_some() {
            return Ok(Delta::NeedsFullPlan);
        }
        update.removed.push((row, path_hash));
    }
    let mut puts = Vec::new();
    let mut claimed: HashMap<u64, u64> = HashMap::new();
    for change in changes {
        let Change::Upsert(row) = change else { continue };
        let file = file(spec, row, render(spec, &row.id, &row.object)?)?;
        let (row_hash, path_hash) = (index.hashes.hash_one(&row.id), index.hashes.hash_one(&*file.path));
        let moved = index.paths.get(&row_hash).is_some_and(|old| *old != path_hash);
        let taken =
            index.owners.get(&path_hash).is_some_and(|owner| *owner != row_hash) && !given_up.contains_key(&path_hash);
        if moved || taken || claimed.insert(path_hash, row_hash).is_some() {
            return Ok(Delta::NeedsFullPlan);
        }
        update.added.push((row_hash, path_hash));
        puts.push(FileChange::Put { path: file.path, digest: file.digest, body: file.body });
    }
    let mut deletes: Vec<_> =
        given_up.into_iter().filter(|(path, _)| !claimed.contains_key(path)).map(|(_, path)| path).collect();
    deletes.sort_unstable();
    let changes = deletes.into_iter().map(|path| FileChange::Delete { path }).chain(puts).collect();
    Ok(Delta::Planned(DeltaPlan { changes, update }))
}

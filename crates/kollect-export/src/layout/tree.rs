//! One file per row.
//!
//! A binding keeps an index of which row owns which path, as hashes, so that a delta finds collisions and re-used paths
//! without the other rows. Where hashes cannot answer, a full plan is asked for; it has every row at hand.

use super::folders::{Folders, above, depth_of};
use super::segments::folded;
use super::{DocumentSpec, FilePlan, LeftOut, PathError, PlannedFile, left_out, row_name};
use crate::encode::manifest::has_manifest;
use crate::encode::{Content, RowBody};
use crate::{FileChange, HeldFile};
use kollect_model::{Change, Digest, ENCODER_EPOCH, ObjectKey, Row, RowId};
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

/// What a binding has delivered, as far as planning needs it: about 50 bytes per row of a tree, one entry per part of a
/// document, and the rows of lost parts in it.
#[derive(Clone, Debug, Default)]
pub struct PathIndex {
    hashes: RandomState,
    /// Hash of a row's identity → hash of its path, in the form in which paths are compared.
    paths: HashMap<u64, u64>,
    /// Hash of a path → hash of its row's identity.
    owners: HashMap<u64, u64>,
    /// Hash of the identity of a row that was left out → hash of the path that is in its way: its own, or a folder above.
    left_out: HashMap<u64, Option<u64>>,
    /// Folders stay in it until the next full plan, which is asked for once too often rather than once too few.
    folders: Folders,
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

    fn hash(&self, folded_path: &str) -> u64 {
        self.hashes.hash_one(folded_path)
    }

    /// Notes the folders of a path, in the form in which paths are compared.
    fn enter(&mut self, path: &str) {
        self.folders.begin(depth_of(path));
        if self.folders.are_kept() {
            for folder in above(path) {
                let hash = self.hash(folder);
                self.folders.add(hash);
            }
        }
    }

    /// The hash of what is in the way of a path of a row: another row's file at the path or above it, or files below it.
    fn blocked_by(&self, path: &str, row: u64) -> Option<u64> {
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
    removed: Vec<(u64, u64)>,
    added: Vec<(u64, u64)>,
    /// Rows that were left out and are gone.
    forgotten: Vec<u64>,
    /// How many segments the added paths have, and the hashes of their folders where those are kept.
    depths: u64,
    folders: HashSet<u64>,
}

/// Files that some changes touch.
#[derive(Debug, Default)]
pub struct DeltaPlan {
    /// Changes of files, deletes first; at most one per path.
    pub changes: Vec<FileChange>,
    /// For [`PathIndex::commit`].
    pub update: IndexUpdate,
    /// Rows that were left out and are gone.
    pub forgotten: Vec<RowId>,
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

fn render(spec: &DocumentSpec, id: &RowId, object: &ObjectKey) -> Result<String, PathError> {
    spec.row_template.render_row(&spec.facts(), id, object)
}

/// The file of a row; `None` when it has no copy of its object, without which a manifest could not be written.
fn file(spec: &DocumentSpec, row: &Arc<Row>, path: Arc<str>) -> Option<PlannedFile> {
    if spec.content == Content::Manifest && !has_manifest(row) {
        return None;
    }
    let mut source = [0; 20];
    source[..4].copy_from_slice(&[b'R', ENCODER_EPOCH, spec.format as u8, spec.content as u8]);
    source[4..].copy_from_slice(&row.digest.0);
    Some(PlannedFile {
        path,
        digest: Digest::of(&source),
        body: Arc::new(RowBody { row: row.clone(), content: spec.content, format: spec.format }),
    })
}

/// Plans every row. `reserved` is a path that no row may have. Of two rows with one path the first in canonical order
/// has it, so that the answer does not depend on which came first.
pub(super) fn plan(spec: &DocumentSpec, rows: &[Arc<Row>], reserved: Option<&str>) -> FilePlan {
    let mut plan = FilePlan { files: Vec::with_capacity(rows.len()), rows: rows.len() as u64, ..FilePlan::default() };
    let mut index = PathIndex {
        paths: HashMap::with_capacity(rows.len()),
        owners: HashMap::with_capacity(rows.len()),
        ..PathIndex::default()
    };
    let mut taken: HashMap<Cow<'static, str>, &Row> = HashMap::new();
    let reserved = reserved.map(folded);
    if let Some(path) = &reserved {
        index.enter(path);
    }
    for row in rows {
        let row_hash = index.hashes.hash_one(&row.id);
        let path = match render(spec, &row.id, &row.object) {
            Ok(path) => path,
            Err(why) => {
                index.left_out.insert(row_hash, None);
                left_out::note(&mut plan.left_out, || LeftOut::nowhere(row, why));
                continue;
            }
        };
        let key = folded(&path);
        let path_hash = index.hash(&key);
        if index.folders.begin(depth_of(&key)) {
            for path in taken.keys().map(AsRef::as_ref).chain(reserved.as_deref()) {
                index.enter(path);
            }
        }
        let owner_of = |path: &str| {
            let index_file = || (reserved.as_deref() == Some(path)).then(|| INDEX.to_owned());
            taken.get(path).map(|first| row_name(first)).or_else(index_file)
        };
        if let Some(owner) = owner_of(&key) {
            index.left_out.insert(row_hash, Some(path_hash));
            left_out::note(&mut plan.left_out, || LeftOut::collides(row, &path, owner));
            continue;
        }
        if let Some((hash, other)) = nested(&index, &key, owner_of) {
            index.left_out.insert(row_hash, Some(hash));
            left_out::note(&mut plan.left_out, || LeftOut::is_nested(row, &path, other));
            continue;
        }
        index.enter(&key);
        taken.insert(Cow::Owned(key.into_owned()), row);
        index.owners.insert(path_hash, row_hash);
        index.paths.insert(row_hash, path_hash);
        let path: Arc<str> = path.into();
        if let Some(file) = file(spec, row, path.clone()) {
            plan.files.push(file);
        } else {
            // Its file from before stays: the row is not gone.
            plan.retained.insert(path);
            index.left_out.insert(row_hash, Some(path_hash));
            left_out::note(&mut plan.left_out, || LeftOut::without_copy(row));
        }
    }
    plan.index = index;
    plan
}

/// What cannot stand beside a path because one of them would be a file and a folder, and the hash of the path in its way.
fn nested(index: &PathIndex, path: &str, owner_of: impl Fn(&str) -> Option<String>) -> Option<(u64, String)> {
    if !index.folders.are_kept() {
        return None;
    }
    let hash = index.hash(path);
    if index.folders.contains(hash) {
        return Some((hash, "the files below it".to_owned()));
    }
    above(path).find_map(|folder| Some((index.hash(folder), owner_of(folder)?)))
}

/// What stands for the index in a message about a collision.
const INDEX: &str = "the index (layout.index.pathTemplate)";

pub(super) fn plan_delta(spec: &DocumentSpec, index: &PathIndex, changes: &[Change]) -> Delta {
    let mut plan = DeltaPlan::default();
    let Some(given_up) = plan_deletes(spec, index, changes, &mut plan) else { return Delta::NeedsFullPlan };
    let mut puts = Vec::new();
    let mut claimed: HashMap<u64, u64> = HashMap::new();
    for change in changes {
        let Change::Upsert(row) = change else { continue };
        let row_hash = index.hashes.hash_one(&row.id);
        let planned = render(spec, &row.id, &row.object).ok().and_then(|path| file(spec, row, path.into()));
        let key = planned.as_ref().map(|file| folded(&file.path).into_owned());
        let path_hash = key.as_deref().map(|key| index.hash(key));
        if let Some(before) = index.left_out.get(&row_hash) {
            let owns_path = index.paths.contains_key(&row_hash);
            let still_left_out = match (*before, key.as_deref()) {
                (None, None) => true,
                (None, Some(_)) => false,
                (Some(_), None) => owns_path,
                (Some(way), Some(now)) => {
                    !owns_path && index.blocked_by(now, row_hash) == Some(way) && !given_up.contains_key(&way)
                }
            };
            if still_left_out {
                continue;
            }
            return Delta::NeedsFullPlan;
        }
        let (Some(file), Some(key), Some(path_hash)) = (planned, key, path_hash) else { return Delta::NeedsFullPlan };
        let old = index.paths.get(&row_hash);
        let moved = old.is_some_and(|old| *old != path_hash);
        let taken = index.blocked_by(&key, row_hash).is_some_and(|way| !given_up.contains_key(&way));
        plan.update.depths |= depth_of(&key);
        // A path with another number of segments may be a folder of others, or below one of them.
        if moved || taken || !index.folders.fit(plan.update.depths) || claimed.insert(path_hash, row_hash).is_some() {
            return Delta::NeedsFullPlan;
        }
        if index.folders.are_kept() && old.is_none() {
            let folders: Vec<u64> = above(&key).map(|folder| index.hash(folder)).collect();
            if plan.update.folders.contains(&path_hash) || folders.iter().any(|folder| claimed.contains_key(folder)) {
                return Delta::NeedsFullPlan;
            }
            plan.update.folders.extend(folders);
        }
        plan.update.added.push((row_hash, path_hash));
        puts.push(FileChange::Put { path: file.path, digest: file.digest, body: file.body });
    }
    let mut deletes: Vec<_> =
        given_up.into_iter().filter(|(path, _)| !claimed.contains_key(path)).map(|(_, path)| path).collect();
    deletes.sort_unstable();
    plan.changes = deletes.into_iter().map(|path| FileChange::Delete { path }).chain(puts).collect();
    Delta::Planned(plan)
}

/// Paths given up by deleted rows; a later upsert may take one over, e.g. an object deleted and created again. `None`
/// when only a full plan can say it.
fn plan_deletes(
    spec: &DocumentSpec,
    index: &PathIndex,
    changes: &[Change],
    plan: &mut DeltaPlan,
) -> Option<HashMap<u64, Arc<str>>> {
    let mut given_up: HashMap<u64, Arc<str>> = HashMap::new();
    // Proportional to the rows that are left out, not to all.
    let contested: HashSet<u64> = index.left_out.values().flatten().copied().collect();
    for change in changes {
        let Change::Delete(deleted) = change else { continue };
        let row = index.hashes.hash_one(&deleted.id);
        let path = index.paths.get(&row);
        if index.left_out.contains_key(&row) {
            if path.is_some() {
                return None;
            }
            plan.update.forgotten.push(row);
            plan.forgotten.push(deleted.id.clone());
        }
        // A row that came and went between two exports has no file.
        let Some(&path_hash) = path else { continue };
        if contested.contains(&path_hash) {
            // A row that was left out may have the path now.
            return None;
        }
        let path = render(spec, &deleted.id, deleted.object.as_ref()?).ok()?;
        let key = folded(&path);
        if !contested.is_empty() && above(&key).any(|folder| contested.contains(&index.hash(folder))) {
            // It may have been the last file of a folder where a row that was left out has its path.
            return None;
        }
        let same = index.hash(&key) == path_hash;
        let still_owner = same && index.owners.get(&path_hash) == Some(&row);
        if !still_owner || given_up.insert(path_hash, path.into()).is_some() {
            return None;
        }
        plan.update.removed.push((row, path_hash));
    }
    Some(given_up)
}

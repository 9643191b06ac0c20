//! One file per row, planned from changes. Where the hashes of the index do not suffice, a full plan is asked for.

use crate::contract::files::FileChange;
use crate::layout::folders::{above, depth_of};
use crate::layout::path_index::{IndexUpdate, PathIndex};
use crate::layout::segments::folded;
use crate::layout::spec::DocumentSpec;
use crate::layout::tree::{file, render};
use kollect_model::{Change, RowId};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// The files that a set of changes touches.
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
    /// The changes do not suffice (documents, an index, two rows with one path, a row whose path changed): plan all
    /// rows and compare with what the sink holds.
    NeedsFullPlan,
}

pub(super) fn plan_delta(spec: &DocumentSpec, index: &PathIndex, changes: &[Change]) -> Delta {
    let mut plan = DeltaPlan::default();
    let Some(given_up) = plan_deletes(spec, index, changes, &mut plan) else { return Delta::NeedsFullPlan };
    let mut puts = Vec::new();
    let mut claimed: HashMap<u64, u64> = HashMap::new();
    for change in changes {
        let Change::Upsert(row) = change else { continue };
        let row_hash = index.hash_of_row(&row.id);
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

/// Paths of deleted rows; a later upsert may take one over, e.g. an object deleted and created again. `None` when a
/// full plan is needed.
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
        let row = index.hash_of_row(&deleted.id);
        let path = index.paths.get(&row);
        if index.left_out.contains_key(&row) {
            if path.is_some() {
                return None;
            }
            plan.update.forgotten.push(row);
            plan.forgotten.push(deleted.id.clone());
        }
        // A row that was created and deleted between two exports has no file.
        let Some(&path_hash) = path else { continue };
        if contested.contains(&path_hash) {
            // A row that was left out may get the path.
            return None;
        }
        let path = render(spec, &deleted.id, deleted.object.as_ref()?).ok()?;
        let key = folded(&path);
        if !contested.is_empty() && above(&key).any(|folder| contested.contains(&index.hash(folder))) {
            // It may have been the last file of a folder that is the path of a row that was left out.
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

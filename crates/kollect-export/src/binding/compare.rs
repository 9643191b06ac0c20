//! Comparison of what a row sink holds with the view, without keeping both in memory.
//!
//! Each held row is compared as it arrives. Memory: eight bytes per equal row (its version) and the identity of each
//! row to delete.

use crate::contract::rows::HeldRow;
use kollect_model::{Change, Deleted, RowId, TargetKey, Version};
use kollect_store::{HeldRowState, PartState, Store, View};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

/// A part (target × object namespace) whose held rows cannot be compared now. Without a namespace: the whole target,
/// whose namespaces are not known.
pub type Part = (Arc<TargetKey>, Option<Arc<str>>);

/// A comparison in progress.
#[derive(Debug)]
pub(crate) struct Comparison {
    pub(crate) view: View,
    /// The cut before the sink was read: the store reports later changes.
    pub(crate) began: Version,
    equal: HashSet<u64>,
    surplus: BTreeMap<RowId, Arc<str>>,
    unproven: BTreeSet<Part>,
    targets: BTreeSet<Arc<TargetKey>>,
}

impl Comparison {
    pub(crate) fn new(store: &Store, view: View) -> Self {
        Self {
            view,
            began: store.cut(),
            equal: HashSet::new(),
            surplus: BTreeMap::new(),
            unproven: BTreeSet::new(),
            targets: BTreeSet::new(),
        }
    }

    /// Compares one row that the sink holds.
    pub(crate) fn held(&mut self, store: &Store, row: HeldRow) {
        match store.held_row_state(&self.view, &row.id, &row.object_namespace) {
            HeldRowState::Present { version, digest } => {
                if row.digest == Some(digest) {
                    self.equal.insert(version.0);
                }
            }
            HeldRowState::Gone(_) => {
                let target = self.shared_target(&row.id.target);
                self.surplus.insert(RowId { target, uid: row.id.uid }, row.object_namespace);
            }
            HeldRowState::Unproven => self.keep(&row.id.target, row.object_namespace),
        }
    }

    /// The next deletions, checked again: a row may have come back since it was read.
    pub(crate) fn next_deletes(&mut self, store: &Store, limit: usize) -> Vec<Change> {
        let mut deletes = Vec::new();
        while deletes.len() < limit.max(1) {
            let Some((id, namespace)) = self.surplus.pop_first() else { break };
            match store.held_row_state(&self.view, &id, &namespace) {
                HeldRowState::Gone(cause) => deletes.push(Change::Delete(Deleted { id, object: None, cause })),
                HeldRowState::Unproven => self.keep(&id.target, namespace),
                HeldRowState::Present { .. } => {}
            }
        }
        deletes
    }

    /// Versions of the rows that are equal, and the parts to compare again once they are known.
    pub(crate) fn finish(self) -> (HashSet<u64>, BTreeSet<Part>) {
        (self.equal, self.unproven)
    }

    fn keep(&mut self, target: &Arc<TargetKey>, namespace: Arc<str>) {
        let target = self.shared_target(target);
        self.unproven.insert((target, Some(namespace)));
    }

    /// One allocation per target, whatever the sink hands out per row.
    fn shared_target(&mut self, target: &Arc<TargetKey>) -> Arc<TargetKey> {
        if let Some(known) = self.view.target(target).or_else(|| self.targets.get(target)) {
            return known.clone();
        }
        self.targets.insert(target.clone());
        target.clone()
    }
}

/// Whether the held rows of the part can be compared now.
pub(crate) fn is_decided(store: &Store, view: &View, part: &Part) -> bool {
    let (target, namespace) = part;
    let Some(namespace) = namespace else {
        return view.target(target).is_none() || store.knows_namespaces(target);
    };
    !view.has_part(target, namespace)
        || matches!(store.part_state(target, namespace), PartState::Synced | PartState::Outside)
}

/// Parts of the view that are not fully known.
pub(crate) fn unknown_parts(store: &Store, view: &View) -> BTreeSet<Part> {
    let is_unknown = |state: &PartState| matches!(state, PartState::Pending | PartState::Lost(_));
    let parts = store.parts(view).into_iter().filter(|(_, _, state)| is_unknown(state));
    let mut unknown: BTreeSet<Part> = parts.map(|(target, namespace, _)| (target, namespace)).collect();
    // Whether the objects of a kind that was never listed have a namespace is not known.
    let perhaps_cluster_scoped = |target: &&Arc<TargetKey>| {
        view.namespaces.contains("") && store.knows_namespaces(target) && is_unknown(&store.part_state(target, ""))
    };
    unknown.extend(view.targets.iter().filter(perhaps_cluster_scoped).map(|target| (target.clone(), Some("".into()))));
    unknown
}

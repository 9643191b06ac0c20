//! What changed for a reader: one page of the difference between an old view at a version and a new view at present.
//!
//! Changed rows of kept parts, all rows of joined parts as upserts, all rows and tombstones of left parts as deletes: a
//! relabelled target or an edited namespace list is no special case. Pages are in version order across shards.

use crate::change_log::LogSlot;
use crate::shard::Shard;
use crate::view::View;
use kollect_model::{Cause, Change, Deleted, Row, Version};
use std::collections::{BinaryHeap, HashSet};
use std::sync::Arc;

/// Which changes to return.
#[derive(Clone, Copy)]
pub struct ChangesQuery<'a> {
    /// The view that the reader has delivered.
    pub old: &'a View,
    /// The version up to which it has delivered that view.
    pub since: Version,
    /// The view to reach.
    pub new: &'a View,
    /// The cut when the first page was requested: deletions in joined parts matter from here on. Equal to `since` when the
    /// reader has just compared.
    pub began: Version,
    /// End of the page before (`upto`); version 0 for the first page.
    pub after: Version,
    /// Changes per page, at least 1.
    pub limit: usize,
    /// Versions of rows that the reader's sink already holds with the same content.
    pub skip: Option<&'a HashSet<u64>>,
}

/// One page of changes.
#[derive(Debug)]
pub enum Changes {
    /// At most one change per row, oldest first.
    Delta {
        /// The changes.
        changes: Vec<Change>,
        /// With these applied the reader has everything up to here (of the new view, when `more` is false).
        upto: Version,
        /// Another page follows.
        more: bool,
    },
    /// Too old: tombstones that the reader would need are gone. Compare with what the sink holds.
    Unknown,
}

/// A query, with the values that are the same for all shards.
pub(crate) struct DeltaScan<'a> {
    pub(crate) query: &'a ChangesQuery<'a>,
    /// Every shard shows every change up to here.
    pub(crate) cut: Version,
    /// The namespace filter does not change on the scan.
    pub(crate) same_namespaces: bool,
}

/// A change and the version that orders it.
pub(crate) struct Numbered {
    pub(crate) version: Version,
    pub(crate) change: Change,
}

impl PartialEq for Numbered {
    fn eq(&self, other: &Self) -> bool {
        self.version == other.version
    }
}
impl Eq for Numbered {}
impl PartialOrd for Numbered {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Numbered {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.version.cmp(&other.version)
    }
}

/// Collects the oldest `limit` changes of any number of shards.
pub(crate) struct Page {
    limit: usize,
    kept: BinaryHeap<Numbered>,
    overflow: bool,
}

impl Page {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit: limit.max(1), kept: BinaryHeap::new(), overflow: false }
    }

    /// Returns `false` when this and everything newer is beyond the page.
    fn offer(&mut self, version: Version, change: impl FnOnce() -> Change) -> bool {
        if self.kept.len() >= self.limit {
            self.overflow = true;
            if self.kept.peek().is_some_and(|newest| newest.version < version) {
                return false;
            }
            self.kept.pop();
        }
        self.kept.push(Numbered { version, change: change() });
        true
    }

    pub(crate) fn finish(self) -> (Vec<Numbered>, bool) {
        (self.kept.into_sorted_vec(), self.overflow)
    }
}

/// Adds the changes of one shard. Returns `false` when tombstones that the reader needs are gone.
pub(crate) fn gather(shard: &Shard, scan: &DeltaScan<'_>, page: &mut Page) -> bool {
    let query = scan.query;
    let was_in = query.old.target(&shard.key).is_some();
    let needed = if was_in { query.since } else { query.began };
    if needed < shard.floor {
        return false;
    }
    let all_kept = was_in && scan.same_namespaces && query.new.target(&shard.key).is_some();
    let start = if all_kept { query.since.max(query.after) } else { query.after };
    for entry in shard.log.since(start) {
        let offered = match &entry.slot {
            LogSlot::Live(row) => live(scan, entry.version, row, page),
            LogSlot::Dead(deleted) => dead(scan, entry.version, deleted, page),
            LogSlot::Hole => true,
        };
        if !offered {
            break;
        }
    }
    true
}

fn live(scan: &DeltaScan<'_>, version: Version, row: &Arc<Row>, page: &mut Page) -> bool {
    let query = scan.query;
    let was_in = query.old.has_part_of(row);
    let is_in = query.new.has_part_of(row);
    match (was_in, is_in) {
        (_, true) => {
            // Above the cut, a smaller version of another shard may still be missing from this page.
            if version > scan.cut || (was_in && version <= query.since) {
                return true;
            }
            if query.skip.is_some_and(|skip| skip.contains(&version.0)) {
                return true;
            }
            page.offer(version, || Change::Upsert(row.clone()))
        }
        // No cut for parts that left: they are not read again once the reader has moved to the new view.
        (true, false) => page.offer(version, || {
            Change::Delete(Deleted { id: row.id.clone(), object: Some(row.object.clone()), cause: Cause::SpecChanged })
        }),
        (false, false) => true,
    }
}

fn dead(scan: &DeltaScan<'_>, version: Version, deleted: &Deleted, page: &mut Page) -> bool {
    let query = scan.query;
    let Some(object) = &deleted.object else { return true };
    let due = match (
        query.old.has_part(&deleted.id.target, &object.namespace),
        query.new.has_part(&deleted.id.target, &object.namespace),
    ) {
        (true, true) => version > query.since && version <= scan.cut,
        (false, true) => version > query.began && version <= scan.cut,
        (true, false) => version > query.since,
        (false, false) => false,
    };
    !due || page.offer(version, || Change::Delete(deleted.clone()))
}

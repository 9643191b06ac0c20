//! The rows of one target, and what is known of their completeness.
//!
//! Everything here happens under the shard's lock. Versions are assigned under it too, so a reader that takes its cut
//! before locking never misses a smaller version.

use crate::change_log::{ChangeLog, LogSlot};
use crate::coverage::{Coverage, PartState, WantedParts};
use crate::set_hash::Totals;
use crate::sync::{AtomicU64, Ordering};
use crate::view::NamespaceFilter;
use kollect_model::{Cause, Deleted, Row, RowId, TargetKey, Uid, Version};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Bytes of a row beside its attributes and its name: the row, its log entry and its index entry.
const ROW_BYTES: u64 = 250;
/// Bytes of a tombstone.
const TOMBSTONE_BYTES: u64 = 200;
/// Tombstones that a shard keeps whatever its size.
const TOMBSTONES_ALWAYS: usize = 10_000;

#[derive(Default)]
struct Part {
    coverage: Coverage,
    totals: Totals,
}

pub(crate) struct Shard {
    pub(crate) key: Arc<TargetKey>,
    pub(crate) log: ChangeLog,
    /// Bytes of all attributes and names.
    payload: u64,
    parts: HashMap<Arc<str>, Part>,
    wanted: WantedParts,
    /// A cursor below this may have missed a deletion.
    pub(crate) floor: Version,
    /// Version of the last change.
    pub(crate) last: Version,
    /// The target was removed; the shard stays until every reader has passed its tombstones.
    pub(crate) removed: bool,
}

impl Shard {
    pub(crate) fn new(key: Arc<TargetKey>) -> Self {
        Self {
            key,
            log: ChangeLog::default(),
            payload: 0,
            parts: HashMap::new(),
            wanted: WantedParts::Undecided,
            floor: Version(0),
            last: Version(0),
            removed: false,
        }
    }

    /// Puts a row. Returns `false` when nothing changed or the row's part is not wanted.
    pub(crate) fn upsert(&mut self, mut row: Row, counter: &AtomicU64) -> bool {
        // A row that arrives late, after its target was stopped, proves nothing.
        let unknowable = matches!(self.wanted, WantedParts::Unknowable(_));
        if self.removed || unknowable || self.wants(&row.object.namespace) == Some(false) {
            return false;
        }
        let old = match self.log.find(&row.id.uid).map(|entry| &entry.slot) {
            Some(LogSlot::Live(old)) if old.digest == row.digest => return false,
            Some(LogSlot::Live(old)) => Some(old.clone()),
            _ => None,
        };
        if let Some(old) = old {
            self.subtract_row(&old);
        }
        self.payload += payload_of(&row);
        row.id.target = self.key.clone();
        row.object.namespace = self.shared_namespace(&row.object.namespace);
        self.parts.entry(row.object.namespace.clone()).or_default().totals.add(&row);
        let version = self.next(counter);
        self.log.push(version, LogSlot::Live(Arc::new(row)));
        true
    }

    /// Removes a row and leaves a tombstone.
    pub(crate) fn remove(&mut self, uid: &Uid, cause: Cause, counter: &AtomicU64) -> bool {
        let Some(LogSlot::Live(row)) = self.log.find(uid).map(|entry| &entry.slot) else { return false };
        let row = row.clone();
        self.subtract_row(&row);
        let deleted = Deleted {
            id: RowId { target: self.key.clone(), uid: uid.clone() },
            object: Some(row.object.clone()),
            cause,
        };
        let version = self.next(counter);
        self.log.push(version, LogSlot::Dead(Box::new(deleted)));
        let keep = TOMBSTONES_ALWAYS.max(self.log.live() / 4);
        if self.log.dead() > keep {
            // Some more than needed, so that not every following deletion searches the log.
            self.drop_tombstones(Version(0), keep - keep / 4);
        }
        true
    }

    /// Drops tombstones that no reader needs, and raises the floor to the newest of them.
    pub(crate) fn drop_tombstones(&mut self, upto: Version, keep: usize) {
        if let Some(newest) = self.log.drop_tombstones(upto, keep) {
            self.floor = self.floor.max(newest);
        }
    }

    /// Bytes that the shard takes, as an estimate from above.
    pub(crate) fn bytes(&self) -> u64 {
        self.payload + self.log.live() as u64 * ROW_BYTES + self.log.dead() as u64 * TOMBSTONE_BYTES
    }

    /// Frees the memory of all rows without deletions: sinks keep them, and every cursor becomes unknown.
    pub(crate) fn shed(&mut self, why: Arc<str>, counter: &AtomicU64) -> bool {
        if self.removed {
            return false;
        }
        self.wanted = WantedParts::Unknowable(why);
        self.parts.clear();
        self.payload = 0;
        self.log = ChangeLog::default();
        self.floor = self.next(counter);
        true
    }

    /// Sets the wanted namespaces; rows elsewhere are removed. Returns whether anything changed.
    pub(crate) fn set_wanted(&mut self, wanted: WantedParts, counter: &AtomicU64) -> bool {
        if self.removed || self.wanted == wanted {
            return false;
        }
        self.wanted = wanted;
        let undecided: Vec<Arc<str>> =
            self.parts.keys().filter(|namespace| self.wants(namespace).is_none()).cloned().collect();
        for namespace in undecided {
            // It is not watched any more: it must be listed again before it proves anything.
            self.parts.entry(namespace).or_default().coverage = Coverage::Pending;
        }
        self.drop_unwanted(counter);
        true
    }

    /// Removes the rows and the coverage of parts that are certainly not wanted.
    fn drop_unwanted(&mut self, counter: &AtomicU64) -> bool {
        let names = self.parts.keys().filter(|namespace| self.wants(namespace) == Some(false));
        let unwanted: HashSet<Arc<str>> = names.cloned().collect();
        let with_rows = unwanted.iter().any(|name| self.parts.get(name).is_some_and(|part| part.totals.rows > 0));
        let removed = with_rows
            && self.remove_where(Cause::SpecChanged, counter, &|row| unwanted.contains(&row.object.namespace)) > 0;
        self.parts.retain(|namespace, _| !unwanted.contains(namespace));
        removed
    }

    /// Whether the part is wanted; `None` while that is not known. A set of namespaces decides about objects without one
    /// only after one of them was listed: until then the kind may be cluster-scoped and not served at present.
    fn wants(&self, namespace: &str) -> Option<bool> {
        let listed = |name: &Arc<str>| self.parts.get(name).is_some_and(|part| part.coverage == Coverage::Synced);
        match &self.wanted {
            WantedParts::Namespaces(names) if namespace.is_empty() && !names.contains("") => {
                if names.is_empty() || names.iter().any(listed) { Some(false) } else { None }
            }
            wanted => wanted.wants(namespace),
        }
    }

    pub(crate) fn set_coverage(&mut self, namespace: &str, coverage: Coverage) -> bool {
        if self.removed || self.wants(namespace) == Some(false) {
            return false;
        }
        let namespace = self.shared_namespace(namespace);
        let part = self.parts.entry(namespace).or_default();
        let changed = part.coverage != coverage;
        part.coverage = coverage;
        changed
    }

    /// Applies a complete list. Returns whether anything changed.
    pub(crate) fn complete_list(
        &mut self,
        namespace: Option<&str>,
        seen: &dyn Fn(&Uid) -> bool,
        counter: &AtomicU64,
    ) -> bool {
        if self.removed || namespace.is_some_and(|namespace| self.wants(namespace) == Some(false)) {
            return false;
        }
        let listed = |row: &Row| namespace.is_none_or(|namespace| *namespace == *row.object.namespace);
        let removed = self.remove_where(Cause::Absent, counter, &|row| listed(row) && !seen(&row.id.uid));
        let mut changed = removed > 0;
        let parts: Vec<Arc<str>> = match (namespace, &self.wanted) {
            (Some(namespace), _) => vec![namespace.into()],
            (None, WantedParts::ClusterScoped) => vec!["".into()],
            (None, WantedParts::Namespaces(set)) => set.iter().cloned().collect(),
            (None, WantedParts::Undecided | WantedParts::Unknowable(_)) => Vec::new(),
        };
        for part in parts {
            changed |= self.set_coverage(&part, Coverage::Synced);
        }
        if self.parts.contains_key("") {
            changed |= self.drop_unwanted(counter);
        }
        changed
    }

    /// The target was removed: its rows become tombstones.
    pub(crate) fn retire(&mut self, counter: &AtomicU64) {
        self.remove_where(Cause::SpecChanged, counter, &|_| true);
        self.parts.clear();
        self.removed = true;
    }

    /// A target of the same name was created again.
    pub(crate) fn revive(&mut self) -> bool {
        let was_removed = std::mem::replace(&mut self.removed, false);
        if was_removed {
            self.wanted = WantedParts::Undecided;
        }
        was_removed
    }

    pub(crate) fn part_state(&self, namespace: &str) -> PartState {
        if self.removed {
            return PartState::Outside;
        }
        if let WantedParts::Unknowable(why) = &self.wanted {
            return PartState::Lost(why.clone());
        }
        match self.wants(namespace) {
            None => self.unproven_scope(),
            Some(false) => PartState::Outside,
            Some(true) => match self.parts.get(namespace).map(|part| &part.coverage) {
                None | Some(Coverage::Pending) => PartState::Pending,
                Some(Coverage::Synced) => PartState::Synced,
                Some(Coverage::Lost(why)) => PartState::Lost(why.clone()),
            },
        }
    }

    /// The state of objects without a namespace while the scope of the kind is unknown: that of the parts that decide it.
    fn unproven_scope(&self) -> PartState {
        let WantedParts::Namespaces(names) = &self.wanted else { return PartState::Pending };
        let coverage = |name: &Arc<str>| self.parts.get(name).map(|part| &part.coverage);
        let lost = names.iter().find_map(|name| match coverage(name) {
            Some(Coverage::Lost(why)) => Some(PartState::Lost(why.clone())),
            _ => None,
        });
        lost.unwrap_or(PartState::Pending)
    }

    pub(crate) fn knows_namespaces(&self) -> bool {
        self.removed || matches!(self.wanted, WantedParts::Namespaces(_) | WantedParts::ClusterScoped)
    }

    /// Every part that the target wants and the filter passes, with its state.
    /// A target whose namespaces are not known has one part without a name.
    pub(crate) fn parts(&self, filter: &NamespaceFilter) -> Vec<(Option<Arc<str>>, PartState)> {
        if self.removed {
            return Vec::new();
        }
        let wanted: Vec<Arc<str>> = match &self.wanted {
            WantedParts::Undecided => return vec![(None, PartState::Pending)],
            WantedParts::Unknowable(why) => return vec![(None, PartState::Lost(why.clone()))],
            WantedParts::ClusterScoped => vec!["".into()],
            WantedParts::Namespaces(set) => set.iter().cloned().collect(),
        };
        let wanted = wanted.into_iter().filter(|namespace| filter.contains(namespace));
        wanted.map(|namespace| (Some(namespace.clone()), self.part_state(&namespace))).collect()
    }

    /// Rows and hash of the parts that pass the filter.
    pub(crate) fn totals(&self, filter: &NamespaceFilter) -> Totals {
        let mut total = Totals::default();
        for (_, part) in self.parts.iter().filter(|(namespace, _)| filter.contains(namespace)) {
            total.include(part.totals);
        }
        total
    }

    fn remove_where(&mut self, cause: Cause, counter: &AtomicU64, matches: &dyn Fn(&Row) -> bool) -> usize {
        let uids: Vec<Uid> = self.log.rows().filter(|row| matches(row)).map(|row| row.id.uid.clone()).collect();
        for uid in &uids {
            self.remove(uid, cause, counter);
        }
        uids.len()
    }

    fn subtract_row(&mut self, row: &Row) {
        self.payload = self.payload.saturating_sub(payload_of(row));
        if let Some(part) = self.parts.get_mut(&row.object.namespace) {
            part.totals.subtract(row);
        }
    }

    fn shared_namespace(&self, namespace: &str) -> Arc<str> {
        self.parts.get_key_value(namespace).map_or_else(|| namespace.into(), |(shared, _)| shared.clone())
    }

    /// `&mut self` guarantees the shard's lock: a version that is assigned before its row is visible would let a reader
    /// skip the row. The tests in `schedules.rs` check this.
    fn next(&mut self, counter: &AtomicU64) -> Version {
        self.last = Version(counter.fetch_add(1, Ordering::SeqCst) + 1);
        self.last
    }
}

fn payload_of(row: &Row) -> u64 {
    (row.attributes.get().len() + row.object.name.len()) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::row;
    use crate::sync::alone;

    fn shard() -> (Shard, AtomicU64) {
        (Shard::new(Arc::new(TargetKey::namespaced("shop", "a"))), AtomicU64::new(0))
    }

    fn wanted(namespaces: &[&str]) -> WantedParts {
        WantedParts::Namespaces(Arc::new(namespaces.iter().map(|n| Arc::from(*n)).collect()))
    }

    #[test]
    fn a_part_is_known_only_after_a_decision_and_a_list() {
        alone(|| {
            let (mut shard, counter) = shard();
            assert_eq!(shard.part_state("one"), PartState::Pending);
            shard.set_wanted(wanted(&["one", "two"]), &counter);
            assert_eq!(shard.part_state("one"), PartState::Pending);
            assert_eq!(shard.part_state("three"), PartState::Outside);
            shard.complete_list(Some("one"), &|_| true, &counter);
            assert_eq!(shard.part_state("one"), PartState::Synced);
            shard.set_coverage("two", Coverage::Lost("403".into()));
            assert_eq!(shard.part_state("two"), PartState::Lost("403".into()));
            shard.complete_list(None, &|_| true, &counter);
            assert_eq!(shard.part_state("two"), PartState::Synced);
            shard.set_wanted(wanted(&["one"]), &counter);
            shard.set_wanted(wanted(&["one", "two"]), &counter);
            assert_eq!(shard.part_state("two"), PartState::Pending, "coverage of a part that left is forgotten");
            assert_eq!(shard.part_state("one"), PartState::Synced);
            shard.retire(&counter);
            assert_eq!(shard.part_state("one"), PartState::Outside);
        });
    }

    #[test]
    fn a_complete_list_removes_only_rows_of_the_listed_part_that_it_did_not_see() {
        alone(|| {
            let (mut shard, counter) = shard();
            shard.set_wanted(wanted(&["one", "two"]), &counter);
            for (namespace, uid) in [("one", "1"), ("one", "2"), ("two", "3")] {
                assert!(shard.upsert(row("a", namespace, uid, 1), &counter));
            }
            shard.complete_list(Some("one"), &|uid| *uid == Uid::parse("1"), &counter);
            let left: Vec<String> = shard.log.rows().map(|row| row.id.uid.to_string()).collect();
            assert_eq!(left, ["1", "3"]);
            assert_eq!((shard.log.dead(), shard.totals(&NamespaceFilter::All).rows), (1, 2));
        });
    }

    #[test]
    fn equal_content_and_unwanted_parts_are_no_change() {
        alone(|| {
            let (mut shard, counter) = shard();
            shard.set_wanted(wanted(&["one"]), &counter);
            assert!(shard.upsert(row("a", "one", "1", 1), &counter));
            assert!(!shard.upsert(row("a", "one", "1", 1), &counter));
            assert!(!shard.upsert(row("a", "two", "2", 1), &counter));
            assert!(shard.upsert(row("a", "one", "1", 2), &counter));
            assert_eq!(shard.last, Version(2));
        });
    }

    #[test]
    fn the_checksum_depends_on_the_rows_and_not_on_their_history() {
        alone(|| {
            let (mut one, counter) = shard();
            one.upsert(row("a", "ns", "1", 1), &counter);
            one.upsert(row("a", "ns", "2", 7), &counter);
            one.upsert(row("a", "ns", "1", 2), &counter);
            one.upsert(row("a", "ns", "3", 2), &counter);
            one.remove(&Uid::parse("3"), Cause::Observed, &counter);
            let (mut two, counter) = shard();
            two.upsert(row("a", "ns", "2", 7), &counter);
            two.upsert(row("a", "ns", "1", 2), &counter);
            assert_eq!(one.totals(&NamespaceFilter::All).hash, two.totals(&NamespaceFilter::All).hash);
            assert_ne!(one.totals(&NamespaceFilter::All).hash, crate::SetHash::default());
        });
    }

    #[test]
    fn too_many_tombstones_raise_the_floor() {
        alone(|| {
            let (mut shard, counter) = shard();
            for uid in 0..10_001 {
                shard.upsert(row("a", "ns", &uid.to_string(), 1), &counter);
            }
            shard.retire(&counter);
            assert!(shard.log.dead() <= 10_000 && shard.log.dead() >= 7_000, "{}", shard.log.dead());
            assert!(shard.floor > Version(10_001) && shard.floor < shard.last);
        });
    }
}

//! Row count and hash of deduped views, updated from the changes since the last call.
//!
//! Which row of an object counts depends on the other targets of the view, so the row that counts is remembered per object
//! and determined again on a change. Rows are hashed only when another one counts.

use crate::changes::{ChangesQuery, Numbered};
use crate::dedupe;
use crate::set_hash::Totals;
use crate::shard::Shard;
use crate::shards::{ChangePage, Shards};
use crate::sync::Mutex;
use crate::view::{Dedupe, NamespaceFilter, View};
use hashbrown::{DefaultHashBuilder, HashTable};
use kollect_model::{Change, Row, TargetKey, Uid, Version};
use std::collections::HashSet;
use std::hash::BuildHasher;
use std::sync::{Arc, Weak};

/// The totals of all deduped views that are in use.
#[derive(Default)]
pub(crate) struct DedupedTotals(Mutex<Vec<DedupedView>>);

struct DedupedView {
    /// The view is in use while its targets are.
    targets: Weak<[Arc<TargetKey>]>,
    namespaces: NamespaceFilter,
    state: Arc<Mutex<CountedRows>>,
}

/// The rows that count in one view.
#[derive(Default)]
struct CountedRows {
    upto: Version,
    /// The shards that the rows came from: a new shard of a target has no tombstones of its predecessor.
    shards: Vec<Weak<Mutex<Shard>>>,
    /// The row that counts for each object.
    counted: HashTable<Arc<Row>>,
    hasher: DefaultHashBuilder,
    totals: Totals,
}

impl DedupedTotals {
    /// The totals of a deduped view at present.
    pub(crate) fn of(&self, shards: &Shards, view: &View) -> Totals {
        let state = self.state(view);
        let mut state = state.lock();
        state.refresh(shards, view);
        state.totals
    }

    /// Drops views that are not in use any more, so that they retain no rows.
    pub(crate) fn purge(&self) {
        self.0.lock().retain(|entry| entry.targets.strong_count() > 0);
    }

    fn state(&self, view: &View) -> Arc<Mutex<CountedRows>> {
        let mut entries = self.0.lock();
        entries.retain(|entry| entry.targets.strong_count() > 0);
        let same = |entry: &&DedupedView| {
            entry.namespaces == view.namespaces
                && entry.targets.upgrade().is_some_and(|targets| targets == view.targets)
        };
        if let Some(known) = entries.iter().find(same) {
            return known.state.clone();
        }
        let state = Arc::new(Mutex::new(CountedRows::default()));
        let (targets, namespaces) = (Arc::downgrade(&view.targets), view.namespaces.clone());
        entries.push(DedupedView { targets, namespaces, state: state.clone() });
        state
    }
}

impl CountedRows {
    fn refresh(&mut self, shards: &Shards, view: &View) {
        // A change of any member of an object may change the winner.
        let all = View { dedupe: Dedupe::KeepAll, ..view.clone() };
        let (since, began, after) = (self.upto, shards.cut(), Version(0));
        if since == began && since != Version(0) {
            return;
        }
        let present: Vec<_> = shards.of(view).collect();
        let same = present.len() == self.shards.len()
            && present.iter().zip(&self.shards).all(|(now, before)| Weak::ptr_eq(&Arc::downgrade(now), before));
        self.shards = present.iter().map(Arc::downgrade).collect();
        if !same || since == Version(0) {
            return self.rebuild(shards, view, began);
        }
        match shards.changes(&ChangesQuery { old: &all, since, new: &all, began, after, limit: usize::MAX, skip: None })
        {
            None => self.rebuild(shards, view, began),
            Some(ChangePage { changes, upto, .. }) => {
                let mut seen = HashSet::new();
                for Numbered { change, .. } in changes {
                    let (namespace, uid) = match change {
                        Change::Upsert(row) => (row.object.namespace.clone(), row.id.uid.clone()),
                        Change::Delete(gone) => {
                            (gone.object.map(|object| object.namespace).unwrap_or_default(), gone.id.uid)
                        }
                    };
                    if seen.insert((namespace.clone(), uid.clone())) {
                        self.count(dedupe::winner(shards, view, &namespace, &uid), &namespace, &uid);
                    }
                }
                self.upto = upto;
            }
        }
    }

    /// Reads all rows, and hashes those that were not counted before.
    fn rebuild(&mut self, shards: &Shards, view: &View, upto: Version) {
        let mut before = std::mem::take(&mut self.counted);
        for row in dedupe::last_of_each(shards.rows(view)) {
            let hash = self.hash(&row.object.namespace, &row.id.uid);
            let known = before.find_entry(hash, |old| is_of(old, &row.object.namespace, &row.id.uid)).ok();
            match known.map(|found| found.remove().0) {
                Some(old) if Arc::ptr_eq(&old, &row) => {}
                Some(old) => {
                    self.totals.subtract(&old);
                    self.totals.add(&row);
                }
                None => self.totals.add(&row),
            }
            self.insert(row);
        }
        for gone in before.drain() {
            self.totals.subtract(&gone);
        }
        self.upto = upto;
    }

    /// Makes `row` the one that counts for the object.
    fn count(&mut self, row: Option<Arc<Row>>, namespace: &str, uid: &Uid) {
        let hash = self.hash(namespace, uid);
        let old = self.counted.find_entry(hash, |old| is_of(old, namespace, uid)).ok().map(|found| found.remove().0);
        match (&old, &row) {
            (Some(old), Some(row)) if Arc::ptr_eq(old, row) => {}
            _ => {
                if let Some(old) = &old {
                    self.totals.subtract(old);
                }
                if let Some(row) = &row {
                    self.totals.add(row);
                }
            }
        }
        if let Some(row) = row {
            self.insert(row);
        }
    }

    fn insert(&mut self, row: Arc<Row>) {
        let hash = self.hash(&row.object.namespace, &row.id.uid);
        let hasher = &self.hasher;
        self.counted.insert_unique(hash, row, |row| hasher.hash_one((&*row.object.namespace, &row.id.uid)));
    }

    fn hash(&self, namespace: &str, uid: &Uid) -> u64 {
        self.hasher.hash_one((namespace, uid))
    }
}

fn is_of(row: &Arc<Row>, namespace: &str, uid: &Uid) -> bool {
    row.id.uid == *uid && *row.object.namespace == *namespace
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::row;
    use crate::set_hash::HASHED;
    use crate::sync::alone;
    use crate::{Store, WantedParts};
    use kollect_model::Cause;

    fn hashed(act: impl FnOnce()) -> u64 {
        let before = HASHED.get();
        act();
        HASHED.get() - before
    }

    #[test]
    fn counting_a_deduped_view_hashes_only_what_changed() {
        alone(|| {
            let store = Store::new();
            let keys = ["a", "b"].map(|name| Arc::new(TargetKey::namespaced("shop", name)));
            for key in &keys {
                store.ensure_target(key);
                store.set_wanted(key, WantedParts::Namespaces(Arc::new(["ns".into()].into())));
                (0..300).for_each(|uid| assert!(store.upsert(row(&key.name, "ns", &uid.to_string(), 1))));
            }
            let view = View::new(keys.to_vec(), NamespaceFilter::All, Dedupe::ByResourceUid);
            assert_eq!(hashed(|| assert_eq!(store.counts(&view), 300)), 300);
            assert_eq!(hashed(|| (0..50).for_each(|_| assert_eq!(store.counts(&view), 300))), 0);
            store.upsert(row("b", "ns", "7", 2));
            store.upsert(row("a", "ns", "8", 2));
            assert_eq!(hashed(|| drop(store.checksum(&view).to_string())), 2, "the row before and the row now");
            store.remove(&keys[1], &Uid::parse("9"), Cause::Observed);
            assert_eq!(hashed(|| assert_eq!(store.counts(&view), 300)), 2, "the other target's row counts now");
            store.remove_target(&keys[1]);
            assert_eq!(store.counts(&view), 300);
            store.remove_target(&keys[0]);
            assert_eq!((store.counts(&view), store.checksum(&view)), (0, crate::SetHash::default()));
        });
    }

    #[test]
    fn a_view_that_nothing_uses_keeps_no_rows() {
        alone(|| {
            let store = Store::new();
            let view = View::new(Vec::new(), NamespaceFilter::All, Dedupe::ByResourceUid);
            store.counts(&view);
            let reader = store.register_reader();
            drop(view);
            store.drop_reader(reader);
            assert!(store.deduped.0.lock().is_empty());
        });
    }
}

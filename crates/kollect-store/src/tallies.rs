//! Rows and checksum of deduped views, kept up to date by what changed since they were last asked for.
//!
//! A view has one row per object, so which rows count depends on other targets. Each entry remembers the row that counts
//! for an object; a change looks its object up again. Nothing is hashed unless the row that counts is another one.

use crate::shard::{Shard, Tally};
use crate::sync::Mutex;
use crate::{Changes, Dedupe, NamespaceFilter, Query, Store, View, dedupe};
use hashbrown::{DefaultHashBuilder, HashTable};
use kollect_model::{Change, Row, TargetKey, Uid, Version};
use std::collections::HashSet;
use std::hash::BuildHasher;
use std::sync::{Arc, Weak};

/// The tallies of all deduped views that are in use.
#[derive(Default)]
pub(crate) struct Tallies(Mutex<Vec<Entry>>);

struct Entry {
    /// The view is in use while its targets are.
    targets: Weak<[Arc<TargetKey>]>,
    namespaces: NamespaceFilter,
    state: Arc<Mutex<State>>,
}

/// What is known of one view.
#[derive(Default)]
struct State {
    upto: Version,
    /// The shards that the rows came from: one that is another now has no tombstones of the former one.
    shards: Vec<Weak<Mutex<Shard>>>,
    /// The row that counts for each object.
    counted: HashTable<Arc<Row>>,
    hasher: DefaultHashBuilder,
    tally: Tally,
}

impl Tallies {
    /// The tally of a deduped view now.
    pub(crate) fn of(&self, store: &Store, view: &View) -> Tally {
        let state = self.state(view);
        let mut state = state.lock();
        state.refresh(store, view);
        state.tally
    }

    /// Forgets views that are not in use any more, so that they keep no rows alive.
    pub(crate) fn purge(&self) {
        self.0.lock().retain(|entry| entry.targets.strong_count() > 0);
    }

    fn state(&self, view: &View) -> Arc<Mutex<State>> {
        let mut entries = self.0.lock();
        entries.retain(|entry| entry.targets.strong_count() > 0);
        let same = |entry: &&Entry| {
            entry.namespaces == view.namespaces
                && entry.targets.upgrade().is_some_and(|targets| targets == view.targets)
        };
        if let Some(known) = entries.iter().find(same) {
            return known.state.clone();
        }
        let state = Arc::new(Mutex::new(State::default()));
        let (targets, namespaces) = (Arc::downgrade(&view.targets), view.namespaces.clone());
        entries.push(Entry { targets, namespaces, state: state.clone() });
        state
    }
}

impl State {
    fn refresh(&mut self, store: &Store, view: &View) {
        // Every member of an object counts as a change, whichever of them is shown.
        let all = View { dedupe: Dedupe::KeepAll, ..view.clone() };
        let (since, began, after) = (self.upto, store.cut(), Version(0));
        if since == began && since != Version(0) {
            return;
        }
        let shards: Vec<_> = view.targets.iter().filter_map(|target| store.shard(target)).collect();
        let same = shards.len() == self.shards.len()
            && shards.iter().zip(&self.shards).all(|(now, before)| Weak::ptr_eq(&Arc::downgrade(now), before));
        self.shards = shards.iter().map(Arc::downgrade).collect();
        if !same || since == Version(0) {
            return self.rebuild(store, view, began);
        }
        match store.changes(&Query { old: &all, since, new: &all, began, after, limit: usize::MAX, skip: None }) {
            Changes::Unknown => self.rebuild(store, view, began),
            Changes::Delta { changes, upto, .. } => {
                let mut seen = HashSet::new();
                for change in changes {
                    let (namespace, uid) = match change {
                        Change::Upsert(row) => (row.object.namespace.clone(), row.id.uid.clone()),
                        Change::Delete(gone) => {
                            (gone.object.map(|object| object.namespace).unwrap_or_default(), gone.id.uid)
                        }
                    };
                    if seen.insert((namespace.clone(), uid.clone())) {
                        self.count(dedupe::winner(store, view, &namespace, &uid), &namespace, &uid);
                    }
                }
                self.upto = upto;
            }
        }
    }

    /// Walks all rows, and hashes those that were not counted before.
    fn rebuild(&mut self, store: &Store, view: &View, upto: Version) {
        let mut before = std::mem::take(&mut self.counted);
        let mut rows = Vec::new();
        store.for_each(view, &mut |row| rows.push(row.clone()));
        for row in rows {
            let hash = self.hash(&row.object.namespace, &row.id.uid);
            let known = before.find_entry(hash, |old| is_of(old, &row.object.namespace, &row.id.uid)).ok();
            match known.map(|found| found.remove().0) {
                Some(old) if Arc::ptr_eq(&old, &row) => {}
                Some(old) => {
                    self.tally.subtract(&old);
                    self.tally.add(&row);
                }
                None => self.tally.add(&row),
            }
            self.insert(row);
        }
        for gone in before.drain() {
            self.tally.subtract(&gone);
        }
        self.upto = upto;
    }

    /// Has `row` count for the object.
    fn count(&mut self, row: Option<Arc<Row>>, namespace: &str, uid: &Uid) {
        let hash = self.hash(namespace, uid);
        let old = self.counted.find_entry(hash, |old| is_of(old, namespace, uid)).ok().map(|found| found.remove().0);
        match (&old, &row) {
            (Some(old), Some(row)) if Arc::ptr_eq(old, row) => {}
            _ => {
                if let Some(old) = &old {
                    self.tally.subtract(old);
                }
                if let Some(row) = &row {
                    self.tally.add(row);
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
    use crate::Wanted;
    use crate::shard::tests::row;
    use crate::sum::HASHED;
    use crate::sync::alone;
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
                store.set_wanted(key, Wanted::Namespaces(Arc::new(["ns".into()].into())));
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
            assert_eq!((store.counts(&view), store.checksum(&view)), (0, crate::Sum::default()));
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
            assert!(store.tallies.0.lock().is_empty());
        });
    }
}

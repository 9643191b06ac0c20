//! Writers and a reader of changes under thousands of schedules.
//!
//! A scheduler decides at every lock and every load of the counter which thread continues, so races that real threads hit
//! once a year are hit here. Seeds are fixed: the same code runs the same schedules.

use crate::fixtures::row;
use crate::sync::check;
use crate::{Changes, ChangesQuery, ReaderId, Store, View};
use kollect_model::{Cause, Change, Digest, RowId, TargetKey, Uid, Version};
use shuttle::rand::{Rng as _, thread_rng};
use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::thread;
use std::collections::BTreeMap;
use std::sync::Arc;

const TARGETS: [&str; 3] = ["a", "b", "c"];
const UIDS: [&str; 2] = ["1", "2"];
const WRITERS: u64 = 3;
const STEPS: u64 = 4;
const ROUNDS: u64 = 3;
/// More than there can be changes.
const PAGES: usize = 100;
/// Schedules per test: seconds in an unoptimised build. A wrong order is found within the first hundred.
const SCHEDULES: usize = 4_000;

fn key(name: &str) -> Arc<TargetKey> {
    Arc::new(TargetKey::namespaced("shop", name))
}

fn view(names: &[&str]) -> View {
    View::of(names.iter().map(|name| key(name)).collect())
}

/// What the writers do.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Writing {
    /// Rows come and go.
    Rows,
    /// Targets as well: a shard is dropped and made again while others hold it.
    Targets,
}

/// Applies pages to a copy and keeps its place in the store, as a binding does for its sink.
struct Reader {
    id: ReaderId,
    copy: BTreeMap<RowId, Digest>,
    view: View,
    since: Version,
    writing: Writing,
}

impl Reader {
    fn new(store: &Store, writing: Writing) -> Self {
        let id = store.register_reader();
        Self { id, copy: BTreeMap::new(), view: View::empty(), since: Version(0), writing }
    }

    fn catch_up(&mut self, store: &Store, view: &View, limit: usize) {
        let (mut began, mut after) = (store.cut(), Version(0));
        if self.view != *view {
            let both = self.view.targets.iter().chain(view.targets.iter()).cloned().collect();
            store.advance_reader(self.id, self.since, &View::of(both));
        }
        for page in 1.. {
            assert!(page < PAGES, "the pages do not end");
            let query = ChangesQuery { old: &self.view, since: self.since, new: view, began, after, limit, skip: None };
            match store.changes(&query) {
                Changes::Delta { changes, upto, more } => {
                    for change in changes {
                        self.apply(change);
                    }
                    after = upto;
                    if !more {
                        break;
                    }
                }
                Changes::Unknown => {
                    // A target that went and came back may be unknown; one that stayed must not.
                    let may = self.writing == Writing::Targets || self.view != *view;
                    assert!(may, "tombstones of a view that the reader keeps were dropped");
                    (began, after) = (self.start_over(store, view), Version(0));
                }
            }
        }
        store.advance_reader(self.id, after, view);
        self.view = view.clone();
        self.since = after;
    }

    fn apply(&mut self, change: Change) {
        match change {
            Change::Upsert(row) => self.copy.insert(row.id.clone(), row.digest),
            Change::Delete(deleted) => self.copy.remove(&deleted.id),
        };
    }

    /// A deletion in a joined part may be dropped already: everything must be delivered again.
    fn start_over(&mut self, store: &Store, view: &View) -> Version {
        let began = store.cut();
        store.advance_reader(self.id, began, view);
        self.copy.clear();
        self.view = View::empty();
        self.since = began;
        began
    }

    fn assert_has(&self, store: &Store, view: &View) {
        let rows = store.snapshot(view);
        let wanted: BTreeMap<_, _> = rows.iter().map(|row| (row.id.clone(), row.digest)).collect();
        assert_eq!(self.copy, wanted);
    }
}

fn write(store: &Store, writer: u64, writing: Writing) {
    let mut random = thread_rng();
    for step in 0..STEPS {
        let (target, uid) = (TARGETS[random.gen_range(0..TARGETS.len())], UIDS[random.gen_range(0..UIDS.len())]);
        if writing == Writing::Targets && random.gen_bool(0.3) {
            store.remove_target(&key(target));
            store.ensure_target(&key(target));
        } else if random.gen_bool(0.4) {
            store.remove(&key(target), &Uid::parse(uid), Cause::Observed);
        } else {
            store.upsert(row(target, "ns", uid, step * WRITERS + writer));
        }
    }
}

/// Stays with its view, or leaves one target and joins another.
fn next_view(now: &View) -> View {
    match thread_rng().gen_range(0..6) {
        0 => view(&TARGETS[..1]),
        1 => view(&TARGETS[..2]),
        2 => view(&TARGETS[1..]),
        _ => now.clone(),
    }
}

fn read(store: &Store, writing: Writing) -> Reader {
    let mut reader = Reader::new(store, writing);
    let mut wanted = view(&TARGETS);
    for _ in 0..ROUNDS {
        reader.catch_up(store, &wanted, thread_rng().gen_range(1..4));
        wanted = next_view(&wanted);
    }
    reader
}

fn writers_and_a_reader(writing: Writing) {
    let store = Arc::new(Store::new());
    for target in TARGETS {
        store.ensure_target(&key(target));
        store.upsert(row(target, "ns", UIDS[0], u64::MAX));
    }
    let reader = {
        let store = store.clone();
        thread::spawn(move || read(&store, writing))
    };
    let writers = (0..WRITERS).map(|writer| {
        let store = store.clone();
        thread::spawn(move || write(&store, writer, writing))
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.join().unwrap();
    }
    let mut reader = reader.join().unwrap();
    let last = next_view(&reader.view);
    reader.catch_up(&store, &last, 2);
    reader.assert_has(&store, &last);
}

#[test]
fn no_change_and_no_deletion_is_lost_under_random_schedules() {
    check(RandomScheduler::new_from_seed(1, SCHEDULES), || writers_and_a_reader(Writing::Rows));
}

#[test]
fn no_change_and_no_deletion_is_lost_under_schedules_with_few_switches() {
    check(PctScheduler::new_from_seed(1, 4, SCHEDULES), || writers_and_a_reader(Writing::Rows));
}

#[test]
fn no_deletion_is_lost_when_targets_go_and_come_back() {
    check(PctScheduler::new_from_seed(1, 4, SCHEDULES), || writers_and_a_reader(Writing::Targets));
}

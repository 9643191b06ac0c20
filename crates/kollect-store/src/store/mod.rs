//! The store: its rows, readers and observers. Every method locks at most one shard at a time.

mod read;

use crate::coverage::{Coverage, WantedParts};
use crate::deduped_totals::DedupedTotals;
use crate::readers::{ReaderId, Readers};
use crate::shard::Shard;
use crate::shards::Shards;
use crate::sync::{AtomicU64, Mutex, Ordering, RwLock};
use crate::view::View;
use kollect_model::{Cause, Row, TargetKey, Uid, Version};
use std::sync::{Arc, Weak};

/// Tombstones below this number are not worth a search for ones to drop.
const TOMBSTONES_WORTH_A_SEARCH: usize = 1_024;

/// Observes changes of targets. Every method is called after the shard's lock was released and must not block.
pub trait StoreObserver: Send + Sync {
    /// Rows or coverage of the target changed.
    fn changed(&self, target: &TargetKey);

    /// Rows were added or removed, so that [`Store::target_rows`] differs. Called after [`StoreObserver::changed`]. Calls of
    /// concurrent changes may arrive in any order: read the count from the store.
    fn row_count_changed(&self, target: &TargetKey) {
        let _ = target;
    }
}

/// All rows. Shared as `Arc<Store>`; every method locks at most one shard at a time.
#[derive(Default)]
pub struct Store {
    shards: Shards,
    /// Bytes of all shards.
    bytes: AtomicU64,
    readers: Mutex<Readers>,
    pub(crate) deduped: DedupedTotals,
    observers: RwLock<Arc<[Weak<dyn StoreObserver>]>>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("targets", &self.shards.by_target.read().len()).finish_non_exhaustive()
    }
}

impl Store {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an observer, which is called until it is dropped.
    pub fn observe(&self, observer: Weak<dyn StoreObserver>) {
        let mut observers = self.observers.write();
        let alive = observers.iter().filter(|known| known.strong_count() > 0).cloned();
        *observers = alive.chain([observer]).collect();
    }

    /// Adds an empty shard, all of it pending, unless the target has one.
    pub fn ensure_target(&self, target: &Arc<TargetKey>) {
        let revived = {
            let mut shards = self.shards.by_target.write();
            let shard = shards.entry(target.clone()).or_insert_with(|| new_shard(target));
            // Under the map's lock, or the shard could be dropped from the map in between.
            let mut shard = shard.lock();
            shard.revive()
        };
        if revived {
            self.notify(target, false);
        }
    }

    /// The target was removed. Its rows become tombstones until every reader has passed them; then the shard goes.
    pub fn remove_target(&self, target: &TargetKey) {
        self.change(target, |shard, counter| {
            shard.retire(counter);
            true
        });
        self.tidy(target);
    }

    /// Puts a row. Returns `false` when nothing changed: same digest, unknown target, or a part that is not wanted.
    pub fn upsert(&self, row: Row) -> bool {
        let target = row.id.target.clone();
        self.change(&target, |shard, counter| shard.upsert(row, counter))
    }

    /// Removes a row. Returns `false` when there was none.
    pub fn remove(&self, target: &TargetKey, uid: &Uid, cause: Cause) -> bool {
        let mut search = false;
        let changed = self.change(target, |shard, counter| {
            let changed = shard.remove(uid, cause, counter);
            search = changed && shard.log.dead().is_multiple_of(TOMBSTONES_WORTH_A_SEARCH);
            changed
        });
        if search {
            self.tidy(target);
        }
        changed
    }

    /// Sets the object namespaces that the target wants; rows elsewhere are removed with [`Cause::SpecChanged`].
    pub fn set_wanted(&self, target: &TargetKey, wanted: WantedParts) {
        self.change(target, |shard, counter| shard.set_wanted(wanted, counter));
    }

    /// Sets how completely one part is known. Rows stay.
    pub fn set_coverage(&self, target: &TargetKey, namespace: &str, coverage: Coverage) {
        self.change(target, |shard, _| shard.set_coverage(namespace, coverage));
    }

    /// Applies a complete list of a namespace (`None`: of every wanted one): rows that it did not contain are removed with
    /// [`Cause::Absent`], and the listed parts are synced.
    pub fn complete_list(&self, target: &TargetKey, namespace: Option<&str>, seen: &dyn Fn(&Uid) -> bool) {
        self.change(target, |shard, counter| shard.complete_list(namespace, seen, counter));
        self.tidy(target);
    }

    /// Frees the memory of a target's rows. Nothing is known of it from now on, so sinks keep its rows.
    pub fn shed(&self, target: &TargetKey, why: &Arc<str>) {
        self.change(target, |shard, counter| shard.shed(why.clone(), counter));
    }

    /// A new reader. It retains no tombstones until [`Store::advance_reader`] sets its cursor.
    pub fn register_reader(&self) -> ReaderId {
        self.readers.lock().register()
    }

    /// The reader has delivered the view up to the version.
    pub fn advance_reader(&self, reader: ReaderId, version: Version, view: &View) {
        let Some(before) = self.readers.lock().advance(reader, version, view) else { return };
        for target in view.targets.iter() {
            self.tidy(target);
        }
        for target in before.targets.iter().filter(|target| view.target(target).is_none()) {
            self.tidy(target);
        }
    }

    /// Removes a reader.
    pub fn drop_reader(&self, reader: ReaderId) {
        self.deduped.purge();
        let Some(before) = self.readers.lock().forget(reader) else { return };
        for target in before.targets.iter() {
            self.tidy(target);
        }
    }

    fn change(&self, target: &TargetKey, act: impl FnOnce(&mut Shard, &AtomicU64) -> bool) -> bool {
        let Some(shard) = self.shards.get(target) else { return false };
        let (changed, row_count_changed) = {
            let mut shard = shard.lock();
            let (bytes, rows) = (shard.bytes(), shard.log.live());
            let changed = act(&mut shard, &self.shards.counter);
            self.account(bytes, shard.bytes());
            (changed, shard.log.live() != rows)
        };
        if changed {
            self.notify(target, row_count_changed);
        }
        changed
    }

    fn account(&self, before: u64, after: u64) {
        if after >= before {
            self.bytes.fetch_add(after - before, Ordering::SeqCst);
        } else {
            self.bytes.fetch_sub(before - after, Ordering::SeqCst);
        }
    }

    fn notify(&self, target: &TargetKey, row_count_changed: bool) {
        let observers = self.observers.read().clone();
        for observer in observers.iter().filter_map(Weak::upgrade) {
            observer.changed(target);
            if row_count_changed {
                observer.row_count_changed(target);
            }
        }
    }

    /// Drops tombstones that no reader needs, when that is worth a search, and the shard of a removed target.
    fn tidy(&self, target: &TargetKey) {
        let Some(shard) = self.shards.get(target) else { return };
        let (removed, worth_it) = {
            let shard = shard.lock();
            let dead = shard.log.dead();
            (shard.removed, dead >= TOMBSTONES_WORTH_A_SEARCH || (dead > 0 && dead * 8 >= shard.log.live()))
        };
        if !removed && !worth_it {
            return;
        }
        let mut shards = if removed { Some(self.shards.by_target.write()) } else { None };
        // A concurrent call may have dropped the shard, and the target may have a new one.
        let in_place =
            shards.as_ref().and_then(|shards| shards.get(target)).is_some_and(|now| Arc::ptr_eq(now, &shard));
        let mut shard = shard.lock();
        // Read under the shard's lock: a reader that registers later finds the shard as it is left here.
        let upto = self.readers.lock().oldest(target).unwrap_or(shard.last);
        let before = shard.bytes();
        shard.drop_tombstones(upto, usize::MAX);
        self.account(before, shard.bytes());
        if let Some(shards) = &mut shards
            && in_place
            && shard.removed
            && upto >= shard.last
        {
            self.account(shard.bytes(), 0);
            shards.remove(target);
        }
    }
}

fn new_shard(target: &Arc<TargetKey>) -> Arc<Mutex<Shard>> {
    Arc::new(Mutex::new(Shard::new(target.clone())))
}

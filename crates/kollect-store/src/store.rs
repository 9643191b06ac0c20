//! The store: all shards, the version counter, and whom to tell about changes.

use crate::changes::{Page, Way, gather};
use crate::coverage::{Coverage, PartState, Standing, Wanted};
use crate::log::Slot;
use crate::readers::{ReaderId, Readers};
use crate::shard::{Shard, Tally};
use crate::sync::{AtomicU64, Mutex, Ordering, RwLock};
use crate::tallies::Tallies;
use crate::{Changes, Dedupe, Query, Sum, View, dedupe};
use kollect_model::{Cause, Row, RowId, TargetKey, Uid, Version};
use std::collections::HashMap;
use std::sync::{Arc, Weak};

/// Tombstones below this number are not worth a search for ones to drop.
const TOMBSTONES_WORTH_A_SEARCH: usize = 1_024;

/// Is told that something of a target changed.
pub trait StoreObserver: Send + Sync {
    /// Rows or coverage of the target changed. Called after the shard's lock was released; must not block.
    fn changed(&self, target: &TargetKey);
}

/// All rows that Kollect keeps. Shared as `Arc<Store>`; every method locks at most one shard at a time.
#[derive(Default)]
pub struct Store {
    counter: AtomicU64,
    /// Bytes of all shards.
    bytes: AtomicU64,
    shards: RwLock<HashMap<Arc<TargetKey>, Arc<Mutex<Shard>>>>,
    readers: Mutex<Readers>,
    pub(crate) tallies: Tallies,
    observers: RwLock<Vec<Weak<dyn StoreObserver>>>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("targets", &self.shards.read().len()).finish_non_exhaustive()
    }
}

impl Store {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// From now on tells the observer about changes, as long as it lives.
    pub fn observe(&self, observer: Weak<dyn StoreObserver>) {
        let mut observers = self.observers.write();
        observers.retain(|known| known.strong_count() > 0);
        observers.push(observer);
    }

    /// Makes an empty shard, all of it pending, unless the target has one.
    pub fn ensure_target(&self, target: &Arc<TargetKey>) {
        let revived = {
            let mut shards = self.shards.write();
            let shard = shards.entry(target.clone()).or_insert_with(|| new_shard(target));
            // Under the map's lock, or the shard could be dropped from the map in between.
            let mut shard = shard.lock();
            shard.revive()
        };
        if revived {
            self.tell(target);
        }
    }

    /// The target is gone. Its rows become tombstones until every reader has passed them; then the shard goes.
    pub fn remove_target(&self, target: &TargetKey) {
        self.change(target, |shard, counter| {
            shard.retire(counter);
            true
        });
        self.tidy(target);
    }

    /// Puts a row. `false` when nothing changed: same digest, unknown target, or a part that is not wanted.
    pub fn upsert(&self, row: Row) -> bool {
        let target = row.id.target.clone();
        self.change(&target, |shard, counter| shard.upsert(row, counter))
    }

    /// Takes a row away. `false` when there was none.
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

    /// Sets the object namespaces that the target wants; rows elsewhere go because the spec changed.
    pub fn set_wanted(&self, target: &TargetKey, wanted: Wanted) {
        self.change(target, |shard, counter| shard.set_wanted(wanted, counter));
    }

    /// Says how well one part is known. Rows stay whatever it says.
    pub fn set_coverage(&self, target: &TargetKey, namespace: &str, coverage: Coverage) {
        self.change(target, |shard, _| shard.set_coverage(namespace, coverage));
    }

    /// After a complete list of a namespace (`None`: of every wanted one): rows that were not seen are absent, and the
    /// listed parts are synced.
    pub fn complete_list(&self, target: &TargetKey, namespace: Option<&str>, seen: &dyn Fn(&Uid) -> bool) {
        self.change(target, |shard, counter| shard.complete_list(namespace, seen, counter));
        self.tidy(target);
    }

    /// How well one part is known.
    pub fn part_state(&self, target: &TargetKey, namespace: &str) -> PartState {
        self.shard(target).map_or(PartState::Pending, |shard| shard.lock().part_state(namespace))
    }

    /// Every wanted part of the view with its state. A target whose namespaces are not known is one part without one.
    pub fn parts(&self, view: &View) -> Vec<(Arc<TargetKey>, Option<Arc<str>>, PartState)> {
        let mut all = Vec::new();
        for target in view.targets.iter() {
            let parts = self.shard(target).map(|shard| shard.lock().parts(&view.namespaces));
            let parts = parts.unwrap_or_else(|| vec![(None, PartState::Pending)]);
            all.extend(parts.into_iter().map(|(namespace, state)| (target.clone(), namespace, state)));
        }
        all
    }

    /// Whether it is decided which namespaces the target wants.
    pub fn knows_namespaces(&self, target: &TargetKey) -> bool {
        self.shard(target).is_some_and(|shard| shard.lock().knows_namespaces())
    }

    /// Whether no part of the view is pending.
    pub fn ready(&self, view: &View) -> bool {
        self.parts(view).iter().all(|(_, _, state)| *state != PartState::Pending)
    }

    /// Rows of all targets.
    pub fn rows(&self) -> u64 {
        let shards: Vec<_> = self.shards.read().values().cloned().collect();
        shards.iter().map(|shard| shard.lock().log.live() as u64).sum()
    }

    /// Bytes that all rows and tombstones take, as an estimate from above.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::SeqCst)
    }

    /// Bytes that the rows and tombstones of one target take.
    pub fn target_bytes(&self, target: &TargetKey) -> u64 {
        self.shard(target).map_or(0, |shard| shard.lock().bytes())
    }

    /// Gives the memory of a target's rows back. Nothing is known of it from now on, so sinks keep what they hold of it.
    pub fn shed(&self, target: &TargetKey, why: &Arc<str>) {
        self.change(target, |shard, counter| shard.shed(why.clone(), counter));
    }

    /// Rows of one target.
    pub fn target_rows(&self, target: &TargetKey) -> u64 {
        self.shard(target).map_or(0, |shard| shard.lock().log.live() as u64)
    }

    /// Rows in the view. Costs what changed since it was last asked for.
    pub fn counts(&self, view: &View) -> u64 {
        self.tally(view).rows
    }

    /// Checksum of the view's rows: Σ SHA-256(item) mod 2²⁵⁶, independent of their order.
    pub fn checksum(&self, view: &View) -> Sum {
        self.tally(view).sum
    }

    fn tally(&self, view: &View) -> Tally {
        if view.dedupe == Dedupe::ByResourceUid {
            return self.tallies.of(self, view);
        }
        let mut total = Tally::default();
        for shard in view.targets.iter().filter_map(|target| self.shard(target)) {
            total.include(shard.lock().tally(&view.namespaces));
        }
        total
    }

    /// The version up to which a reader that now looks at shards sees everything.
    pub fn cut(&self) -> Version {
        Version(self.counter.load(Ordering::SeqCst))
    }

    /// One page of what a reader has to apply to get from `query.old` to `query.new`.
    pub fn changes(&self, query: &Query<'_>) -> Changes {
        // Before any lock: every version up to the cut was handed out under a lock that is taken below. The tests in
        // `schedules.rs` watch this order, and the one in `Shard::next`.
        let cut = self.cut();
        let way = Way { query, cut, same_namespaces: query.old.namespaces == query.new.namespaces };
        let mut page = Page::new(query.limit);
        let left = query.old.targets.iter().filter(|target| query.new.target(target).is_none());
        for target in query.new.targets.iter().chain(left) {
            let Some(shard) = self.shard(target) else { continue };
            if !gather(&shard.lock(), &way, &mut page) {
                return Changes::Unknown;
            }
        }
        let (found, more) = page.finish();
        let upto = match found.last() {
            Some(last) if more => last.version.min(cut),
            _ => cut,
        };
        let changes = if query.new.dedupe == Dedupe::KeepAll {
            found.into_iter().map(|numbered| numbered.change).collect()
        } else {
            dedupe::resolve(self, query, found)
        };
        Changes::Delta { changes, upto, more }
    }

    /// Calls `f` with every row of the view, shard by shard, with no lock held meanwhile.
    pub fn for_each(&self, view: &View, f: &mut dyn FnMut(&Arc<Row>)) {
        if view.dedupe == Dedupe::ByResourceUid {
            dedupe::last_of_each(self.collect(view)).iter().for_each(f);
            return;
        }
        for target in view.targets.iter() {
            self.rows_of(target, view).iter().for_each(&mut *f);
        }
    }

    /// Every row of the view in canonical order.
    pub fn snapshot(&self, view: &View) -> Vec<Arc<Row>> {
        let mut rows = self.collect(view);
        if view.dedupe == Dedupe::ByResourceUid {
            rows = dedupe::last_of_each(rows);
        }
        rows.sort_unstable_by(|a, b| kollect_model::canonical_cmp(a, b));
        rows
    }

    fn collect(&self, view: &View) -> Vec<Arc<Row>> {
        view.targets.iter().flat_map(|target| self.rows_of(target, view)).collect()
    }

    fn rows_of(&self, target: &TargetKey, view: &View) -> Vec<Arc<Row>> {
        let Some(shard) = self.shard(target) else { return Vec::new() };
        let shard = shard.lock();
        shard.log.rows().filter(|row| view.namespaces.contains(&row.object.namespace)).cloned().collect()
    }

    /// One row.
    pub fn get(&self, id: &RowId) -> Option<Arc<Row>> {
        let shard = self.shard(&id.target)?;
        let shard = shard.lock();
        match &shard.log.find(&id.uid)?.slot {
            Slot::Live(row) => Some(row.clone()),
            _ => None,
        }
    }

    /// What a row that a sink holds means to the view today. The only place that allows an unobserved deletion.
    pub fn standing(&self, view: &View, id: &RowId, object_namespace: &str) -> Standing {
        if view.target(&id.target).is_none() {
            return Standing::Gone(Cause::SpecChanged);
        }
        // The row itself knows its namespace better than a sink that somebody else may have written to.
        let row = self.get(id);
        let namespace = row.as_ref().map_or(object_namespace, |row| &row.object.namespace);
        if !view.namespaces.contains(namespace) {
            return Standing::Gone(Cause::SpecChanged);
        }
        if view.dedupe == Dedupe::ByResourceUid
            && let Some(winner) = dedupe::winner(self, view, namespace, &id.uid)
            // Only a later target takes the place for sure; an earlier one stands in while this row is unknown.
            && winner.id.target > id.target
        {
            return Standing::Gone(Cause::SpecChanged);
        }
        let Some(shard) = self.shard(&id.target) else { return Standing::Unproven };
        let shard = shard.lock();
        match shard.log.find(&id.uid).map(|entry| (entry.version, &entry.slot)) {
            Some((version, Slot::Live(row))) => Standing::Present { version, digest: row.digest },
            Some((_, Slot::Dead(deleted))) => Standing::Gone(deleted.cause),
            _ => match shard.part_state(namespace) {
                PartState::Synced => Standing::Gone(Cause::Absent),
                PartState::Outside => Standing::Gone(Cause::SpecChanged),
                PartState::Pending | PartState::Lost(_) => Standing::Unproven,
            },
        }
    }

    /// A new reader. It keeps no tombstones alive until it says where it is.
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

    /// The reader is gone.
    pub fn drop_reader(&self, reader: ReaderId) {
        self.tallies.purge();
        let Some(before) = self.readers.lock().forget(reader) else { return };
        for target in before.targets.iter() {
            self.tidy(target);
        }
    }

    pub(crate) fn shard(&self, target: &TargetKey) -> Option<Arc<Mutex<Shard>>> {
        self.shards.read().get(target).cloned()
    }

    fn change(&self, target: &TargetKey, act: impl FnOnce(&mut Shard, &AtomicU64) -> bool) -> bool {
        let Some(shard) = self.shard(target) else { return false };
        let changed = {
            let mut shard = shard.lock();
            let before = shard.bytes();
            let changed = act(&mut shard, &self.counter);
            self.account(before, shard.bytes());
            changed
        };
        if changed {
            self.tell(target);
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

    fn tell(&self, target: &TargetKey) {
        let observers: Vec<_> = self.observers.read().iter().filter_map(Weak::upgrade).collect();
        for observer in observers {
            observer.changed(target);
        }
    }

    /// Drops tombstones that no reader needs, when that is worth a search, and the shard of a target that is gone.
    fn tidy(&self, target: &TargetKey) {
        let Some(shard) = self.shard(target) else { return };
        let (removed, worth_it) = {
            let shard = shard.lock();
            let dead = shard.log.dead();
            (shard.removed, dead >= TOMBSTONES_WORTH_A_SEARCH || (dead > 0 && dead * 8 >= shard.log.live()))
        };
        if !removed && !worth_it {
            return;
        }
        let mut shards = if removed { Some(self.shards.write()) } else { None };
        // Another call may have dropped the shard, and the target may be back with a new one.
        let in_place =
            shards.as_ref().and_then(|shards| shards.get(target)).is_some_and(|now| Arc::ptr_eq(now, &shard));
        let mut shard = shard.lock();
        // Asked under the shard's lock: a reader that registers later finds the shard as it is left here.
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

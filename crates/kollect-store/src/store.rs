//! The store: shards, readers and observers.

use crate::change_log::LogSlot;
use crate::changes::{Changes, ChangesQuery};
use crate::coverage::{Coverage, HeldRowState, PartState, WantedParts};
use crate::dedupe;
use crate::deduped_totals::DedupedTotals;
use crate::readers::{ReaderId, Readers};
use crate::set_hash::{SetHash, Totals};
use crate::shard::Shard;
use crate::shards::{ChangePage, Shards};
use crate::sync::{AtomicU64, Mutex, Ordering, RwLock};
use crate::view::{Dedupe, View};
use kollect_model::{Cause, Row, RowId, TargetKey, Uid, Version};
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

    /// How completely one part is known.
    pub fn part_state(&self, target: &TargetKey, namespace: &str) -> PartState {
        self.shards.get(target).map_or(PartState::Pending, |shard| shard.lock().part_state(namespace))
    }

    /// Every wanted part of the view with its state. A target whose namespaces are not known is one part without one.
    pub fn parts(&self, view: &View) -> Vec<(Arc<TargetKey>, Option<Arc<str>>, PartState)> {
        let mut all = Vec::new();
        for target in view.targets.iter() {
            let parts = self.shards.get(target).map(|shard| shard.lock().parts(&view.namespaces));
            let parts = parts.unwrap_or_else(|| vec![(None, PartState::Pending)]);
            all.extend(parts.into_iter().map(|(namespace, state)| (target.clone(), namespace, state)));
        }
        all
    }

    /// Whether it is decided which namespaces the target wants.
    pub fn knows_namespaces(&self, target: &TargetKey) -> bool {
        self.shards.get(target).is_some_and(|shard| shard.lock().knows_namespaces())
    }

    /// Whether no part of the view is pending.
    pub fn ready(&self, view: &View) -> bool {
        self.parts(view).iter().all(|(_, _, state)| *state != PartState::Pending)
    }

    /// Rows of all targets.
    pub fn rows(&self) -> u64 {
        self.shards.all().iter().map(|shard| shard.lock().log.live() as u64).sum()
    }

    /// Bytes that all rows and tombstones take, as an estimate from above.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::SeqCst)
    }

    /// Bytes that the rows and tombstones of one target take.
    pub fn target_bytes(&self, target: &TargetKey) -> u64 {
        self.shards.get(target).map_or(0, |shard| shard.lock().bytes())
    }

    /// Frees the memory of a target's rows. Nothing is known of it from now on, so sinks keep its rows.
    pub fn shed(&self, target: &TargetKey, why: &Arc<str>) {
        self.change(target, |shard, counter| shard.shed(why.clone(), counter));
    }

    /// Rows of one target.
    pub fn target_rows(&self, target: &TargetKey) -> u64 {
        self.shards.get(target).map_or(0, |shard| shard.lock().log.live() as u64)
    }

    /// Rows in the view. Cost: the changes since the last call.
    pub fn counts(&self, view: &View) -> u64 {
        self.totals(view).rows
    }

    /// Checksum of the view's rows: Σ SHA-256(item) mod 2²⁵⁶, independent of their order.
    pub fn checksum(&self, view: &View) -> SetHash {
        self.totals(view).hash
    }

    fn totals(&self, view: &View) -> Totals {
        if view.dedupe == Dedupe::ByResourceUid {
            return self.deduped.of(&self.shards, view);
        }
        let mut total = Totals::default();
        for shard in self.shards.of(view) {
            total.include(shard.lock().totals(&view.namespaces));
        }
        total
    }

    /// A reader that reads from now on gets every change up to this version.
    pub fn cut(&self) -> Version {
        self.shards.cut()
    }

    /// One page of what a reader has to apply to get from `query.old` to `query.new`.
    pub fn changes(&self, query: &ChangesQuery<'_>) -> Changes {
        let Some(ChangePage { changes, upto, more }) = self.shards.changes(query) else { return Changes::Unknown };
        let changes = if query.new.dedupe == Dedupe::KeepAll {
            changes.into_iter().map(|numbered| numbered.change).collect()
        } else {
            dedupe::resolve(&self.shards, query, changes)
        };
        Changes::Delta { changes, upto, more }
    }

    /// Calls `f` with every row of the view, shard by shard, with no lock held meanwhile.
    pub fn for_each(&self, view: &View, f: &mut dyn FnMut(&Arc<Row>)) {
        if view.dedupe == Dedupe::ByResourceUid {
            dedupe::last_of_each(self.shards.rows(view)).iter().for_each(f);
            return;
        }
        for target in view.targets.iter() {
            self.shards.rows_of(target, view).iter().for_each(&mut *f);
        }
    }

    /// Every row of the view in canonical order.
    pub fn snapshot(&self, view: &View) -> Vec<Arc<Row>> {
        let mut rows = self.shards.rows(view);
        if view.dedupe == Dedupe::ByResourceUid {
            rows = dedupe::last_of_each(rows);
        }
        rows.sort_unstable_by(|a, b| kollect_model::canonical_cmp(a, b));
        rows
    }

    /// One row.
    pub fn get(&self, id: &RowId) -> Option<Arc<Row>> {
        let shard = self.shards.get(&id.target)?;
        let shard = shard.lock();
        match &shard.log.find(&id.uid)?.slot {
            LogSlot::Live(row) => Some(row.clone()),
            _ => None,
        }
    }

    /// What a row that a sink holds is to the view at present. The only place that allows an unobserved deletion.
    pub fn held_row_state(&self, view: &View, id: &RowId, object_namespace: &str) -> HeldRowState {
        if view.target(&id.target).is_none() {
            return HeldRowState::Gone(Cause::SpecChanged);
        }
        // The namespace of the row is more reliable than that of a sink, which other writers may have changed.
        let row = self.get(id);
        let namespace = row.as_ref().map_or(object_namespace, |row| &row.object.namespace);
        if !view.namespaces.contains(namespace) {
            return HeldRowState::Gone(Cause::SpecChanged);
        }
        if view.dedupe == Dedupe::ByResourceUid
            && let Some(winner) = dedupe::winner(&self.shards, view, namespace, &id.uid)
            // Only a later target certainly wins; an earlier one wins only while this row is unknown.
            && winner.id.target > id.target
        {
            return HeldRowState::Gone(Cause::SpecChanged);
        }
        let Some(shard) = self.shards.get(&id.target) else { return HeldRowState::Unproven };
        let shard = shard.lock();
        match shard.log.find(&id.uid).map(|entry| (entry.version, &entry.slot)) {
            Some((version, LogSlot::Live(row))) => HeldRowState::Present { version, digest: row.digest },
            Some((_, LogSlot::Dead(deleted))) => HeldRowState::Gone(deleted.cause),
            _ => match shard.part_state(namespace) {
                PartState::Synced => HeldRowState::Gone(Cause::Absent),
                PartState::Outside => HeldRowState::Gone(Cause::SpecChanged),
                PartState::Pending | PartState::Lost(_) => HeldRowState::Unproven,
            },
        }
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

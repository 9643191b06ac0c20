//! What can be read of the store.

use super::Store;
use crate::change_log::LogSlot;
use crate::changes::{Changes, ChangesQuery};
use crate::coverage::{HeldRowState, PartState};
use crate::dedupe;
use crate::set_hash::{SetHash, Totals};
use crate::shards::ChangePage;
use crate::sync::Ordering;
use crate::view::{Dedupe, View};
use kollect_model::{Cause, Row, RowId, TargetKey, Version};
use std::sync::Arc;

impl Store {
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
}

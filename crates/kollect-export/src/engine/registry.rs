//! The maps from bindings, lanes and targets to entries.
//!
//! Lock order: bindings, lanes, targets; an entry's own locks last.

use crate::contract::ids::BindingId;
use crate::engine::binding_entry::{BindingEntry, LaneHandle};
use crate::engine::lane::LaneKey;
use kollect_model::TargetKey;
use parking_lot::{Mutex, RwLock, RwLockWriteGuard};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use tokio::sync::Notify;

/// All bindings, locked for additions and removals.
pub(crate) type LockedEntries<'a> = RwLockWriteGuard<'a, HashMap<BindingId, Arc<BindingEntry>>>;

#[derive(Debug)]
struct Lane {
    handle: Arc<LaneHandle>,
    members: BTreeMap<BindingId, Arc<BindingEntry>>,
}

impl Lane {
    fn new(key: &LaneKey) -> Self {
        let handle = LaneHandle { key: key.clone(), wakeup: Notify::new(), spawned: AtomicBool::new(false) };
        Self { handle: Arc::new(handle), members: BTreeMap::new() }
    }
}

/// All bindings of an exporter.
#[derive(Debug, Default)]
pub(crate) struct BindingRegistry {
    entries: RwLock<HashMap<BindingId, Arc<BindingEntry>>>,
    lanes: Mutex<HashMap<LaneKey, Lane>>,
    by_target: RwLock<HashMap<Arc<TargetKey>, Vec<Arc<BindingEntry>>>>,
}

impl BindingRegistry {
    pub(crate) fn lock(&self) -> LockedEntries<'_> {
        self.entries.write()
    }

    pub(crate) fn get(&self, id: &BindingId) -> Option<Arc<BindingEntry>> {
        self.entries.read().get(id).cloned()
    }

    pub(crate) fn filtered(&self, keep: impl Fn(&BindingEntry) -> bool) -> Vec<Arc<BindingEntry>> {
        self.entries.read().values().filter(|entry| keep(entry)).cloned().collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.read().len()
    }

    pub(crate) fn lanes(&self) -> Vec<Arc<LaneHandle>> {
        self.lanes.lock().values().map(|lane| lane.handle.clone()).collect()
    }

    /// Members of a lane in the order of their ids.
    pub(crate) fn members(&self, key: &LaneKey) -> Vec<Arc<BindingEntry>> {
        self.lanes.lock().get(key).map(|lane| lane.members.values().cloned().collect()).unwrap_or_default()
    }

    /// Adds an entry to a lane, which is created if there is none.
    pub(crate) fn add(
        &self,
        entries: &mut LockedEntries<'_>,
        key: LaneKey,
        entry: impl FnOnce(Arc<LaneHandle>) -> BindingEntry,
    ) -> Arc<BindingEntry> {
        let mut lanes = self.lanes.lock();
        let lane = lanes.entry(key).or_insert_with_key(Lane::new);
        let entry = Arc::new(entry(lane.handle.clone()));
        lane.members.insert(entry.id.clone(), entry.clone());
        entries.insert(entry.id.clone(), entry.clone());
        entry
    }

    pub(crate) fn move_to(&self, entry: &Arc<BindingEntry>, key: LaneKey) {
        let mut lanes = self.lanes.lock();
        let from = entry.lane.read().clone();
        if from.key == key {
            return;
        }
        if let Some(lane) = lanes.get_mut(&from.key) {
            lane.members.remove(&entry.id);
        }
        from.wakeup.notify_one();
        let to = lanes.entry(key).or_insert_with_key(Lane::new);
        to.members.insert(entry.id.clone(), entry.clone());
        *entry.lane.write() = to.handle.clone();
    }

    /// Takes an entry out of all maps. `false` when another entry has its id.
    pub(crate) fn remove(
        &self,
        entries: &mut LockedEntries<'_>,
        entry: &Arc<BindingEntry>,
        targets: &[Arc<TargetKey>],
    ) -> bool {
        if !entries.get(&entry.id).is_some_and(|now| Arc::ptr_eq(now, entry)) {
            return false;
        }
        entries.remove(&entry.id);
        let lane = entry.lane.read().clone();
        if let Some(lane) = self.lanes.lock().get_mut(&lane.key) {
            lane.members.remove(&entry.id);
        }
        lane.wakeup.notify_one();
        self.index(entry, targets, &[]);
        true
    }

    /// Removes a lane without members. `true` when it was removed: its task ends then.
    pub(crate) fn close_if_empty(&self, key: &LaneKey) -> bool {
        let mut lanes = self.lanes.lock();
        let empty = lanes.get(key).is_none_or(|lane| lane.members.is_empty());
        if empty {
            lanes.remove(key);
        }
        empty
    }

    /// Updates the index by target. `before` and `now` are sorted.
    pub(crate) fn index(&self, entry: &Arc<BindingEntry>, before: &[Arc<TargetKey>], now: &[Arc<TargetKey>]) {
        let mut by_target = self.by_target.write();
        for target in before.iter().filter(|target| now.binary_search(target).is_err()) {
            if let Some(entries) = by_target.get_mut(target) {
                entries.retain(|other| other.id != entry.id);
                if entries.is_empty() {
                    by_target.remove(target);
                }
            }
        }
        for target in now.iter().filter(|target| before.binary_search(target).is_err()) {
            by_target.entry(target.clone()).or_default().push(entry.clone());
        }
    }

    /// Rows of a target changed.
    pub(crate) fn target_changed(&self, target: &TargetKey) {
        if let Some(entries) = self.by_target.read().get(target) {
            // All flags before the first wakeup, so that the bindings of a lane are due together.
            let newly_changed: Vec<_> = entries.iter().filter(|entry| entry.mark_changed()).collect();
            for entry in newly_changed {
                entry.wake();
            }
        }
    }
}

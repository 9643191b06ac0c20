//! What the controller of inventories has in memory.

use super::ending::Postponed;
use super::shards::Shards;
use kollect_export::{BindingSpec, SinkError};
use kollect_model::Reason;
use kollect_resources::inventory::InventoryObject;
use kollect_resources::kinds::NamespacedName;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// Exports the inventories of one kind.
#[derive(Default)]
pub struct InventoryController {
    pub(super) inventories: HashMap<NamespacedName, InventoryState>,
    pub(super) cleanups: FinishedCleanups,
}

impl InventoryController {
    pub(super) fn state(&mut self, key: &NamespacedName) -> &mut InventoryState {
        self.inventories.entry(key.clone()).or_default()
    }
}

/// Clean-ups that ended and were not reported yet.
pub(super) type FinishedCleanups = Arc<Mutex<Vec<FinishedCleanup>>>;

/// The end of one binding's clean-up.
pub(super) struct FinishedCleanup {
    pub(super) inventory: NamespacedName,
    pub(super) name: String,
    pub(super) destination: String,
    pub(super) failed: Option<SinkError>,
}

/// The bindings of one inventory by `family/name`, and what was reported of them.
#[derive(Default)]
pub(super) struct InventoryState {
    /// The object that this is about; another one of the same name starts anew.
    pub uid: Option<String>,
    /// Bindings that the exporter has, as they were last given to it.
    pub active: BTreeMap<String, BindingSpec>,
    /// Bindings that cannot run at the moment, as they last ran: their credentials may be needed for a clean-up.
    pub suspended: BTreeMap<String, BindingSpec>,
    /// Bindings whose clean-up is running, and where they wrote.
    pub deleting: BTreeMap<String, String>,
    /// Bindings whose clean-up waits for their sink.
    pub postponed: Postponed,
    /// Bindings whose clean-up has ended, while the status still lists them.
    pub deleted: BTreeSet<String>,
    /// Export failures that were announced.
    pub reported_failures: BTreeMap<String, Reason>,
    /// Rows by namespace, of cluster inventories.
    pub shards: Shards,
}

impl InventoryState {
    /// Bindings that this process has and that have not ended.
    pub(super) fn known(&self) -> BTreeSet<String> {
        self.active.keys().chain(self.suspended.keys()).cloned().collect()
    }

    /// Bindings that this process or the status knows and that have not ended.
    pub(super) fn unended(&self, inventory: &InventoryObject) -> BTreeSet<String> {
        let exported = inventory.sink_exports().iter().map(|entry| &entry.name);
        let known = self.active.keys().chain(self.suspended.keys()).chain(exported);
        known.filter(|name| !self.deleting.contains_key(*name) && !self.deleted.contains(*name)).cloned().collect()
    }
}

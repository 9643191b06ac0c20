//! What the planner and all watch handlers share.

use crate::dispatch::Dispatcher;
use crate::limits::priorities::Priorities;
use crate::limits::store_limit::StoreLimit;
use crate::observe::CollectObserver;
use crate::plan::{Gvr, Priority};
use kollect_store::Store;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;

/// The workers of each priority.
pub(crate) struct Dispatchers {
    pub(crate) normal: Dispatcher,
    pub(crate) low: Dispatcher,
}

impl Dispatchers {
    pub(crate) fn of(&self, priority: Priority) -> &Dispatcher {
        match priority {
            Priority::Normal => &self.normal,
            Priority::Low => &self.low,
        }
    }
}

pub(crate) struct WatchContext {
    pub(crate) store: Arc<Store>,
    pub(crate) dispatchers: Dispatchers,
    pub(crate) store_limit: Arc<StoreLimit>,
    pub(crate) priorities: Arc<Priorities>,
    pub(crate) observer: Arc<dyn CollectObserver>,
    /// Objects of each resource over all its watches.
    pub(crate) objects: Mutex<HashMap<Gvr, u64>>,
}

impl WatchContext {
    /// A watch covers `new` objects instead of `old`.
    pub(crate) fn count(&self, gvr: &Gvr, old: u64, new: u64) {
        let mut objects = self.objects.lock();
        let total = objects.entry(gvr.clone()).or_default();
        *total = (*total + new).saturating_sub(old);
        let total = *total;
        if total == 0 {
            objects.remove(gvr);
        }
        drop(objects);
        self.observer.objects(gvr, total);
    }
}

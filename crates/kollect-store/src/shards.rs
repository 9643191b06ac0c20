//! All shards and the version counter; every method locks at most one shard at a time.

use crate::changes::{ChangesQuery, DeltaScan, Numbered, Page, gather};
use crate::shard::Shard;
use crate::sync::{AtomicU64, Mutex, Ordering, RwLock};
use crate::view::View;
use kollect_model::{Row, TargetKey, Version};
use std::collections::HashMap;
use std::sync::Arc;

type SharedShard = Arc<Mutex<Shard>>;

#[derive(Default)]
pub(crate) struct Shards {
    pub(crate) counter: AtomicU64,
    pub(crate) by_target: RwLock<HashMap<Arc<TargetKey>, SharedShard>>,
}

/// The oldest changes of all shards.
pub(crate) struct ChangePage {
    pub(crate) changes: Vec<Numbered>,
    pub(crate) upto: Version,
    pub(crate) more: bool,
}

impl Shards {
    pub(crate) fn get(&self, target: &TargetKey) -> Option<SharedShard> {
        self.by_target.read().get(target).cloned()
    }

    pub(crate) fn all(&self) -> Vec<SharedShard> {
        self.by_target.read().values().cloned().collect()
    }

    /// The shards of the view's targets, in their order.
    pub(crate) fn of(&self, view: &View) -> impl Iterator<Item = SharedShard> {
        view.targets.iter().filter_map(|target| self.get(target))
    }

    /// A reader that locks shards from now on sees every change up to this version.
    pub(crate) fn cut(&self) -> Version {
        Version(self.counter.load(Ordering::SeqCst))
    }

    /// One page of changes without dedupe; `None` when tombstones that the reader needs are dropped.
    pub(crate) fn changes(&self, query: &ChangesQuery<'_>) -> Option<ChangePage> {
        // Before any lock: every version up to the cut was assigned under a lock that is taken below. The tests in
        // `schedules.rs` check this order, and the one in `Shard::next`.
        let cut = self.cut();
        let scan = DeltaScan { query, cut, same_namespaces: query.old.namespaces == query.new.namespaces };
        let mut page = Page::new(query.limit);
        let left = query.old.targets.iter().filter(|target| query.new.target(target).is_none());
        for target in query.new.targets.iter().chain(left) {
            let Some(shard) = self.get(target) else { continue };
            if !gather(&shard.lock(), &scan, &mut page) {
                return None;
            }
        }
        let (changes, more) = page.finish();
        let upto = match changes.last() {
            Some(last) if more => last.version.min(cut),
            _ => cut,
        };
        Some(ChangePage { changes, upto, more })
    }

    /// The rows of one target in the namespaces of the view. No lock is held afterwards.
    pub(crate) fn rows_of(&self, target: &TargetKey, view: &View) -> Vec<Arc<Row>> {
        let Some(shard) = self.get(target) else { return Vec::new() };
        let shard = shard.lock();
        shard.log.rows().filter(|row| view.namespaces.contains(&row.object.namespace)).cloned().collect()
    }

    /// The rows of all targets of the view, without dedupe, in the order of the targets.
    pub(crate) fn rows(&self, view: &View) -> Vec<Arc<Row>> {
        view.targets.iter().flat_map(|target| self.rows_of(target, view)).collect()
    }
}

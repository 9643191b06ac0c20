//! The limit on the memory of all rows. Above it the newest target is not collected any more, so that the process is not
//! killed for all of them.
//!
//! Its rows leave the store without deletions: sinks keep them. It is collected again when its spec changes, when the
//! other targets leave enough memory, and at intervals, to find out whether it became smaller.

use crate::desired::Desired;
use crate::observe::CollectObserver;
use crate::targets::spec::TargetSpec;
use kollect_model::{Backoff, TargetKey};
use kollect_store::Store;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Targets below this fraction (1/n) of the limit are spared while there is a larger one: removing them frees too little.
const WORTH_IT: u64 = 100;

/// Its objects are not watched meanwhile: only a retry finds out whether the target became smaller.
const FIRST_RETRY: Duration = Duration::from_mins(5);
const LAST_RETRY: Duration = Duration::from_hours(1);

/// An excluded target.
#[derive(Debug)]
struct ShedTarget {
    version: u64,
    /// Bytes that it took when it was excluded.
    bytes: u64,
    why: Arc<str>,
    /// When it is collected again although the memory does not suffice: it may be smaller by now.
    retry: Instant,
}

/// Stops collecting the newest targets while the store takes more than its limit.
pub(crate) struct StoreLimit {
    /// Bytes; 0 = no limit.
    limit: u64,
    store: Arc<Store>,
    desired: Arc<Desired>,
    observer: Arc<dyn CollectObserver>,
    shed: Mutex<HashMap<Arc<TargetKey>, ShedTarget>>,
    /// Retry delays of all targets that were excluded before.
    backoffs: Mutex<HashMap<Arc<TargetKey>, Backoff>>,
}

impl StoreLimit {
    pub(crate) fn new(
        limit: u64,
        store: Arc<Store>,
        desired: Arc<Desired>,
        observer: Arc<dyn CollectObserver>,
    ) -> Self {
        Self { limit, store, desired, observer, shed: Mutex::default(), backoffs: Mutex::default() }
    }

    /// Call after each row that was put.
    pub(crate) fn enforce(&self) {
        if self.limit > 0 && self.store.bytes() > self.limit {
            self.shed_newest();
        }
    }

    #[cold]
    fn shed_newest(&self) {
        let specs = self.desired.specs();
        let mut shed = self.shed.lock();
        while self.store.bytes() > self.limit {
            let left = specs.iter().filter(|spec| !shed.contains_key(&spec.key));
            let left: Vec<(&TargetSpec, u64)> =
                left.map(|spec| (spec, self.store.target_bytes(&spec.key))).filter(|(_, bytes)| *bytes > 0).collect();
            let Some((spec, bytes)) = newest(&left, self.limit / WORTH_IT) else { return };
            let why: Arc<str> = format!(
                "all rows together would take more than --max-store-bytes ({} MiB), so this target, the newest one of size, is \
                 not collected ({} MiB when it was stopped); sinks keep what they hold of it; collect fewer objects or \
                 attributes, or raise the limit",
                self.limit >> 20,
                bytes.div_ceil(1 << 20),
            )
            .into();
            tracing::error!(target = %spec.key, bytes, limit = self.limit, "store limit reached, target not collected");
            self.store.shed(&spec.key, &why);
            let retry = Instant::now() + self.retry_delay(&spec.key);
            shed.insert(spec.key.clone(), ShedTarget { version: spec.version, bytes, why, retry });
            self.observer.target_changed(&spec.key);
        }
        drop(shed);
        self.desired.wake.notify_one();
    }

    fn retry_delay(&self, key: &Arc<TargetKey>) -> Duration {
        let mut backoffs = self.backoffs.lock();
        let backoff = backoffs.entry(key.clone()).or_insert_with(|| Backoff::new(FIRST_RETRY, LAST_RETRY));
        backoff.next(Backoff::NO_JITTER)
    }

    /// Splits the targets into those to collect and those that are excluded, with the reason.
    pub(crate) fn admit(&self, specs: &[TargetSpec]) -> (Vec<TargetSpec>, HashMap<Arc<TargetKey>, Arc<str>>) {
        let mut shed = self.shed.lock();
        if shed.is_empty() {
            return (specs.to_vec(), HashMap::new());
        }
        let versions: HashMap<&TargetKey, u64> = specs.iter().map(|spec| (&*spec.key, spec.version)).collect();
        shed.retain(|key, shed| versions.get(&**key) == Some(&shed.version));
        self.backoffs.lock().retain(|key, _| versions.contains_key(&**key));
        // One at a time, oldest first: the free memory suffices once.
        let now = Instant::now();
        let waiting = specs.iter().filter_map(|spec| Some((spec, shed.get(&spec.key)?)));
        let fits = |bytes: u64| self.store.bytes() + bytes + bytes / 4 <= self.limit / 10 * 9;
        let ready = waiting.filter(|(_, shed)| fits(shed.bytes) || shed.retry <= now);
        let readmitted = ready.min_by_key(|(spec, _)| (spec.created, &spec.key));
        if let Some(key) = readmitted.map(|(spec, _)| spec.key.clone()) {
            shed.remove(&key);
        }
        let collected = specs.iter().filter(|spec| !shed.contains_key(&spec.key)).cloned().collect();
        (collected, shed.iter().map(|(key, shed)| (key.clone(), shed.why.clone())).collect())
    }
}

/// The target that was created last, of those that take at least `worth_it` bytes if there are any.
fn newest<'a>(left: &[(&'a TargetSpec, u64)], worth_it: u64) -> Option<(&'a TargetSpec, u64)> {
    let last = |least: u64| {
        left.iter().filter(|(_, bytes)| *bytes >= least).max_by_key(|(spec, _)| (spec.created, &spec.key)).copied()
    };
    last(worth_it).or_else(|| last(0))
}

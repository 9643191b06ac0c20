//! The limit on the memory of all rows. Beyond it the newest target is not collected any more, instead of the process being
//! killed for all of them.
//!
//! Its rows leave the store without a deletion: sinks keep what they hold. It is collected again when its spec changes,
//! when the others leave room for what it took, and to see whether it became smaller.

use crate::collector::Desired;
use crate::observe::CollectObserver;
use crate::target::TargetSpec;
use kollect_model::TargetKey;
use kollect_store::Store;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A target with less than this part of the limit is left alone as long as there is one with more: to take it out frees nothing.
const WORTH_IT: u64 = 100;

/// Its objects are not watched meanwhile, so a target that became smaller is only found by trying.
const FIRST_RETRY: Duration = Duration::from_mins(5);
const LAST_RETRY: Duration = Duration::from_hours(1);

/// A target that is not collected for lack of memory.
#[derive(Debug)]
struct Shed {
    version: u64,
    /// What it took when it was taken out.
    bytes: u64,
    why: Arc<str>,
    /// When it is tried again although there seems to be no room: it may be smaller by now.
    retry: Instant,
}

/// Stops collecting the newest targets while the store takes more than its limit.
pub(crate) struct StoreLimit {
    /// Bytes; 0 = no limit.
    limit: u64,
    store: Arc<Store>,
    desired: Arc<Desired>,
    observer: Arc<dyn CollectObserver>,
    shed: Mutex<HashMap<Arc<TargetKey>, Shed>>,
    /// The last pause before another try, of targets that were taken out before.
    pauses: Mutex<HashMap<Arc<TargetKey>, Duration>>,
}

impl StoreLimit {
    pub(crate) fn new(
        limit: u64,
        store: Arc<Store>,
        desired: Arc<Desired>,
        observer: Arc<dyn CollectObserver>,
    ) -> Self {
        Self { limit, store, desired, observer, shed: Mutex::default(), pauses: Mutex::default() }
    }

    /// Called after each row that was put.
    pub(crate) fn enforce(&self) {
        if self.limit > 0 && self.store.bytes() > self.limit {
            self.take_out();
        }
    }

    #[cold]
    fn take_out(&self) {
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
            let retry = Instant::now() + self.pause(&spec.key);
            shed.insert(spec.key.clone(), Shed { version: spec.version, bytes, why, retry });
            self.observer.target_changed(&spec.key);
        }
        drop(shed);
        self.desired.wake.notify_one();
    }

    fn pause(&self, key: &Arc<TargetKey>) -> Duration {
        let mut pauses = self.pauses.lock();
        let pause = pauses.entry(key.clone()).and_modify(|pause| *pause = (*pause * 2).min(LAST_RETRY));
        *pause.or_insert(FIRST_RETRY)
    }

    /// Splits the targets into those to collect and, with the reason, those for which there is no room.
    pub(crate) fn admit(&self, specs: &[TargetSpec]) -> (Vec<TargetSpec>, HashMap<Arc<TargetKey>, Arc<str>>) {
        let mut shed = self.shed.lock();
        if shed.is_empty() {
            return (specs.to_vec(), HashMap::new());
        }
        let versions: HashMap<&TargetKey, u64> = specs.iter().map(|spec| (&*spec.key, spec.version)).collect();
        shed.retain(|key, shed| versions.get(&**key) == Some(&shed.version));
        self.pauses.lock().retain(|key, _| versions.contains_key(&**key));
        // One at a time, oldest first: the room is there once.
        let now = Instant::now();
        let waiting = specs.iter().filter_map(|spec| Some((spec, shed.get(&spec.key)?)));
        let fits = |bytes: u64| self.store.bytes() + bytes + bytes / 4 <= self.limit / 10 * 9;
        let ready = waiting.filter(|(_, shed)| fits(shed.bytes) || shed.retry <= now);
        let back = ready.min_by_key(|(spec, _)| (spec.created, &spec.key));
        if let Some(key) = back.map(|(spec, _)| spec.key.clone()) {
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

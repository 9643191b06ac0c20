//! One collected source: a store with rows, and what is not in it. The same for clusters and for manifests.

use super::plan::{Planned, Skip};
use kollect_collect::CollectObserver;
use kollect_collect::manifests::ManifestSummary;
use kollect_model::{TargetKey, Uid};
use kollect_store::{Coverage, PartState, Store, View, WantedParts};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::Notify;

/// Most failed objects with a name.
const MOST_FAILURES: usize = 1_000;
/// Longest reason that is shown, in bytes.
const LONGEST_REASON: usize = 256;

/// A target or a part of one that was not collected.
#[derive(Clone, Debug)]
pub(super) struct Skipped {
    pub(super) target: String,
    /// Empty when it is about the whole target.
    pub(super) namespace: String,
    pub(super) skip: Skip,
}

/// An object without a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) target: String,
    pub(super) object: String,
    pub(super) uid: String,
    pub(super) reason: String,
}

/// One source after collecting.
pub(super) struct CollectedSource {
    /// Name of the context; empty for files and inside a cluster.
    pub(super) context: String,
    pub(super) store: Arc<Store>,
    pub(super) planned: Vec<Planned>,
    pub(super) skipped: Vec<Skipped>,
    pub(super) failures: Vec<Failure>,
    /// Also those beyond the named ones.
    pub(super) failure_count: u64,
    /// What was in manifests.
    pub(super) counts: Option<ManifestSummary>,
}

impl CollectedSource {
    /// Its name in the summary.
    pub(super) fn label(&self) -> &str {
        label(&self.context, self.counts.is_some())
    }

    /// Whether manifests gave rows of these targets, however much of the input could not be read.
    pub(super) fn has_rows_of(&self, keys: &[Arc<TargetKey>]) -> bool {
        self.counts.is_some() && keys.iter().any(|key| self.store.target_rows(key) > 0)
    }

    /// Rows of all targets.
    pub(super) fn rows(&self) -> u64 {
        self.planned.iter().flat_map(|planned| &planned.keys).map(|key| self.store.target_rows(key)).sum()
    }
}

/// The name of a source in the summary.
pub(super) fn label(context: &str, manifests: bool) -> &str {
    match (context, manifests) {
        ("", true) => "manifests",
        ("", false) => "this cluster",
        (name, _) => name,
    }
}

/// Marks parts that were not collected as lost or unknowable, so that sinks keep what they hold of them.
pub(super) fn settle(store: &Store, planned: &[Planned], why: &str) {
    for target in planned {
        for key in &target.keys {
            if let Some(stop) = &target.stop {
                store.ensure_target(key);
                store.set_wanted(key, WantedParts::Unknowable(stop.message.as_str().into()));
                continue;
            }
            let pending = |state: &PartState| *state == PartState::Pending;
            let parts = store.parts(&View::of(vec![key.clone()]));
            for namespace in parts.iter().filter(|(_, _, state)| pending(state)).filter_map(|part| part.1.as_deref()) {
                store.set_coverage(key, namespace, Coverage::Lost(why.into()));
            }
            if store.parts(&View::of(vec![key.clone()])).iter().any(|(_, _, state)| pending(state)) {
                // The target was never taken over.
                store.ensure_target(key);
                store.set_wanted(key, WantedParts::Unknowable(why.into()));
            }
        }
    }
}

/// Records failed extractions, and wakes the waiting task on every change.
#[derive(Default)]
pub(super) struct Listener {
    pub(super) woken: Notify,
    failures: Mutex<BTreeMap<(TargetKey, String), Failure>>,
    count: std::sync::atomic::AtomicU64,
}

impl Listener {
    /// The failures so far, and how many there were.
    pub(super) fn failures(&self, titles: &dyn Fn(&TargetKey) -> String) -> (Vec<Failure>, u64) {
        let failures = self.failures.lock();
        let named = failures.iter().map(|((key, _), failure)| Failure { target: titles(key), ..failure.clone() });
        (named.collect(), self.count.load(std::sync::atomic::Ordering::Relaxed))
    }
}

impl CollectObserver for Listener {
    fn target_changed(&self, _: &TargetKey) {
        self.woken.notify_one();
    }

    fn listed(&self, _: &kollect_collect::Gvr) {
        self.woken.notify_one();
    }

    fn extraction_failed(&self, key: &TargetKey, namespace: &str, name: &str, uid: &Uid, message: &str) {
        self.count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let mut failures = self.failures.lock();
        if failures.len() >= MOST_FAILURES {
            return;
        }
        let object = if namespace.is_empty() { name.to_owned() } else { format!("{namespace}/{name}") };
        let cut = message.floor_char_boundary(LONGEST_REASON.min(message.len()));
        let failure =
            Failure { target: String::new(), object, uid: uid.to_string(), reason: message[..cut].to_owned() };
        failures.insert((key.clone(), failure.uid.clone()), failure);
    }
}

/// From the key of rows back to the target of the configuration.
pub(super) fn title_of(planned: &[Planned], key: &TargetKey) -> String {
    let of = planned.iter().find(|planned| planned.keys.iter().any(|own| **own == *key));
    of.map_or_else(|| key.to_string(), |planned| planned.title.clone())
}

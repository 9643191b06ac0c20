//! What the collector wants and what the planner reports about it: the only state that the two share.

use crate::namespaces::facts::NamespaceMeta;
use crate::observe::CollectObserver;
use crate::plan::{Reach, ResourceKey, WatchId};
use crate::targets::failures::Failures;
use crate::targets::spec::{PausedTarget, TargetSpec, WantedNamespaces};
use crate::targets::watch_progress::WatchProgress;
use kollect_model::{Gvk, TargetKey};
use parking_lot::Mutex;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use tokio::sync::Notify;

/// What the planner found out about a target.
#[derive(Clone, Debug, Default)]
pub(crate) struct PlannerStatus {
    pub(crate) version: u64,
    pub(crate) not_served: Option<String>,
    pub(crate) no_room: Option<String>,
    pub(crate) forbidden: Vec<(Arc<str>, Arc<Gvk>)>,
    pub(crate) access_error: Option<String>,
    pub(crate) resource: Option<ResourceKey>,
    pub(crate) failures: Option<Arc<Failures>>,
}

impl PlannerStatus {
    fn differs(&self, other: &Self) -> bool {
        self.version != other.version
            || self.not_served != other.not_served
            || self.no_room != other.no_room
            || self.forbidden != other.forbidden
            || self.access_error != other.access_error
            || self.resource != other.resource
    }
}

/// The planner's latest report.
#[derive(Debug, Default)]
pub(crate) struct PublishedStatus {
    pub(crate) targets: HashMap<Arc<TargetKey>, PlannerStatus>,
    pub(crate) watches: HashMap<WatchId, Arc<WatchProgress>>,
}

impl PublishedStatus {
    /// Why one of the watches that a target needs fails.
    fn list_error(&self, status: &PlannerStatus, spec: &TargetSpec) -> Option<String> {
        let resource = status.resource.as_ref()?;
        let error_of = |reach: Reach| self.watches.get(&resource.watch(reach))?.error.lock().clone();
        let WantedNamespaces::Only(namespaces) = &spec.namespaces else { return None };
        error_of(Reach::Cluster).or_else(|| namespaces.iter().find_map(|name| error_of(Reach::Namespace(name.clone()))))
    }
}

/// A namespace before and after its labels or annotations changed.
pub(crate) type NamespaceChange = (Arc<str>, Arc<NamespaceMeta>, Arc<NamespaceMeta>);

#[derive(Debug, Default)]
struct DesiredTargets {
    specs: Arc<[TargetSpec]>,
    /// Index of each target in `specs`: control reads one status per namespace of a cluster target.
    by_key: HashMap<Arc<TargetKey>, usize>,
    paused: Arc<[PausedTarget]>,
    changed_namespaces: Vec<NamespaceChange>,
}

/// Namespaces of each target whose objects must be evaluated again.
pub(crate) type Reevaluation = HashMap<Arc<TargetKey>, BTreeSet<Arc<str>>>;

/// Desired targets in, status out.
#[derive(Debug, Default)]
pub(crate) struct Desired {
    targets: Mutex<DesiredTargets>,
    published: Mutex<PublishedStatus>,
    pub(crate) wake: Notify,
}

impl Desired {
    /// Replaces all targets and wakes the planner.
    pub(crate) fn set_targets(&self, specs: Vec<TargetSpec>, paused: Vec<PausedTarget>) {
        let mut targets = self.targets.lock();
        targets.by_key = specs.iter().enumerate().map(|(at, spec)| (spec.key.clone(), at)).collect();
        targets.specs = specs.into();
        targets.paused = paused.into();
        drop(targets);
        self.wake.notify_one();
    }

    /// Adds changes of namespaces and wakes the planner.
    pub(crate) fn namespaces_changed(&self, changes: Vec<NamespaceChange>) {
        if !changes.is_empty() {
            self.targets.lock().changed_namespaces.extend(changes);
            self.wake.notify_one();
        }
    }

    pub(crate) fn specs(&self) -> Arc<[TargetSpec]> {
        self.targets.lock().specs.clone()
    }

    /// The targets that are not collected but whose rows stay.
    pub(crate) fn paused(&self) -> Arc<[PausedTarget]> {
        self.targets.lock().paused.clone()
    }

    /// The targets, and the namespaces of each that must be evaluated again since the last call.
    pub(crate) fn take(&self) -> (Arc<[TargetSpec]>, Reevaluation) {
        let mut targets = self.targets.lock();
        let changes = std::mem::take(&mut targets.changed_namespaces);
        let specs = targets.specs.clone();
        drop(targets);
        let mut reevaluation = Reevaluation::new();
        for spec in specs.iter() {
            let WantedNamespaces::Only(namespaces) = &spec.namespaces else { continue };
            for (name, old, new) in &changes {
                if namespaces.contains(name) && spec.matching.is_affected_by(old, new) {
                    reevaluation.entry(spec.key.clone()).or_default().insert(name.clone());
                }
            }
        }
        (specs, reevaluation)
    }

    /// Replaces the report and notifies the observer of every target whose status differs.
    pub(crate) fn publish(&self, report: PublishedStatus, observer: &dyn CollectObserver) {
        let before = std::mem::replace(&mut *self.published.lock(), report);
        let changed: Vec<Arc<TargetKey>> = {
            let now = self.published.lock();
            let differs = |key: &Arc<TargetKey>, status: &PlannerStatus| {
                before.targets.get(key).is_none_or(|old| status.differs(old))
            };
            now.targets.iter().filter(|(key, status)| differs(key, status)).map(|(key, _)| key.clone()).collect()
        };
        for key in changed {
            observer.target_changed(&key);
        }
    }

    /// The spec of a target, what the planner reports about it in this version, and its list error.
    pub(crate) fn status(&self, key: &TargetKey) -> Option<(TargetSpec, PlannerStatus, Option<String>)> {
        let spec = {
            let targets = self.targets.lock();
            targets.by_key.get(key).and_then(|at| targets.specs.get(*at))?.clone()
        };
        let published = self.published.lock();
        let status = published.targets.get(key).filter(|status| status.version == spec.version)?.clone();
        let list_error = published.list_error(&status, &spec);
        drop(published);
        Some((spec, status, list_error))
    }

    /// Whether the planner reports about every one of these targets in its present version.
    pub(crate) fn has_status_of_all(&self, specs: &[TargetSpec]) -> bool {
        let published = self.published.lock();
        specs.iter().all(|spec| published.targets.get(&spec.key).is_some_and(|status| status.version == spec.version))
    }
}

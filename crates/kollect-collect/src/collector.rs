//! The collector as control sees it: whole desired state in, rows in the store and statuses out.
//!
//! Separate from the planner, which does the work. It must not decide anything itself.

use crate::dispatch::{Dispatcher, Pool};
use crate::failures::Failures;
use crate::intake::Intake;
use crate::namespaces::{FactsCell, NamespaceFacts, NamespaceMeta};
use crate::observe::CollectObserver;
use crate::plan::{FeedId, Priority, Reach, WatchId};
use crate::planner::Planner;
use crate::priorities::Priorities;
use crate::reader::{Dispatchers, Progress, Shared};
use crate::store_limit::StoreLimit;
use crate::target::{Held, TargetSpec, TargetStatus, WantedNamespaces};
use kollect_model::{Gvk, TargetKey};
use kollect_store::{PartState, Store, View};
use parking_lot::Mutex;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Time for the tasks to end.
const STOP: Duration = Duration::from_secs(5);

/// How to collect.
#[derive(Clone, Debug)]
pub struct CollectSettings {
    /// Workers that turn objects into rows.
    pub workers: usize,
    /// Objects in total that may wait for a worker.
    pub queue_size: usize,
    /// The operator may look at given namespaces only, so nothing is watched cluster-wide.
    pub given_namespaces: bool,
    /// Bytes that all rows together may take; 0 = no limit.
    pub max_store_bytes: u64,
    /// Bytes that the attributes of one row may take.
    pub max_row_bytes: usize,
}

impl Default for CollectSettings {
    fn default() -> Self {
        Self {
            workers: 4,
            queue_size: 512,
            given_namespaces: false,
            max_store_bytes: 0,
            max_row_bytes: kollect_extract::DEFAULT_MAX_ROW_BYTES,
        }
    }
}

/// What the planner found out about a target.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    pub(crate) version: u64,
    pub(crate) not_served: Option<String>,
    pub(crate) no_room: Option<String>,
    pub(crate) forbidden: Vec<(Arc<str>, Arc<Gvk>)>,
    pub(crate) access_error: Option<String>,
    pub(crate) feed: Option<FeedId>,
    pub(crate) failures: Option<Arc<Failures>>,
}

impl Facts {
    fn differs(&self, other: &Self) -> bool {
        self.version != other.version
            || self.not_served != other.not_served
            || self.no_room != other.no_room
            || self.forbidden != other.forbidden
            || self.access_error != other.access_error
            || self.feed != other.feed
    }
}

/// What the planner tells.
#[derive(Debug, Default)]
pub(crate) struct Published {
    pub(crate) facts: HashMap<Arc<TargetKey>, Facts>,
    pub(crate) watches: HashMap<WatchId, Arc<Progress>>,
}

#[derive(Debug, Default)]
struct Wanted {
    specs: Arc<[TargetSpec]>,
    /// Places in `specs`: a cluster target asks for one status per namespace.
    by_key: HashMap<Arc<TargetKey>, usize>,
    held: Arc<[Held]>,
    /// Namespaces whose labels or annotations changed.
    changed: Vec<(Arc<str>, Arc<NamespaceMeta>, Arc<NamespaceMeta>)>,
}

/// Namespaces of each target whose objects must be looked at again.
pub(crate) type LookAgain = HashMap<Arc<TargetKey>, BTreeSet<Arc<str>>>;

/// Meeting point of the collector and its planner.
#[derive(Debug, Default)]
pub(crate) struct Desired {
    wanted: Mutex<Wanted>,
    published: Mutex<Published>,
    pub(crate) wake: Notify,
}

impl Desired {
    /// The targets.
    pub(crate) fn specs(&self) -> Arc<[TargetSpec]> {
        self.wanted.lock().specs.clone()
    }

    /// The targets that are not collected but whose rows stay.
    pub(crate) fn held(&self) -> Arc<[Held]> {
        self.wanted.lock().held.clone()
    }

    /// The targets, and the namespaces of each that must be looked at again.
    pub(crate) fn take(&self) -> (Arc<[TargetSpec]>, LookAgain) {
        let mut wanted = self.wanted.lock();
        let changed = std::mem::take(&mut wanted.changed);
        let specs = wanted.specs.clone();
        drop(wanted);
        let mut again = LookAgain::new();
        for spec in specs.iter() {
            let WantedNamespaces::Only(namespaces) = &spec.namespaces else { continue };
            for (name, old, new) in &changed {
                if namespaces.contains(name) && spec.matching.cares(old, new) {
                    again.entry(spec.key.clone()).or_default().insert(name.clone());
                }
            }
        }
        (specs, again)
    }

    pub(crate) fn publish(&self, published: Published, observer: &dyn CollectObserver) {
        let before = std::mem::replace(&mut *self.published.lock(), published);
        let changed: Vec<Arc<TargetKey>> = {
            let now = self.published.lock();
            let differs =
                |(key, facts): &(&Arc<TargetKey>, &Facts)| before.facts.get(*key).is_none_or(|old| facts.differs(old));
            now.facts.iter().filter(differs).map(|(key, _)| key.clone()).collect()
        };
        for key in changed {
            observer.target_changed(&key);
        }
    }
}

/// Collects rows for targets into the store.
pub struct Collector {
    store: Arc<Store>,
    facts: Arc<FactsCell>,
    desired: Arc<Desired>,
    cancel: CancellationToken,
    tasks: TaskTracker,
}

impl std::fmt::Debug for Collector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Collector").finish_non_exhaustive()
    }
}

impl Collector {
    /// Starts collecting; nothing is watched until there are targets. Needs a tokio run time.
    ///
    /// # Errors
    /// When the system gives no thread for a worker.
    pub fn new(
        client: kube::Client,
        store: Arc<Store>,
        settings: &CollectSettings,
        observer: Arc<dyn CollectObserver>,
    ) -> std::io::Result<Arc<Self>> {
        let (facts, desired) = (Arc::new(FactsCell::default()), Arc::new(Desired::default()));
        let (cancel, tasks) = (CancellationToken::new(), TaskTracker::new());
        let limit = settings.max_store_bytes;
        let store_limit = Arc::new(StoreLimit::new(limit, store.clone(), desired.clone(), observer.clone()));
        let max_row = settings.max_row_bytes;
        let priorities = Arc::new(Priorities::new(desired.clone()));
        let intake = || {
            let intake = Intake::new(store.clone(), facts.clone(), observer.clone());
            intake.with_max_row_bytes(max_row).below(store_limit.clone()).counting(priorities.clone())
        };
        let depth = Arc::new(AtomicUsize::new(0));
        let start = |priority, workers| {
            let pool = Pool { priority, workers, queue: settings.queue_size, depth: depth.clone() };
            Dispatcher::start(pool, &observer, &cancel, &tasks, intake)
        };
        let dispatchers =
            Dispatchers { normal: start(Priority::Normal, settings.workers)?, low: start(Priority::Low, 1)? };
        let objects = Mutex::default();
        let shared = Arc::new(Shared { store: store.clone(), dispatchers, store_limit, priorities, observer, objects });
        let given = settings.given_namespaces;
        let (until, wishes) = (cancel.clone(), desired.clone());
        tasks.spawn(async move {
            until.run_until_cancelled(supervise(client, shared, wishes, given)).await;
        });
        tasks.close();
        Ok(Arc::new(Self { store, facts, desired, cancel, tasks }))
    }

    /// Replaces all targets. What differs from before starts and stops watches. Rows of a `held` target stay as they are;
    /// rows of a target in neither list go.
    pub fn set_targets(&self, targets: Vec<TargetSpec>, held: Vec<Held>) {
        let mut wanted = self.desired.wanted.lock();
        wanted.by_key = targets.iter().enumerate().map(|(at, spec)| (spec.key.clone(), at)).collect();
        wanted.specs = targets.into();
        wanted.held = held.into();
        drop(wanted);
        self.desired.wake.notify_one();
    }

    /// Replaces what is known about namespaces. Objects of a namespace whose labels changed are looked at again.
    pub fn set_namespaces(&self, facts: &Arc<NamespaceFacts>) {
        let before = self.facts.replace(facts.clone());
        let changed: Vec<_> = facts
            .iter()
            .filter_map(|(name, new)| before.get(name).filter(|old| *old != new).map(|old| (name, old, new)))
            .map(|(name, old, new)| (name.clone(), old.clone(), new.clone()))
            .collect();
        if !changed.is_empty() {
            self.desired.wanted.lock().changed.extend(changed);
            self.desired.wake.notify_one();
        }
    }

    /// How collecting for a target goes; `None` until the target was taken over in its present version.
    pub fn status(&self, key: &TargetKey) -> Option<TargetStatus> {
        let spec = {
            let wanted = self.desired.wanted.lock();
            wanted.by_key.get(key).and_then(|at| wanted.specs.get(*at))?.clone()
        };
        let published = self.desired.published.lock();
        let facts = published.facts.get(key).filter(|facts| facts.version == spec.version)?.clone();
        let list_error = list_error(&published, &facts, &spec);
        drop(published);
        let failures = facts.failures.map(|failures| failures.report());
        let (extraction_failures, last_extraction_error) = failures.unwrap_or_default();
        let parts = self.store.parts(&View::of(vec![spec.key]));
        let count = |wanted: fn(&PartState) -> bool| parts.iter().filter(|(_, _, state)| wanted(state)).count();
        Some(TargetStatus {
            not_served: facts.not_served,
            no_room: facts.no_room,
            forbidden: facts.forbidden,
            access_error: facts.access_error,
            list_error,
            low_priority: facts.feed.is_some_and(|feed| feed.priority == Priority::Low),
            extraction_failures,
            last_extraction_error,
            pending: count(|state| *state == PartState::Pending),
            synced: count(|state| *state == PartState::Synced),
            rows: self.store.target_rows(key),
        })
    }

    /// Whether every target was taken over and no part of one is still waiting for its first list.
    pub fn settled(&self) -> bool {
        let specs = self.desired.wanted.lock().specs.clone();
        let taken = {
            let published = self.desired.published.lock();
            specs.iter().all(|spec| published.facts.get(&spec.key).is_some_and(|facts| facts.version == spec.version))
        };
        taken && self.store.ready(&View::of(specs.iter().map(|spec| spec.key.clone()).collect()))
    }

    /// Ends all watches and workers. The store keeps its rows.
    pub async fn stop(&self) {
        self.cancel.cancel();
        if timeout(STOP, self.tasks.wait()).await.is_err() {
            tracing::warn!("collecting did not stop in time");
        }
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

/// Why one of the watches that a target needs does not get on.
fn list_error(published: &Published, facts: &Facts, spec: &TargetSpec) -> Option<String> {
    let feed = facts.feed.as_ref()?;
    let error_of = |reach: Reach| {
        let progress = published.watches.get(&feed.watch(reach))?;
        progress.error.lock().clone()
    };
    let WantedNamespaces::Only(namespaces) = &spec.namespaces else { return None };
    error_of(Reach::Cluster).or_else(|| namespaces.iter().find_map(|name| error_of(Reach::Namespace(name.clone()))))
}

/// Starts the planner again should it panic.
async fn supervise(client: kube::Client, shared: Arc<Shared>, desired: Arc<Desired>, given: bool) {
    loop {
        let planner = Planner::new(client.clone(), shared.clone(), desired.clone(), given);
        let mut task = JoinSet::new();
        task.spawn(planner.run());
        if task.join_next().await.is_some_and(|ended| ended.is_err()) {
            tracing::error!(task = "planner", "reconcile panic recovered");
        }
        sleep(Duration::from_secs(1)).await;
    }
}

//! The collector as control uses it: all desired targets in, rows in the store and statuses out.
//!
//! The planner does the work; nothing is decided here.

use crate::desired::Desired;
use crate::dispatch::{Dispatcher, WorkerPool};
use crate::intake::Intake;
use crate::limits::priorities::Priorities;
use crate::limits::store_limit::StoreLimit;
use crate::namespaces::facts::{FactsCell, NamespaceFacts};
use crate::observe::CollectObserver;
use crate::plan::Priority;
use crate::planner::Planner;
use crate::planner::watch_context::{Dispatchers, WatchContext};
use crate::targets::spec::{PausedTarget, TargetSpec, TargetStatus};
use kollect_model::TargetKey;
use kollect_store::{PartState, Store, View};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;
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
    /// The operator may read given namespaces only, so nothing is watched cluster-wide.
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
    /// When the system cannot start a thread for a worker.
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
            let pool = WorkerPool { priority, workers, queue: settings.queue_size, depth: depth.clone() };
            Dispatcher::start(pool, &observer, &cancel, &tasks, intake)
        };
        let dispatchers =
            Dispatchers { normal: start(Priority::Normal, settings.workers)?, low: start(Priority::Low, 1)? };
        let objects = Mutex::default();
        let shared =
            Arc::new(WatchContext { store: store.clone(), dispatchers, store_limit, priorities, observer, objects });
        let given = settings.given_namespaces;
        let (until, targets) = (cancel.clone(), desired.clone());
        tasks.spawn(async move {
            until.run_until_cancelled(supervise(client, shared, targets, given)).await;
        });
        tasks.close();
        Ok(Arc::new(Self { store, facts, desired, cancel, tasks }))
    }

    /// Replaces all targets; the difference starts and stops watches. Rows of a paused target stay as they are; rows of a
    /// target in neither list are removed.
    pub fn set_targets(&self, targets: Vec<TargetSpec>, paused: Vec<PausedTarget>) {
        self.desired.set_targets(targets, paused);
    }

    /// Replaces what is known about namespaces. Objects of a namespace whose labels changed are evaluated again.
    pub fn set_namespaces(&self, facts: &Arc<NamespaceFacts>) {
        let before = self.facts.replace(facts.clone());
        let changed = facts
            .iter()
            .filter_map(|(name, new)| before.get(name).filter(|old| *old != new).map(|old| (name, old, new)))
            .map(|(name, old, new)| (name.clone(), old.clone(), new.clone()));
        self.desired.namespaces_changed(changed.collect());
    }

    /// How collecting for a target goes; `None` until the planner has processed the target in its present version.
    pub fn status(&self, key: &TargetKey) -> Option<TargetStatus> {
        let (spec, status, list_error) = self.desired.status(key)?;
        let failures = status.failures.map(|failures| failures.report());
        let (extraction_failures, last_extraction_error) = failures.unwrap_or_default();
        let parts = self.store.parts(&View::of(vec![spec.key]));
        let count = |wanted: &PartState| parts.iter().filter(|(_, _, state)| state == wanted).count();
        Some(TargetStatus {
            not_served: status.not_served,
            no_room: status.no_room,
            forbidden: status.forbidden,
            access_error: status.access_error,
            list_error,
            low_priority: status.resource.is_some_and(|resource| resource.priority == Priority::Low),
            extraction_failures,
            last_extraction_error,
            pending: count(&PartState::Pending),
            synced: count(&PartState::Synced),
            rows: self.store.target_rows(key),
        })
    }

    /// Whether the planner has processed every target and no part of one still waits for its first list.
    pub fn settled(&self) -> bool {
        let specs = self.desired.specs();
        self.desired.has_status_of_all(&specs)
            && self.store.ready(&View::of(specs.iter().map(|spec| spec.key.clone()).collect()))
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

/// Restarts the planner after a panic.
async fn supervise(client: kube::Client, shared: Arc<WatchContext>, desired: Arc<Desired>, given: bool) {
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

//! Applies the plan: one task that owns what is wanted, served, permitted and running.
//!
//! It never waits for the API server: requests run in tasks of their own, so one that hangs delays nothing else.

use self::access::{AccessAnswer, AccessCache};
use self::discovery::{ApiCatalog, ServedKind};
use self::watch_context::WatchContext;
use crate::desired::Desired;
use crate::plan::{ResourceKey, WatchId, WatchPlan, plan};
use crate::targets::resource_targets::ResourceTargets;
use crate::targets::watch_progress::WatchProgress;
use crate::watch::list_watch::{WatchEnd, WatchPosition};
use crate::watch::request_error::RequestError;
use crate::watch::retry::RetryDelay;
use kollect_model::{Gvk, TargetKey};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, Semaphore};
use tokio::task::{Id, JoinSet};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

mod access;
mod crd_watch;
mod discovery;
mod placement;
mod publish;
mod questions;
pub(crate) mod watch_context;
mod watch_handler;
mod watches;

/// Access reviews in flight at the same time.
const QUESTIONS: usize = 8;
/// Discovery waits so long after a changed API definition: it is announced before it is served.
const SETTLE: Duration = Duration::from_millis(200);

/// What a task returns.
enum TaskResult {
    Discovered(Result<Arc<ApiCatalog>, RequestError>),
    Answered(WatchId, AccessAnswer),
    /// Of a watch; `None` when it was cancelled.
    Ended(Option<WatchEnd>),
}

/// A running watch.
struct RunningWatch {
    metadata_only: bool,
    cancel: CancellationToken,
    stopping: bool,
    since: Instant,
}

/// What a task is for.
#[derive(Clone, Debug)]
enum TaskPurpose {
    Watch(WatchId),
    CrdWatch(WatchId),
}

/// What a watch leaves for its successor.
#[derive(Clone, Default)]
struct SavedWatch {
    position: WatchPosition,
    progress: Arc<WatchProgress>,
}

#[derive(Default)]
struct DiscoveryState {
    catalog: Option<Arc<ApiCatalog>>,
    running: bool,
    backoff: RetryDelay,
    due: Option<Instant>,
    error: Option<String>,
    /// A watch got 404: its resource is not served any more.
    stale: bool,
}

pub(crate) struct Planner {
    client: kube::Client,
    shared: Arc<WatchContext>,
    desired: Arc<Desired>,
    tenant: bool,
    discovery: DiscoveryState,
    access: AccessCache,
    resources: HashMap<ResourceKey, Arc<ResourceTargets>>,
    /// How each kind was last served.
    kinds: HashMap<Gvk, ServedKind>,
    /// Where each target is; `None` without a served kind.
    placed: HashMap<Arc<TargetKey>, Option<ResourceKey>>,
    /// Targets that the store limit excludes, and why.
    no_room: HashMap<Arc<TargetKey>, Arc<str>>,
    /// Kinds that targets want and that are not served.
    waiting: BTreeSet<Gvk>,
    running: BTreeMap<WatchId, RunningWatch>,
    saved: HashMap<WatchId, SavedWatch>,
    /// When a watch that ended on its own may start again.
    restart_delays: HashMap<WatchId, (RetryDelay, Instant)>,
    crd_watches: BTreeMap<WatchId, RunningWatch>,
    /// Denied watches whose parts are already marked as lost, by table epoch.
    marked_denied: HashMap<WatchId, u64>,
    plan: WatchPlan,
    tasks: JoinSet<TaskResult>,
    purposes: HashMap<Id, TaskPurpose>,
    questions: Arc<Semaphore>,
    api_changed: Arc<Notify>,
}

impl Planner {
    pub(crate) fn new(client: kube::Client, shared: Arc<WatchContext>, desired: Arc<Desired>, tenant: bool) -> Self {
        Self {
            client,
            shared,
            desired,
            tenant,
            discovery: DiscoveryState::default(),
            access: AccessCache::default(),
            resources: HashMap::new(),
            kinds: HashMap::new(),
            placed: HashMap::new(),
            no_room: HashMap::new(),
            waiting: BTreeSet::new(),
            running: BTreeMap::new(),
            saved: HashMap::new(),
            restart_delays: HashMap::new(),
            crd_watches: BTreeMap::new(),
            marked_denied: HashMap::new(),
            plan: WatchPlan::default(),
            tasks: JoinSet::new(),
            purposes: HashMap::new(),
            questions: Arc::new(Semaphore::new(QUESTIONS)),
            api_changed: Arc::new(Notify::new()),
        }
    }

    /// Runs until it is dropped, which ends all watches.
    pub(crate) async fn run(mut self) {
        loop {
            self.apply();
            let due = self.next_due();
            let far = Instant::now() + Duration::from_hours(1);
            let api_changed = self.api_changed.clone();
            let desired = self.desired.clone();
            tokio::select! {
                () = desired.wake.notified() => {}
                () = api_changed.notified() => {
                    self.discovery.backoff.reset();
                    self.discovery.due = Some(Instant::now() + SETTLE);
                }
                Some(ended) = self.tasks.join_next_with_id() => self.handle_task_end(ended),
                () = sleep_until(due.unwrap_or(far)) => {}
            }
        }
    }

    fn apply(&mut self) {
        let now = Instant::now();
        let (all, reevaluation) = self.desired.take();
        let (specs, no_room) = self.shared.store_limit.admit(&all);
        self.no_room = no_room;
        self.shared.priorities.keep(&all);
        self.place_targets(&specs, &reevaluation);
        self.discover(now);
        self.plan = plan(&self.watch_demands(), self.tenant, &|id| self.access.access(id));
        self.ask_access(now);
        self.run_watches(now);
        self.run_crd_watches();
        self.mark_denied();
        self.publish(&all);
    }
}

fn not_served(gvk: &Gvk) -> String {
    format!("the API server does not serve {gvk}; install its CustomResourceDefinition or correct targetGVK")
}

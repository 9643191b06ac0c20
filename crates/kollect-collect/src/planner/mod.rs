//! Applies the plan: one task that knows what is wanted, served, permitted and running.
//!
//! Separate because it is the only owner of all that; everything else reports to it. It never waits for the API server:
//! questions are asked in tasks of their own, so nothing that hangs holds back anything else.

use crate::access::{AccessBook, Answer};
use crate::backoff::Backoff;
use crate::collector::Desired;
use crate::discovery::{Catalog, Served};
use crate::feed::Feed;
use crate::follow::{End, Position};
use crate::plan::{FeedId, Plan, WatchId, plan};
use crate::reader::{Progress, Shared};
use crate::request_error::RequestError;
use kollect_model::{Gvk, TargetKey};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, Semaphore};
use tokio::task::{Id, JoinSet};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

mod placement;
mod questions;
mod report;
mod watches;

/// Access reviews asked at the same time.
const QUESTIONS: usize = 8;
/// A changed API is looked up so much later, since it is announced before it is served.
const SETTLE: Duration = Duration::from_millis(200);

/// What the tasks report.
enum Report {
    Discovered(Result<Arc<Catalog>, RequestError>),
    Answered(WatchId, Answer),
    /// Of a watch; `None` when it was told to stop.
    Ended(Option<End>),
}

/// A running watch.
struct Running {
    metadata_only: bool,
    cancel: CancellationToken,
    stopping: bool,
    since: Instant,
}

/// What a task is for.
#[derive(Clone, Debug)]
enum Duty {
    Watch(WatchId),
    Sentinel(WatchId),
}

/// What a watch leaves behind for its successor.
#[derive(Clone, Default)]
struct Parked {
    position: Position,
    progress: Arc<Progress>,
}

#[derive(Default)]
struct Discovery {
    catalog: Option<Arc<Catalog>>,
    running: bool,
    backoff: Backoff,
    due: Option<Instant>,
    error: Option<String>,
    /// A watch was told that its resource is not served.
    stale: bool,
}

pub(crate) struct Planner {
    client: kube::Client,
    shared: Arc<Shared>,
    desired: Arc<Desired>,
    tenant: bool,
    discovery: Discovery,
    book: AccessBook,
    feeds: HashMap<FeedId, Arc<Feed>>,
    /// How each kind was served when it last was.
    kinds: HashMap<Gvk, Served>,
    placed: HashMap<Arc<TargetKey>, Option<FeedId>>,
    /// Targets for whose rows there is no memory, and why.
    no_room: HashMap<Arc<TargetKey>, Arc<str>>,
    waiting: BTreeSet<Gvk>,
    running: BTreeMap<WatchId, Running>,
    parked: HashMap<WatchId, Parked>,
    held: HashMap<WatchId, (Backoff, Instant)>,
    sentinels: BTreeMap<WatchId, Running>,
    /// Denials that the store knows of, and for which epoch of the feed.
    marked: HashMap<WatchId, u64>,
    plan: Plan,
    tasks: JoinSet<Report>,
    duties: HashMap<Id, Duty>,
    questions: Arc<Semaphore>,
    api_changed: Arc<Notify>,
}

impl Planner {
    pub(crate) fn new(client: kube::Client, shared: Arc<Shared>, desired: Arc<Desired>, tenant: bool) -> Self {
        Self {
            client,
            shared,
            desired,
            tenant,
            discovery: Discovery::default(),
            book: AccessBook::default(),
            feeds: HashMap::new(),
            kinds: HashMap::new(),
            placed: HashMap::new(),
            no_room: HashMap::new(),
            waiting: BTreeSet::new(),
            running: BTreeMap::new(),
            parked: HashMap::new(),
            held: HashMap::new(),
            sentinels: BTreeMap::new(),
            marked: HashMap::new(),
            plan: Plan::default(),
            tasks: JoinSet::new(),
            duties: HashMap::new(),
            questions: Arc::new(Semaphore::new(QUESTIONS)),
            api_changed: Arc::new(Notify::new()),
        }
    }

    /// Runs for ever; dropping it ends all watches.
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
                Some(ended) = self.tasks.join_next_with_id() => self.take(ended),
                () = sleep_until(due.unwrap_or(far)) => {}
            }
        }
    }

    fn apply(&mut self) {
        let now = Instant::now();
        let (all, again) = self.desired.take();
        let (specs, no_room) = self.shared.store_limit.admit(&all);
        self.no_room = no_room;
        self.shared.priorities.keep(&all);
        self.place(&specs, &again);
        self.discover(now);
        self.plan = plan(&self.wishes(), self.tenant, &|id| self.book.access(id));
        self.ask_access(now);
        self.run_watches(now);
        self.run_sentinels();
        self.mark_denied();
        self.report(&all);
    }
}

fn not_served(gvk: &Gvk) -> String {
    format!("the API server does not serve {gvk}; install its CustomResourceDefinition or correct targetGVK")
}

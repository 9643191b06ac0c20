//! Applies the plan: one task that knows what is wanted, served, permitted and running.
//!
//! Separate because it is the only owner of all that; everything else reports to it. It never waits for the API server:
//! questions are asked in tasks of their own, so nothing that hangs holds back anything else.

use crate::access::{AccessBook, Answer, ask};
use crate::backoff::Backoff;
use crate::collector::Desired;
use crate::discovery::{Catalog, Served, fetch};
use crate::feed::Feed;
use crate::follow::{End, Follow, Position};
use crate::observe::CollectErrorClass;
use crate::plan::{Gvr, Plan, Reach, WatchId, Wish, diff, plan};
use crate::reader::{Progress, Reader, Shared};
use crate::request::{RequestError, Source};
use crate::sentinel::{Ping, sentinels};
use crate::target::{TargetSpec, WantedNamespaces};
use kollect_model::{Gvk, TargetKey};
use kollect_store::{Coverage, Wanted};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, Semaphore};
use tokio::task::{Id, JoinSet};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// Access reviews asked at the same time.
const QUESTIONS: usize = 8;
/// Pause between looks at discovery while a target waits, without and with watches that tell of new APIs.
const DISCOVERY_CEILING: [Duration; 2] = [Duration::from_secs(30), Duration::from_secs(300)];
/// A changed API is looked up so much later, since it is announced before it is served.
const SETTLE: Duration = Duration::from_millis(200);

/// What the tasks report.
enum Report {
    Discovered(Result<Arc<Catalog>, RequestError>),
    Answered(WatchId, Answer),
    Ended(WatchId, Option<End>),
}

/// A running watch.
struct Running {
    metadata_only: bool,
    cancel: CancellationToken,
    stopping: bool,
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
    feeds: HashMap<Gvr, Arc<Feed>>,
    /// How each kind was served when it last was.
    kinds: HashMap<Gvk, Served>,
    placed: HashMap<Arc<TargetKey>, Option<Gvr>>,
    waiting: BTreeSet<Gvk>,
    running: BTreeMap<WatchId, Running>,
    parked: HashMap<WatchId, Parked>,
    held: HashMap<WatchId, (Backoff, Instant)>,
    sentinels: BTreeMap<WatchId, Running>,
    /// Denials that the store knows of, and for which epoch of the feed.
    marked: HashMap<WatchId, u64>,
    plan: Plan,
    tasks: JoinSet<Report>,
    of_task: HashMap<Id, WatchId>,
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
            waiting: BTreeSet::new(),
            running: BTreeMap::new(),
            parked: HashMap::new(),
            held: HashMap::new(),
            sentinels: BTreeMap::new(),
            marked: HashMap::new(),
            plan: Plan::default(),
            tasks: JoinSet::new(),
            of_task: HashMap::new(),
            questions: Arc::new(Semaphore::new(QUESTIONS)),
            api_changed: Arc::new(Notify::new()),
        }
    }

    /// Runs for ever; dropping it ends all watches.
    pub(crate) async fn run(mut self) {
        loop {
            self.apply();
            let due = self.next_due();
            let far = Instant::now() + Duration::from_secs(3600);
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
        let (specs, again) = self.desired.take();
        self.place(&specs, &again);
        self.discover(now);
        self.plan = plan(&self.wishes(), self.tenant, &|id| self.book.access(id));
        self.ask_access(now);
        self.run_watches(now);
        self.run_sentinels();
        self.mark_denied();
        self.desired.publish(&self.facts(&specs), &*self.shared.observer);
    }

    // --- targets -------------------------------------------------------------------------------------------------

    /// Puts every target into the feed of its resource.
    fn place(&mut self, specs: &[TargetSpec], again: &HashMap<Arc<TargetKey>, BTreeSet<Arc<str>>>) {
        let mut groups: BTreeMap<Gvr, Vec<TargetSpec>> = self.feeds.keys().map(|gvr| (gvr.clone(), vec![])).collect();
        let mut placed = HashMap::new();
        let before = std::mem::take(&mut self.waiting);
        for spec in specs {
            let served = self.served(&spec.gvk);
            placed.insert(spec.key.clone(), served.as_ref().map(|served| served.gvr.clone()));
            match served {
                Some(served) => {
                    let feed = || Feed::new(served.gvr.clone(), (*spec.gvk).clone(), served.namespaced);
                    self.feeds.entry(served.gvr.clone()).or_insert_with(|| Arc::new(feed()));
                    groups.entry(served.gvr).or_default().push(spec.clone());
                }
                None => self.wait_for_kind(spec),
            }
        }
        if self.waiting.difference(&before).next().is_some() {
            self.discovery.due = Some(Instant::now());
            self.discovery.backoff.reset();
        }
        self.take_out(&placed);
        for (gvr, specs) in groups {
            let Some(feed) = self.feeds.get(&gvr) else { continue };
            let of_target = |spec: &TargetSpec| again.get(&spec.key).cloned().unwrap_or_default();
            feed.set(&specs, &self.shared.store, &of_target);
            if specs.is_empty() && !self.running.keys().any(|id| id.gvr == gvr) {
                self.feeds.remove(&gvr);
                self.parked.retain(|id, _| id.gvr != gvr);
                self.held.retain(|id, _| id.gvr != gvr);
                self.marked.retain(|id, _| id.gvr != gvr);
            }
        }
        self.placed = placed;
    }

    /// How a kind is served, or was when it still was. Notes kinds that are not.
    fn served(&mut self, gvk: &Gvk) -> Option<Served> {
        match self.discovery.catalog.as_ref().and_then(|catalog| catalog.get(gvk)) {
            Some(served) => {
                self.kinds.insert(gvk.clone(), served.clone());
                Some(served.clone())
            }
            None => {
                self.waiting.insert(gvk.clone());
                self.kinds.get(gvk).cloned()
            }
        }
    }

    /// Rows of targets that are gone, or that collect another kind now, go.
    fn take_out(&mut self, placed: &HashMap<Arc<TargetKey>, Option<Gvr>>) {
        let mut gone: HashMap<Gvr, HashSet<Arc<TargetKey>>> = HashMap::new();
        for (key, old) in &self.placed {
            let new = placed.get(key);
            if let Some(gvr) = old
                && new.is_none_or(|new| new.as_ref() != Some(gvr))
            {
                gone.entry(gvr.clone()).or_default().insert(key.clone());
            }
        }
        for (gvr, keys) in &gone {
            if let Some(feed) = self.feeds.get(gvr) {
                feed.remove(keys);
            }
        }
        let moved = gone.values().flatten();
        let vanished = self.placed.keys().filter(|key| !placed.contains_key(*key));
        for key in moved.chain(vanished) {
            self.shared.store.remove_target(key);
        }
    }

    /// A target whose kind was never served: its parts are lost once discovery said so.
    fn wait_for_kind(&self, spec: &TargetSpec) {
        let store = &self.shared.store;
        store.ensure_target(&spec.key);
        let WantedNamespaces::Only(namespaces) = &spec.namespaces else {
            store.set_wanted(&spec.key, Wanted::Undecided);
            return;
        };
        store.set_wanted(&spec.key, Wanted::Namespaces(namespaces.clone()));
        if self.discovery.catalog.is_some() {
            let reason: Arc<str> = not_served(&spec.gvk).into();
            for namespace in namespaces.iter() {
                store.set_coverage(&spec.key, namespace, Coverage::Lost(reason.clone()));
            }
        }
    }

    fn wishes(&self) -> Vec<Wish> {
        let wish = |feed: &Arc<Feed>| {
            let table = feed.table();
            Wish {
                gvr: feed.gvr.clone(),
                namespaced: feed.namespaced,
                namespaces: table.namespaces(),
                metadata_only: table.mask.metadata_only(),
            }
        };
        self.feeds.values().filter(|feed| !self.waiting.contains(&feed.kind)).map(wish).collect()
    }

    // --- discovery -----------------------------------------------------------------------------------------------

    fn discover(&mut self, now: Instant) {
        let wanted = !self.waiting.is_empty() || self.discovery.stale;
        if !wanted || self.discovery.running {
            return;
        }
        if self.discovery.due.is_some_and(|due| due > now) {
            return;
        }
        self.discovery.running = true;
        self.discovery.stale = false;
        let (client, known) = (self.client.clone(), self.discovery.catalog.clone());
        self.tasks.spawn(async move { Report::Discovered(fetch(&client, known).await) });
    }

    fn discovered(&mut self, result: Result<Arc<Catalog>, RequestError>, now: Instant) {
        self.discovery.running = false;
        let ceiling = DISCOVERY_CEILING[usize::from(self.sentinels.len() == sentinels().len())];
        match result {
            Ok(catalog) => {
                self.discovery.catalog = Some(catalog);
                self.discovery.error = None;
                self.discovery.due = Some(now + self.discovery.backoff.pause(ceiling));
            }
            Err(error) => {
                self.discovery.due = Some(now + self.discovery.backoff.after(&error));
                self.discovery.error = Some(format!("cannot look up the kinds that are served: {error}"));
                self.discovery.stale = true;
            }
        }
    }

    // --- access --------------------------------------------------------------------------------------------------

    fn ask_access(&mut self, now: Instant) {
        let sentinel_plan = self.sentinel_plan();
        let relevant: BTreeSet<WatchId> =
            self.plan.questions.iter().chain(&self.plan.denied).chain(&sentinel_plan.questions).cloned().collect();
        for id in &relevant {
            self.shared.observer.access(self.book.access(id) != crate::plan::Access::Unknown);
        }
        for id in self.book.to_ask(relevant.iter(), now) {
            let (client, questions) = (self.client.clone(), self.questions.clone());
            self.tasks.spawn(async move {
                let _turn = questions.acquire().await;
                let answer = ask(&client, &id).await;
                Report::Answered(id, answer)
            });
        }
        let (feeds, waiting) = (&self.feeds, !self.waiting.is_empty());
        self.book.keep(&|id| feeds.contains_key(&id.gvr) || waiting);
    }

    fn answered(&mut self, id: &WatchId, answer: Answer, now: Instant) {
        if let Answer::Failed(error) = &answer {
            let namespace = match &id.reach {
                Reach::Cluster => "",
                Reach::Namespace(namespace) => namespace,
            };
            for key in self.targets_of(id) {
                tracing::error!(target = %key, namespace, error, "access check failed");
                self.shared.observer.error(&key, CollectErrorClass::Transient);
            }
        }
        let newly_denied = matches!(answer, Answer::Denied(_)) && self.book.access(id) != crate::plan::Access::Denied;
        self.book.record(id, answer, now);
        if newly_denied {
            self.report_denied(id);
        }
        if let (Some((message, true)), Some(feed)) = (self.book.failure(id), self.feeds.get(&id.gvr)) {
            let reason = format!("the right to list {id} could not be checked: {message}").into();
            feed.lost(&id.reach, &reason, true, &self.shared.store);
        }
    }

    fn report_denied(&self, id: &WatchId) {
        let Some(feed) = self.feeds.get(&id.gvr) else { return };
        // Without the right for the whole cluster the namespaces are tried one by one: nothing is lost yet.
        if id.reach != Reach::Cluster || !feed.namespaced {
            for key in self.targets_of(id) {
                self.shared.observer.error(&key, CollectErrorClass::Forbidden);
            }
        }
    }

    fn targets_of(&self, id: &WatchId) -> Vec<Arc<TargetKey>> {
        let Some(feed) = self.feeds.get(&id.gvr) else { return Vec::new() };
        let table = feed.table();
        match &id.reach {
            Reach::Cluster => table.entries().iter().map(|entry| entry.spec.key.clone()).collect(),
            Reach::Namespace(namespace) => {
                let found = table.of_namespace(namespace);
                found.into_iter().flat_map(|found| found.1).map(|entry| entry.spec.key.clone()).collect()
            }
        }
    }

    /// Tells the store which parts are denied.
    fn mark_denied(&mut self) {
        let denied: Vec<WatchId> = self.book.denied(&self.plan.denied).cloned().collect();
        self.marked.retain(|id, _| self.plan.denied.contains(id));
        for id in denied {
            let Some(feed) = self.feeds.get(&id.gvr) else { continue };
            let epoch = feed.epoch();
            let whole = id.reach == Reach::Cluster && feed.namespaced;
            if !whole && self.marked.insert(id.clone(), epoch) != Some(epoch) {
                feed.lost(&id.reach, &self.book.message(&id).into(), false, &self.shared.store);
            }
        }
        for feed in self.feeds.values().filter(|feed| self.waiting.contains(&feed.kind)) {
            if self.discovery.catalog.is_some() {
                feed.lost(&Reach::Cluster, &not_served(&feed.kind).into(), false, &self.shared.store);
            }
        }
    }
}

fn not_served(gvk: &Gvk) -> String {
    format!("the API server does not serve {gvk}; install its CustomResourceDefinition or correct targetGVK")
}

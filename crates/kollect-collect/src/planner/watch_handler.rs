//! Hands what one watch finds to the workers, and says when a list is complete.
//!
//! Separate from the list and watch protocol, which does not know targets. A list counts as complete only after every
//! object of it was taken in.

use crate::dispatch::Dispatcher;
use crate::feed::Feed;
use crate::observe::{CollectErrorClass, CollectObserver};
use crate::plan::{Gvr, Priority, WatchId};
use crate::priorities::Priorities;
use crate::receiver::{Happened, Meta, Need, Receiver};
use crate::request_error::RequestError;
use crate::store_limit::StoreLimit;
use kollect_model::Uid;
use kollect_store::Store;
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// A part that could not be listed for so long does not hold back the others any more.
const GIVE_UP_WAITING: Duration = Duration::from_secs(30);

/// A failure that lasts is logged again after so long.
const LOG_AGAIN: Duration = Duration::from_mins(1);

/// What outlives a reader, so that the next one goes on where it ended.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// The epoch at which the last complete list began; 0 = none.
    pub(crate) listed: AtomicU64,
    /// Objects that the watch sees.
    pub(crate) objects: AtomicU64,
    /// Why it does not get on.
    pub(crate) error: Mutex<Option<String>>,
}

/// The workers of each priority.
pub(crate) struct Dispatchers {
    pub(crate) normal: Dispatcher,
    pub(crate) low: Dispatcher,
}

impl Dispatchers {
    fn of(&self, priority: Priority) -> &Dispatcher {
        match priority {
            Priority::Normal => &self.normal,
            Priority::Low => &self.low,
        }
    }
}

/// What readers share.
pub(crate) struct Shared {
    pub(crate) store: Arc<Store>,
    pub(crate) dispatchers: Dispatchers,
    pub(crate) store_limit: Arc<StoreLimit>,
    pub(crate) priorities: Arc<Priorities>,
    pub(crate) observer: Arc<dyn CollectObserver>,
    /// Objects of each resource over all its watches.
    pub(crate) objects: Mutex<HashMap<Gvr, u64>>,
}

impl Shared {
    /// A watch sees `new` objects instead of `old`.
    pub(crate) fn count(&self, gvr: &Gvr, old: u64, new: u64) {
        let mut objects = self.objects.lock();
        let total = objects.entry(gvr.clone()).or_default();
        *total = (*total + new).saturating_sub(old);
        let total = *total;
        if total == 0 {
            objects.remove(gvr);
        }
        drop(objects);
        self.observer.objects(gvr, total);
    }
}

/// The receiver of one watch.
pub(crate) struct Reader {
    shared: Arc<Shared>,
    feed: Arc<Feed>,
    id: WatchId,
    progress: Arc<Progress>,
    epochs: watch::Receiver<u64>,
    /// Epoch at which the current list began.
    began: u64,
    /// Objects that the workers had lost when it began.
    lost_before: u64,
    /// Epoch for which the last need was worked out.
    needed_at: u64,
    seen: HashSet<Uid>,
    /// The list has an object that cannot be told from others, so that it proves no absence.
    unidentified: bool,
    /// The workers of the other priority have done what they had when the list began.
    others_done: bool,
    /// Since when there is no list or watch; at first since the beginning, because a request that hangs is no failure yet.
    failing_since: Option<Instant>,
    logged: Option<Instant>,
}

impl Reader {
    pub(crate) fn new(shared: Arc<Shared>, feed: Arc<Feed>, id: WatchId, progress: Arc<Progress>) -> Self {
        let epochs = feed.subscribe();
        let failing_since = Some(Instant::now());
        Self {
            shared,
            feed,
            id,
            progress,
            epochs,
            began: 0,
            lost_before: 0,
            needed_at: 0,
            seen: HashSet::new(),
            unidentified: false,
            others_done: false,
            failing_since,
            logged: None,
        }
    }

    fn dispatcher(&self) -> &Dispatcher {
        self.shared.dispatchers.of(self.id.priority)
    }

    /// A target that comes from another priority may be at work there still, with an older state of an object.
    async fn wait_for_others(&mut self) {
        if self.id.priority == Priority::Low && !self.others_done {
            self.others_done = self.shared.dispatchers.normal.barrier().await;
        }
    }

    fn count(&self, objects: u64) {
        let before = self.progress.objects.swap(objects, Ordering::Relaxed);
        self.shared.count(&self.feed.gvr, before, objects);
    }

    fn well(&mut self) {
        self.failing_since = None;
        self.logged = None;
        if self.progress.error.lock().take().is_some() {
            self.tell();
        }
    }

    fn tell(&self) {
        for entry in self.feed.table().entries() {
            self.shared.observer.target_changed(&entry.spec.key);
        }
    }
}

impl Receiver for Reader {
    fn list_begins(&mut self, _: Option<&str>) {
        self.seen.clear();
        self.unidentified = false;
        self.others_done = false;
        self.began = self.feed.epoch();
        self.lost_before = self.dispatcher().lost();
    }

    async fn object(&mut self, happened: Happened, meta: &Meta<'_>, raw: &str) {
        let known = meta.identity(&self.feed.kind);
        self.unidentified |= known.is_none();
        let uid = known.unwrap_or_else(|| Uid::parse(""));
        self.wait_for_others().await;
        self.dispatcher().object(&self.feed, happened == Happened::Deleted, &uid, raw).await;
        let objects = self.progress.objects.load(Ordering::Relaxed);
        match happened {
            Happened::Listed => _ = self.seen.insert(uid),
            Happened::Added => self.count(objects + 1),
            Happened::Deleted => self.count(objects.saturating_sub(1)),
            Happened::Modified => {}
        }
    }

    async fn list_ends(&mut self, namespace: Option<&str>) -> bool {
        let taken_in = self.dispatcher().barrier().await && self.dispatcher().lost() == self.lost_before;
        let seen = std::mem::take(&mut self.seen);
        if !taken_in {
            return false;
        }
        let contains = |uid: &Uid| self.unidentified || seen.contains(uid);
        self.feed.complete(&self.id.reach, namespace, self.began, &contains, &self.shared.store);
        if namespace.is_none() {
            self.progress.listed.store(self.began, Ordering::Release);
            self.count(seen.len() as u64);
            self.shared.observer.listed(&self.feed.gvr);
        }
        self.well();
        self.tell();
        true
    }

    fn need(&mut self) -> Need {
        let (need, epoch) = self.feed.need(&self.id.reach, self.progress.listed.load(Ordering::Acquire));
        self.needed_at = epoch;
        need
    }

    fn caught_up(&mut self) {
        self.progress.listed.store(self.needed_at, Ordering::Release);
    }

    async fn need_changed(&mut self) {
        if self.epochs.changed().await.is_err() {
            // The feed is gone; whoever dropped it ends this watch as well.
            std::future::pending::<()>().await;
        }
    }

    fn resumed(&mut self) {
        let listed = self.progress.listed.load(Ordering::Acquire);
        self.feed.regained(&self.id.reach, listed, &self.shared.store);
        self.well();
        self.tell();
    }

    fn trouble(&mut self, error: &RequestError) {
        let since = *self.failing_since.get_or_insert_with(Instant::now);
        let message = format!("cannot list and watch {}: {error}", self.id);
        if since.elapsed() >= GIVE_UP_WAITING {
            self.feed.lost(&self.id.reach, &message.as_str().into(), true, &self.shared.store);
        }
        for key in self.feed.targets_of(&self.id.reach) {
            self.shared.observer.error(&key, CollectErrorClass::Transient);
        }
        let first = self.progress.error.lock().replace(message).is_none();
        if first || self.logged.is_none_or(|at| at.elapsed() >= LOG_AGAIN) {
            self.logged = Some(Instant::now());
            let failing_seconds = since.elapsed().as_secs();
            tracing::warn!(watch = %self.id, error = %error, failing_seconds, "list and watch failed, trying again");
        }
        if first {
            self.tell();
        }
    }
}

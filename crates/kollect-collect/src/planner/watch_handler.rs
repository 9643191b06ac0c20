//! Queues what one watch receives for the workers, and marks parts as listed.
//!
//! A list counts as complete only after the workers have processed every object of it.

use super::watch_context::WatchContext;
use crate::dispatch::Dispatcher;
use crate::observe::CollectErrorClass;
use crate::plan::{Priority, WatchId};
use crate::targets::resource_targets::ResourceTargets;
use crate::targets::watch_progress::WatchProgress;
use crate::watch::event_handler::{EventHandler, ObjectEvent, RelistNeed, RelistRequests};
use crate::watch::event_meta::EventMeta;
use crate::watch::request_error::RequestError;
use kollect_model::Uid;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// A part that could not be listed for so long does not delay the exports of the others any more.
const GIVE_UP_WAITING: Duration = Duration::from_secs(30);

/// A lasting failure is logged again after so long.
const LOG_AGAIN: Duration = Duration::from_mins(1);

/// Handles the events of one watch.
pub(crate) struct WatchHandler {
    context: Arc<WatchContext>,
    targets: Arc<ResourceTargets>,
    id: WatchId,
    progress: Arc<WatchProgress>,
    /// Table epoch at which the current list began.
    began: u64,
    /// [`Dispatcher::lost`] when it began.
    lost_before: u64,
    seen: HashSet<Uid>,
    /// The list has an object without a readable identity, so it proves no absence.
    unidentified: bool,
    /// The workers of normal priority have processed what they had queued when the list began.
    others_done: bool,
    /// Since when there is no list or watch. Set from the start: a first request that hangs counts as failing too.
    failing_since: Option<Instant>,
    logged: Option<Instant>,
}

impl WatchHandler {
    pub(crate) fn new(
        context: Arc<WatchContext>,
        targets: Arc<ResourceTargets>,
        id: WatchId,
        progress: Arc<WatchProgress>,
    ) -> Self {
        Self {
            context,
            targets,
            id,
            progress,
            began: 0,
            lost_before: 0,
            seen: HashSet::new(),
            unidentified: false,
            others_done: false,
            failing_since: Some(Instant::now()),
            logged: None,
        }
    }

    fn dispatcher(&self) -> &Dispatcher {
        self.context.dispatchers.of(self.id.priority)
    }

    /// A target that was moved to low priority may still have older states of an object in the normal queues.
    async fn wait_for_normal_queues(&mut self) {
        if self.id.priority == Priority::Low && !self.others_done {
            self.others_done = self.context.dispatchers.normal.barrier().await;
        }
    }

    fn count(&self, objects: u64) {
        let before = self.progress.objects.swap(objects, Ordering::Relaxed);
        self.context.count(&self.targets.gvr, before, objects);
    }

    fn recovered(&mut self) {
        self.failing_since = None;
        self.logged = None;
        if self.progress.error.lock().take().is_some() {
            self.notify();
        }
    }

    fn notify(&self) {
        for entry in self.targets.table().entries() {
            self.context.observer.target_changed(&entry.spec.key);
        }
    }
}

impl EventHandler for WatchHandler {
    fn list_started(&mut self, _: Option<&str>) {
        self.seen.clear();
        self.unidentified = false;
        self.others_done = false;
        self.began = self.targets.epoch();
        self.lost_before = self.dispatcher().lost();
    }

    async fn object(&mut self, event: ObjectEvent, meta: &EventMeta<'_>, raw: &str) {
        let known = meta.identity(&self.targets.kind);
        self.unidentified |= known.is_none();
        let uid = known.unwrap_or_else(|| Uid::parse(""));
        self.wait_for_normal_queues().await;
        self.dispatcher().object(&self.targets, event == ObjectEvent::Deleted, &uid, raw).await;
        let objects = self.progress.objects.load(Ordering::Relaxed);
        match event {
            ObjectEvent::Listed => _ = self.seen.insert(uid),
            ObjectEvent::Added => self.count(objects + 1),
            ObjectEvent::Deleted => self.count(objects.saturating_sub(1)),
            ObjectEvent::Modified => {}
        }
    }

    async fn list_finished(&mut self, namespace: Option<&str>) -> bool {
        let processed = self.dispatcher().barrier().await && self.dispatcher().lost() == self.lost_before;
        let seen = std::mem::take(&mut self.seen);
        if !processed {
            return false;
        }
        let contains = |uid: &Uid| self.unidentified || seen.contains(uid);
        self.targets.mark_listed(&self.id.reach, namespace, self.began, &contains, &self.context.store);
        if namespace.is_none() {
            self.progress.listed.store(self.began, Ordering::Release);
            self.count(seen.len() as u64);
            self.context.observer.listed(&self.targets.gvr);
        }
        self.recovered();
        self.notify();
        true
    }

    fn resumed(&mut self) {
        let listed = self.progress.listed.load(Ordering::Acquire);
        self.targets.mark_resumed(&self.id.reach, listed, &self.context.store);
        self.recovered();
        self.notify();
    }

    fn failed(&mut self, error: &RequestError) {
        let since = *self.failing_since.get_or_insert_with(Instant::now);
        let message = format!("cannot list and watch {}: {error}", self.id);
        if since.elapsed() >= GIVE_UP_WAITING {
            self.targets.mark_lost(&self.id.reach, &message.as_str().into(), true, &self.context.store);
        }
        for key in self.targets.targets_of(&self.id.reach) {
            self.context.observer.error(&key, CollectErrorClass::Transient);
        }
        let first = self.progress.error.lock().replace(message).is_none();
        if first || self.logged.is_none_or(|at| at.elapsed() >= LOG_AGAIN) {
            self.logged = Some(Instant::now());
            let failing_seconds = since.elapsed().as_secs();
            tracing::warn!(watch = %self.id, error = %error, failing_seconds, "list and watch failed, trying again");
        }
        if first {
            self.notify();
        }
    }
}

/// Requests the lists that the targets of a watch still lack.
pub(crate) struct TargetRelists {
    targets: Arc<ResourceTargets>,
    id: WatchId,
    progress: Arc<WatchProgress>,
    epochs: watch::Receiver<u64>,
    /// Table epoch for which the last need was computed.
    needed_at: u64,
}

impl TargetRelists {
    pub(crate) fn new(targets: Arc<ResourceTargets>, id: WatchId, progress: Arc<WatchProgress>) -> Self {
        let epochs = targets.subscribe();
        Self { targets, id, progress, epochs, needed_at: 0 }
    }
}

impl RelistRequests for TargetRelists {
    fn needed(&mut self) -> RelistNeed {
        let (need, epoch) = self.targets.relist_needed(&self.id.reach, self.progress.listed.load(Ordering::Acquire));
        self.needed_at = epoch;
        need
    }

    fn namespaces_listed(&mut self) {
        self.progress.listed.store(self.needed_at, Ordering::Release);
    }

    async fn changed(&mut self) {
        if self.epochs.changed().await.is_err() {
            // Not while `targets`, which owns the sender, is held here.
            std::future::pending::<()>().await;
        }
    }
}

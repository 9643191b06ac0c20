//! Starts and stops watches as the plan requires, and reacts to the end of one.
//!
//! A watch leaves its position behind, so that its successor resumes there.

use super::crd_watch::{DiscoveryTrigger, crd_watches};
use super::watch_handler::{TargetRelists, WatchHandler};
use super::{Planner, RunningWatch, SavedWatch, TaskPurpose, TaskResult};
use crate::plan::{Gvr, Reach, ResourceKey, WatchId, WatchPlan, diff, plan};
use crate::watch::event_handler::NoRelists;
use crate::watch::list_watch::{ListWatch, WatchEnd};
use crate::watch::request::Collection;
use crate::watch::retry::RetryDelay;
use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::task::{Id, JoinError};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Ceiling of the delay before a watch that ended on its own is started again.
const RESTART_CEILING: Duration = Duration::from_secs(30);
/// Interval at which targets that the store limit excludes are reconsidered.
const ROOM_CHECK_INTERVAL: Duration = Duration::from_secs(30);
/// A watch that lived longer resets the delay.
const SETTLED: Duration = Duration::from_mins(1);

impl Planner {
    pub(super) fn run_watches(&mut self, now: Instant) {
        let steps = diff(&active(&self.running), &self.plan.watches);
        for id in &steps.stop {
            stop(&mut self.running, id);
        }
        // Two concurrent watches of one object could deliver its states in the wrong order.
        let ending: HashSet<ResourceKey> =
            self.running.iter().filter(|(_, running)| running.stopping).map(|(id, _)| id.resource_key()).collect();
        for (id, metadata_only) in steps.start {
            let delayed = self.restart_delays.get(&id).is_some_and(|(_, until)| *until > now);
            if !delayed && !ending.contains(&id.resource_key()) {
                self.start(id, metadata_only, now);
            }
        }
    }

    fn start(&mut self, id: WatchId, metadata_only: bool, now: Instant) {
        let Some(targets) = self.resources.get(&id.resource_key()).cloned() else { return };
        let namespace = match &id.reach {
            Reach::Cluster => None,
            Reach::Namespace(namespace) => Some(&**namespace),
        };
        self.shared.observer.cluster_wide(&id.gvr, namespace.is_none());
        if namespace.is_none() && targets.namespaced {
            let Gvr { group, version, resource } = &id.gvr;
            tracing::info!(
                %group, %version, %resource,
                "watching all namespaces; targets that name their namespaces cost the API server less"
            );
        }
        let collection = Collection::new(&id.gvr, namespace, metadata_only);
        let SavedWatch { position, progress } = self.saved.entry(id.clone()).or_default().clone();
        let relists = TargetRelists::new(targets.clone(), id.clone(), progress.clone());
        let handler = WatchHandler::new(self.shared.clone(), targets, id.clone(), progress);
        let list_watch = ListWatch::new(self.client.clone(), collection, handler, relists, position);
        let cancel = CancellationToken::new();
        let until = cancel.clone();
        let task =
            self.tasks.spawn(async move { TaskResult::Ended(until.run_until_cancelled(list_watch.run()).await) });
        self.purposes.insert(task.id(), TaskPurpose::Watch(id.clone()));
        self.running.insert(id, RunningWatch { metadata_only, cancel, stopping: false, since: now });
    }

    /// The watches of API definitions that should run: only while a target waits for its kind.
    pub(super) fn crd_watch_plan(&self) -> WatchPlan {
        if self.waiting.is_empty() || self.tenant || self.discovery.catalog.is_none() {
            return WatchPlan::default();
        }
        plan(&crd_watches(), false, &|id| self.access.access(id))
    }

    pub(super) fn run_crd_watches(&mut self) {
        let steps = diff(&active(&self.crd_watches), &self.crd_watch_plan().watches);
        for id in &steps.stop {
            stop(&mut self.crd_watches, id);
        }
        for (id, metadata_only) in steps.start {
            if self.crd_watches.contains_key(&id) {
                continue;
            }
            let collection = Collection::new(&id.gvr, None, metadata_only);
            let trigger = DiscoveryTrigger::new(self.api_changed.clone());
            let list_watch =
                ListWatch::new(self.client.clone(), collection, trigger, NoRelists, super::WatchPosition::default());
            let cancel = CancellationToken::new();
            let until = cancel.clone();
            let task =
                self.tasks.spawn(async move { TaskResult::Ended(until.run_until_cancelled(list_watch.run()).await) });
            self.purposes.insert(task.id(), TaskPurpose::CrdWatch(id.clone()));
            self.crd_watches.insert(id, RunningWatch { metadata_only, cancel, stopping: false, since: Instant::now() });
        }
    }

    pub(super) fn handle_task_end(&mut self, ended: Result<(Id, TaskResult), JoinError>) {
        let now = Instant::now();
        match ended {
            Ok((_, TaskResult::Discovered(result))) => self.discovered(result, now),
            Ok((_, TaskResult::Answered(id, answer))) => self.answered(&id, answer, now),
            Ok((task, TaskResult::Ended(end))) => match self.purposes.remove(&task) {
                Some(TaskPurpose::Watch(id)) => self.ended(&id, end, now),
                Some(TaskPurpose::CrdWatch(id)) => {
                    self.crd_watches.remove(&id);
                    if let Some(WatchEnd::Forbidden(message) | WatchEnd::NotServed(message)) = end {
                        self.access.refused(&id, message, now);
                    }
                }
                None => {}
            },
            Err(error) => self.task_panicked(&error, now),
        }
    }

    fn ended(&mut self, id: &WatchId, end: Option<WatchEnd>, now: Instant) {
        let since = self.running.remove(id).map_or(now, |running| running.since);
        if !self.plan.watches.contains_key(id) {
            self.forget_saved(id);
        }
        match end {
            None => {}
            Some(WatchEnd::Forbidden(message)) => {
                self.access.refused(id, format!("{id}: {message}"), now);
                self.report_denied(id);
            }
            Some(WatchEnd::NotServed(_)) => {
                self.discovery.stale = true;
                self.discovery.due = Some(now);
                self.delay_restart(id, since, now);
            }
        }
    }

    /// Drops the position of a watch: the next one lists.
    pub(super) fn forget_saved(&mut self, id: &WatchId) {
        if let Some(left) = self.saved.remove(id) {
            let objects = left.progress.objects.load(Ordering::Relaxed);
            self.shared.count(&id.gvr, objects, 0);
        }
    }

    pub(super) fn stop_watches_of(&mut self, resource: &ResourceKey) {
        let watches: Vec<WatchId> = self.running.keys().filter(|id| id.resource_key() == *resource).cloned().collect();
        for id in &watches {
            stop(&mut self.running, id);
        }
    }

    /// A task panicked.
    fn task_panicked(&mut self, error: &JoinError, now: Instant) {
        let purpose = self.purposes.remove(&error.id());
        tracing::error!(task = ?purpose, "reconcile panic recovered");
        match purpose {
            Some(TaskPurpose::Watch(id)) => {
                let since = self.running.remove(&id).map_or(now, |running| running.since);
                self.forget_saved(&id);
                self.delay_restart(&id, since, now);
            }
            Some(TaskPurpose::CrdWatch(id)) => {
                self.crd_watches.remove(&id);
                self.access.refused(&id, "internal error".into(), now);
            }
            None => {
                self.discovery.running = false;
                self.discovery.due = Some(now + self.discovery.backoff.next_below(RESTART_CEILING));
                self.access.ask_again();
            }
        }
    }

    fn delay_restart(&mut self, id: &WatchId, since: Instant, now: Instant) {
        let (backoff, until) = self.restart_delays.entry(id.clone()).or_insert((RetryDelay::default(), now));
        if now.saturating_duration_since(since) > SETTLED {
            backoff.reset();
        }
        *until = now + backoff.next_below(RESTART_CEILING);
    }

    /// When the planner must run without an event.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let crd_watch_plan = self.crd_watch_plan();
        let questions = self.plan.questions.iter().chain(&self.plan.denied).chain(&crd_watch_plan.questions);
        let delayed = self
            .restart_delays
            .iter()
            .filter(|(id, _)| self.plan.watches.contains_key(*id) && !self.running.contains_key(*id));
        let discovery = (!self.waiting.is_empty() || self.discovery.stale) && !self.discovery.running;
        let discovery = if discovery { self.discovery.due } else { None };
        let room = (!self.no_room.is_empty()).then(|| Instant::now() + ROOM_CHECK_INTERVAL);
        let delayed = delayed.map(|(_, (_, until))| *until);
        self.access.next_due(questions).into_iter().chain(delayed).chain(discovery).chain(room).min()
    }
}

fn active(running: &BTreeMap<WatchId, RunningWatch>) -> BTreeMap<WatchId, bool> {
    running
        .iter()
        .filter(|(_, running)| !running.stopping)
        .map(|(id, running)| (id.clone(), running.metadata_only))
        .collect()
}

fn stop(running: &mut BTreeMap<WatchId, RunningWatch>, id: &WatchId) {
    if let Some(running) = running.get_mut(id) {
        running.cancel.cancel();
        running.stopping = true;
    }
}

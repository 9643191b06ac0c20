//! Starts and stops watches, and decides what follows when one ends.
//!
//! Separate from the plan, which says what should run. A watch leaves its position behind, so that one that is started
//! again goes on where it was.

use super::{Duty, Parked, Planner, Report, Running};
use crate::backoff::Backoff;
use crate::follow::{End, Follow};
use crate::plan::{FeedId, Gvr, Plan, Reach, WatchId, diff, plan};
use crate::reader::Reader;
use crate::request::Source;
use crate::sentinel::{Ping, sentinels};
use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::task::{Id, JoinError};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Longest pause before a watch that ended on its own is started again.
const RESTART_CEILING: Duration = Duration::from_secs(30);
/// How often is asked whether there is room for a target that was taken out for lack of it.
const LOOK_FOR_ROOM: Duration = Duration::from_secs(30);
/// A watch that lived longer starts the pauses afresh.
const SETTLED: Duration = Duration::from_mins(1);

impl Planner {
    pub(super) fn run_watches(&mut self, now: Instant) {
        let steps = diff(&active(&self.running), &self.plan.watches);
        for id in &steps.stop {
            stop(&mut self.running, id);
        }
        // Two watches of one object at a time could hand over its states in the wrong order.
        let ending: HashSet<FeedId> =
            self.running.iter().filter(|(_, running)| running.stopping).map(|(id, _)| id.feed()).collect();
        for (id, metadata_only) in steps.start {
            let held = self.held.get(&id).is_some_and(|(_, until)| *until > now);
            if !held && !ending.contains(&id.feed()) {
                self.start(id, metadata_only, now);
            }
        }
    }

    fn start(&mut self, id: WatchId, metadata_only: bool, now: Instant) {
        let Some(feed) = self.feeds.get(&id.feed()).cloned() else { return };
        let namespace = match &id.reach {
            Reach::Cluster => None,
            Reach::Namespace(namespace) => Some(&**namespace),
        };
        self.shared.observer.cluster_wide(&id.gvr, namespace.is_none());
        if namespace.is_none() && feed.namespaced {
            let Gvr { group, version, resource } = &id.gvr;
            tracing::info!(
                %group, %version, %resource,
                "watching all namespaces; targets that name their namespaces cost the API server less"
            );
        }
        let source = Source::new(&id.gvr, namespace, metadata_only);
        let Parked { position, progress } = self.parked.entry(id.clone()).or_default().clone();
        let reader = Reader::new(self.shared.clone(), feed, id.clone(), progress);
        let follow = Follow::new(self.client.clone(), source, reader, position);
        let cancel = CancellationToken::new();
        let until = cancel.clone();
        let task = self.tasks.spawn(async move { Report::Ended(until.run_until_cancelled(follow.run()).await) });
        self.duties.insert(task.id(), Duty::Watch(id.clone()));
        self.running.insert(id, Running { metadata_only, cancel, stopping: false, since: now });
    }

    /// What the watches of API definitions should be; they run only while a target waits for its kind.
    pub(super) fn sentinel_plan(&self) -> Plan {
        if self.waiting.is_empty() || self.tenant || self.discovery.catalog.is_none() {
            return Plan::default();
        }
        plan(&sentinels(), false, &|id| self.book.access(id))
    }

    pub(super) fn run_sentinels(&mut self) {
        let steps = diff(&active(&self.sentinels), &self.sentinel_plan().watches);
        for id in &steps.stop {
            stop(&mut self.sentinels, id);
        }
        for (id, metadata_only) in steps.start {
            if self.sentinels.contains_key(&id) {
                continue;
            }
            let source = Source::new(&id.gvr, None, metadata_only);
            let ping = Ping::new(self.api_changed.clone());
            let follow = Follow::new(self.client.clone(), source, ping, super::Position::default());
            let cancel = CancellationToken::new();
            let until = cancel.clone();
            let task = self.tasks.spawn(async move { Report::Ended(until.run_until_cancelled(follow.run()).await) });
            self.duties.insert(task.id(), Duty::Sentinel(id.clone()));
            self.sentinels.insert(id, Running { metadata_only, cancel, stopping: false, since: Instant::now() });
        }
    }

    pub(super) fn take(&mut self, ended: Result<(Id, Report), JoinError>) {
        let now = Instant::now();
        match ended {
            Ok((_, Report::Discovered(result))) => self.discovered(result, now),
            Ok((_, Report::Answered(id, answer))) => self.answered(&id, answer, now),
            Ok((task, Report::Ended(end))) => match self.duties.remove(&task) {
                Some(Duty::Watch(id)) => self.ended(&id, end, now),
                Some(Duty::Sentinel(id)) => {
                    self.sentinels.remove(&id);
                    if let Some(End::Forbidden(message) | End::NotServed(message)) = end {
                        self.book.refused(&id, message, now);
                    }
                }
                None => {}
            },
            Err(error) => self.broken(&error, now),
        }
    }

    fn ended(&mut self, id: &WatchId, end: Option<End>, now: Instant) {
        let since = self.running.remove(id).map_or(now, |running| running.since);
        if !self.plan.watches.contains_key(id) {
            self.unpark(id);
        }
        match end {
            None => {}
            Some(End::Forbidden(message)) => {
                self.book.refused(id, format!("{id}: {message}"), now);
                self.report_denied(id);
            }
            Some(End::NotServed(_)) => {
                self.discovery.stale = true;
                self.discovery.due = Some(now);
                self.hold(id, since, now);
            }
        }
    }

    /// Forgets where a watch was: the next one lists.
    pub(super) fn unpark(&mut self, id: &WatchId) {
        if let Some(left) = self.parked.remove(id) {
            let objects = left.progress.objects.load(Ordering::Relaxed);
            self.shared.count(&id.gvr, objects, 0);
        }
    }

    pub(super) fn stop_watches_of(&mut self, feed: &FeedId) {
        let watches: Vec<WatchId> = self.running.keys().filter(|id| id.feed() == *feed).cloned().collect();
        for id in &watches {
            stop(&mut self.running, id);
        }
    }

    /// A task panicked.
    fn broken(&mut self, error: &JoinError, now: Instant) {
        let duty = self.duties.remove(&error.id());
        tracing::error!(task = ?duty, "reconcile panic recovered");
        match duty {
            Some(Duty::Watch(id)) => {
                let since = self.running.remove(&id).map_or(now, |running| running.since);
                self.unpark(&id);
                self.hold(&id, since, now);
            }
            Some(Duty::Sentinel(id)) => {
                self.sentinels.remove(&id);
                self.book.refused(&id, "internal error".into(), now);
            }
            None => {
                self.discovery.running = false;
                self.discovery.due = Some(now + self.discovery.backoff.pause(RESTART_CEILING));
                self.book.ask_again();
            }
        }
    }

    fn hold(&mut self, id: &WatchId, since: Instant, now: Instant) {
        let (backoff, until) = self.held.entry(id.clone()).or_insert((Backoff::default(), now));
        if now.saturating_duration_since(since) > SETTLED {
            backoff.reset();
        }
        *until = now + backoff.pause(RESTART_CEILING);
    }

    /// When something is to be done although nothing happens.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let sentinel_plan = self.sentinel_plan();
        let questions = self.plan.questions.iter().chain(&self.plan.denied).chain(&sentinel_plan.questions);
        let held =
            self.held.iter().filter(|(id, _)| self.plan.watches.contains_key(*id) && !self.running.contains_key(*id));
        let discovery = (!self.waiting.is_empty() || self.discovery.stale) && !self.discovery.running;
        let discovery = if discovery { self.discovery.due } else { None };
        let room = (!self.no_room.is_empty()).then(|| Instant::now() + LOOK_FOR_ROOM);
        let held = held.map(|(_, (_, until))| *until);
        self.book.next_due(questions).into_iter().chain(held).chain(discovery).chain(room).min()
    }
}

fn active(running: &BTreeMap<WatchId, Running>) -> BTreeMap<WatchId, bool> {
    running
        .iter()
        .filter(|(_, running)| !running.stopping)
        .map(|(id, running)| (id.clone(), running.metadata_only))
        .collect()
}

fn stop(running: &mut BTreeMap<WatchId, Running>, id: &WatchId) {
    if let Some(running) = running.get_mut(id) {
        running.cancel.cancel();
        running.stopping = true;
    }
}

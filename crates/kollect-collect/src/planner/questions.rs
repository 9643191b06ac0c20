//! Asks what is served and what is permitted, and takes the answers over.
//!
//! Separate from what follows from the answers. Nothing here waits: every question is a task.

use super::{Planner, Report, not_served};
use crate::access::{Answer, ask};
use crate::discovery::{Catalog, fetch};
use crate::observe::CollectErrorClass;
use crate::plan::{Access, Reach, WatchId};
use crate::request_error::RequestError;
use crate::sentinel::sentinels;
use kollect_model::TargetKey;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Pause between looks at discovery while a target waits, without and with watches that tell of new APIs.
const DISCOVERY_CEILING: [Duration; 2] = [Duration::from_secs(30), Duration::from_mins(5)];

impl Planner {
    pub(super) fn discover(&mut self, now: Instant) {
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

    pub(super) fn discovered(&mut self, result: Result<Arc<Catalog>, RequestError>, now: Instant) {
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

    pub(super) fn ask_access(&mut self, now: Instant) {
        let sentinel_plan = self.sentinel_plan();
        let relevant: BTreeSet<WatchId> =
            self.plan.questions.iter().chain(&self.plan.denied).chain(&sentinel_plan.questions).cloned().collect();
        for id in &relevant {
            self.shared.observer.access(self.book.access(id) != Access::Unknown);
        }
        for id in self.book.pick(relevant.iter(), now) {
            let (client, questions) = (self.client.clone(), self.questions.clone());
            self.tasks.spawn(async move {
                let _turn = questions.acquire().await;
                let answer = ask(&client, &id).await;
                Report::Answered(id, answer)
            });
        }
        let (feeds, waiting) = (&self.feeds, !self.waiting.is_empty());
        self.book.keep(&|id| feeds.contains_key(&id.feed()) || waiting);
    }

    pub(super) fn answered(&mut self, id: &WatchId, answer: Answer, now: Instant) {
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
        let newly_denied = matches!(answer, Answer::Denied(_)) && self.book.access(id) != Access::Denied;
        self.book.record(id, answer, now);
        if newly_denied {
            self.report_denied(id);
        }
        if let (Some((message, true)), Some(feed)) = (self.book.failure(id), self.feeds.get(&id.feed())) {
            let reason = format!("the right to list {id} could not be checked: {message}").into();
            feed.lost(&id.reach, &reason, true, &self.shared.store);
        }
    }

    pub(super) fn report_denied(&self, id: &WatchId) {
        let Some(feed) = self.feeds.get(&id.feed()) else { return };
        // Without the right for the whole cluster the namespaces are tried one by one: nothing is lost yet.
        if id.reach != Reach::Cluster || !feed.namespaced {
            for key in self.targets_of(id) {
                self.shared.observer.error(&key, CollectErrorClass::Forbidden);
            }
        }
    }

    pub(super) fn targets_of(&self, id: &WatchId) -> Vec<Arc<TargetKey>> {
        self.feeds.get(&id.feed()).map_or_else(Vec::new, |feed| feed.targets_of(&id.reach))
    }

    /// Tells the store which parts are denied.
    pub(super) fn mark_denied(&mut self) {
        let denied: Vec<WatchId> = self.book.denied(&self.plan.denied).cloned().collect();
        self.marked.retain(|id, _| self.plan.denied.contains(id));
        for id in denied {
            let Some(feed) = self.feeds.get(&id.feed()) else { continue };
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

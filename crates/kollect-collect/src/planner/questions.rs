//! Starts discovery and access reviews, and applies their answers. Every request is a task; nothing here waits.

use super::access::{AccessAnswer, ask};
use super::crd_watch::crd_watches;
use super::discovery::{ApiCatalog, fetch};
use super::{Planner, TaskResult, not_served};
use crate::observe::CollectErrorClass;
use crate::plan::{Reach, WatchAccess, WatchId};
use crate::watch::request_error::RequestError;
use kollect_model::TargetKey;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Ceiling of the delay between discovery requests while a target waits: without and with watches of API definitions.
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
        self.tasks.spawn(async move { TaskResult::Discovered(fetch(&client, known).await) });
    }

    pub(super) fn discovered(&mut self, result: Result<Arc<ApiCatalog>, RequestError>, now: Instant) {
        self.discovery.running = false;
        let ceiling = DISCOVERY_CEILING[usize::from(self.crd_watches.len() == crd_watches().len())];
        match result {
            Ok(catalog) => {
                self.discovery.catalog = Some(catalog);
                self.discovery.error = None;
                self.discovery.due = Some(now + self.discovery.backoff.next_below(ceiling));
            }
            Err(error) => {
                self.discovery.due = Some(now + self.discovery.backoff.after(&error));
                self.discovery.error = Some(format!("cannot look up the kinds that are served: {error}"));
                self.discovery.stale = true;
            }
        }
    }

    pub(super) fn ask_access(&mut self, now: Instant) {
        let crd_watch_plan = self.crd_watch_plan();
        let relevant: BTreeSet<WatchId> =
            self.plan.questions.iter().chain(&self.plan.denied).chain(&crd_watch_plan.questions).cloned().collect();
        for id in &relevant {
            self.shared.observer.access(self.access.access(id) != WatchAccess::Unknown);
        }
        for id in self.access.start_due(relevant.iter(), now) {
            let (client, questions) = (self.client.clone(), self.questions.clone());
            self.tasks.spawn(async move {
                let _turn = questions.acquire().await;
                let answer = ask(&client, &id).await;
                TaskResult::Answered(id, answer)
            });
        }
        let (resources, waiting) = (&self.resources, !self.waiting.is_empty());
        self.access.retain(&|id| resources.contains_key(&id.resource_key()) || waiting);
    }

    pub(super) fn answered(&mut self, id: &WatchId, answer: AccessAnswer, now: Instant) {
        if let AccessAnswer::Failed(error) = &answer {
            let namespace = match &id.reach {
                Reach::Cluster => "",
                Reach::Namespace(namespace) => namespace,
            };
            for key in self.targets_of(id) {
                tracing::error!(target = %key, namespace, error, "access check failed");
                self.shared.observer.error(&key, CollectErrorClass::Transient);
            }
        }
        let newly_denied = matches!(answer, AccessAnswer::Denied(_)) && self.access.access(id) != WatchAccess::Denied;
        self.access.apply_answer(id, answer, now);
        if newly_denied {
            self.report_denied(id);
        }
        if let (Some((message, true)), Some(targets)) =
            (self.access.failure(id), self.resources.get(&id.resource_key()))
        {
            let reason = format!("the right to list {id} could not be checked: {message}").into();
            targets.mark_lost(&id.reach, &reason, true, &self.shared.store);
        }
    }

    pub(super) fn report_denied(&self, id: &WatchId) {
        let Some(targets) = self.resources.get(&id.resource_key()) else { return };
        // Without cluster-wide permission the namespaces are tried one by one: nothing is lost yet.
        if id.reach != Reach::Cluster || !targets.namespaced {
            for key in self.targets_of(id) {
                self.shared.observer.error(&key, CollectErrorClass::Forbidden);
            }
        }
    }

    pub(super) fn targets_of(&self, id: &WatchId) -> Vec<Arc<TargetKey>> {
        self.resources.get(&id.resource_key()).map_or_else(Vec::new, |targets| targets.targets_of(&id.reach))
    }

    /// Marks denied parts as lost in the store.
    pub(super) fn mark_denied(&mut self) {
        let denied: Vec<WatchId> = self.access.denied(&self.plan.denied).cloned().collect();
        self.marked_denied.retain(|id, _| self.plan.denied.contains(id));
        for id in denied {
            let Some(targets) = self.resources.get(&id.resource_key()) else { continue };
            let epoch = targets.epoch();
            let whole = id.reach == Reach::Cluster && targets.namespaced;
            if !whole && self.marked_denied.insert(id.clone(), epoch) != Some(epoch) {
                targets.mark_lost(&id.reach, &self.access.message(&id).into(), false, &self.shared.store);
            }
        }
        for targets in self.resources.values().filter(|targets| self.waiting.contains(&targets.kind)) {
            if self.discovery.catalog.is_some() {
                targets.mark_lost(&Reach::Cluster, &not_served(&targets.kind).into(), false, &self.shared.store);
            }
        }
    }
}

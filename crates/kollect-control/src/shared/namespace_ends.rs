//! Which namespaces are being deleted. Their targets are deleted before their inventories, and rows leave the views with
//! them: what an inventory retains must not leave the sinks that way.

use crate::shared::work_queue::WorkQueue;
use k8s_openapi::api::core::v1::Namespace;
use kollect_collect::NamespaceFacts;
use kollect_resources::cache::{ResourceCache, in_namespace};
use kollect_resources::kinds::{Kind, ObjectRef};
use kollect_resources::supervise;
use kube::api::Api;
use parking_lot::{Mutex, RwLock};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

const DEADLINE: Duration = Duration::from_secs(5);
/// An answer of this age is no evidence about a deletion that is observed now. By then the watch of namespaces has caught
/// up.
const FRESH: Duration = Duration::from_mins(2);

/// What is known of a namespace's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NamespaceEnd {
    /// Its watch shows that it is being deleted.
    Terminating,
    /// The API server was asked, and it is; counts until this time, after which its watch shows it.
    TerminatingUntil(Instant),
    /// The API server was asked, and it is not.
    Active,
    /// The API server is being asked.
    Pending,
    /// Neither its watch shows an end nor was the API server asked.
    Unasked,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Pending,
    /// Whether it was being deleted at this time.
    Known {
        ends: bool,
        at: Instant,
    },
}

/// Asks the API server about namespaces in which a target is deleted. Cloning is cheap.
#[derive(Clone)]
pub(crate) struct NamespaceEnds {
    client: kube::Client,
    queue: WorkQueue,
    cache: Arc<RwLock<ResourceCache>>,
    namespaces: watch::Receiver<Option<Arc<NamespaceFacts>>>,
    answers: Arc<Mutex<Answers>>,
}

#[derive(Debug, Default)]
struct Answers(HashMap<Arc<str>, Answer>);

impl Answers {
    fn state(&mut self, namespace: &str, now: Instant) -> NamespaceEnd {
        self.0.retain(|_, answer| !matches!(answer, Answer::Known { at, .. } if *at + FRESH <= now));
        match self.0.get(namespace) {
            Some(Answer::Pending) => NamespaceEnd::Pending,
            Some(Answer::Known { ends: true, at }) => NamespaceEnd::TerminatingUntil(*at + FRESH),
            Some(Answer::Known { ends: false, .. }) => NamespaceEnd::Active,
            None => NamespaceEnd::Unasked,
        }
    }

    fn set(&mut self, namespace: &Arc<str>, answer: Answer) {
        self.0.insert(namespace.clone(), answer);
    }
}

impl NamespaceEnds {
    /// Nothing asked yet. An answer adds the targets and inventories of its namespace to `queue`.
    pub(crate) fn new(
        client: kube::Client,
        queue: WorkQueue,
        cache: Arc<RwLock<ResourceCache>>,
        namespaces: watch::Receiver<Option<Arc<NamespaceFacts>>>,
    ) -> Self {
        Self { client, queue, cache, namespaces, answers: Arc::default() }
    }

    /// What is known of the namespace.
    pub(crate) fn state(&self, namespace: &str) -> NamespaceEnd {
        let facts = self.namespaces.borrow();
        let terminating = facts.as_ref().and_then(|facts| facts.get(namespace)).is_some_and(|one| one.terminating);
        if terminating {
            return NamespaceEnd::Terminating;
        }
        self.answers.lock().state(namespace, Instant::now())
    }

    /// Asks the API server.
    pub(crate) fn ask(&self, namespace: Arc<str>) {
        self.answers.lock().set(&namespace, Answer::Pending);
        let this = self.clone();
        tokio::spawn(async move {
            let api: Api<Namespace> = Api::all(this.client.clone());
            let request = tokio::time::timeout(DEADLINE, api.get_metadata_opt(&namespace));
            // Without an answer a deletion is what it appears to be.
            let ends = match supervise::caught(request).await {
                Ok(Ok(Ok(found))) => found.is_none_or(|found| found.metadata.deletion_timestamp.is_some()),
                _ => false,
            };
            this.answers.lock().set(&namespace, Answer::Known { ends, at: Instant::now() });
            let cache = this.cache.read();
            for (key, _) in in_namespace(&cache.inventories, &namespace) {
                this.queue.add(ObjectRef::new(Kind::Inventory, key));
            }
            for (key, _) in in_namespace(&cache.targets, &namespace) {
                this.queue.add(ObjectRef::new(Kind::Target, key));
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deletion_waits_for_one_fresh_answer_about_its_namespace() {
        let (mut answers, now, team) = (Answers::default(), Instant::now(), Arc::from("team"));
        assert_eq!(answers.state("team", now), NamespaceEnd::Unasked);
        answers.set(&team, Answer::Pending);
        assert_eq!(answers.state("team", now), NamespaceEnd::Pending);
        answers.set(&team, Answer::Known { ends: false, at: now });
        assert_eq!(answers.state("team", now), NamespaceEnd::Active);
        assert_eq!(answers.state("team", now + FRESH), NamespaceEnd::Unasked, "an old answer is no evidence");
        answers.set(&team, Answer::Known { ends: true, at: now + FRESH });
        assert_eq!(answers.state("team", now + FRESH), NamespaceEnd::TerminatingUntil(now + FRESH * 2));
        assert_eq!(answers.state("team", now + FRESH * 2), NamespaceEnd::Unasked, "the watch of namespaces shows it");
    }
}

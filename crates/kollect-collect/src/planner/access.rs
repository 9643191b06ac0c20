//! What is known about the right to list and watch, and how to ask for it.
//!
//! Separate because a denial must clear by itself when the right is granted, and because an API error is neither a yes
//! nor a no. It must not decide what to watch.

use crate::backoff::Backoff;
use crate::plan::{Access, Reach, WatchId};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use kube::api::{Api, PostParams};
use std::collections::{BTreeSet, HashMap};
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// Time for one review.
const REVIEW: Duration = Duration::from_secs(10);
/// Longest pause before a denied right is asked for again.
const DENIED_CEILING: Duration = Duration::from_secs(30);
/// With so many denials the pauses get longer, so that asking does not become a load of its own.
const MANY_DENIALS: usize = 100;
/// A watch that lived longer than this starts the pauses afresh when it is forbidden.
const SETTLED: Duration = Duration::from_mins(1);
/// Failed questions after which a part is not waited for any more.
const GIVE_UP_WAITING: u32 = 3;

/// The answer to one question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Allowed,
    Denied(String),
    /// Nobody knows: the review itself failed.
    Failed(String),
}

#[derive(Debug)]
struct Fact {
    access: Access,
    asking: bool,
    /// Why it is denied, or why it could not be asked.
    message: String,
    failed: bool,
    backoff: Backoff,
    ask_at: Instant,
    since: Instant,
}

/// Everything known about access.
#[derive(Debug, Default)]
pub(crate) struct AccessBook {
    facts: HashMap<WatchId, Fact>,
}

impl AccessBook {
    pub(crate) fn access(&self, id: &WatchId) -> Access {
        self.facts.get(id).map_or(Access::Unknown, |fact| fact.access)
    }

    /// Why access is denied.
    pub(crate) fn message(&self, id: &WatchId) -> String {
        self.facts.get(id).map_or_else(String::new, |fact| fact.message.clone())
    }

    /// Why access could not be asked for, and whether that lasts.
    pub(crate) fn failure(&self, id: &WatchId) -> Option<(&str, bool)> {
        let fact = self.facts.get(id).filter(|fact| fact.failed)?;
        Some((&fact.message, fact.backoff.attempts() >= GIVE_UP_WAITING))
    }

    /// Of these questions, the ones to ask now.
    pub(crate) fn pick<'a>(&mut self, wanted: impl Iterator<Item = &'a WatchId>, now: Instant) -> Vec<WatchId> {
        let mut ask = Vec::new();
        for id in wanted {
            let fact = self.facts.entry(id.clone()).or_insert_with(|| Fact::new(now));
            if !fact.asking && fact.ask_at <= now {
                fact.asking = true;
                ask.push(id.clone());
            }
        }
        ask
    }

    /// When the next of these questions is to be asked.
    pub(crate) fn next_due<'a>(&self, wanted: impl Iterator<Item = &'a WatchId>) -> Option<Instant> {
        wanted.filter_map(|id| self.facts.get(id)).filter(|fact| !fact.asking).map(|fact| fact.ask_at).min()
    }

    pub(crate) fn record(&mut self, id: &WatchId, answer: Answer, now: Instant) {
        let ceiling = self.ceiling();
        let Some(fact) = self.facts.get_mut(id) else { return };
        fact.asking = false;
        fact.failed = false;
        match answer {
            Answer::Allowed => {
                fact.access = Access::Allowed;
                fact.since = now;
                fact.message.clear();
            }
            Answer::Denied(message) => {
                fact.access = Access::Denied;
                fact.message = message;
                fact.ask_at = now + fact.backoff.pause(ceiling);
            }
            Answer::Failed(message) => {
                fact.failed = true;
                fact.message = message;
                fact.ask_at = now + fact.backoff.pause(Duration::from_secs(5));
            }
        }
    }

    /// A list or watch was refused although access seemed allowed.
    pub(crate) fn refused(&mut self, id: &WatchId, message: String, now: Instant) {
        let ceiling = self.ceiling();
        let fact = self.facts.entry(id.clone()).or_insert_with(|| Fact::new(now));
        if fact.access == Access::Allowed && now.saturating_duration_since(fact.since) > SETTLED {
            fact.backoff.reset();
        }
        fact.access = Access::Denied;
        fact.message = message;
        fact.ask_at = now + fact.backoff.pause(ceiling);
        if matches!(id.reach, Reach::Namespace(_)) {
            // The answer for the whole cluster came with the one that proved wrong.
            let cluster = WatchId { reach: Reach::Cluster, ..id.clone() };
            self.facts.remove(&cluster);
        }
    }

    /// Nobody knows which question was lost, so all open ones are asked again.
    pub(crate) fn ask_again(&mut self) {
        self.facts.values_mut().for_each(|fact| fact.asking = false);
    }

    /// Forgets what nobody asks about any more.
    pub(crate) fn keep(&mut self, relevant: &dyn Fn(&WatchId) -> bool) {
        self.facts.retain(|id, fact| fact.asking || relevant(id));
    }

    /// All denied rights among these.
    pub(crate) fn denied<'a>(&self, ids: &'a BTreeSet<WatchId>) -> impl Iterator<Item = &'a WatchId> {
        ids.iter().filter(|id| self.access(id) == Access::Denied)
    }

    fn ceiling(&self) -> Duration {
        let denied = self.facts.values().filter(|fact| fact.access == Access::Denied).count();
        DENIED_CEILING * u32::try_from(1 + denied / MANY_DENIALS).unwrap_or(10).min(10)
    }
}

impl Fact {
    fn new(now: Instant) -> Self {
        Self {
            access: Access::Unknown,
            asking: false,
            message: String::new(),
            failed: false,
            backoff: Backoff::default(),
            ask_at: now,
            since: now,
        }
    }
}

/// Asks the API server whether this watch would be allowed.
pub(crate) async fn ask(client: &kube::Client, id: &WatchId) -> Answer {
    for verb in ["list", "watch"] {
        let namespace = match &id.reach {
            Reach::Cluster => None,
            Reach::Namespace(namespace) => Some(namespace.to_string()),
        };
        let attributes = ResourceAttributes {
            group: Some(id.gvr.group.to_string()),
            version: Some(id.gvr.version.to_string()),
            resource: Some(id.gvr.resource.to_string()),
            namespace,
            verb: Some(verb.to_owned()),
            ..ResourceAttributes::default()
        };
        let review = SelfSubjectAccessReview {
            spec: SelfSubjectAccessReviewSpec { resource_attributes: Some(attributes), ..Default::default() },
            ..SelfSubjectAccessReview::default()
        };
        let reviews: Api<SelfSubjectAccessReview> = Api::all(client.clone());
        match timeout(REVIEW, reviews.create(&PostParams::default(), &review)).await {
            Err(_) => return Answer::Failed("the API server did not answer in time".into()),
            Ok(Err(error)) => return Answer::Failed(error.to_string()),
            Ok(Ok(review)) => {
                let status = review.status.unwrap_or_default();
                if !status.allowed {
                    return Answer::Denied(format!(
                        "{verb} on {id} is not permitted; grant the operator list and watch"
                    ));
                }
            }
        }
    }
    Answer::Allowed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Gvr, Priority};

    fn id(namespace: &str) -> WatchId {
        let reach = Reach::Namespace(namespace.into());
        WatchId { gvr: Gvr::new("", "v1", "secrets"), priority: Priority::Normal, reach }
    }

    #[test]
    fn a_denial_is_asked_for_again_and_clears_by_itself() {
        let (mut book, a, start) = (AccessBook::default(), id("a"), Instant::now());
        assert_eq!(book.pick([&a].into_iter(), start).len(), 1);
        assert!(book.pick([&a].into_iter(), start).is_empty(), "a question is not asked twice at a time");
        book.record(&a, Answer::Denied("no".into()), start);
        assert_eq!((book.access(&a), book.message(&a)), (Access::Denied, "no".into()));
        assert!(book.pick([&a].into_iter(), start).is_empty());
        let due = book.next_due([&a].into_iter()).unwrap();
        assert!(due > start && due <= start + Duration::from_secs(2));
        assert_eq!(book.pick([&a].into_iter(), due).len(), 1);
        book.record(&a, Answer::Allowed, due);
        assert_eq!(book.access(&a), Access::Allowed);
    }

    #[test]
    fn a_failed_review_leaves_what_was_known() {
        let (mut book, a, now) = (AccessBook::default(), id("a"), Instant::now());
        book.pick([&a].into_iter(), now);
        book.record(&a, Answer::Failed("timeout".into()), now);
        assert_eq!(book.access(&a), Access::Unknown);
        assert_eq!(book.failure(&a), Some(("timeout", false)));
        for _ in 0..2 {
            book.record(&a, Answer::Failed("timeout".into()), now);
        }
        assert_eq!(book.failure(&a), Some(("timeout", true)));
    }

    #[test]
    fn a_refused_watch_counts_more_than_an_earlier_yes() {
        let (mut book, a, now) = (AccessBook::default(), id("a"), Instant::now());
        let cluster = WatchId { reach: Reach::Cluster, ..a.clone() };
        book.pick([&cluster].into_iter(), now);
        book.record(&cluster, Answer::Allowed, now);
        book.refused(&a, "403".into(), now);
        assert_eq!((book.access(&a), book.access(&cluster)), (Access::Denied, Access::Unknown));
    }
}

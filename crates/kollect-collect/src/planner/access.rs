//! Cached answers of access reviews for list and watch, and the review itself.
//!
//! A denial is reviewed again, so that it ends when the permission is granted; a failed review is neither yes nor no.

use crate::plan::{Reach, WatchAccess, WatchId};
use crate::watch::retry::RetryDelay;
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use kube::api::{Api, PostParams};
use std::collections::{BTreeSet, HashMap};
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// Deadline of one review.
const REVIEW: Duration = Duration::from_secs(10);
/// Ceiling of the delay before a denied permission is reviewed again.
const DENIED_CEILING: Duration = Duration::from_secs(30);
/// The ceiling grows by itself with every so many denials, which bounds the rate of reviews.
const MANY_DENIALS: usize = 100;
/// A watch that lived longer resets the delay when it is forbidden.
const SETTLED: Duration = Duration::from_mins(1);
/// Failed reviews after which exports do not wait for the part any more.
const GIVE_UP_WAITING: u32 = 3;

/// The answer to one review.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AccessAnswer {
    Allowed,
    Denied(String),
    /// The review itself failed.
    Failed(String),
}

#[derive(Debug)]
struct AccessRecord {
    access: WatchAccess,
    asking: bool,
    /// Why it is denied, or why the review failed.
    message: String,
    failed: bool,
    backoff: RetryDelay,
    ask_at: Instant,
    since: Instant,
}

/// Answers by watch.
#[derive(Debug, Default)]
pub(crate) struct AccessCache {
    records: HashMap<WatchId, AccessRecord>,
}

impl AccessCache {
    pub(crate) fn access(&self, id: &WatchId) -> WatchAccess {
        self.records.get(id).map_or(WatchAccess::Unknown, |record| record.access)
    }

    /// Why access is denied.
    pub(crate) fn message(&self, id: &WatchId) -> String {
        self.records.get(id).map_or_else(String::new, |record| record.message.clone())
    }

    /// Why the review failed, and whether it failed repeatedly.
    pub(crate) fn failure(&self, id: &WatchId) -> Option<(&str, bool)> {
        let record = self.records.get(id).filter(|record| record.failed)?;
        Some((&record.message, record.backoff.attempts() >= GIVE_UP_WAITING))
    }

    /// Of these reviews, those that are due; they count as in flight from now on.
    pub(crate) fn start_due<'a>(&mut self, wanted: impl Iterator<Item = &'a WatchId>, now: Instant) -> Vec<WatchId> {
        let mut ask = Vec::new();
        for id in wanted {
            let record = self.records.entry(id.clone()).or_insert_with(|| AccessRecord::new(now));
            if !record.asking && record.ask_at <= now {
                record.asking = true;
                ask.push(id.clone());
            }
        }
        ask
    }

    /// When the next of these reviews is due.
    pub(crate) fn next_due<'a>(&self, wanted: impl Iterator<Item = &'a WatchId>) -> Option<Instant> {
        wanted.filter_map(|id| self.records.get(id)).filter(|record| !record.asking).map(|record| record.ask_at).min()
    }

    pub(crate) fn apply_answer(&mut self, id: &WatchId, answer: AccessAnswer, now: Instant) {
        let ceiling = self.ceiling();
        let Some(record) = self.records.get_mut(id) else { return };
        record.asking = false;
        record.failed = false;
        match answer {
            AccessAnswer::Allowed => {
                record.access = WatchAccess::Allowed;
                record.since = now;
                record.message.clear();
            }
            AccessAnswer::Denied(message) => {
                record.access = WatchAccess::Denied;
                record.message = message;
                record.ask_at = now + record.backoff.next_below(ceiling);
            }
            AccessAnswer::Failed(message) => {
                record.failed = true;
                record.message = message;
                record.ask_at = now + record.backoff.next_below(Duration::from_secs(5));
            }
        }
    }

    /// A list or watch was refused although access seemed allowed.
    pub(crate) fn refused(&mut self, id: &WatchId, message: String, now: Instant) {
        let ceiling = self.ceiling();
        let record = self.records.entry(id.clone()).or_insert_with(|| AccessRecord::new(now));
        if record.access == WatchAccess::Allowed && now.saturating_duration_since(record.since) > SETTLED {
            record.backoff.reset();
        }
        record.access = WatchAccess::Denied;
        record.message = message;
        record.ask_at = now + record.backoff.next_below(ceiling);
        if matches!(id.reach, Reach::Namespace(_)) {
            // The cluster-wide answer is as old as the one that proved wrong.
            let cluster = WatchId { reach: Reach::Cluster, ..id.clone() };
            self.records.remove(&cluster);
        }
    }

    /// A review task panicked. Which one is unknown, so all in flight become due again.
    pub(crate) fn ask_again(&mut self) {
        self.records.values_mut().for_each(|record| record.asking = false);
    }

    /// Drops answers that are not relevant any more.
    pub(crate) fn retain(&mut self, relevant: &dyn Fn(&WatchId) -> bool) {
        self.records.retain(|id, record| record.asking || relevant(id));
    }

    /// The denied ones among these.
    pub(crate) fn denied<'a>(&self, ids: &'a BTreeSet<WatchId>) -> impl Iterator<Item = &'a WatchId> {
        ids.iter().filter(|id| self.access(id) == WatchAccess::Denied)
    }

    fn ceiling(&self) -> Duration {
        let denied = self.records.values().filter(|record| record.access == WatchAccess::Denied).count();
        DENIED_CEILING * u32::try_from(1 + denied / MANY_DENIALS).unwrap_or(10).min(10)
    }
}

impl AccessRecord {
    fn new(now: Instant) -> Self {
        Self {
            access: WatchAccess::Unknown,
            asking: false,
            message: String::new(),
            failed: false,
            backoff: RetryDelay::default(),
            ask_at: now,
            since: now,
        }
    }
}

/// Asks the API server whether this watch would be allowed.
pub(crate) async fn ask(client: &kube::Client, id: &WatchId) -> AccessAnswer {
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
            Err(_) => return AccessAnswer::Failed("the API server did not answer in time".into()),
            Ok(Err(error)) => return AccessAnswer::Failed(error.to_string()),
            Ok(Ok(review)) => {
                let status = review.status.unwrap_or_default();
                if !status.allowed {
                    return AccessAnswer::Denied(format!(
                        "{verb} on {id} is not permitted; grant the operator list and watch"
                    ));
                }
            }
        }
    }
    AccessAnswer::Allowed
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
        let (mut cache, a, start) = (AccessCache::default(), id("a"), Instant::now());
        assert_eq!(cache.start_due([&a].into_iter(), start).len(), 1);
        assert!(cache.start_due([&a].into_iter(), start).is_empty(), "a question is not asked twice at a time");
        cache.apply_answer(&a, AccessAnswer::Denied("no".into()), start);
        assert_eq!((cache.access(&a), cache.message(&a)), (WatchAccess::Denied, "no".into()));
        assert!(cache.start_due([&a].into_iter(), start).is_empty());
        let due = cache.next_due([&a].into_iter()).unwrap();
        assert!(due > start && due <= start + Duration::from_secs(2));
        assert_eq!(cache.start_due([&a].into_iter(), due).len(), 1);
        cache.apply_answer(&a, AccessAnswer::Allowed, due);
        assert_eq!(cache.access(&a), WatchAccess::Allowed);
    }

    #[test]
    fn a_failed_review_leaves_what_was_known() {
        let (mut cache, a, now) = (AccessCache::default(), id("a"), Instant::now());
        cache.start_due([&a].into_iter(), now);
        cache.apply_answer(&a, AccessAnswer::Failed("timeout".into()), now);
        assert_eq!(cache.access(&a), WatchAccess::Unknown);
        assert_eq!(cache.failure(&a), Some(("timeout", false)));
        for _ in 0..2 {
            cache.apply_answer(&a, AccessAnswer::Failed("timeout".into()), now);
        }
        assert_eq!(cache.failure(&a), Some(("timeout", true)));
    }

    #[test]
    fn a_refused_watch_counts_more_than_an_earlier_yes() {
        let (mut cache, a, now) = (AccessCache::default(), id("a"), Instant::now());
        let cluster = WatchId { reach: Reach::Cluster, ..a.clone() };
        cache.start_due([&cluster].into_iter(), now);
        cache.apply_answer(&cluster, AccessAnswer::Allowed, now);
        cache.refused(&a, "403".into(), now);
        assert_eq!((cache.access(&a), cache.access(&cluster)), (WatchAccess::Denied, WatchAccess::Unknown));
    }
}

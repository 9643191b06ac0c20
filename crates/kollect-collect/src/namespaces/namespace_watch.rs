//! Keeps the facts about namespaces up to date: one watch of all of them, or one GET per given namespace a minute where
//! the operator has no cluster-wide permission. It must not know targets.

use super::facts::{NamespaceFacts, NamespaceMeta};
use crate::plan::Gvr;
use crate::watch::event_handler::{EventHandler, NoRelists, ObjectEvent};
use crate::watch::event_meta::EventMeta;
use crate::watch::list_watch::{ListWatch, WatchEnd, WatchPosition};
use crate::watch::request::{Collection, get_document};
use crate::watch::request_error::RequestError;
use crate::watch::retry::{RetryDelay, jittered};
use kollect_api::names::label::NAMESPACE_NAME;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// Delay between two polls of the labels of given namespaces.
const POLL_INTERVAL: Duration = Duration::from_mins(1);
const ACCEPT: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
const LIMIT: usize = 4 << 20;

/// Keeps the facts up to date until it is dropped.
#[derive(Debug)]
pub struct NamespaceWatch {
    facts: watch::Receiver<Option<Arc<NamespaceFacts>>>,
    error: watch::Receiver<Option<String>>,
    cancel: CancellationToken,
}

impl Drop for NamespaceWatch {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

struct FactsPublisher {
    facts: watch::Sender<Option<Arc<NamespaceFacts>>>,
    error: watch::Sender<Option<String>>,
}

impl FactsPublisher {
    fn publish(&self, facts: &NamespaceFacts) {
        self.error.send_if_modified(|error| error.take().is_some());
        self.facts.send_if_modified(|known| {
            let new = known.as_deref() != Some(facts);
            if new {
                *known = Some(Arc::new(facts.clone()));
            }
            new
        });
    }

    fn failed(&self, message: String) {
        let shown = message.clone();
        if self.error.send_if_modified(|error| error.replace(message).is_none()) {
            tracing::warn!(error = shown, error_class = "transient", "namespaces are not kept up to date");
        }
    }
}

impl NamespaceWatch {
    /// Watches all namespaces, or polls the given ones once a minute.
    pub fn start(client: kube::Client, given: Vec<Arc<str>>) -> Self {
        let (facts_in, facts) = watch::channel(None);
        let (error_in, error) = watch::channel(None);
        let cancel = CancellationToken::new();
        let publisher = Arc::new(FactsPublisher { facts: facts_in, error: error_in });
        let stop = cancel.clone();
        tokio::spawn(async move {
            stop.run_until_cancelled(supervise(client, given, publisher)).await;
        });
        Self { facts, error, cancel }
    }

    /// The facts; `None` until all namespaces were read once. An outage leaves the last facts.
    pub fn facts(&self) -> watch::Receiver<Option<Arc<NamespaceFacts>>> {
        self.facts.clone()
    }

    /// Why the facts are not kept up to date at the moment.
    pub fn error(&self) -> watch::Receiver<Option<String>> {
        self.error.clone()
    }
}

/// Restarts the task after a panic.
async fn supervise(client: kube::Client, given: Vec<Arc<str>>, publisher: Arc<FactsPublisher>) {
    loop {
        let (client, given, publisher) = (client.clone(), given.clone(), publisher.clone());
        let mut task = tokio::task::JoinSet::new();
        task.spawn(async move {
            if given.is_empty() {
                watch_all(client, publisher).await;
            } else {
                poll_given(client, &given, &publisher).await;
            }
        });
        if task.join_next().await.is_some_and(|ended| ended.is_err()) {
            tracing::error!(task = "namespaces", "reconcile panic recovered");
        }
        sleep(Duration::from_secs(1)).await;
    }
}

async fn watch_all(client: kube::Client, publisher: Arc<FactsPublisher>) {
    let collection = Collection::new(&Gvr::new("", "v1", "namespaces"), None, true);
    let position: WatchPosition = Arc::default();
    let known = Arc::new(Mutex::new(NamespaceFacts::new()));
    let mut backoff = RetryDelay::default();
    loop {
        let handler = NamespaceHandler { publisher: publisher.clone(), known: known.clone(), listing: None };
        let end = ListWatch::new(client.clone(), collection.clone(), handler, NoRelists, position.clone()).run().await;
        let (WatchEnd::Forbidden(message) | WatchEnd::NotServed(message)) = end;
        publisher.failed(format!("cannot list and watch namespaces: {message}"));
        sleep(backoff.next_below(Duration::from_secs(30))).await;
    }
}

/// Collects the facts of all namespaces.
struct NamespaceHandler {
    publisher: Arc<FactsPublisher>,
    known: Arc<Mutex<NamespaceFacts>>,
    listing: Option<NamespaceFacts>,
}

fn read(raw: &[u8]) -> Option<(Arc<str>, Arc<NamespaceMeta>)> {
    let (name, meta, wrong) = NamespaceMeta::read(std::str::from_utf8(raw).ok()?)?;
    if let Some(why) = wrong {
        tracing::warn!(namespace = %name, why, "a label or annotation cannot be read and does not count");
    }
    Some((name, Arc::new(meta)))
}

impl EventHandler for NamespaceHandler {
    fn list_started(&mut self, _: Option<&str>) {
        self.listing = Some(NamespaceFacts::new());
    }

    async fn object(&mut self, event: ObjectEvent, _: &EventMeta<'_>, raw: &str) {
        let Some((name, meta)) = read(raw.as_bytes()) else { return };
        match event {
            ObjectEvent::Listed => {
                if let Some(listing) = &mut self.listing {
                    listing.insert(name, meta);
                }
                return;
            }
            ObjectEvent::Added | ObjectEvent::Modified => _ = self.known.lock().insert(name, meta),
            ObjectEvent::Deleted => _ = self.known.lock().remove(&name),
        }
        self.publisher.publish(&self.known.lock());
    }

    async fn list_finished(&mut self, _: Option<&str>) -> bool {
        if let Some(listing) = self.listing.take() {
            *self.known.lock() = listing;
        }
        self.publisher.publish(&self.known.lock());
        true
    }

    fn resumed(&mut self) {
        self.publisher.publish(&self.known.lock());
    }

    fn failed(&mut self, error: &RequestError) {
        self.publisher.failed(format!("cannot list and watch namespaces: {error}"));
    }
}

/// Polls given namespaces one by one.
async fn poll_given(client: kube::Client, given: &[Arc<str>], publisher: &FactsPublisher) {
    let mut known = NamespaceFacts::new();
    let mut backoff = RetryDelay::default();
    loop {
        let mut failed = None;
        for name in given {
            let uri = format!("/api/v1/namespaces/{name}");
            let answer = get_document(&client, &uri, ACCEPT, None, LIMIT).await;
            if let Err(error) = apply_answer(&mut known, name, answer.map(|document| document.map(|(bytes, _)| bytes)))
            {
                publisher.failed(format!("cannot read namespace {name}: {error}"));
                failed = Some(backoff.after(&error));
                break;
            }
        }
        // A partial result would read as if the other namespaces were deleted.
        if failed.is_none() {
            backoff.reset();
            publisher.publish(&known);
        }
        sleep(failed.unwrap_or_else(|| jittered(POLL_INTERVAL))).await;
    }
}

/// Stores the answer about one namespace.
fn apply_answer(
    known: &mut NamespaceFacts,
    name: &Arc<str>,
    answer: Result<Option<Vec<u8>>, RequestError>,
) -> Result<(), RequestError> {
    let meta = match answer {
        Ok(Some(bytes)) => match read(&bytes) {
            Some((_, meta)) => meta,
            None => return Ok(()),
        },
        // A namespace that is missing has no labels, and no objects either.
        Ok(None) | Err(RequestError::NotServed(_)) => Arc::new(only_named(name)),
        // Unreadable labels are not deleted labels.
        Err(RequestError::Forbidden(message)) => {
            let before = known.get(name).map_or_else(|| only_named(name), |meta| NamespaceMeta::clone(meta));
            if !before.unread {
                tracing::info!(namespace = %name, why = message, "the labels may not be read; only the name counts");
            }
            Arc::new(NamespaceMeta { unread: true, ..before })
        }
        Err(error) => return Err(error),
    };
    known.insert(name.clone(), meta);
    Ok(())
}

fn only_named(name: &str) -> NamespaceMeta {
    let labels = BTreeMap::from([(NAMESPACE_NAME.into(), name.into())]);
    NamespaceMeta { labels, ..NamespaceMeta::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label<'a>(known: &'a NamespaceFacts, key: &str) -> (Option<&'a str>, bool) {
        let meta = known.get("shop").expect("known");
        (meta.labels.get(key).map(String::as_str), meta.unread)
    }

    #[test]
    fn labels_that_may_not_be_read_any_more_stay_as_they_were_and_are_marked() {
        let (mut known, shop) = (NamespaceFacts::new(), Arc::from("shop"));
        let refused = || Err(RequestError::Forbidden("no".into()));
        let shown = || Ok(Some(br#"{"metadata":{"name":"shop","labels":{"env":"prod"}}}"#.to_vec()));
        apply_answer(&mut known, &shop, refused()).unwrap();
        assert_eq!((label(&known, NAMESPACE_NAME), label(&known, "env")), ((Some("shop"), true), (None, true)));
        apply_answer(&mut known, &shop, shown()).unwrap();
        assert_eq!(label(&known, "env"), (Some("prod"), false));
        apply_answer(&mut known, &shop, refused()).unwrap();
        assert_eq!(label(&known, "env"), (Some("prod"), true));
        apply_answer(&mut known, &shop, Err(RequestError::Silent)).unwrap_err();
        assert_eq!(label(&known, "env"), (Some("prod"), true), "an outage changes nothing");
        apply_answer(&mut known, &shop, shown()).unwrap();
        assert_eq!(label(&known, "env"), (Some("prod"), false));
        apply_answer(&mut known, &shop, Err(RequestError::NotServed("gone".into()))).unwrap();
        assert_eq!(label(&known, "env"), (None, false), "a namespace that is gone has no labels");
    }

    #[test]
    fn one_label_that_cannot_be_read_does_not_hide_the_others() {
        let raw = br#"{"metadata":{"name":"shop","labels":{"env":"prod","team":null,"n":5},"annotations":null}}"#;
        let (name, meta) = read(raw).expect("a namespace");
        assert_eq!((&*name, meta.labels.len(), meta.labels["env"].as_str()), ("shop", 1, "prod"));
        let (_, _, wrong) = NamespaceMeta::read(std::str::from_utf8(raw).unwrap()).unwrap();
        assert_eq!(wrong.as_deref(), Some("metadata.labels[\"n\"] is a number, not text; quote it"));
        assert!(read(br#"{"metadata":{"name":null}}"#).is_none());
        assert_eq!(read(br#"{"metadata":{"name":"a","labels":null}}"#).unwrap().1.labels.len(), 0);
    }
}

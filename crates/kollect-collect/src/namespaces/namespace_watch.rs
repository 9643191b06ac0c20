//! What is known about the namespaces of the cluster: their names, labels and annotations.
//!
//! Separate because targets, scopes and watch labels all need it, and because an operator without cluster-wide rights has
//! to ask namespace by namespace. It must not know targets.

use crate::backoff::{Backoff, jittered};
use crate::follow::{End, Follow, Position};
use crate::head::{labels_of, text_of};
use crate::plan::Gvr;
use crate::receiver::{Happened, Meta, Need, Receiver};
use crate::request::{Source, get_document};
use crate::request_error::RequestError;
use kollect_api::names::label::NAMESPACE_NAME;
use parking_lot::{Mutex, RwLock};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// Pause between two looks at the labels of given namespaces.
const LOOK_EVERY: Duration = Duration::from_mins(1);
const ACCEPT: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
const LIMIT: usize = 4 << 20;

/// Labels and annotations of a namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NamespaceMeta {
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
    /// The API server refuses to show them: what is here is the name label, or what could be read earlier.
    pub unread: bool,
    /// The namespace is being deleted.
    pub terminating: bool,
}

/// Every namespace that may be collected from.
pub type NamespaceFacts = BTreeMap<Arc<str>, Arc<NamespaceMeta>>;

/// The facts that workers match with.
#[derive(Debug, Default)]
pub(crate) struct FactsCell(RwLock<Arc<NamespaceFacts>>);

impl FactsCell {
    pub(crate) fn get(&self) -> Arc<NamespaceFacts> {
        self.0.read().clone()
    }

    pub(crate) fn replace(&self, facts: Arc<NamespaceFacts>) -> Arc<NamespaceFacts> {
        std::mem::replace(&mut *self.0.write(), facts)
    }
}

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

struct Outlets {
    facts: watch::Sender<Option<Arc<NamespaceFacts>>>,
    error: watch::Sender<Option<String>>,
}

impl Outlets {
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

    fn trouble(&self, message: String) {
        let shown = message.clone();
        if self.error.send_if_modified(|error| error.replace(message).is_none()) {
            tracing::warn!(error = shown, error_class = "transient", "namespaces are not kept up to date");
        }
    }
}

impl NamespaceWatch {
    /// Watches all namespaces, or looks at the given ones once a minute.
    pub fn start(client: kube::Client, given: Vec<Arc<str>>) -> Self {
        let (facts_in, facts) = watch::channel(None);
        let (error_in, error) = watch::channel(None);
        let cancel = CancellationToken::new();
        let outlets = Arc::new(Outlets { facts: facts_in, error: error_in });
        let stop = cancel.clone();
        tokio::spawn(async move {
            stop.run_until_cancelled(supervise(client, given, outlets)).await;
        });
        Self { facts, error, cancel }
    }

    /// The facts; `None` until all namespaces are known once. An outage leaves the last facts.
    pub fn facts(&self) -> watch::Receiver<Option<Arc<NamespaceFacts>>> {
        self.facts.clone()
    }

    /// Why the facts are not kept up to date at the moment.
    pub fn error(&self) -> watch::Receiver<Option<String>> {
        self.error.clone()
    }
}

/// Starts the task again should it panic.
async fn supervise(client: kube::Client, given: Vec<Arc<str>>, outlets: Arc<Outlets>) {
    loop {
        let (client, given, outlets) = (client.clone(), given.clone(), outlets.clone());
        let mut task = tokio::task::JoinSet::new();
        task.spawn(async move {
            if given.is_empty() {
                follow_all(client, outlets).await;
            } else {
                look_at(client, &given, &outlets).await;
            }
        });
        if task.join_next().await.is_some_and(|ended| ended.is_err()) {
            tracing::error!(task = "namespaces", "reconcile panic recovered");
        }
        sleep(Duration::from_secs(1)).await;
    }
}

async fn follow_all(client: kube::Client, outlets: Arc<Outlets>) {
    let source = Source::new(&Gvr::new("", "v1", "namespaces"), None, true);
    let position: Position = Arc::default();
    let known = Arc::new(Mutex::new(NamespaceFacts::new()));
    let mut backoff = Backoff::default();
    loop {
        let receiver = All { outlets: outlets.clone(), known: known.clone(), listing: None };
        let end = Follow::new(client.clone(), source.clone(), receiver, position.clone()).run().await;
        let (End::Forbidden(message) | End::NotServed(message)) = end;
        outlets.trouble(format!("cannot list and watch namespaces: {message}"));
        sleep(backoff.pause(Duration::from_secs(30))).await;
    }
}

/// Takes in all namespaces.
struct All {
    outlets: Arc<Outlets>,
    known: Arc<Mutex<NamespaceFacts>>,
    listing: Option<NamespaceFacts>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct NamespaceObject<'a> {
    #[serde(borrow)]
    metadata: NamespaceHead<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct NamespaceHead<'a> {
    #[serde(borrow)]
    name: Option<&'a RawValue>,
    #[serde(borrow)]
    labels: Option<&'a RawValue>,
    #[serde(borrow)]
    annotations: Option<&'a RawValue>,
    #[serde(borrow)]
    deletion_timestamp: Option<&'a RawValue>,
}

impl NamespaceMeta {
    /// Reads name, labels and annotations of a Namespace. One that cannot be read does not hide the others; which it is
    /// comes along.
    pub(crate) fn read(raw: &str) -> Option<(Arc<str>, Self, Option<String>)> {
        let head = serde_json::from_str::<NamespaceObject<'_>>(raw).ok()?.metadata;
        let name = text_of(head.name).ok().filter(|name| !name.is_empty())?;
        let (labels, wrong_label) = labels_of(head.labels, "metadata.labels");
        let (mut annotations, wrong_annotation) = labels_of(head.annotations, "metadata.annotations");
        // May be large, and nothing selects by it.
        annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
        let terminating = head.deletion_timestamp.is_some();
        let meta = Self { labels, annotations, unread: false, terminating };
        Some((name.into(), meta, wrong_label.or(wrong_annotation)))
    }
}

fn read(raw: &[u8]) -> Option<(Arc<str>, Arc<NamespaceMeta>)> {
    let (name, meta, wrong) = NamespaceMeta::read(std::str::from_utf8(raw).ok()?)?;
    if let Some(why) = wrong {
        tracing::warn!(namespace = %name, why, "a label or annotation cannot be read and does not count");
    }
    Some((name, Arc::new(meta)))
}

impl Receiver for All {
    fn list_begins(&mut self, _: Option<&str>) {
        self.listing = Some(NamespaceFacts::new());
    }

    async fn object(&mut self, happened: Happened, _: &Meta<'_>, raw: &str) {
        let Some((name, meta)) = read(raw.as_bytes()) else { return };
        match happened {
            Happened::Listed => {
                if let Some(listing) = &mut self.listing {
                    listing.insert(name, meta);
                }
                return;
            }
            Happened::Added | Happened::Modified => _ = self.known.lock().insert(name, meta),
            Happened::Deleted => _ = self.known.lock().remove(&name),
        }
        self.outlets.publish(&self.known.lock());
    }

    async fn list_ends(&mut self, _: Option<&str>) -> bool {
        if let Some(listing) = self.listing.take() {
            *self.known.lock() = listing;
        }
        self.outlets.publish(&self.known.lock());
        true
    }

    fn need(&mut self) -> Need {
        Need::Nothing
    }

    fn caught_up(&mut self) {}

    async fn need_changed(&mut self) {
        std::future::pending::<()>().await;
    }

    fn resumed(&mut self) {
        self.outlets.publish(&self.known.lock());
    }

    fn trouble(&mut self, error: &RequestError) {
        self.outlets.trouble(format!("cannot list and watch namespaces: {error}"));
    }
}

/// Looks at given namespaces one by one.
async fn look_at(client: kube::Client, given: &[Arc<str>], outlets: &Outlets) {
    let mut known = NamespaceFacts::new();
    let mut backoff = Backoff::default();
    loop {
        let mut failed = None;
        for name in given {
            let uri = format!("/api/v1/namespaces/{name}");
            let answer = get_document(&client, &uri, ACCEPT, None, LIMIT).await;
            if let Err(error) = learn(&mut known, name, answer.map(|document| document.map(|(bytes, _)| bytes))) {
                outlets.trouble(format!("cannot read namespace {name}: {error}"));
                failed = Some(backoff.after(&error));
                break;
            }
        }
        // Facts about some of the namespaces would look as if the others were gone.
        if failed.is_none() {
            backoff.reset();
            outlets.publish(&known);
        }
        sleep(failed.unwrap_or_else(|| jittered(LOOK_EVERY))).await;
    }
}

/// Takes over an answer about one namespace.
fn learn(
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
        // Not knowing the labels is not the same as their being gone.
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
        learn(&mut known, &shop, refused()).unwrap();
        assert_eq!((label(&known, NAMESPACE_NAME), label(&known, "env")), ((Some("shop"), true), (None, true)));
        learn(&mut known, &shop, shown()).unwrap();
        assert_eq!(label(&known, "env"), (Some("prod"), false));
        learn(&mut known, &shop, refused()).unwrap();
        assert_eq!(label(&known, "env"), (Some("prod"), true));
        learn(&mut known, &shop, Err(RequestError::Silent)).unwrap_err();
        assert_eq!(label(&known, "env"), (Some("prod"), true), "an outage says nothing");
        learn(&mut known, &shop, shown()).unwrap();
        assert_eq!(label(&known, "env"), (Some("prod"), false));
        learn(&mut known, &shop, Err(RequestError::NotServed("gone".into()))).unwrap();
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

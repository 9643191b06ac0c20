//! Lists a collection and follows its changes for as long as that is possible.
//!
//! Separate because this is the whole knowledge of the list and watch protocol: streaming lists and their fallback to
//! pages, bookmarks, resuming, 410, pauses after errors. What becomes of the objects is the [`Receiver`]'s business.

use crate::backoff::{Backoff, jittered};
use crate::receiver::{Happened, Meta, Need, Receiver};
use crate::request::{From, Page, Source, Watch};
use crate::request_error::{RequestError, error_event};
use parking_lot::Mutex;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// A streaming list that is silent for so long is given up for pages.
const STREAM_SILENCE: Duration = Duration::from_secs(15);
/// Wishes for another list are gathered for so long.
const GATHER: Duration = Duration::from_millis(100);
/// A watch that the server ends sooner counts as a failure.
const TOO_SHORT: Duration = Duration::from_secs(1);
/// Failed attempts to resume after which the position is given up: an API server that was restored from a backup never
/// reaches it again.
const RESUME_ATTEMPTS: u32 = 5;

#[derive(Deserialize)]
struct Object<'a> {
    #[serde(borrow)]
    metadata: Meta<'a>,
}

#[derive(Deserialize)]
struct WatchEvent<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    object: &'a RawValue,
}

/// Why following ended.
#[derive(Debug)]
pub(crate) enum End {
    Forbidden(String),
    NotServed(String),
}

/// The resource version up to which everything was handed over; outlives the task.
pub(crate) type Position = Arc<Mutex<Option<String>>>;

/// Follows one collection.
pub(crate) struct Follow<R> {
    client: kube::Client,
    source: Source,
    receiver: R,
    position: Position,
    streaming: bool,
    backoff: Backoff,
    listing: bool,
    connected: bool,
    resume_failures: u32,
    /// Lists in a row that expired before the first event after them.
    expired: u32,
}

impl<R: Receiver> Follow<R> {
    pub(crate) fn new(client: kube::Client, source: Source, receiver: R, position: Position) -> Self {
        Self {
            client,
            source,
            receiver,
            position,
            streaming: true,
            backoff: Backoff::default(),
            listing: false,
            connected: false,
            resume_failures: 0,
            expired: 0,
        }
    }

    /// Runs until the collection is forbidden or gone. Everything else is tried again.
    pub(crate) async fn run(mut self) -> End {
        loop {
            let Err(error) = self.step().await else { continue };
            self.connected = false;
            match error {
                RequestError::Forbidden(message) => return End::Forbidden(message),
                RequestError::NotServed(message) => return End::NotServed(message),
                RequestError::Unsupported(_) | RequestError::Silent if self.streaming && self.listing => {
                    self.streaming = false;
                }
                RequestError::Expired => {
                    *self.position.lock() = None;
                    self.expired += 1;
                    if self.expired > RESUME_ATTEMPTS {
                        // Not one list after the other without a pause and without a word.
                        self.wait_after(&error).await;
                        continue;
                    }
                    tracing::info!(path = self.source.path, "resource version expired, listing again");
                    sleep(jittered(Duration::from_millis(500))).await;
                }
                error => self.wait_after(&error).await,
            }
        }
    }

    async fn wait_after(&mut self, error: &RequestError) {
        if matches!(error, RequestError::Ahead) {
            self.resume_failures += 1;
            if self.resume_failures >= RESUME_ATTEMPTS {
                self.resume_failures = 0;
                *self.position.lock() = None;
            }
        }
        tracing::debug!(path = self.source.path, error = %error, "watch interrupted");
        self.receiver.trouble(error);
        sleep(self.backoff.after(error)).await;
    }

    async fn step(&mut self) -> Result<(), RequestError> {
        let position = self.position.lock().clone();
        match (position, self.receiver.need()) {
            (None, _) | (_, Need::Everything) if self.streaming => self.stream(None).await,
            (None, _) | (_, Need::Everything) => self.list(None).await,
            (Some(_), Need::Namespaces(namespaces)) => self.list_each(&namespaces).await,
            (Some(version), Need::Nothing) => self.stream(Some(version)).await,
        }
    }

    /// Opens a watch, with a streaming list at its beginning when there is no version to resume from.
    async fn stream(&mut self, version: Option<String>) -> Result<(), RequestError> {
        let lasts = Duration::from_secs(fastrand::u64(230..=290));
        self.listing = version.is_none();
        let from = version.as_deref().map_or(From::Start, From::Version);
        let opened = Instant::now();
        let mut watch = Watch::open(&self.client, &self.source, from, lasts).await?;
        if self.listing {
            self.receiver.list_begins(None);
        } else if !std::mem::replace(&mut self.connected, true) {
            self.receiver.resumed();
        }
        loop {
            let silence = if self.listing { STREAM_SILENCE } else { lasts + STREAM_SILENCE };
            let event = tokio::select! {
                () = self.receiver.need_changed(), if !self.listing => None,
                event = watch.next(silence) => Some(event?),
            };
            match event {
                Some(Some(line)) => self.event(&line).await?,
                Some(None) if self.listing => {
                    return Err(RequestError::Garbled("the streaming list ended early".into()));
                }
                Some(None) if opened.elapsed() < TOO_SHORT => {
                    return Err(RequestError::Garbled("the watch ended at once".into()));
                }
                Some(None) => return Ok(()),
                None => {
                    sleep(GATHER).await;
                    match self.receiver.need() {
                        Need::Nothing => {}
                        Need::Everything => return Ok(()),
                        // The stream waits meanwhile. What it repeats afterwards is older or equal, and ends equal.
                        Need::Namespaces(namespaces) => self.list_each(&namespaces).await?,
                    }
                }
            }
        }
    }

    async fn event(&mut self, line: &str) -> Result<(), RequestError> {
        if line.is_empty() {
            return Ok(());
        }
        let event: WatchEvent<'_> = serde_json::from_str(line).map_err(|e| garbled(&e))?;
        let raw = event.object.get();
        let happened = match &*event.kind {
            "ADDED" if self.listing => Happened::Listed,
            "ADDED" => Happened::Added,
            "MODIFIED" => Happened::Modified,
            "DELETED" => Happened::Deleted,
            "ERROR" => return Err(error_event(raw)),
            _ => return self.bookmark(raw).await,
        };
        let meta = meta_of(raw)?;
        self.receiver.object(happened, &meta, raw).await;
        if !self.listing {
            self.moved(&meta);
        }
        Ok(())
    }

    async fn bookmark(&mut self, raw: &str) -> Result<(), RequestError> {
        let meta = meta_of(raw)?;
        let list_ended = meta.annotations.as_ref().and_then(|all| all.ended.as_deref()) == Some("true");
        if self.listing && list_ended {
            self.end_list(None).await?;
            self.listing = false;
            self.connected = true;
        }
        if !self.listing {
            self.moved(&meta);
        }
        Ok(())
    }

    async fn end_list(&mut self, namespace: Option<&str>) -> Result<(), RequestError> {
        if self.receiver.list_ends(namespace).await { Ok(()) } else { Err(RequestError::NotTakenIn) }
    }

    fn moved(&mut self, meta: &Meta<'_>) {
        self.backoff.reset();
        self.resume_failures = 0;
        self.expired = 0;
        if meta.resource_version.is_empty() {
            return;
        }
        let mut position = self.position.lock();
        match &mut *position {
            Some(version) => {
                version.clear();
                version.push_str(&meta.resource_version);
            }
            none => *none = Some(meta.resource_version.clone().into_owned()),
        }
    }

    async fn list_each(&mut self, namespaces: &BTreeSet<Arc<str>>) -> Result<(), RequestError> {
        for namespace in namespaces {
            self.list(Some(namespace)).await?;
        }
        self.receiver.caught_up();
        Ok(())
    }

    /// Lists everything, or one namespace, page by page.
    async fn list(&mut self, namespace: Option<&str>) -> Result<(), RequestError> {
        // Listing one namespace is no reason to give up streaming lists.
        self.listing = namespace.is_none();
        let source = namespace.map(|namespace| self.source.of_namespace(namespace));
        let source = source.as_ref().unwrap_or(&self.source);
        self.receiver.list_begins(namespace);
        let mut next: Option<String> = None;
        loop {
            let mut page = Page::open(&self.client, source, next.as_deref()).await?;
            while let Some(item) = page.next().await? {
                let meta = meta_of(&item)?;
                self.receiver.object(Happened::Listed, &meta, &item).await;
            }
            let meta = page.finish()?;
            next = meta.next.filter(|next| !next.is_empty());
            if next.is_none() {
                self.end_list(namespace).await?;
                if namespace.is_none() {
                    *self.position.lock() = Some(meta.resource_version);
                    self.listing = false;
                    self.connected = true;
                }
                self.backoff.reset();
                return Ok(());
            }
        }
    }
}

/// One object whose metadata is of another form must not stop the watch of all: it is handed over with what can be read of
/// it, and fails alone.
fn meta_of(raw: &str) -> Result<Meta<'_>, RequestError> {
    serde_json::from_str::<Object<'_>>(raw)
        .map(|object| object.metadata)
        .or_else(|_| serde_json::from_str::<IgnoredAny>(raw).map(|_| Meta::read_leniently(raw)))
        .map_err(|e| garbled(&e))
}

/// The position only: the error's own text could quote the object.
fn garbled(error: &serde_json::Error) -> RequestError {
    RequestError::Garbled(format!("not a Kubernetes object at line {} column {}", error.line(), error.column()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_streaming_list_is_recognised_among_other_annotations() {
        let end = r#"{"kind":"ConfigMap","metadata":{"resourceVersion":"12","annotations":{"k8s.io/initial-events-end":"true"}}}"#;
        assert_eq!(meta_of(end).unwrap().annotations.unwrap().ended.as_deref(), Some("true"));
        let other = r#"{"metadata":{"uid":"u\u0031","resourceVersion":"12","annotations":{"a":"true","b":"\"x"},"managedFields":[]},"data":{}}"#;
        let meta = meta_of(other).unwrap();
        assert_eq!((&*meta.uid, meta.annotations.unwrap().ended), ("u1", None));
    }

    #[test]
    fn metadata_of_another_form_does_not_end_the_watch_and_broken_json_does() {
        for odd in [r#"{"metadata":{"uid":7}}"#, r#"{"metadata":"text"}"#, r#"{"metadata":null}"#, "{}"] {
            assert_eq!(&*meta_of(odd).unwrap().uid, "", "{odd}");
        }
        assert!(matches!(meta_of(r#"{"metadata":{"uid":"#), Err(RequestError::Garbled(_))));
    }
}

//! Lists a collection and watches its changes: streaming lists and their fallback to pages, bookmarks, resuming,
//! 410 Gone, delays after errors.
//!
//! The [`EventHandler`] decides what becomes of the objects.

use super::event_handler::{EventHandler, ObjectEvent, RelistNeed, RelistRequests};
use super::event_meta::{EventMeta, not_an_object};
use super::request::{Collection, ListPage, WatchStart, WatchStream};
use super::request_error::{RequestError, error_event};
use super::retry::{RetryDelay, jittered};
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// A streaming list that sends nothing for so long is abandoned for pages.
const STREAM_SILENCE: Duration = Duration::from_secs(15);
/// Requests for another list are batched for so long.
const RELIST_BATCH: Duration = Duration::from_millis(100);
/// A watch that the server ends sooner counts as a failure.
const TOO_SHORT: Duration = Duration::from_secs(1);
/// Failed attempts to resume after which the position is dropped: an API server that was restored from a backup never
/// reaches it again.
const RESUME_ATTEMPTS: u32 = 5;

#[derive(Deserialize)]
struct WatchEvent<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    object: &'a RawValue,
}

/// Why a [`ListWatch`] ended.
#[derive(Debug)]
pub(crate) enum WatchEnd {
    Forbidden(String),
    NotServed(String),
}

/// The resource version up to which every event was handled; outlives the task, so that its successor resumes there.
pub(crate) type WatchPosition = Arc<Mutex<Option<String>>>;

/// Lists and watches one collection.
pub(crate) struct ListWatch<H, R> {
    client: kube::Client,
    collection: Collection,
    handler: H,
    relists: R,
    position: WatchPosition,
    streaming: bool,
    backoff: RetryDelay,
    listing: bool,
    connected: bool,
    resume_failures: u32,
    /// Lists in a row that expired before the first event after them.
    expired: u32,
}

impl<H: EventHandler, R: RelistRequests> ListWatch<H, R> {
    pub(crate) fn new(
        client: kube::Client,
        collection: Collection,
        handler: H,
        relists: R,
        position: WatchPosition,
    ) -> Self {
        Self {
            client,
            collection,
            handler,
            relists,
            position,
            streaming: true,
            backoff: RetryDelay::default(),
            listing: false,
            connected: false,
            resume_failures: 0,
            expired: 0,
        }
    }

    /// Runs until the collection is forbidden or not served. Every other failure is retried.
    pub(crate) async fn run(mut self) -> WatchEnd {
        loop {
            let Err(error) = self.step().await else { continue };
            self.connected = false;
            match error {
                RequestError::Forbidden(message) => return WatchEnd::Forbidden(message),
                RequestError::NotServed(message) => return WatchEnd::NotServed(message),
                RequestError::Unsupported(_) | RequestError::Silent if self.streaming && self.listing => {
                    self.streaming = false;
                }
                RequestError::Expired => {
                    *self.position.lock() = None;
                    self.expired += 1;
                    if self.expired > RESUME_ATTEMPTS {
                        // A server that expires every list is reported and retried with back-off.
                        self.wait_after(&error).await;
                        continue;
                    }
                    tracing::info!(path = self.collection.path, "resource version expired, listing again");
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
        tracing::debug!(path = self.collection.path, error = %error, "watch interrupted");
        self.handler.failed(error);
        sleep(self.backoff.after(error)).await;
    }

    async fn step(&mut self) -> Result<(), RequestError> {
        let position = self.position.lock().clone();
        match (position, self.relists.needed()) {
            (None, _) | (_, RelistNeed::Everything) if self.streaming => self.stream(None).await,
            (None, _) | (_, RelistNeed::Everything) => self.list(None).await,
            (Some(_), RelistNeed::Namespaces(namespaces)) => self.list_each(&namespaces).await,
            (Some(version), RelistNeed::Nothing) => self.stream(Some(version)).await,
        }
    }

    /// Opens a watch, with a streaming list at its beginning when there is no version to resume from.
    async fn stream(&mut self, version: Option<String>) -> Result<(), RequestError> {
        let lasts = Duration::from_secs(fastrand::u64(230..=290));
        self.listing = version.is_none();
        let start = version.as_deref().map_or(WatchStart::InitialList, WatchStart::Version);
        let opened = Instant::now();
        let mut watch = WatchStream::open(&self.client, &self.collection, start, lasts).await?;
        if self.listing {
            self.handler.list_started(None);
        } else if !std::mem::replace(&mut self.connected, true) {
            self.handler.resumed();
        }
        loop {
            let silence = if self.listing { STREAM_SILENCE } else { lasts + STREAM_SILENCE };
            let event = tokio::select! {
                () = self.relists.changed(), if !self.listing => None,
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
                    sleep(RELIST_BATCH).await;
                    match self.relists.needed() {
                        RelistNeed::Nothing => {}
                        RelistNeed::Everything => return Ok(()),
                        // The stream is not read meanwhile. Events that it delivers afterwards are older than the list or
                        // equal to it; the last one of each object is equal.
                        RelistNeed::Namespaces(namespaces) => self.list_each(&namespaces).await?,
                    }
                }
            }
        }
    }

    async fn event(&mut self, line: &str) -> Result<(), RequestError> {
        if line.is_empty() {
            return Ok(());
        }
        let event: WatchEvent<'_> = serde_json::from_str(line).map_err(|error| not_an_object(&error))?;
        let raw = event.object.get();
        let event = match &*event.kind {
            "ADDED" if self.listing => ObjectEvent::Listed,
            "ADDED" => ObjectEvent::Added,
            "MODIFIED" => ObjectEvent::Modified,
            "DELETED" => ObjectEvent::Deleted,
            "ERROR" => return Err(error_event(raw)),
            _ => return self.bookmark(raw).await,
        };
        let meta = EventMeta::read(raw)?;
        self.handler.object(event, &meta, raw).await;
        if !self.listing {
            self.advance(&meta);
        }
        Ok(())
    }

    async fn bookmark(&mut self, raw: &str) -> Result<(), RequestError> {
        let meta = EventMeta::read(raw)?;
        if self.listing && meta.ends_initial_events() {
            self.finish_list(None).await?;
            self.listing = false;
            self.connected = true;
        }
        if !self.listing {
            self.advance(&meta);
        }
        Ok(())
    }

    async fn finish_list(&mut self, namespace: Option<&str>) -> Result<(), RequestError> {
        if self.handler.list_finished(namespace).await { Ok(()) } else { Err(RequestError::NotTakenIn) }
    }

    fn advance(&mut self, meta: &EventMeta<'_>) {
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
        self.relists.namespaces_listed();
        Ok(())
    }

    /// Lists everything, or one namespace, page by page.
    async fn list(&mut self, namespace: Option<&str>) -> Result<(), RequestError> {
        // A failure to list one namespace does not disable streaming lists.
        self.listing = namespace.is_none();
        let collection = namespace.map(|namespace| self.collection.of_namespace(namespace));
        let collection = collection.as_ref().unwrap_or(&self.collection);
        self.handler.list_started(namespace);
        let mut next: Option<String> = None;
        loop {
            let mut page = ListPage::open(&self.client, collection, next.as_deref()).await?;
            while let Some(item) = page.next().await? {
                let meta = EventMeta::read(&item)?;
                self.handler.object(ObjectEvent::Listed, &meta, &item).await;
            }
            let meta = page.finish()?;
            next = meta.next.filter(|next| !next.is_empty());
            if next.is_none() {
                self.finish_list(namespace).await?;
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

//! Requests to the API server whose answers are read piece by piece.
//!
//! Separate because typed clients build whole objects, and because every read here has a deadline and every failure is put
//! into the class that decides what happens next. It must not know targets or rows.

use crate::plan::Gvr;
use crate::request_error::{RequestError, Status};
use crate::wire::{Items, Lines, ListMeta};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use kube::client::Body;
use std::fmt::Write as _;
use std::time::Duration;
use tokio::time::{Instant, timeout, timeout_at};

/// Time for the first byte of an answer to a watch.
const WATCH_ANSWER: Duration = Duration::from_secs(10);
/// Time for the first byte of a page: the server assembles it first.
const LIST_ANSWER: Duration = Duration::from_secs(25);
/// Longest silence in the middle of a page.
const LIST_SILENCE: Duration = Duration::from_secs(15);
/// How much of an error answer is read.
const ERROR_BYTES: usize = 64 << 10;

/// What is listed and watched.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    gvr: Gvr,
    /// Path of the collection, e.g. `/apis/apps/v1/namespaces/shop/deployments`.
    pub(crate) path: String,
    metadata_only: bool,
}

/// Where a watch begins.
#[derive(Clone, Copy, Debug)]
pub(crate) enum From<'a> {
    /// With a complete list, sent as events.
    Start,
    /// After this resource version.
    Version(&'a str),
}

/// The body of an answer, chunk by chunk.
pub(crate) struct Answer {
    body: Body,
}

impl Answer {
    /// The next chunk; `None` at the end.
    async fn chunk(&mut self, until: Instant) -> Result<Option<Bytes>, RequestError> {
        loop {
            let frame = timeout_at(until, self.body.frame()).await.map_err(|_| RequestError::Silent)?;
            match frame {
                None => return Ok(None),
                Some(Err(error)) => return Err(RequestError::unreachable(&error)),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
            }
        }
    }

    async fn at_most(&mut self, limit: usize, until: Instant) -> Result<Vec<u8>, RequestError> {
        let mut all = Vec::new();
        while let Some(chunk) = self.chunk(until).await? {
            if all.len() + chunk.len() > limit {
                break;
            }
            all.extend_from_slice(&chunk);
        }
        Ok(all)
    }
}

/// Sends a GET and checks the status.
async fn get(
    client: &kube::Client,
    uri: &str,
    accept: &str,
    etag: Option<&str>,
    answer_within: Duration,
) -> Result<http::Response<Answer>, RequestError> {
    // Compressed watches come as one gzip member per event, and compression costs the server more than the network.
    let mut request = http::Request::get(uri).header("accept", accept).header("accept-encoding", "identity");
    if let Some(etag) = etag {
        request = request.header("if-none-match", etag);
    }
    let request = request.body(Body::empty()).map_err(|e| RequestError::Garbled(e.to_string()))?;
    let response = timeout(answer_within, client.send(request))
        .await
        .map_err(|_| RequestError::Silent)?
        .map_err(|error| RequestError::unreachable(&error))?;
    let code = response.status();
    let mut response = response.map(|body| Answer { body });
    if code.is_success() || code == http::StatusCode::NOT_MODIFIED {
        return Ok(response);
    }
    let until = Instant::now() + LIST_SILENCE;
    let bytes = response.body_mut().at_most(ERROR_BYTES, until).await.unwrap_or_default();
    let status: Status = serde_json::from_slice(&bytes).unwrap_or_default();
    Err(RequestError::of(code.as_u16(), status))
}

/// A JSON document and its ETag; `None` when it is still the one with `etag`.
pub(crate) async fn get_document(
    client: &kube::Client,
    uri: &str,
    accept: &str,
    etag: Option<&str>,
    limit: usize,
) -> Result<Option<(Vec<u8>, Option<String>)>, RequestError> {
    let mut response = get(client, uri, accept, etag, WATCH_ANSWER).await?;
    if response.status() == http::StatusCode::NOT_MODIFIED {
        return Ok(None);
    }
    let tag = response.headers().get("etag").and_then(|tag| tag.to_str().ok()).map(str::to_owned);
    let until = Instant::now() + LIST_ANSWER;
    let bytes = response.body_mut().at_most(limit, until).await?;
    Ok(Some((bytes, tag)))
}

impl Source {
    /// The objects of a resource, everywhere or in one namespace.
    pub(crate) fn new(gvr: &Gvr, namespace: Option<&str>, metadata_only: bool) -> Self {
        let mut path = if gvr.group.is_empty() { "/api/".to_owned() } else { format!("/apis/{}/", gvr.group) };
        path.push_str(&gvr.version);
        if let Some(namespace) = namespace {
            let _ = write!(path, "/namespaces/{namespace}");
        }
        let _ = write!(path, "/{}", gvr.resource);
        Self { gvr: gvr.clone(), path, metadata_only }
    }

    /// The part of it in one namespace.
    pub(crate) fn of_namespace(&self, namespace: &str) -> Self {
        Self::new(&self.gvr, Some(namespace), self.metadata_only)
    }

    /// Objects per page: kinds with large values come in smaller pages.
    fn page(&self) -> u32 {
        let large = self.gvr.group.is_empty() && matches!(&*self.gvr.resource, "secrets" | "configmaps");
        if large && !self.metadata_only { 50 } else { 500 }
    }

    fn accept(&self, list: bool) -> &'static str {
        match (self.metadata_only, list) {
            (false, _) => "application/json",
            (true, true) => "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1",
            (true, false) => "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1",
        }
    }
}

/// An open watch.
pub(crate) struct Watch {
    answer: Answer,
    lines: Lines,
    until: Instant,
}

impl Watch {
    /// Opens a watch that the server ends after `lasts`.
    pub(crate) async fn open(
        client: &kube::Client,
        source: &Source,
        from: From<'_>,
        lasts: Duration,
    ) -> Result<Self, RequestError> {
        let seconds = lasts.as_secs();
        let mut uri = format!("{}?watch=1&allowWatchBookmarks=true&timeoutSeconds={seconds}", source.path);
        match from {
            From::Start => uri.push_str("&sendInitialEvents=true&resourceVersionMatch=NotOlderThan"),
            From::Version(version) => {
                let _ = write!(uri, "&resourceVersion={version}");
            }
        }
        let response = get(client, &uri, source.accept(false), None, WATCH_ANSWER).await?;
        // A connection that died without a word is noticed a little after the server should have ended the watch.
        let until = Instant::now() + lasts + Duration::from_secs(5);
        Ok(Self { answer: response.into_body(), lines: Lines::default(), until })
    }

    /// The next event as JSON text; `None` when the server ended the watch. Safe to drop and call again.
    pub(crate) async fn next(&mut self, silence: Duration) -> Result<Option<String>, RequestError> {
        let quiet_until = self.until.min(Instant::now() + silence);
        loop {
            if let Some(line) = self.lines.next()? {
                return Ok(Some(line));
            }
            let Some(chunk) = self.answer.chunk(quiet_until).await? else { return Ok(None) };
            self.lines.feed(&chunk);
        }
    }
}

/// One page of a list, item by item.
pub(crate) struct Page {
    answer: Answer,
    items: Items,
}

impl Page {
    /// Asks for a page: the first one, or the one after `next`.
    pub(crate) async fn open(client: &kube::Client, source: &Source, next: Option<&str>) -> Result<Self, RequestError> {
        // No resourceVersion: the list must not be older than anything seen before.
        let mut uri = format!("{}?limit={}", source.path, source.page());
        if let Some(next) = next {
            let token = percent_encode(next);
            let _ = write!(uri, "&continue={token}");
        }
        let response = get(client, &uri, source.accept(true), None, LIST_ANSWER).await?;
        Ok(Self { answer: response.into_body(), items: Items::default() })
    }

    /// The next item as JSON text; `None` at the end of the page.
    pub(crate) async fn next(&mut self) -> Result<Option<String>, RequestError> {
        loop {
            if let Some(item) = self.items.next()? {
                return Ok(Some(item));
            }
            let Some(chunk) = self.answer.chunk(Instant::now() + LIST_SILENCE).await? else { return Ok(None) };
            self.items.feed(&chunk);
        }
    }

    /// The metadata of the page; an error when it was cut short.
    pub(crate) fn finish(self) -> Result<ListMeta, RequestError> {
        Ok(self.items.finish()?)
    }
}

fn percent_encode(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_pages_follow_the_resource() {
        let secrets = Gvr::new("", "v1", "secrets");
        assert_eq!(Source::new(&secrets, Some("shop"), false).path, "/api/v1/namespaces/shop/secrets");
        assert_eq!(Source::new(&secrets, None, false).page(), 50);
        assert_eq!(Source::new(&secrets, None, true).page(), 500);
        let deployments = Source::new(&Gvr::new("apps", "v1", "deployments"), None, false);
        assert_eq!((deployments.path.as_str(), deployments.page()), ("/apis/apps/v1/deployments", 500));
        assert_eq!(deployments.of_namespace("a").path, "/apis/apps/v1/namespaces/a/deployments");
        assert_eq!(percent_encode("a+/=_-~"), "a%2B%2F%3D_-~");
    }
}

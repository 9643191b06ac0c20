//! GET requests to the API server whose responses are read in chunks.
//!
//! Typed clients would build whole objects. Every read has a deadline, and every failure becomes the `RequestError` that
//! decides what happens next.

use super::json_split::{LineSplitter, ListItemSplitter, ListMeta};
use super::request_error::{RequestError, Status};
use crate::plan::Gvr;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use kube::client::Body;
use std::fmt::Write as _;
use std::time::Duration;
use tokio::time::{Instant, timeout, timeout_at};

/// Deadline for the first byte of a watch response.
const WATCH_ANSWER: Duration = Duration::from_secs(10);
/// Deadline for the first byte of a page, which the server assembles first.
const LIST_ANSWER: Duration = Duration::from_secs(25);
/// Longest silence in the middle of a page.
const LIST_SILENCE: Duration = Duration::from_secs(15);
/// How much of an error response is read.
const ERROR_BYTES: usize = 64 << 10;

/// The objects of one resource, everywhere or in one namespace.
#[derive(Clone, Debug)]
pub(crate) struct Collection {
    gvr: Gvr,
    /// Path of the collection, e.g. `/apis/apps/v1/namespaces/shop/deployments`.
    pub(crate) path: String,
    metadata_only: bool,
}

/// Where a watch begins.
#[derive(Clone, Copy, Debug)]
pub(crate) enum WatchStart<'a> {
    /// With a complete list, sent as events.
    InitialList,
    /// After this resource version.
    Version(&'a str),
}

/// A response body in chunks.
pub(crate) struct ResponseBody {
    body: Body,
}

impl ResponseBody {
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
) -> Result<http::Response<ResponseBody>, RequestError> {
    // A compressed watch is one gzip member per event, and compression costs the server more than it saves the network.
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
    let mut response = response.map(|body| ResponseBody { body });
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

impl Collection {
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

    /// Its part in one namespace.
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
pub(crate) struct WatchStream {
    body_reader: ResponseBody,
    lines: LineSplitter,
    until: Instant,
}

impl WatchStream {
    /// Opens a watch that the server ends after `lasts`.
    pub(crate) async fn open(
        client: &kube::Client,
        source: &Collection,
        from: WatchStart<'_>,
        lasts: Duration,
    ) -> Result<Self, RequestError> {
        let seconds = lasts.as_secs();
        let mut uri = format!("{}?watch=1&allowWatchBookmarks=true&timeoutSeconds={seconds}", source.path);
        match from {
            WatchStart::InitialList => uri.push_str("&sendInitialEvents=true&resourceVersionMatch=NotOlderThan"),
            WatchStart::Version(version) => {
                let _ = write!(uri, "&resourceVersion={version}");
            }
        }
        let response = get(client, &uri, source.accept(false), None, WATCH_ANSWER).await?;
        // A dead connection without a FIN is detected shortly after the server should have ended the watch.
        let until = Instant::now() + lasts + Duration::from_secs(5);
        Ok(Self { body_reader: response.into_body(), lines: LineSplitter::default(), until })
    }

    /// The next event as JSON text; `None` when the server ended the watch. Cancel safe.
    pub(crate) async fn next(&mut self, silence: Duration) -> Result<Option<String>, RequestError> {
        let quiet_until = self.until.min(Instant::now() + silence);
        loop {
            if let Some(line) = self.lines.next()? {
                return Ok(Some(line));
            }
            let Some(chunk) = self.body_reader.chunk(quiet_until).await? else { return Ok(None) };
            self.lines.push(&chunk);
        }
    }
}

/// One page of a list, item by item.
pub(crate) struct ListPage {
    body_reader: ResponseBody,
    items: ListItemSplitter,
}

impl ListPage {
    /// Requests a page: the first one, or the one after `next`.
    pub(crate) async fn open(
        client: &kube::Client,
        source: &Collection,
        next: Option<&str>,
    ) -> Result<Self, RequestError> {
        // No resourceVersion: the list must not be older than any state received before.
        let mut uri = format!("{}?limit={}", source.path, source.page());
        if let Some(next) = next {
            let token = percent_encode(next);
            let _ = write!(uri, "&continue={token}");
        }
        let response = get(client, &uri, source.accept(true), None, LIST_ANSWER).await?;
        Ok(Self { body_reader: response.into_body(), items: ListItemSplitter::default() })
    }

    /// The next item as JSON text; `None` at the end of the page.
    pub(crate) async fn next(&mut self) -> Result<Option<String>, RequestError> {
        loop {
            if let Some(item) = self.items.next()? {
                return Ok(Some(item));
            }
            let Some(chunk) = self.body_reader.chunk(Instant::now() + LIST_SILENCE).await? else { return Ok(None) };
            self.items.push(&chunk);
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
        assert_eq!(Collection::new(&secrets, Some("shop"), false).path, "/api/v1/namespaces/shop/secrets");
        assert_eq!(Collection::new(&secrets, None, false).page(), 50);
        assert_eq!(Collection::new(&secrets, None, true).page(), 500);
        let deployments = Collection::new(&Gvr::new("apps", "v1", "deployments"), None, false);
        assert_eq!((deployments.path.as_str(), deployments.page()), ("/apis/apps/v1/deployments", 500));
        assert_eq!(deployments.of_namespace("a").path, "/apis/apps/v1/namespaces/a/deployments");
        assert_eq!(percent_encode("a+/=_-~"), "a%2B%2F%3D_-~");
    }
}

//! The HTTP server: authorizes each request, then answers with a page, a stream of pages or states.
//!
//! Plain HTTP, as in the reference: TLS belongs in front of it. Connections, pages and streams are bounded.

use crate::access::{Access, Refusal};
use crate::data_source::{DataSource, NoPage};
use crate::page::page;
use crate::query::Query;
use crate::routes::{Endpoint, Route};
use bytes::Bytes;
use futures_util::stream;
use http::header::{self, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use kollect_model::Version;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// A caller has to send its request within this time.
const HEADERS: Duration = Duration::from_secs(5);
/// Running answers may take this long after a stop.
const GRACE: Duration = Duration::from_secs(5);
const CONNECTIONS: usize = 256;
/// Pages built at the same time; each reads every row.
const PAGES: usize = 2;
const BUFFER: usize = 16 << 10;
/// How often a stream compares the version of the rows.
const POLL: Duration = Duration::from_millis(500);
/// A stream without changes sends a comment after this time.
const KEEP_ALIVE: Duration = Duration::from_secs(20);
/// A stream ends after this time, so that opening it again checks the rights again.
const STREAM_LIFE: Duration = Duration::from_mins(10);

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// The server cannot serve.
#[derive(Debug, thiserror::Error)]
#[error("listening on {address}: {source}")]
pub struct ServerError {
    address: SocketAddr,
    source: std::io::Error,
}

/// Settings of the server.
pub struct ReadServerSettings {
    /// Where it listens.
    pub address: SocketAddr,
    /// Who may read.
    pub access: Arc<dyn Access>,
    /// The rows and objects; `None` on a replica that does not lead.
    pub data_source: watch::Receiver<Option<Arc<DataSource>>>,
    /// The time of a page: RFC 3339, whole seconds.
    pub clock: fn() -> String,
}

struct Server {
    access: Arc<dyn Access>,
    data_source: watch::Receiver<Option<Arc<DataSource>>>,
    clock: fn() -> String,
    pages: Semaphore,
    stop: CancellationToken,
}

/// Serves until `stop`, then lets running answers end.
pub async fn serve(settings: ReadServerSettings, stop: CancellationToken) -> Result<(), ServerError> {
    let ReadServerSettings { address, access, data_source, clock } = settings;
    let listener = TcpListener::bind(address).await.map_err(|source| ServerError { address, source })?;
    let server = Arc::new(Server { access, data_source, clock, pages: Semaphore::new(PAGES), stop: stop.clone() });
    let connections = Arc::new(Semaphore::new(CONNECTIONS));
    let tasks = TaskTracker::new();
    loop {
        let accepted = async {
            let turn = connections.clone().acquire_owned().await.ok()?;
            match listener.accept().await {
                Ok((stream, peer)) => Some((stream, peer.ip(), turn)),
                Err(error) => {
                    // Out of file descriptors, most likely; asking again at once would only burn CPU.
                    tracing::warn!(%error, "accepting a connection of the read API");
                    sleep(Duration::from_millis(100)).await;
                    None
                }
            }
        };
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = accepted => accepted,
        };
        let Some((stream, caller, turn)) = accepted else { continue };
        let server = server.clone();
        tasks.spawn(async move {
            connection(stream, caller, server).await;
            drop(turn);
        });
    }
    tasks.close();
    if timeout(GRACE, tasks.wait()).await.is_err() {
        tracing::debug!("connections of the read API were cut off");
    }
    Ok(())
}

async fn connection(stream: TcpStream, caller: IpAddr, server: Arc<Server>) {
    let stop = server.stop.clone();
    let service = service_fn(move |request| {
        let server = server.clone();
        async move { Ok::<_, Infallible>(server.answer(caller, request).await) }
    });
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEADERS).max_buf_size(BUFFER);
    let serving = http.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(serving);
    let ended = tokio::select! {
        ended = serving.as_mut() => ended,
        () = stop.cancelled() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "connection of the read API");
    }
}

impl Server {
    async fn answer(self: Arc<Self>, caller: IpAddr, request: Request<Incoming>) -> Response<Body> {
        let uri = request.uri();
        let Some(route) = Route::of(uri.path(), uri.query().unwrap_or_default()) else {
            return text(StatusCode::NOT_FOUND, "there is nothing at this path");
        };
        if request.method() != Method::GET {
            let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "this API only reads; use GET");
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET"));
            return response;
        }
        if let Err((status, why)) = self.admit(caller, &request, &route).await {
            return text(status, why);
        }
        let Some(source) = self.data_source.borrow().clone() else {
            return later("this replica is on standby; the leader answers");
        };
        let mut response = self.give(source, route.endpoint).await;
        if route.deprecated {
            response.headers_mut().insert("deprecation", HeaderValue::from_static("true"));
        }
        response
    }

    async fn admit(
        &self,
        caller: IpAddr,
        request: &Request<Incoming>,
        route: &Route,
    ) -> Result<(), (StatusCode, &'static str)> {
        if !self.access.needs_token() {
            return Ok(());
        }
        let given = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = given.and_then(|value| {
            let (scheme, token) = value.split_once(' ')?;
            Some(token.trim()).filter(|token| scheme.eq_ignore_ascii_case("bearer") && !token.is_empty())
        });
        let Some(token) = token else {
            return Err((StatusCode::UNAUTHORIZED, "send a token: Authorization: Bearer <token>"));
        };
        self.access.check(caller, token, &route.right()).await.map_err(|refusal| match refusal {
            Refusal::Unauthorized => (StatusCode::UNAUTHORIZED, "unauthorized"),
            Refusal::Forbidden => (StatusCode::FORBIDDEN, "forbidden"),
            Refusal::TooMany => {
                (StatusCode::TOO_MANY_REQUESTS, "too many tokens from this address were refused; wait a few seconds")
            }
            Refusal::Failed => (StatusCode::INTERNAL_SERVER_ERROR, "authorization check failed"),
        })
    }

    async fn give(self: Arc<Self>, source: Arc<DataSource>, endpoint: Endpoint) -> Response<Body> {
        let given = match endpoint {
            Endpoint::Watch(query) => return self.watch(source, query),
            Endpoint::Rows(query) => self.page(source, query).await,
            Endpoint::Inventories { namespace } => source.inventories(&namespace),
            Endpoint::Targets { namespace } => source.targets(&namespace),
        };
        match given {
            Ok(json) => response(StatusCode::OK, "application/json", full(json.into())),
            Err(why @ NoPage::NotFound { .. }) => text(StatusCode::NOT_FOUND, &why.to_string()),
            Err(why) => later(&why.to_string()),
        }
    }

    /// Builds a page on a blocking thread, since reading every row would delay other connections.
    async fn page(&self, source: Arc<DataSource>, query: Query) -> Result<Vec<u8>, NoPage> {
        // The semaphore is never closed.
        let _turn = self.pages.acquire().await;
        let clock = self.clock;
        let made = tokio::task::spawn_blocking(move || {
            let (rows, mut facts) = source.rows(&query)?;
            facts.now = clock();
            Ok(page(&query, &rows, &facts))
        });
        // The runtime stops, or building the page panicked, which was logged.
        made.await.unwrap_or(Err(NoPage::Starting))
    }

    fn watch(self: Arc<Self>, source: Arc<DataSource>, query: Query) -> Response<Body> {
        let stream = PageStream { server: self, source, query, sent: None, opened: Instant::now() };
        let frames = stream::unfold(stream, async |mut stream| {
            let bytes = stream.next().await?;
            Some((Ok::<_, Infallible>(Frame::data(bytes)), stream))
        });
        let mut response = response(StatusCode::OK, "text/event-stream", StreamBody::new(frames).boxed_unsync());
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        response
    }
}

/// Server-sent events: the page, and again after each change.
struct PageStream {
    server: Arc<Server>,
    source: Arc<DataSource>,
    query: Query,
    /// Version of the rows that were sent last.
    sent: Option<Version>,
    opened: Instant,
}

impl PageStream {
    /// The next bytes to send; nothing when the stream ends.
    async fn next(&mut self) -> Option<Bytes> {
        let since = Instant::now();
        loop {
            let leads =
                self.server.data_source.borrow().as_ref().is_some_and(|source| Arc::ptr_eq(source, &self.source));
            if !leads || self.server.stop.is_cancelled() || self.opened.elapsed() > STREAM_LIFE {
                return None;
            }
            // Read before the rows, so that a change meanwhile is sent again.
            let version = self.source.version();
            if self.sent != Some(version) {
                match self.server.page(self.source.clone(), self.query.clone()).await {
                    Ok(page) => {
                        self.sent = Some(version);
                        return Some([b"event: inventory\ndata: ", page.as_slice(), b"\n"].concat().into());
                    }
                    Err(NoPage::NotFound { .. }) => return None,
                    Err(NoPage::Starting | NoPage::Listing { .. }) => {}
                }
            }
            if since.elapsed() > KEEP_ALIVE {
                return Some(Bytes::from_static(b": alive\n\n"));
            }
            tokio::select! {
                () = self.server.stop.cancelled() => return None,
                () = sleep(POLL) => {}
            }
        }
    }
}

fn later(why: &str) -> Response<Body> {
    let mut response = text(StatusCode::SERVICE_UNAVAILABLE, why);
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
    response
}

fn text(status: StatusCode, text: &str) -> Response<Body> {
    response(status, "text/plain; charset=utf-8", full(format!("{text}\n").into()))
}

fn full(bytes: Bytes) -> Body {
    Full::new(bytes).boxed_unsync()
}

fn response(status: StatusCode, kind: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

//! Sends requests and returns responses whose body is read chunk by chunk.

use super::body::Upload;
use super::config::ClientConfig;
use super::connection::{Connection, Origin};
use super::progress::while_moving;
use crate::NetError;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Request, StatusCode, Uri, header};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Servers close idle connections; one that was idle for longer is not used again.
const KEEP_IDLE: Duration = Duration::from_secs(15);

/// An HTTP/1.1 client that keeps one connection for the next request.
pub struct Client {
    config: ClientConfig,
    kept: Arc<Mutex<Option<Connection>>>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

impl Client {
    /// A client without connections.
    pub fn new(config: ClientConfig) -> Self {
        Self { config, kept: Arc::default() }
    }

    /// Sends a request with an absolute `http` or `https` URI and returns when the head of the response has arrived.
    /// User info in the URI is ignored; credentials go into headers.
    pub async fn send(&self, request: Request<Upload>) -> Result<Response, NetError> {
        self.send_watched(request, &|| {}).await
    }

    /// Like [`Client::send`], and calls `progress` at least once a second while bytes move.
    pub async fn send_watched(
        &self,
        request: Request<Upload>,
        progress: &(dyn Fn() + Sync),
    ) -> Result<Response, NetError> {
        let (origin, mut request) = prepare(request)?;
        // On a kept connection that the server just closed, a request without side effects and body is sent again.
        let retry = (request.method().is_safe() && request.body().is_empty()).then(|| head_of(&request));
        let kept = self.kept.lock().take().filter(|c| c.origin == origin && c.idle_since.elapsed() < KEEP_IDLE);
        if let Some(mut connection) = kept
            && !connection.sender.is_closed()
            && connection.sender.ready().await.is_ok()
        {
            match self.exchange(connection, request, progress).await {
                Ok(response) => return Ok(response),
                Err(FailedExchange { unsent: Some(returned), .. }) => request = *returned,
                Err(FailedExchange { error, broken: true, .. }) => match retry {
                    Some(copy) => request = copy,
                    None => return Err(error),
                },
                Err(failed) => return Err(failed.error),
            }
        }
        let connection = Connection::open(origin, &self.config).await?;
        progress();
        self.exchange(connection, request, progress).await.map_err(|failed| failed.error)
    }

    async fn exchange(
        &self,
        mut connection: Connection,
        request: Request<Upload>,
        progress: &(dyn Fn() + Sync),
    ) -> Result<Response, FailedExchange> {
        let idle_timeout = self.config.idle_timeout;
        let (moved, quotable) = (connection.moved.clone(), connection.quotable);
        let sending = connection.sender.try_send_request(request);
        match while_moving(sending, "the request", idle_timeout, &moved, progress).await {
            Err(error) => {
                let error = error.withheld(&connection.origin.host, quotable);
                Err(FailedExchange { error, unsent: None, broken: false })
            }
            Ok(Err(mut failed)) => {
                let unsent = failed.take_message().map(Box::new);
                let host = &connection.origin.host;
                let error = NetError::from_connection(host, failed.error());
                let broken = matches!(error, NetError::Broken { .. });
                Err(FailedExchange { error: error.withheld(host, quotable), unsent, broken })
            }
            Ok(Ok(answer)) => {
                let (head, body) = answer.into_parts();
                Ok(Response {
                    status: head.status,
                    headers: head.headers,
                    quotable,
                    body,
                    idle_timeout,
                    host: connection.origin.host.clone(),
                    connection: Some(connection),
                    keep_in: self.kept.clone(),
                })
            }
        }
    }
}

struct FailedExchange {
    error: NetError,
    unsent: Option<Box<Request<Upload>>>,
    /// The connection closed, so a safe request may be sent again.
    broken: bool,
}

/// A response whose body has not been read yet. Dropping it before its end closes the connection.
pub struct Response {
    /// Status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// Whether its content may appear in an error.
    pub quotable: bool,
    body: Incoming,
    idle_timeout: Duration,
    host: String,
    connection: Option<Connection>,
    keep_in: Arc<Mutex<Option<Connection>>>,
}

impl std::fmt::Debug for Response {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Response").field("status", &self.status).finish_non_exhaustive()
    }
}

impl Response {
    /// The next chunk of the body; `None` at its end.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, NetError> {
        loop {
            let Some(connection) = &self.connection else { return Ok(None) };
            let moved = connection.moved.clone();
            let frame = while_moving(self.body.frame(), "the answer", self.idle_timeout, &moved, &|| {}).await;
            match frame.map_err(|error| self.withheld(error))? {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data()
                        && !data.is_empty()
                    {
                        return Ok(Some(data));
                    }
                }
                Some(Err(error)) => {
                    self.connection = None;
                    return Err(self.withheld(NetError::from_connection(&self.host, &error)));
                }
                None => {
                    if let Some(mut connection) = self.connection.take() {
                        connection.idle_since = Instant::now();
                        *self.keep_in.lock() = Some(connection);
                    }
                    return Ok(None);
                }
            }
        }
    }

    fn withheld(&self, error: NetError) -> NetError {
        error.withheld(&self.host, self.quotable)
    }

    /// The whole body, if it is not longer than `limit` bytes.
    pub async fn collect(&mut self, limit: usize) -> Result<Bytes, NetError> {
        let mut all = BytesMut::new();
        while let Some(piece) = self.chunk().await? {
            if all.len() + piece.len() > limit {
                self.connection = None;
                return Err(NetError::TooLarge { host: self.host.clone(), limit });
            }
            all.extend_from_slice(&piece);
        }
        Ok(all.freeze())
    }
}

/// The copy of a request that has no body.
fn head_of(request: &Request<Upload>) -> Request<Upload> {
    let mut copy = Request::new(Upload::Empty);
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    copy
}

/// Splits the URI into the origin and the request target, and sets `Host`.
fn prepare(mut request: Request<Upload>) -> Result<(Origin, Request<Upload>), NetError> {
    let bad = |why: &str| NetError::Request { why: why.to_owned() };
    let uri = request.uri();
    let tls = match uri.scheme_str() {
        Some("https") => true,
        Some("http") => false,
        _ => return Err(bad("the URL must start with http:// or https://")),
    };
    let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(|| bad("the URL has no host"))?.to_owned();
    let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
    let default_port = port == if tls { 443 } else { 80 };
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let path: Uri = path.parse().map_err(|_| bad("the URL has no valid path"))?;
    let named = if default_port { host.clone() } else { format!("{host}:{port}") };
    let named = HeaderValue::from_str(&named).map_err(|_| bad("the URL has no valid host"))?;
    *request.uri_mut() = path;
    request.headers_mut().entry(header::HOST).or_insert(named);
    Ok((Origin { tls, host, port }, request))
}

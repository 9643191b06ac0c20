//! A reverse proxy before the API server that can pick single requests and open watches.
//!
//! It must see paths, so it ends TLS with its own certificate. It counts every
//! request and changes none that no rule names.

use super::RequestRecord;
use crate::servers::{ApiServer, Certs, TlsListener, kubeconfig};
use anyhow::Context as _;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::StatusCode;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;

/// What happens to a request that a rule names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HttpAction {
    /// Held back until the rule is removed; an open answer (a watch) stops delivering as well, and loses nothing.
    Stall,
    /// Answered with this status and a Kubernetes `Status`, without asking the server.
    Answer(u16),
    /// Forwarded this much later.
    Delay(Duration),
    /// The connection breaks: at once for a new request, and in the middle of an open answer.
    Reset,
}

/// Which requests, and what happens to them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpRule {
    /// All of these occur in path and query, e.g. `["/namespaces/team-1/configmaps", "watch=true"]`. Empty: every request.
    pub contains: Vec<String>,
    /// The HTTP method; `None` for any.
    pub method: Option<&'static str>,
    /// What happens.
    pub action: HttpAction,
}

impl HttpRule {
    /// A rule for any method.
    pub fn new<'a>(contains: impl IntoIterator<Item = &'a str>, action: HttpAction) -> Self {
        Self { contains: contains.into_iter().map(ToOwned::to_owned).collect(), method: None, action }
    }

    fn matches(&self, method: &str, uri: &str) -> bool {
        self.method.is_none_or(|wanted| wanted == method)
            && self.contains.iter().all(|part| uri.contains(part.as_str()))
    }
}

/// Names a rule, to remove it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RuleId(u64);

type Rules = Vec<(RuleId, HttpRule)>;

/// A running proxy. Dropping it stops it.
#[derive(Debug)]
pub struct HttpProxy {
    port: u16,
    certs: Certs,
    shared: Arc<Shared>,
    serving: JoinHandle<()>,
}

struct Shared {
    upstream_port: u16,
    tls: TlsConnector,
    rules: watch::Sender<Rules>,
    next: Mutex<u64>,
    records: Mutex<Vec<RequestRecord>>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("upstream_port", &self.upstream_port).finish_non_exhaustive()
    }
}

impl HttpProxy {
    /// Starts a proxy before `server`.
    pub async fn start(server: &ApiServer) -> anyhow::Result<Self> {
        let certs = Certs::new()?;
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        let shared = Arc::new(Shared {
            upstream_port: server.port(),
            tls: connector(server.ca_pem())?,
            rules: watch::Sender::new(Rules::new()),
            next: Mutex::new(0),
            records: Mutex::new(Vec::new()),
        });
        let app = Router::new().fallback(answer).with_state(shared.clone());
        let listener = TlsListener::new(listener, &certs.server)?;
        let serving = tokio::spawn(async move { drop(axum::serve(listener, app).await) });
        Ok(Self { port, certs, shared, serving })
    }

    /// A kubeconfig that goes through this proxy.
    pub fn kubeconfig(&self, token: &str) -> String {
        kubeconfig(&format!("https://127.0.0.1:{}", self.port), &self.certs.ca, token)
    }

    /// Adds a rule; the newest that fits a request wins.
    pub fn add(&self, rule: HttpRule) -> RuleId {
        let id = {
            let mut next = self.shared.next.lock();
            *next += 1;
            RuleId(*next)
        };
        self.shared.rules.send_modify(|rules| rules.insert(0, (id, rule)));
        id
    }

    /// Removes a rule. What it stalled goes on.
    pub fn remove(&self, id: RuleId) {
        self.shared.rules.send_modify(|rules| rules.retain(|(other, _)| *other != id));
    }

    /// Removes all rules.
    pub fn heal(&self) {
        self.shared.rules.send_modify(Vec::clear);
    }

    /// Every request so far, in order.
    pub fn requests(&self) -> Vec<RequestRecord> {
        self.shared.records.lock().clone()
    }

    /// Forgets the requests so far.
    pub fn forget_requests(&self) {
        self.shared.records.lock().clear();
    }

    /// Number of requests with this verb and resource (`configmaps`, `kollecttargets/status`).
    pub fn count(&self, verb: &str, resource: &str) -> usize {
        self.shared.records.lock().iter().filter(|record| record.verb == verb && record.resource == resource).count()
    }
}

impl Drop for HttpProxy {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn connector(ca_pem: &str) -> anyhow::Result<TlsConnector> {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(ca_pem.as_bytes()) {
        roots.add(certificate?)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let uri = request.uri().path_and_query().map_or("/", |uri| uri.as_str()).to_owned();
    let method = request.method().as_str().to_owned();
    let record = {
        let mut records = shared.records.lock();
        records.push(RequestRecord::read(&method, &uri));
        records.len() - 1
    };
    let response = match intercept(&shared, &method, &uri).await {
        Some(response) => response,
        None => match forward(&shared, request).await {
            Ok(response) => response.map(|body| watched(shared.clone(), method, uri, body)),
            // The server is away: so is the connection, as without a proxy.
            Err(_) => broken(),
        },
    };
    if let Some(record) = shared.records.lock().get_mut(record) {
        record.status = response.status().as_u16();
    }
    response
}

fn action(rules: &watch::Receiver<Rules>, method: &str, uri: &str) -> Option<HttpAction> {
    rules.borrow().iter().find(|(_, rule)| rule.matches(method, uri)).map(|(_, rule)| rule.action.clone())
}

/// Applies rules to a new request; `None` lets it go on.
async fn intercept(shared: &Shared, method: &str, uri: &str) -> Option<Response> {
    let mut rules = shared.rules.subscribe();
    loop {
        match action(&rules, method, uri)? {
            HttpAction::Answer(code) => return Some(status(code)),
            HttpAction::Reset => return Some(broken()),
            HttpAction::Delay(by) => {
                tokio::time::sleep(by).await;
                return None;
            }
            HttpAction::Stall => {
                if rules.changed().await.is_err() {
                    return Some(broken());
                }
            }
        }
    }
}

fn status(code: u16) -> Response {
    let reason = match code {
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "NotFound",
        410 => "Expired",
        429 => "TooManyRequests",
        _ => "InternalError",
    };
    let body = serde_json::json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": "answered by the fault proxy", "reason": reason, "code": code,
    });
    let code = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (code, [("content-type", "application/json")], body.to_string()).into_response()
}

/// An answer whose body fails, which makes hyper cut the connection.
fn broken() -> Response {
    let cut = futures_util::stream::once(async { Err::<Bytes, _>(std::io::Error::other("cut by the fault proxy")) });
    Response::new(Body::from_stream(cut))
}

async fn forward(shared: &Shared, request: Request) -> anyhow::Result<http::Response<Incoming>> {
    let stream = TcpStream::connect(("127.0.0.1", shared.upstream_port)).await?;
    stream.set_nodelay(true)?;
    let stream = shared.tls.connect(ServerName::try_from("127.0.0.1")?, stream).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let (mut parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().context("a request without a path")?.as_str();
    parts.uri = path.parse()?;
    parts.headers.remove("connection");
    Ok(sender.send_request(Request::from_parts(parts, body)).await?)
}

/// The body of an answer, held back or cut by the present rules.
fn watched(shared: Arc<Shared>, method: String, uri: String, body: Incoming) -> Body {
    let rules = shared.rules.subscribe();
    let state = (body, rules, shared, method, uri);
    Body::from_stream(futures_util::stream::unfold(Some(state), |state| async move {
        let (mut body, mut rules, shared, method, uri) = state?;
        loop {
            match action(&rules, &method, &uri) {
                Some(HttpAction::Reset) => {
                    return Some((Err(std::io::Error::other("cut by the fault proxy")), None));
                }
                Some(HttpAction::Stall) => {
                    rules.changed().await.ok()?;
                    continue;
                }
                _ => {}
            }
            tokio::select! {
                biased;
                changed = rules.changed() => changed.ok()?,
                frame = body.frame() => match frame? {
                    Ok(frame) => {
                        let data = frame.into_data().unwrap_or_default();
                        return Some((Ok(data), Some((body, rules, shared, method, uri))));
                    }
                    Err(error) => return Some((Err(std::io::Error::other(error)), None)),
                },
            }
        }
    }))
}

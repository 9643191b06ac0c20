//! The HTTPS server of the webhook: TLS 1.3, one path per kind, nothing but reviews.

use crate::certs::Serving;
use crate::protocol::kind_at;
use crate::reviewer::{Reply, Reviewer};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

const HANDSHAKE: Duration = Duration::from_secs(5);
/// Longer than API servers keep idle connections: if the webhook closed one first, a review sent at that moment would
/// fail, and with it a user's write.
const IDLE: Duration = Duration::from_mins(10);
/// Longer than the deadline of a review.
const GRACE: Duration = Duration::from_secs(3);
const CONNECTIONS: usize = 512;
const BUFFER: usize = 64 << 10;

/// The server cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The TLS settings do not fit together.
    #[error("preparing TLS for the webhook: {0}")]
    Tls(#[source] rustls::Error),
}

/// Serves reviews until `stop`, then waits for running ones.
pub async fn serve(
    listener: TcpListener,
    serving: Arc<Serving>,
    reviewer: Arc<Reviewer>,
    stop: CancellationToken,
) -> Result<(), ServerError> {
    let acceptor = acceptor(serving.clone())?;
    let connections = Arc::new(Semaphore::new(CONNECTIONS));
    let tasks = TaskTracker::new();
    serving.listening(true);
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = accept(&listener, &connections) => accepted,
        };
        let Some((stream, permit)) = accepted else { continue };
        let (acceptor, reviewer, stop) = (acceptor.clone(), reviewer.clone(), stop.clone());
        tasks.spawn(async move {
            connection(stream, &acceptor, reviewer, stop).await;
            drop(permit);
        });
    }
    serving.listening(false);
    tasks.close();
    if timeout(GRACE, tasks.wait()).await.is_err() {
        tracing::debug!("connections of the webhook were cut off");
    }
    Ok(())
}

fn acceptor(serving: Arc<Serving>) -> Result<TlsAcceptor, ServerError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(ServerError::Tls)?
        .with_no_client_auth()
        .with_cert_resolver(serving);
    Ok(TlsAcceptor::from(Arc::new(config)))
}

async fn accept(
    listener: &TcpListener,
    connections: &Arc<Semaphore>,
) -> Option<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let permit = connections.clone().acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => Some((stream, permit)),
        Err(error) => {
            // Most likely out of file descriptors: an immediate retry would only use CPU.
            tracing::warn!(%error, "accepting a connection of the webhook");
            tokio::time::sleep(Duration::from_millis(100)).await;
            None
        }
    }
}

async fn connection(stream: TcpStream, acceptor: &TlsAcceptor, reviewer: Arc<Reviewer>, stop: CancellationToken) {
    let _ = stream.set_nodelay(true);
    let stream = match timeout(HANDSHAKE, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return tracing::debug!(%error, "TLS handshake of the webhook"),
        Err(_) => return tracing::debug!("a caller of the webhook did not finish its TLS handshake"),
    };
    let service = service_fn(move |request| {
        let reviewer = reviewer.clone();
        async move { Ok::<_, Infallible>(respond(&reviewer, request).await) }
    });
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(IDLE).max_buf_size(BUFFER);
    let serving = http.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(serving);
    tokio::select! {
        ended = serving.as_mut() => return note(ended),
        () = stop.cancelled() => serving.as_mut().graceful_shutdown(),
    }
    note(serving.await);
}

fn note(ended: hyper::Result<()>) {
    if let Err(error) = ended {
        tracing::debug!(%error, "connection of the webhook");
    }
}

async fn respond(reviewer: &Reviewer, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let Some(kind) = kind_at(request.uri().path()) else {
        return text(StatusCode::NOT_FOUND, "nothing is reviewed at this path");
    };
    if request.method() != Method::POST {
        return text(StatusCode::METHOD_NOT_ALLOWED, "reviews are sent with POST");
    }
    let declared = request.headers().get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse().ok());
    match reviewer.reply(kind, declared, request.into_body()).await {
        Reply::Reviewed(body) => response(StatusCode::OK, "application/json", body.into()),
        Reply::Failed(status, reason) => text(status, &reason),
    }
}

fn text(status: StatusCode, text: &str) -> Response<Full<Bytes>> {
    response(status, "text/plain; charset=utf-8", Bytes::copy_from_slice(text.as_bytes()))
}

fn response(status: StatusCode, kind: &'static str, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, http::HeaderValue::from_static(kind));
    response
}

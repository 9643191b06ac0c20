//! `/healthz`, `/readyz` and `/metrics`.

use anyhow::Context;
use axum::Router;
use axum::http::{StatusCode, header};
use axum::routing::get;
use kollect_control::metrics::Metrics;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Answers whether the process is ready, with one sentence for people.
pub(crate) type Ready = Arc<dyn Fn() -> Result<String, String> + Send + Sync>;

/// Serves the probes until `stop`.
pub(crate) async fn serve_probes(address: SocketAddr, ready: Ready, stop: CancellationToken) -> anyhow::Result<()> {
    let routes = Router::new().route("/healthz", get(async || "ok")).route(
        "/readyz",
        get(async move || match ready() {
            Ok(text) => (StatusCode::OK, text),
            Err(text) => (StatusCode::SERVICE_UNAVAILABLE, text),
        }),
    );
    serve(address, routes, stop).await.context("serving /healthz and /readyz")
}

/// Serves the metrics until `stop`.
pub(crate) async fn serve_metrics(
    address: SocketAddr,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let routes = Router::new().route(
        "/metrics",
        get(async move || {
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(header::CONTENT_TYPE, kind)], metrics.encode())
        }),
    );
    serve(address, routes, stop).await.context("serving /metrics")
}

async fn serve(address: SocketAddr, routes: Router, stop: CancellationToken) -> anyhow::Result<()> {
    let listener = TcpListener::bind(address).await.with_context(|| format!("listening on {address}"))?;
    axum::serve(listener, routes).with_graceful_shutdown(stop.cancelled_owned()).await.context("serving HTTP")
}

//! The client for the API server: kube's layers over connections with small buffers and TCP keep-alive.
//!
//! The stock client keeps read buffers of hundreds of KiB per watch after its first list, and detects a dead connection
//! only at the time-out of the watch.

use anyhow::Context as _;
use hyper_timeout::TimeoutConnector;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Builder, Client};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use kollect_cli::cluster::why as kubeconfig_fault;
use kollect_cli::terminal::chain;
use kube::client::{Body, ClientBuilder, ConfigExt as _};
use std::error::Error as _;
use std::path::Path;
use std::time::Duration;
use tower::{BoxError, ServiceBuilder};

/// Time for the connection and its TLS handshake.
const CONNECT: Duration = Duration::from_secs(10);
/// What one connection may buffer of what it reads or writes; a larger answer comes in pieces.
const BUFFER: usize = 32 << 10;
/// A silent connection is probed after this long, three times, before it counts as dead.
const SILENT: Duration = Duration::from_secs(30);
const PROBE_EVERY: Duration = Duration::from_secs(10);
const PROBES: u32 = 3;
/// Unused connections are closed after this long; between two renewals of the lease one stays open.
const IDLE: Duration = Duration::from_mins(1);

/// Connects with this kubeconfig, or as in a Pod.
pub(crate) async fn connect(kubeconfig: Option<&Path>) -> anyhow::Result<kube::Client> {
    let mut config = match kubeconfig {
        Some(path) => {
            let file = kube::config::Kubeconfig::read_from(path)
                .map_err(|error| anyhow::anyhow!("--kubeconfig: {}: {}", path.display(), kubeconfig_fault(&error)))?;
            kube::Config::from_custom_kubeconfig(file, &kube::config::KubeConfigOptions::default())
                .await
                .with_context(|| format!("--kubeconfig: using {}", path.display()))?
        }
        None => kube::Config::infer().await.map_err(|error| nowhere(&error))?,
    };
    // Every caller retries with its own jitter and ceiling; retries below them would hide the delay.
    config.default_retry = false;
    config.connect_timeout = Some(CONNECT);
    if config.proxy_url.is_some() {
        // Its error names the proxies that this build supports.
        return kube::Client::try_from(config).context("connecting to the API server");
    }
    build(&config).context("connecting to the API server")
}

/// The process runs in no Pod, and the kubeconfig cannot be used.
fn nowhere(error: &kube::config::InferConfigError) -> anyhow::Error {
    let kubeconfig = match error.source() {
        Some(source) => source.downcast_ref().map_or_else(|| chain(source), kubeconfig_fault),
        None => error.to_string(),
    };
    anyhow::anyhow!("finding an API server: this process is in no Pod, and the kubeconfig cannot be used: {kubeconfig}")
}

fn build(config: &kube::Config) -> Result<kube::Client, kube::Error> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_keepalive(Some(SILENT));
    tcp.set_keepalive_interval(Some(PROBE_EVERY));
    tcp.set_keepalive_retries(Some(PROBES));
    let mut connector = TimeoutConnector::new(config.rustls_https_connector_with_connector(tcp)?);
    connector.set_connect_timeout(config.connect_timeout);
    connector.set_read_timeout(config.read_timeout);
    connector.set_write_timeout(config.write_timeout);
    let connections: Client<_, Body> = Builder::new(TokioExecutor::new())
        .http1_max_buf_size(BUFFER)
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .build(connector);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        .service(connections);
    Ok(ClientBuilder::new(service, config.default_namespace.clone()).build())
}

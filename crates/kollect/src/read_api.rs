//! Starts the inventory read API, on every replica, leading or not.

use crate::settings::ReadApiSettings;
use anyhow::Context as _;
use kollect_read_api::{Access, DataSource, KubernetesAccess, OpenAccess, ReadServerSettings};
use std::sync::Arc;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Serves until `stop`.
pub(crate) async fn serve(
    settings: ReadApiSettings,
    client: kube::Client,
    data_source: watch::Receiver<Option<Arc<DataSource>>>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let access: Arc<dyn Access> = if settings.open {
        tracing::warn!("--inventory-auth-mode=disabled: any client that reaches the read API may read every row");
        Arc::new(OpenAccess)
    } else {
        Arc::new(KubernetesAccess::new(client, settings.remember))
    };
    let clock = || kollect_control::clock::timestamp().to_string();
    let settings = ReadServerSettings { address: settings.address, access, data_source, clock };
    kollect_read_api::serve(settings, stop).await.context("--inventory-http-port")
}

//! Puts the inventory read API together: where it listens, whom it asks, and what the leader holds.
//!
//! Separate from the operator's life because it listens on every replica, whoever leads.

use crate::settings::ReadApiSettings;
use anyhow::Context as _;
use kollect_read_api::{Access, Held, KubernetesAccess, Open, Settings};
use std::sync::Arc;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Serves until `stop`.
pub(crate) async fn serve(
    settings: ReadApiSettings,
    client: kube::Client,
    held: watch::Receiver<Option<Arc<Held>>>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let access: Arc<dyn Access> = if settings.open {
        tracing::warn!("--inventory-auth-mode=disabled: whoever reaches the read API may read every row");
        Arc::new(Open)
    } else {
        Arc::new(KubernetesAccess::new(client, settings.remember))
    };
    let clock = || kollect_control::clock::timestamp().to_string();
    let settings = Settings { address: settings.address, access, held, clock };
    kollect_read_api::serve(settings, stop).await.context("--inventory-http-port")
}

//! Certificates that end while specs are written.

use super::webhook_cluster::{WebhookCluster, good_profile};
use crate::test_cluster::SOON;
use anyhow::{Context as _, ensure};
use kollect_testkit::servers::wait_for;
use std::collections::BTreeSet;

#[tokio::test]
async fn no_write_is_refused_while_the_certificate_is_replaced_twice() -> anyhow::Result<()> {
    let cluster = WebhookCluster::start().await?;
    let (operator, _) = cluster.with_webhook(&["--webhook-cert-lifetime=30s"]).await?;
    let mut served = BTreeSet::new();
    let mut writes = 0_u32;
    wait_for("two more certificates", SOON * 4, async || {
        for _ in 0..5 {
            let mut profile = good_profile("steady");
            profile["metadata"]["labels"] = serde_json::json!({"write": writes.to_string()});
            // Straight out, without another try.
            cluster.apply(profile).await.with_context(|| format!("write {writes}; {}", operator.logs())).unwrap();
            writes += 1;
        }
        let data = cluster.secret().await?.and_then(|secret| secret.data).context("no Secret")?;
        served.insert(data["tls.crt"].0.clone());
        Ok(served.len() >= 3)
    })
    .await?;
    eprintln!("{writes} writes, {} certificates", served.len());
    ensure!(writes > 50, "only {writes} writes");
    Ok(())
}

//! Who makes the certificate, and that it stays trusted.

use super::caller::Caller;
use super::webhook_cluster::{CONFIGURATION, WebhookCluster, good_profile};
use crate::test_cluster::SOON;
use anyhow::{Context as _, ensure};
use kollect_testkit::servers::{Certs, free_port, wait_for};
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

#[tokio::test]
async fn two_replicas_that_start_together_agree_on_one_authority_and_both_answer() -> anyhow::Result<()> {
    let cluster = WebhookCluster::start().await?;
    let (first, second) = (free_port()?, free_port()?);
    cluster.lead_to(first).await?;
    let mut a = cluster.spawn("pod-a", first, &[])?;
    let mut b = cluster.spawn("pod-b", second, &[])?;
    a.wait_ready(SOON).await?;
    b.wait_ready(SOON).await?;
    cluster.agrees(SOON).await?;
    let ca = cluster.kept_bundle().await?;
    ensure!(ca.matches("BEGIN CERTIFICATE").count() == 1, "{ca}");
    for port in [first, second] {
        let answer = Caller::connect(port, &ca).await?.review(&good_profile("x")).await?;
        ensure!(answer["allowed"] == true, "{answer}");
    }
    Ok(())
}

#[tokio::test]
async fn a_bundle_that_another_client_changes_is_repaired_and_nothing_else_is_touched() -> anyhow::Result<()> {
    let cluster = WebhookCluster::start().await?;
    let (_operator, _) = cluster.with_webhook(&["--webhook-cert-lifetime=60s"]).await?;
    let api = cluster.configurations();
    let patch: Patch<Value> = Patch::Json(serde_json::from_value(json!([
        {"op": "remove", "path": "/webhooks/3/clientConfig/caBundle"},
        {"op": "replace", "path": "/webhooks/3/timeoutSeconds", "value": 7},
    ]))?);
    let broken = api.patch(CONFIGURATION, &PatchParams::default(), &patch).await?;
    cluster.agrees(SOON).await?;
    let repaired = api.get(CONFIGURATION).await?;
    let without = |mut found: k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration| {
        found.metadata.managed_fields = None;
        found.metadata.resource_version = None;
        found.metadata.generation = None;
        for webhook in found.webhooks.iter_mut().flatten() {
            webhook.client_config.ca_bundle = None;
        }
        found
    };
    ensure!(without(broken) == without(repaired), "something else changed");
    Ok(())
}

#[tokio::test]
async fn without_the_configuration_the_operator_warns_once_and_runs() -> anyhow::Result<()> {
    let cluster = WebhookCluster::start().await?;
    let mut operator = cluster.spawn("pod-a", free_port()?, &["--webhook-cert-lifetime=30s"])?;
    operator.wait_ready(SOON).await?;
    let warned = || operator.logs().matches("apply deploy/webhooks.yaml").count();
    wait_for("the warning", SOON, async || Ok(warned() == 1)).await?;
    // Certificates that are replaced prove that it has polled several times.
    wait_for("a rotation", SOON, async || Ok(operator.logs().matches("move on").count() >= 2)).await?;
    ensure!(warned() == 1, "warned {} times", warned());
    Ok(())
}

#[tokio::test]
async fn a_certificate_of_ones_own_is_served_and_read_again_and_nothing_is_kept_or_published() -> anyhow::Result<()> {
    let cluster = WebhookCluster::start().await?;
    let dir = tempfile::tempdir()?;
    let put = |certs: &Certs| -> anyhow::Result<()> {
        std::fs::write(dir.path().join("serving.pem"), &certs.server.cert)?;
        Ok(std::fs::write(dir.path().join("tls.key"), &certs.server.key)?)
    };
    let (old, new) = (Certs::new()?, Certs::new()?);
    put(&old)?;
    let port = free_port()?;
    cluster.lead_to(port).await?;
    let directory = format!("--webhook-cert-path={}", dir.path().display());
    let args = [directory.as_str(), "--webhook-cert-name=serving.pem", "--webhook-cert-lifetime=30s"];
    let mut operator = cluster.spawn("pod-a", port, &args)?;
    operator.wait_ready(SOON).await?;
    Caller::connect(port, &old.ca).await.context("the given certificate")?;
    put(&new)?;
    wait_for("the new certificate is served", SOON, async || Ok(Caller::connect(port, &new.ca).await.is_ok())).await?;
    ensure!(cluster.secret().await?.is_none_or(|secret| secret.data.is_none()), "it filled the Secret");
    ensure!(cluster.trusted().await?.iter().all(String::is_empty), "it wrote a caBundle");
    Ok(())
}

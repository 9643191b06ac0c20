//! What users see of reviews.

use super::webhook_cluster::{TEAM, WebhookCluster, broken_profile, good_profile};
use crate::test_cluster::SOON;
use anyhow::{Context as _, ensure};
use http::Request;
use kollect_testkit::operator::api_of;
use kollect_testkit::servers::wait_for;
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::client::Body;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

#[tokio::test]
async fn a_broken_profile_is_refused_with_the_reason_and_a_cause_for_each_field() -> anyhow::Result<()> {
    let cluster = WebhookCluster::start().await?;
    let (operator, _) = cluster.with_webhook(&[]).await?;
    let error = cluster.apply(broken_profile("broken")).await.err().context("it was stored")?;
    let Some(kube::Error::Api(status)) = error.downcast_ref() else { anyhow::bail!("{error:#}") };
    ensure!(status.code == 403, "{status:?}");
    let text = &status.message;
    ensure!(text.contains(r#"KollectProfile "broken" is invalid: spec.attributes[0].path: "#), "{text}");
    let causes = status.details.as_ref().map(|details| &details.causes).context("no details")?;
    let fields: Vec<&str> = causes.iter().map(|cause| cause.field.as_str()).collect();
    ensure!(fields == ["spec.attributes[0].path", "spec.attributes[1].path"], "{fields:?}");
    let logged = operator.logs();
    let line = logged.lines().find(|line| line.contains("refused")).context("no line about it")?;
    ensure!(line.contains("KollectProfile") && !line.contains("$.data["), "{line}");
    cluster.apply(good_profile("good")).await?;
    Ok(())
}

#[tokio::test]
async fn an_accepted_profile_comes_with_its_warnings() -> anyhow::Result<()> {
    let cluster = WebhookCluster::start().await?;
    let (_operator, _) = cluster.with_webhook(&[]).await?;
    let mut profile = good_profile("filtered");
    profile["spec"]["attributes"][0]["path"] = json!("$.spec.list[?(@.name=='a')].value");
    let path = format!("/apis/kollect.dev/v1alpha1/namespaces/{TEAM}/kollectprofiles");
    let request = Request::post(path).header("content-type", "application/json");
    let answer = cluster.client.send(request.body(Body::from(profile.to_string().into_bytes()))?).await?;
    ensure!(answer.status() == 201, "{}", answer.status());
    let warnings: Vec<&str> = answer.headers().get_all("warning").iter().filter_map(|v| v.to_str().ok()).collect();
    ensure!(warnings.len() == 2 && warnings.iter().all(|w| w.contains("spec.attributes[0].path")), "{warnings:?}");
    ensure!(warnings[0].contains("prefer CEL") && warnings[1].contains("never have this place"), "{warnings:?}");
    Ok(())
}

#[tokio::test]
async fn while_the_webhook_is_dead_finalizers_go_and_new_specs_are_refused() -> anyhow::Result<()> {
    let cluster = WebhookCluster::start().await?;
    let (operator, _) = cluster.with_webhook(&[]).await?;
    let mut profile = good_profile("going");
    profile["metadata"]["finalizers"] = json!(["example.com/wait"]);
    cluster.apply(profile.clone()).await?;
    drop(operator);
    let api = api_of(&cluster.client, &profile);
    api.delete("going", &DeleteParams::default()).await?;
    ensure!(cluster.apply(good_profile("new")).await.is_err(), "stored without a review");
    let patch: Patch<Value> = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    api.patch("going", &PatchParams::default(), &patch).await.context("removing the finalizer")?;
    wait_for("the profile gone", SOON, async || Ok(api.get_opt("going").await?.is_none())).await
}

#[tokio::test]
async fn an_operator_without_webhook_fills_no_secret_and_is_ready() -> anyhow::Result<()> {
    let cluster = WebhookCluster::start().await?;
    let mut operator = cluster.spawn("pod-a", 1, &["--validating-webhooks-enabled=false"])?;
    operator.wait_ready(SOON).await?;
    ensure!(cluster.secret().await?.is_none_or(|secret| secret.data.is_none()), "it filled the Secret");
    Ok(())
}

#[tokio::test]
async fn a_termination_lets_running_reviews_end_and_is_prompt() -> anyhow::Result<()> {
    let cluster = WebhookCluster::start().await?;
    let (mut operator, _) = cluster.with_webhook(&[]).await?;
    let begun = Instant::now();
    let status = operator.terminate(Duration::from_secs(8)).await?;
    ensure!(status.success() && begun.elapsed() < Duration::from_secs(5), "{status} after {:?}", begun.elapsed());
    Ok(())
}

//! A right is taken away under an open watch, and given back, while the operator runs.

use crate::stage::{Running, SOON, Stage, message};
use anyhow::ensure;
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kollect_testkit::fault_proxy::{HttpAction, HttpProxy, HttpRule};
use kollect_testkit::servers::wait_for;
use kollect_testkit::{operator, scene};
use kube::api::{Api, PostParams};
use serde_json::json;
use std::collections::BTreeMap;

const TEAM: &str = "team";
const CLOSED: &str = "namespaces/closed/configmaps";
const HEALTHY: [&str; 3] = ["Ready=True/Collecting", "Synced=True/Collecting", "!Degraded"];
const DENIED: [&str; 3] = ["Ready=True/Collecting", "Synced=True/ScopeForbidden", "Degraded=True/Forbidden"];

/// Two namespaces with rights in both, collected through a proxy that can cut a watch.
async fn start() -> anyhow::Result<(Stage, HttpProxy, Running)> {
    let stage = Stage::start().await?;
    stage.namespace_with("open", &["a", "b"]).await?;
    stage.namespace_with("closed", &["c", "d", "e"]).await?;
    stage.pipeline(TEAM, &["open", "closed"]).await?;
    stage.grant_in("open").await?;
    stage.grant_in("closed").await?;
    let proxy = HttpProxy::start(&stage.api).await?;
    let mut operator = stage.spawn_through(&proxy)?;
    operator.wait_ready(SOON).await?;
    stage.rows_become(TEAM, "all", &["open/a", "open/b", "closed/c", "closed/d", "closed/e"]).await?;
    stage.target_shows(TEAM, &HEALTHY).await?;
    Ok((stage, proxy, operator))
}

/// Takes the right away and waits until the API server has noticed, then cuts the watch, which would live on.
async fn revoke_and_cut(stage: &Stage, proxy: &HttpProxy) -> anyhow::Result<()> {
    stage.revoke_in("closed").await?;
    let attributes = ResourceAttributes {
        resource: Some("configmaps".to_owned()),
        verb: Some("watch".to_owned()),
        namespace: Some("closed".to_owned()),
        ..ResourceAttributes::default()
    };
    let user = Some(operator::USER.to_owned());
    let spec = SubjectAccessReviewSpec { user, resource_attributes: Some(attributes), ..Default::default() };
    let review = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
    let reviews: Api<SubjectAccessReview> = Api::all(stage.client.clone());
    wait_for("the right is gone", SOON, async || {
        let answer = reviews.create(&PostParams::default(), &review).await?;
        Ok(answer.status.is_some_and(|status| !status.allowed))
    })
    .await?;
    proxy.forget_requests();
    let cut = proxy.add(HttpRule::new([CLOSED], HttpAction::Reset));
    wait_for("the operator opens the watch again", SOON, async || {
        Ok(proxy.requests().iter().any(|request| request.uri.contains(CLOSED)))
    })
    .await?;
    proxy.remove(cut);
    Ok(())
}

/// What each row says.
async fn values(stage: &Stage) -> anyhow::Result<BTreeMap<String, String>> {
    let sql = format!("SELECT payload->>'name', payload->'attributes'->>'value' FROM {}", scene::TABLE);
    let rows = stage.database().await?.query(&sql, &[]).await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

async fn value_becomes(stage: &Stage, map: &str, wanted: &str) -> anyhow::Result<()> {
    wait_for(&format!("the row of {map} says {wanted}"), SOON, async || {
        Ok(values(stage).await?.get(map).is_some_and(|value| value == wanted))
    })
    .await
}

/// The rest of the namespaces goes on, and what nobody may see stays as it was.
async fn denied_but_not_lost(stage: &Stage) -> anyhow::Result<()> {
    let why = message(&stage.target_shows(TEAM, &DENIED).await?, "Degraded");
    ensure!(why.contains("closed") && why.contains("ConfigMap") && !why.contains("open,"), "{why}");
    wait_for("an event about it", SOON, async || {
        let events = stage.events(TEAM, "maps").await?;
        Ok(events.iter().any(|(reason, note)| reason == "Forbidden" && note.contains("closed")))
    })
    .await?;
    stage.delete("ConfigMap", "closed", "c").await?;
    stage.patch("ConfigMap", "closed", "d", json!({"data": {"value": "second"}})).await?;
    stage.apply([scene::config_map("closed", "f", "first", 0)]).await?;
    stage.patch("ConfigMap", "open", "b", json!({"data": {"value": "second"}})).await?;
    stage.delete("ConfigMap", "open", "a").await?;
    stage.rows_become(TEAM, "all", &["open/b", "closed/c", "closed/d", "closed/e"]).await?;
    value_becomes(stage, "b", "second").await?;
    ensure!(values(stage).await?["d"] == "first", "the operator saw what it may not see");
    stage.inventory_shows(TEAM, &["Ready=True/Exported", "Synced=True/Exported", "!Degraded"]).await?;
    Ok(())
}

async fn recovered(stage: &Stage, operator: &mut Running) -> anyhow::Result<()> {
    stage.target_shows(TEAM, &HEALTHY).await?;
    stage.rows_become(TEAM, "all", &["open/b", "closed/d", "closed/e", "closed/f"]).await?;
    value_becomes(stage, "d", "second").await?;
    stage.inventory_shows(TEAM, &["Ready=True/Exported", "Synced=True/Exported", "!Degraded"]).await?;
    // Followed again, not only listed once.
    stage.delete("ConfigMap", "closed", "e").await?;
    stage.rows_become(TEAM, "all", &["open/b", "closed/d", "closed/f"]).await?;
    ensure!(operator.exited()?.is_none(), "it must not restart for this");
    Ok(())
}

#[tokio::test]
async fn a_right_taken_away_under_an_open_watch_keeps_the_rows_and_given_back_brings_the_deletions()
-> anyhow::Result<()> {
    let (stage, proxy, mut operator) = start().await?;
    revoke_and_cut(&stage, &proxy).await?;
    denied_but_not_lost(&stage).await?;
    stage.grant_in("closed").await?;
    recovered(&stage, &mut operator).await
}

#[tokio::test]
async fn a_right_given_back_after_the_history_is_gone_brings_the_deletions_by_a_list() -> anyhow::Result<()> {
    let (stage, proxy, mut operator) = start().await?;
    revoke_and_cut(&stage, &proxy).await?;
    denied_but_not_lost(&stage).await?;
    // What the API server answers to a version that it has compacted. A list names none.
    proxy.add(HttpRule::new([CLOSED, "resourceVersion="], HttpAction::Answer(410)));
    proxy.forget_requests();
    stage.grant_in("closed").await?;
    wait_for("the old position is refused", SOON, async || {
        Ok(proxy.requests().iter().any(|request| request.uri.contains(CLOSED) && request.status == 410))
    })
    .await?;
    recovered(&stage, &mut operator).await
}

//! A right is taken away under an open watch, and given back, while the operator runs.

use crate::test_cluster::{Running, SOON, TestCluster, message};
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
async fn start() -> anyhow::Result<(TestCluster, HttpProxy, Running)> {
    let cluster = TestCluster::start().await?;
    cluster.namespace_with("open", &["a", "b"]).await?;
    cluster.namespace_with("closed", &["c", "d", "e"]).await?;
    cluster.pipeline(TEAM, &["open", "closed"]).await?;
    cluster.grant_in("open").await?;
    cluster.grant_in("closed").await?;
    let proxy = HttpProxy::start(&cluster.api).await?;
    let mut operator = cluster.spawn_through(&proxy)?;
    operator.wait_ready(SOON).await?;
    cluster.rows_become(TEAM, "all", &["open/a", "open/b", "closed/c", "closed/d", "closed/e"]).await?;
    cluster.target_shows(TEAM, &HEALTHY).await?;
    Ok((cluster, proxy, operator))
}

/// Takes the right away and waits until the API server has noticed, then cuts the watch, which would live on.
async fn revoke_and_cut(cluster: &TestCluster, proxy: &HttpProxy) -> anyhow::Result<()> {
    cluster.revoke_in("closed").await?;
    let attributes = ResourceAttributes {
        resource: Some("configmaps".to_owned()),
        verb: Some("watch".to_owned()),
        namespace: Some("closed".to_owned()),
        ..ResourceAttributes::default()
    };
    let user = Some(operator::USER.to_owned());
    let spec = SubjectAccessReviewSpec { user, resource_attributes: Some(attributes), ..Default::default() };
    let review = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
    let reviews: Api<SubjectAccessReview> = Api::all(cluster.client.clone());
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

/// The value of each row.
async fn values(cluster: &TestCluster) -> anyhow::Result<BTreeMap<String, String>> {
    let sql = format!("SELECT payload->>'name', payload->'attributes'->>'value' FROM {}", scene::TABLE);
    let rows = cluster.database().await?.query(&sql, &[]).await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

async fn value_becomes(cluster: &TestCluster, map: &str, wanted: &str) -> anyhow::Result<()> {
    wait_for(&format!("the row of {map} has {wanted}"), SOON, async || {
        Ok(values(cluster).await?.get(map).is_some_and(|value| value == wanted))
    })
    .await
}

/// The other namespaces go on, and the rows of the denied one stay.
async fn denied_but_not_lost(cluster: &TestCluster) -> anyhow::Result<()> {
    let why = message(&cluster.target_shows(TEAM, &DENIED).await?, "Degraded");
    ensure!(why.contains("closed") && why.contains("ConfigMap") && !why.contains("open,"), "{why}");
    wait_for("an event about it", SOON, async || {
        let events = cluster.events(TEAM, "maps").await?;
        Ok(events.iter().any(|(reason, note)| reason == "Forbidden" && note.contains("closed")))
    })
    .await?;
    cluster.delete("ConfigMap", "closed", "c").await?;
    cluster.patch("ConfigMap", "closed", "d", json!({"data": {"value": "second"}})).await?;
    cluster.apply([scene::config_map("closed", "f", "first", 0)]).await?;
    cluster.patch("ConfigMap", "open", "b", json!({"data": {"value": "second"}})).await?;
    cluster.delete("ConfigMap", "open", "a").await?;
    cluster.rows_become(TEAM, "all", &["open/b", "closed/c", "closed/d", "closed/e"]).await?;
    value_becomes(cluster, "b", "second").await?;
    ensure!(values(cluster).await?["d"] == "first", "the operator saw what it may not see");
    cluster.inventory_shows(TEAM, &["Ready=True/Exported", "Synced=True/Exported", "!Degraded"]).await?;
    Ok(())
}

async fn recovered(cluster: &TestCluster, operator: &mut Running) -> anyhow::Result<()> {
    cluster.target_shows(TEAM, &HEALTHY).await?;
    cluster.rows_become(TEAM, "all", &["open/b", "closed/d", "closed/e", "closed/f"]).await?;
    value_becomes(cluster, "d", "second").await?;
    cluster.inventory_shows(TEAM, &["Ready=True/Exported", "Synced=True/Exported", "!Degraded"]).await?;
    // Followed again, not only listed once.
    cluster.delete("ConfigMap", "closed", "e").await?;
    cluster.rows_become(TEAM, "all", &["open/b", "closed/d", "closed/f"]).await?;
    ensure!(operator.exited()?.is_none(), "it must not restart for this");
    Ok(())
}

#[tokio::test]
async fn a_right_taken_away_under_an_open_watch_keeps_the_rows_and_given_back_brings_the_deletions()
-> anyhow::Result<()> {
    let (cluster, proxy, mut operator) = start().await?;
    revoke_and_cut(&cluster, &proxy).await?;
    denied_but_not_lost(&cluster).await?;
    cluster.grant_in("closed").await?;
    recovered(&cluster, &mut operator).await
}

#[tokio::test]
async fn a_right_given_back_after_the_history_is_gone_brings_the_deletions_by_a_list() -> anyhow::Result<()> {
    let (cluster, proxy, mut operator) = start().await?;
    revoke_and_cut(&cluster, &proxy).await?;
    denied_but_not_lost(&cluster).await?;
    // What the API server answers to a version that it has compacted. A list names none.
    proxy.add(HttpRule::new([CLOSED, "resourceVersion="], HttpAction::Answer(410)));
    proxy.forget_requests();
    cluster.grant_in("closed").await?;
    wait_for("the old position is refused", SOON, async || {
        Ok(proxy.requests().iter().any(|request| request.uri.contains(CLOSED) && request.status == 410))
    })
    .await?;
    recovered(&cluster, &mut operator).await
}

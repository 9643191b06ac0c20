//! The operator of one team, with the rights of `deploy/tenant-role.yaml` and no cluster-wide right at all.

use crate::test_cluster::{Running, SOON, TestCluster, map_profile, message};
use anyhow::{Context as _, ensure};
use kollect_testkit::servers::{AuditEntry, wait_for};
use kollect_testkit::{operator, scene, tenant};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

const TEAM: &str = "team";
const LEASE: &str = "3274ac8a.kollect.dev";
const ARGS: [&str; 2] = ["--tenant-mode", "--watch-namespaces=team"];
const HEALTHY: [&str; 3] = ["Ready=True/Collecting", "Synced=True/Collecting", "!Degraded"];
/// Requests are counted for so long once nothing changes any more.
const STEADY: Duration = Duration::from_secs(20);
/// More denied requests than this in [`STEADY`] are a loop.
const MOST_DENIED: usize = 20;

/// A team with ConfigMaps, its pipeline, and a namespace beside it.
async fn start(maps: &[&str]) -> anyhow::Result<TestCluster> {
    let cluster = TestCluster::of_tenant(TEAM, &tenant::role(TEAM)?).await?;
    cluster.namespace_with(TEAM, maps).await?;
    cluster.namespace_with("other", &["foreign"]).await?;
    cluster.pipeline(TEAM, &[]).await?;
    Ok(cluster)
}

/// A target of ConfigMaps whose spec has these fields too.
fn target(name: &str, more: &Value) -> Value {
    let mut target = scene::target(TEAM, name, "maps", &[]);
    for (key, value) in more.as_object().into_iter().flatten() {
        target["spec"][key] = value.clone();
    }
    target
}

fn denied(requests: &[AuditEntry]) -> Vec<String> {
    // A watch of a sink's Secret is tried; where only get is granted, as here, the Secret is read again instead.
    let tried = |request: &AuditEntry| request.resource == "secrets" && request.verb == "list";
    let denied = requests.iter().filter(|request| request.status == 403 && !tried(request));
    denied.map(|request| format!("{} {}", request.verb, request.uri)).collect()
}

/// Nothing but discovery and questions about its own rights may work outside of the team's namespace.
fn ensure_confined(requests: &[AuditEntry]) -> anyhow::Result<()> {
    let outside = requests.iter().filter(|request| {
        let own = request.namespace == TEAM || (request.resource == "namespaces" && request.name == TEAM);
        !own && !request.resource.is_empty() && request.resource != "selfsubjectaccessreviews" && request.status < 400
    });
    let outside: Vec<String> = outside.map(|request| format!("{} {}", request.verb, request.uri)).collect();
    ensure!(outside.is_empty(), "the operator of {TEAM} used rights outside of it: {outside:#?}");
    Ok(())
}

async fn finalizers(cluster: &TestCluster, kind: &str, name: &str) -> anyhow::Result<Vec<String>> {
    let object = cluster.objects(kind, TEAM).get(name).await?;
    Ok(object.metadata.finalizers.unwrap_or_default())
}

async fn lease_holder(cluster: &TestCluster) -> anyhow::Result<String> {
    let lease = cluster.objects("Lease", TEAM).get(LEASE).await?;
    Ok(lease.data["spec"]["holderIdentity"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn a_team_collects_and_exports_its_namespace_without_any_cluster_wide_right() -> anyhow::Result<()> {
    let cluster = start(&["one", "two", "three"]).await?;
    let mut operator = cluster.operator_with(&ARGS).await?;
    cluster.rows_become(TEAM, "all", &["team/one", "team/two", "team/three"]).await?;
    ensure!(!lease_holder(&cluster).await?.is_empty(), "the operator leads without its Lease");

    changes_and_deletions_flow(&cluster).await?;
    cluster.target_shows(TEAM, &HEALTHY).await?;
    cluster.inventory_shows(TEAM, &["Ready=True/Exported", "Synced=True/Exported", "!Degraded"]).await?;
    cluster.shows("KollectProfile", TEAM, "maps", &["Ready=True/Compiled"]).await?;
    cluster.shows("KollectDatabaseSink", TEAM, "pg", &["Ready=True/ConnectionOK", "!Degraded"]).await?;
    for kind in ["KollectTarget", "KollectInventory"] {
        let name = if kind == "KollectTarget" { "maps" } else { "all" };
        ensure!(!finalizers(&cluster, kind, name).await?.is_empty(), "{kind} has no finalizer");
    }
    // A fault and its end, so that events are written.
    cluster
        .patch("KollectProfile", TEAM, "maps", json!({"spec": {"attributes": [{"name": "x", "path": "$["}]}}))
        .await?;
    cluster.target_shows(TEAM, &["Degraded=True/InvalidPath"]).await?;
    wait_for("an event about it", SOON, async || Ok(!cluster.events(TEAM, "maps").await?.is_empty())).await?;
    let repaired = json!({"spec": {"attributes": map_profile(TEAM)["spec"]["attributes"]}});
    cluster.patch("KollectProfile", TEAM, "maps", repaired).await?;
    cluster.target_shows(TEAM, &HEALTHY).await?;

    // The rows leave with the inventory, which waits for that.
    cluster.delete("KollectInventory", TEAM, "all").await?;
    cluster.gone("KollectInventory", TEAM, "all").await?;
    ensure!(cluster.rows(TEAM, "all").await?.is_empty(), "rows of a deleted inventory");
    cluster.delete("KollectTarget", TEAM, "maps").await?;
    cluster.gone("KollectTarget", TEAM, "maps").await?;
    operator.terminate(Duration::from_secs(8)).await?;
    ensure!(lease_holder(&cluster).await?.is_empty(), "the Lease was not released");

    let requests = cluster.requests(0)?.0;
    ensure_confined(&requests)?;
    let denied = denied(&requests);
    ensure!(denied.is_empty(), "deploy/tenant-role.yaml lacks something that is asked for: {denied:#?}");
    Ok(())
}

async fn changes_and_deletions_flow(cluster: &TestCluster) -> anyhow::Result<()> {
    cluster.patch("ConfigMap", TEAM, "one", json!({"data": {"value": "second"}})).await?;
    value_becomes(cluster, "maps", "one", "second").await?;
    cluster.delete("ConfigMap", TEAM, "two").await?;
    cluster.rows_become(TEAM, "all", &["team/one", "team/three"]).await?;
    cluster.apply([scene::config_map(TEAM, "four", "first", 0)]).await?;
    cluster.rows_become(TEAM, "all", &["team/one", "team/three", "team/four"]).await
}

async fn value_becomes(cluster: &TestCluster, target: &str, map: &str, wanted: &str) -> anyhow::Result<()> {
    wait_for(&format!("the row of {map} has {wanted}"), SOON, async || {
        Ok(value(cluster, target, map).await?.as_deref() == Some(wanted))
    })
    .await
}

/// The value in the row of a ConfigMap of the team; `None` without a row.
async fn value(cluster: &TestCluster, target: &str, map: &str) -> anyhow::Result<Option<String>> {
    let sql = format!(
        "SELECT payload->'attributes'->>'value' FROM {} WHERE target_name = $1 AND payload->>'name' = $2",
        scene::TABLE
    );
    let row = cluster.database().await?.query_opt(&sql, &[&target, &map]).await?;
    Ok(row.map(|row| row.get(0)))
}

#[tokio::test]
async fn a_team_reaches_no_other_namespace_without_a_scope_and_its_targets_report_it() -> anyhow::Result<()> {
    let cluster = start(&["one"]).await?;
    let by_name = json!({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "other"}}});
    let by_label = json!({"namespaceSelector": {"matchLabels": {"kollect-test": "true"}}});
    cluster
        .apply([
            target("included", &json!({"includedNamespaces": ["other"]})),
            target("partly", &json!({"includedNamespaces": ["other", TEAM]})),
            target("by-name", &by_name),
            target("by-label", &by_label),
        ])
        .await?;
    let mut operator = cluster.operator_with(&ARGS).await?;
    cluster.shows("KollectTarget", TEAM, "by-label", &HEALTHY).await?;
    let status = cluster.shows("KollectTarget", TEAM, "by-name", &HEALTHY).await?;
    let why = message(&status, "Ready");
    ensure!(why.contains("selects none") && why.contains(TEAM), "an empty target lacks the cause: {why}");
    outside_is_denied(&cluster).await?;
    cluster.rows_become(TEAM, "all", &["team/one"]).await?;
    ensure_confined(&cluster.requests(0)?.0)?;
    operator.terminate(Duration::from_secs(8)).await?;

    // The boundary is the team's, not only what the operator may read: with rights in both it holds as well.
    let role = tenant::role("other")?;
    operator::apply_yaml(
        &cluster.client,
        &role.replace("Account\n    namespace: other", "Account\n    namespace: team"),
    )
    .await?;
    let _operator = cluster.operator_with(&["--tenant-mode", "--watch-namespaces=team,other"]).await?;
    cluster.apply([scene::config_map(TEAM, "two", "first", 0)]).await?;
    cluster.rows_become(TEAM, "all", &["team/one", "team/two"]).await?;
    outside_is_denied(&cluster).await?;
    let why = message(
        &cluster.shows("KollectTarget", TEAM, "by-name", &["Degraded=True/ScopeNamespaceDenied"]).await?,
        "Ready",
    );
    ensure!(why.contains("other") && why.contains("KollectScope"), "{why}");
    let status = cluster.shows("KollectTarget", TEAM, "by-label", &HEALTHY).await?;
    ensure!(status["effectiveNamespaces"] == json!([TEAM]), "{status:#}");

    // A KollectScope in the team's namespace widens it, and narrows it again.
    let scope = json!({
        "apiVersion": "kollect.dev/v1alpha1", "kind": "KollectScope",
        "metadata": {"namespace": TEAM, "name": "wide"}, "spec": {"allowedNamespaces": [TEAM, "other"]},
    });
    cluster.apply([scope]).await?;
    cluster.rows_become(TEAM, "all", &["team/one", "team/two", "other/foreign"]).await?;
    cluster.delete("KollectScope", TEAM, "wide").await?;
    outside_is_denied(&cluster).await?;
    cluster.rows_become(TEAM, "all", &["team/one", "team/two"]).await
}

async fn outside_is_denied(cluster: &TestCluster) -> anyhow::Result<()> {
    let why = "ScopeNamespaceDenied";
    let wanted = ["Ready=False", "Synced=False", "Degraded=True"].map(|part| format!("{part}/{why}"));
    let wanted: Vec<&str> = wanted.iter().map(String::as_str).collect();
    for name in ["included", "partly"] {
        let why = message(&cluster.shows("KollectTarget", TEAM, name, &wanted).await?, "Degraded");
        ensure!(why.contains("other") && why.contains("KollectScope"), "{name}: {why}");
    }
    Ok(())
}

#[tokio::test]
async fn what_a_team_may_not_read_is_not_asked_for_over_and_over() -> anyhow::Result<()> {
    let cluster = start(&["one"]).await?;
    let rules = rules(&cluster).await?;
    set_rules(&cluster, &rules_without(&rules, "namespaces")).await?;
    let kinds = [("sets", "apps/v1", "ReplicaSet"), ("nodes", "v1", "Node"), ("gadgets", "example.org/v1", "Gadget")];
    for (name, api_version, kind) in kinds {
        cluster.apply([scene::profile(TEAM, name, api_version, kind, &[("name", "$.metadata.name")])]).await?;
        cluster.apply([scene::target(TEAM, name, name, &[])]).await?;
    }
    let by_label = json!({"namespaceSelector": {"matchLabels": {"environment": "production"}}});
    cluster.apply([target("by-label", &by_label)]).await?;
    let operator = cluster.operator_with(&ARGS).await?;
    cluster.shows("KollectTarget", TEAM, "sets", &["Degraded=True/Forbidden"]).await?;
    cluster.shows("KollectTarget", TEAM, "by-label", &["Degraded=True/Forbidden"]).await?;
    cluster.shows("KollectTarget", TEAM, "gadgets", &["Degraded=True/InformerRegistrationFailed"]).await?;
    cluster.rows_become(TEAM, "all", &["team/one"]).await?;
    cluster.inventory_shows(TEAM, &["Ready=True/Exported"]).await?;

    let (_, from) = cluster.requests(0)?;
    // Not to wait for something, but to have a time in which to count.
    sleep_until(Instant::now() + STEADY).await;
    let all = cluster.requests(0)?.0;
    ensure_confined(&all)?;
    let steady = cluster.requests(from)?.0;
    let denied = denied(&steady);
    eprintln!("{} requests in {STEADY:?}, {} of them denied", steady.len(), denied.len());
    ensure!(denied.len() <= MOST_DENIED, "denied over and over: {denied:#?}");
    ensure!(steady.len() <= 3 * MOST_DENIED, "the operator does not come to rest: {steady:#?}");
    ensure!(operator.metric("kollect_reconcile_errors_total").await? > 0.0, "denials are not counted");
    Ok(())
}

/// The rules of the operator's Role.
async fn rules(cluster: &TestCluster) -> anyhow::Result<Vec<Value>> {
    let role = cluster.objects("Role", TEAM).get("kollect-manager").await?;
    role.data["rules"].as_array().cloned().context("a Role without rules")
}

fn rules_without(rules: &[Value], resource: &str) -> Vec<Value> {
    rules.iter().filter(|rule| rule["resources"] != json!([resource])).cloned().collect()
}

async fn set_rules(cluster: &TestCluster, rules: &[Value]) -> anyhow::Result<()> {
    cluster.patch("Role", TEAM, "kollect-manager", json!({"rules": rules})).await
}

#[tokio::test]
async fn a_selector_on_labels_that_may_not_be_read_degrades_the_target_and_keeps_its_rows() -> anyhow::Result<()> {
    let cluster = start(&["one", "two"]).await?;
    let production = json!({"matchLabels": {"environment": "production"}});
    let own = json!({"matchLabels": {"kubernetes.io/metadata.name": TEAM}});
    cluster.patch("Namespace", "", TEAM, json!({"metadata": {"labels": {"environment": "production"}}})).await?;
    cluster
        .apply([
            target("maps", &json!({"namespaceSelector": production, "names": ["one"]})),
            target("named", &json!({"namespaceSelector": own, "names": ["two"]})),
        ])
        .await?;
    let mut operator = cluster.operator_with(&ARGS).await?;
    cluster.rows_become(TEAM, "all", &["team/one", "team/two"]).await?;
    cluster.target_shows(TEAM, &HEALTHY).await?;
    operator.terminate(Duration::from_secs(8)).await?;

    let rules = rules(&cluster).await?;
    set_rules(&cluster, &rules_without(&rules, "namespaces")).await?;
    let mut operator = cluster.operator_with(&ARGS).await?;
    let unknown = ["Ready=False/Forbidden", "Synced=False/Forbidden", "Degraded=True/Forbidden"];
    let why = message(&cluster.target_shows(TEAM, &unknown).await?, "Degraded");
    ensure!(why.contains("labels") && why.contains(TEAM) && why.contains("get"), "{why}");
    // The name is known, so a selector on it goes on, and what it brings is exported beside the rows that stay.
    cluster.patch("ConfigMap", TEAM, "one", json!({"data": {"value": "unseen"}})).await?;
    cluster.patch("ConfigMap", TEAM, "two", json!({"data": {"value": "seen"}})).await?;
    cluster.shows("KollectTarget", TEAM, "named", &HEALTHY).await?;
    value_becomes(&cluster, "named", "two", "seen").await?;
    ensure!(value(&cluster, "maps", "one").await?.as_deref() == Some("first"), "a row of unknown state was touched");

    set_rules(&cluster, &rules).await?;
    recovers(&cluster, &mut operator).await
}

/// Labels are polled once a minute.
async fn recovers(cluster: &TestCluster, operator: &mut Running) -> anyhow::Result<()> {
    wait_for("the row is up to date again", Duration::from_secs(90), async || {
        Ok(value(cluster, "maps", "one").await?.as_deref() == Some("unseen"))
    })
    .await?;
    cluster.target_shows(TEAM, &HEALTHY).await?;
    ensure!(operator.exited()?.is_none(), "it must not restart for this");
    Ok(())
}

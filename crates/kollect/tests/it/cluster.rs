//! Cluster targets, cluster inventories and cluster scopes: rows of many namespaces in one place.

use crate::test_cluster::{SOON, TestCluster, message, sink_export};
use anyhow::ensure;
use kollect_testkit::scene;
use kollect_testkit::servers::wait_for;
use serde_json::{Value, json};

/// Namespace of the profile; the sink is in `kollect-system`, where references without a namespace lead.
const PLATFORM: &str = "platform";
const EXPORTED: [&str; 4] =
    ["Ready=True/Exported", "Synced=True/Exported", "!Degraded", "ExportSucceeded=True/Exported"];

fn namespace(name: &str, team: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {"team": team}}})
}

fn object(kind: &str, name: &str, spec: &Value) -> Value {
    json!({"apiVersion": "kollect.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec})
}

/// `base` with the members of `more`.
fn with(mut base: Value, more: &Value) -> Value {
    for (key, value) in more.as_object().into_iter().flatten() {
        base[key] = value.clone();
    }
    base
}

fn cluster_target(name: &str, more: &Value) -> Value {
    let spec = json!({
        "profileRef": {"name": "maps", "namespace": PLATFORM},
        "namespaceSelector": {"matchExpressions": [{"key": "team", "operator": "Exists"}]},
    });
    object("KollectClusterTarget", name, &with(spec, more))
}

fn cluster_inventory(name: &str, more: &Value) -> Value {
    let spec = json!({
        "namespaceSelector": {"matchLabels": {"team": "blue"}},
        "databaseSinkRefs": ["pg"], "exportMinInterval": "0s",
    });
    object("KollectClusterInventory", name, &with(spec, more))
}

/// Namespaces `one` and `two` of team blue and `three` of team red, each with ConfigMap `m`, rolled up into Postgres.
async fn rolled_up() -> anyhow::Result<TestCluster> {
    let cluster = TestCluster::start().await?;
    cluster.grant_everywhere().await?;
    for (name, team) in [("one", "blue"), ("two", "blue"), ("three", "red")] {
        cluster.apply([namespace(name, team), scene::config_map(name, "m", "first", 0)]).await?;
    }
    cluster.apply([scene::namespace(PLATFORM), crate::test_cluster::map_profile(PLATFORM)]).await?;
    cluster.apply(cluster.postgres_sink("kollect-system", "pg")).await?;
    cluster.apply([cluster_target("maps", &json!({})), cluster_inventory("all", &json!({}))]).await?;
    Ok(cluster)
}

async fn rows(cluster: &TestCluster, wanted: &[&str]) -> anyhow::Result<()> {
    cluster.rows_become("cluster", "all", wanted).await
}

async fn relabel(cluster: &TestCluster, name: &str, team: &str) -> anyhow::Result<()> {
    cluster.patch("Namespace", "", name, json!({"metadata": {"labels": {"team": team}}})).await
}

#[tokio::test]
async fn a_cluster_inventory_has_the_rows_of_the_namespaces_it_selects() -> anyhow::Result<()> {
    let cluster = rolled_up().await?;
    let _operator = cluster.operator().await?;
    rows(&cluster, &["one/m", "two/m"]).await?;
    cluster.shows("KollectClusterInventory", "", "all", &EXPORTED).await?;
    let mut status = Value::Null;
    wait_for("both namespaces are counted", SOON, async || {
        status = cluster.status("KollectClusterInventory", "", "all").await?;
        Ok(status["namespaceShardCount"] == 2)
    })
    .await?;
    ensure!(status["itemCount"] == 2 && status["targetCount"] == 1 && status["sinksSummary"] == "1/1", "{status:#}");
    ensure!(status["namespaceShards"][0]["namespace"] == "one", "{status:#}");
    ensure!(status["namespaceShards"][0]["checksum"].as_str().is_some_and(|c| c.len() == 64), "{status:#}");
    let entry = sink_export(&status, "database/pg").expect("an entry");
    ensure!(entry["namespace"] == "kollect-system", "{entry:#}");
    let target = ["Ready=True/Collecting", "!Degraded", "!SinkReachable"];
    let status = cluster.shows("KollectClusterTarget", "", "maps", &target).await?;
    ensure!(status["effectiveNamespaces"] == json!(["one", "three", "two"]), "{status:#}");

    // The targets of a namespace and the cluster targets keep their rows apart.
    cluster.apply(cluster.postgres_sink("one", "pg")).await?;
    cluster.apply([scene::inventory("one", "own", None, Some("pg"), "0s")]).await?;
    let status = cluster.shows("KollectInventory", "one", "own", &["Ready=True/Exported"]).await?;
    ensure!(status["itemCount"] == 0, "{status:#}");

    relabel(&cluster, "three", "blue").await?;
    rows(&cluster, &["one/m", "two/m", "three/m"]).await?;
    relabel(&cluster, "two", "red").await?;
    rows(&cluster, &["one/m", "three/m"]).await?;
    cluster.delete("ConfigMap", "one", "m").await?;
    rows(&cluster, &["three/m"]).await?;

    cluster.delete("KollectClusterInventory", "", "all").await?;
    cluster.gone("KollectClusterInventory", "", "all").await?;
    rows(&cluster, &[]).await?;
    cluster.delete("KollectClusterTarget", "", "maps").await?;
    cluster.gone("KollectClusterTarget", "", "maps").await
}

#[tokio::test]
async fn a_cluster_scope_narrows_namespaces_and_denies_kinds_and_sinks() -> anyhow::Result<()> {
    let cluster = rolled_up().await?;
    let _operator = cluster.operator().await?;
    rows(&cluster, &["one/m", "two/m"]).await?;
    let scope = |spec: Value| object("KollectClusterScope", "ceiling", &spec);
    cluster.apply([scope(json!({"deniedNamespaces": ["one"]}))]).await?;
    rows(&cluster, &["two/m"]).await?;
    cluster.shows("KollectClusterScope", "", "ceiling", &["Ready=True/Enforced"]).await?;
    cluster.apply([object("KollectClusterScope", "later", &json!({}))]).await?;
    cluster.shows("KollectClusterScope", "", "later", &["Ready=True/Enforced"]).await?;

    cluster.apply([scope(json!({"databaseSinkRefs": ["other"]}))]).await?;
    let denied = ["Ready=False/ScopeSinkDenied", "Degraded=True/ScopeSinkDenied"];
    cluster.shows("KollectClusterInventory", "", "all", &denied).await?;
    cluster.apply([scope(json!({"allowedStaticRefNamespaces": [PLATFORM]}))]).await?;
    let denied = ["Ready=False/SinkNamespaceDenied", "Degraded=True/SinkNamespaceDenied"];
    cluster.shows("KollectClusterInventory", "", "all", &denied).await?;
    rows(&cluster, &["two/m"]).await?;

    cluster.apply([scope(json!({"allowedGVKs": [{"group": "apps", "version": "v1", "kind": "Deployment"}]}))]).await?;
    cluster.shows("KollectClusterTarget", "", "maps", &["Ready=False/ScopeGVKDenied"]).await?;
    rows(&cluster, &[]).await?;
    cluster.delete("KollectClusterScope", "", "ceiling").await?;
    rows(&cluster, &["one/m", "two/m"]).await
}

#[tokio::test]
async fn a_cluster_target_without_its_profile_is_named_and_its_rows_stay() -> anyhow::Result<()> {
    let cluster = rolled_up().await?;
    let more = json!({"includedNamespaces": ["two"]});
    cluster.apply([cluster_target("again", &more)]).await?;
    {
        let _operator = cluster.operator().await?;
        rows_of(&cluster, &[("again", "two"), ("maps", "one"), ("maps", "two")]).await?;
        cluster.shows("KollectClusterInventory", "", "all", &EXPORTED).await?;
    }
    // Two profiles, so that one target goes on.
    cluster.apply([scene::profile(PLATFORM, "other", "v1", "ConfigMap", &[("value", "$.data.value")])]).await?;
    let reference = json!({"spec": {"profileRef": {"name": "other"}}});
    cluster.patch("KollectClusterTarget", "", "again", reference).await?;
    cluster.delete("KollectProfile", PLATFORM, "maps").await?;
    cluster.apply([scene::config_map("two", "n", "first", 0)]).await?;
    let _operator = cluster.operator().await?;
    cluster.shows("KollectClusterTarget", "", "maps", &["Ready=False/ProfileNotFound"]).await?;
    let wanted = ["Ready=True/Exported", "Degraded=True/TargetDegraded"];
    let status = cluster.shows("KollectClusterInventory", "", "all", &wanted).await?;
    ensure!(message(&status, "Degraded").contains("maps"), "{status:#}");
    let wanted = [("again", "two"), ("again", "two"), ("maps", "one"), ("maps", "two")];
    rows_of(&cluster, &wanted).await
}

/// Waits until the inventory has rows of these targets and object namespaces.
async fn rows_of(cluster: &TestCluster, wanted: &[(&str, &str)]) -> anyhow::Result<()> {
    let mut wanted: Vec<(String, String)> = wanted.iter().map(|(t, n)| ((*t).to_owned(), (*n).to_owned())).collect();
    wanted.sort();
    let mut last = Vec::new();
    let seen = wait_for(&format!("rows of {wanted:?}"), SOON, async || {
        let sql = format!(
            "SELECT target_name, payload->>'namespace' FROM {} WHERE inventory_namespace = 'cluster'",
            scene::TABLE
        );
        last = match cluster.database().await?.query(&sql, &[]).await {
            Ok(rows) => rows.iter().map(|row| (row.get(0), row.get(1))).collect(),
            Err(error) if error.code() == Some(&tokio_postgres::error::SqlState::UNDEFINED_TABLE) => Vec::new(),
            Err(error) => return Err(error.into()),
        };
        last.sort();
        Ok(last == wanted)
    })
    .await;
    anyhow::Context::with_context(seen, || format!("the rows are {last:?}"))
}

#[tokio::test]
async fn without_targets_a_young_cluster_inventory_waits_and_names_the_missing_ones() -> anyhow::Result<()> {
    let cluster = TestCluster::shared().await?;
    let more = json!({"targetRefs": ["absent"], "databaseSinkRefs": []});
    cluster.apply([cluster_inventory("lonely", &more)]).await?;
    let status = cluster.shows("KollectClusterInventory", "", "lonely", &["Ready=False/Progressing"]).await?;
    ensure!(message(&status, "Ready").contains("absent"), "{status:#}");
    Ok(())
}

#[tokio::test]
async fn without_the_rights_of_newer_kinds_the_rest_works_and_they_follow_when_granted() -> anyhow::Result<()> {
    let cluster = rolled_up().await?;
    let role = cluster.objects("ClusterRole", "");
    let whole = role.get("kollect-manager").await?.data["rules"].clone();
    let newer = ["kollecteventsinks", "kollectconnectiontests", "kollectclusterscopes", "kollectclustertargets"];
    let mut rules = whole.clone();
    for rule in rules.as_array_mut().into_iter().flatten() {
        if let Some(resources) = rule["resources"].as_array_mut() {
            resources.retain(|resource| !newer.iter().any(|newer| resource == newer));
            if resources.is_empty() {
                resources.push(json!("none"));
            }
        }
    }
    cluster.patch("ClusterRole", "", "kollect-manager", json!({"rules": rules})).await?;
    cluster.namespace_with("work", &["a"]).await?;
    cluster.pipeline("old", &["work"]).await?;
    let _operator = cluster.operator().await?;
    cluster.rows_become("old", "all", &["work/a"]).await?;
    // What may be under a scope that cannot be read is neither exported nor taken for gone.
    let status = cluster.shows("KollectClusterInventory", "", "all", &["Ready=False/ScopeLookupFailed"]).await?;
    ensure!(message(&status, "Ready").contains("grant"), "{status:#}");
    cluster.patch("ClusterRole", "", "kollect-manager", json!({"rules": whole})).await?;
    rows(&cluster, &["one/m", "two/m"]).await
}

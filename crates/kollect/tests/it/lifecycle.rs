//! What users see of profiles, targets, inventories, sinks and scopes while they come, change and go.

use crate::test_cluster::{self, SOON, TestCluster, binding_synced, message, sink_export};
use anyhow::ensure;
use kollect_testkit::scene;
use kollect_testkit::servers::wait_for;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const EXPORTED: [&str; 3] = ["Ready=True/Exported", "Synced=True/Exported", "!Degraded"];

/// A pipeline in namespace `team` over ConfigMaps `maps` of `<team>-work`, in sync.
async fn in_sync(team: &str, maps: &[&str]) -> anyhow::Result<(TestCluster, String)> {
    let cluster = TestCluster::shared().await?;
    let work = format!("{team}-work");
    cluster.namespace_with(&work, maps).await?;
    cluster.pipeline(team, &[&work]).await?;
    rows(&cluster, team, maps).await?;
    cluster.inventory_shows(team, &EXPORTED).await?;
    Ok((cluster, work))
}

/// Waits until the inventory `all` has rows of exactly these ConfigMaps.
async fn rows(cluster: &TestCluster, team: &str, maps: &[&str]) -> anyhow::Result<()> {
    let names: Vec<String> = maps.iter().map(|map| format!("{team}-work/{map}")).collect();
    cluster.rows_become(team, "all", &names.iter().map(String::as_str).collect::<Vec<_>>()).await
}

/// Waits for two changes that are certainly decided: rows appear, so everything before was seen as well.
async fn a_change_arrives(cluster: &TestCluster, team: &str, map: &str, all: &[&str]) -> anyhow::Result<()> {
    cluster.apply([scene::config_map(&format!("{team}-work"), map, "first", 0)]).await?;
    rows(cluster, team, all).await
}

fn refs(databases: &[&str]) -> Value {
    json!({"spec": {"databaseSinkRefs": databases.iter().map(|name| json!({"name": name})).collect::<Vec<_>>()}})
}

#[tokio::test]
async fn an_inventory_without_sinks_is_ready_and_reports_that_it_exports_nothing() -> anyhow::Result<()> {
    let (cluster, _) = in_sync("nosinks", &["a"]).await?;
    cluster.apply([scene::inventory("nosinks", "none", None, None, "0s")]).await?;
    let wanted = ["Ready=True/NoExport", "Synced=True/NoExport", "!Degraded", "SinkReachable=True/NoSinksConfigured"];
    let status = cluster.shows("KollectInventory", "nosinks", "none", &wanted).await?;
    assert_eq!(status["itemCount"], 1, "{status:#}");
    Ok(())
}

#[tokio::test]
async fn an_exported_binding_reports_when_what_and_where_and_keeps_it_while_it_fails() -> anyhow::Result<()> {
    let team = "entries";
    let (cluster, work) = in_sync(team, &["a", "b"]).await?;
    let status = cluster.inventory_shows(team, &EXPORTED).await?;
    let entry = sink_export(&status, "database/pg").expect("an entry").clone();
    let text = |key: &str| entry[key].as_str().unwrap_or_default().to_owned();
    let (time, checksum, destination) = (text("lastExportTime"), text("lastChecksum"), text("destination"));
    ensure!(!time.is_empty() && checksum.len() == 64 && destination.contains(scene::TABLE), "{entry:#}");
    ensure!(!destination.contains("://") || !destination.contains('@'), "no credentials: {destination}");
    ensure!(status["itemCount"] == 2 && status["sinksSummary"] == "1/1", "{status:#}");

    // The same content again has the same checksum.
    cluster.patch("ConfigMap", &work, "a", json!({"data": {"value": "second"}})).await?;
    wait_for("another checksum", SOON, async || {
        let status = cluster.status("KollectInventory", team, "all").await?;
        Ok(sink_export(&status, "database/pg").is_some_and(|entry| entry["lastChecksum"] != *checksum))
    })
    .await?;
    cluster.patch("ConfigMap", &work, "a", json!({"data": {"value": "first"}})).await?;
    wait_for("the first checksum again, at a later time", SOON, async || {
        let status = cluster.status("KollectInventory", team, "all").await?;
        let entry = sink_export(&status, "database/pg").cloned().unwrap_or_default();
        Ok(entry["lastChecksum"] == *checksum && entry["lastExportTime"] != *time)
    })
    .await?;

    let wrong = cluster.postgres.url("no-such-database");
    cluster.patch("Secret", team, "pg-credentials", json!({"stringData": {"dsn": wrong}})).await?;
    let mut failed = Value::Null;
    wait_for("the binding fails", SOON, async || {
        failed = cluster.status("KollectInventory", team, "all").await?;
        Ok(binding_synced(&failed, "database/pg") == "False/ExportFailed")
    })
    .await?;
    let entry = sink_export(&failed, "database/pg").expect("an entry");
    ensure!(entry["lastChecksum"] == *checksum && entry["lastExportTime"].is_string(), "{entry:#}");
    ensure!(failed["lastExportTime"].is_string(), "{failed:#}");
    Ok(())
}

#[tokio::test]
async fn a_missing_sink_beside_a_good_one_leaves_the_inventory_ready_but_degraded() -> anyhow::Result<()> {
    let team = "missing";
    let (cluster, _) = in_sync(team, &["a"]).await?;
    cluster.patch("KollectInventory", team, "all", refs(&["pg", "nowhere"])).await?;
    let wanted = [
        "Ready=True/PartiallySynced",
        "Synced=False/PartiallySynced",
        "Degraded=True/SinkNotFound",
        "SinkReachable=False/SinkNotFound",
    ];
    let status = cluster.inventory_shows(team, &wanted).await?;
    ensure!(message(&status, "Degraded").contains("nowhere"), "{status:#}");
    ensure!(status["sinksSummary"] == "1/2", "{status:#}");
    ensure!(binding_synced(&status, "database/nowhere") == "False/SinkNotFound", "{status:#}");
    // A target reports it, but is not degraded by it.
    let target = ["Ready=True/Collecting", "!Degraded", "SinkReachable=False/SinkNotFound"];
    cluster.target_shows(team, &target).await?;
    a_change_arrives(&cluster, team, "b", &["a", "b"]).await?;

    cluster.patch("KollectInventory", team, "all", refs(&["nowhere"])).await?;
    let wanted = ["Ready=False/SinkNotFound", "Synced=False/SinkNotFound", "Degraded=True/SinkNotFound"];
    cluster.inventory_shows(team, &wanted).await?;
    cluster.apply(cluster.postgres_sink(team, "nowhere")).await?;
    cluster.inventory_shows(team, &EXPORTED).await?;
    rows(&cluster, team, &["a", "b"]).await
}

#[tokio::test]
async fn a_reference_renamed_to_another_sink_of_the_same_table_loses_no_row() -> anyhow::Result<()> {
    let team = "renamed";
    let (cluster, _) = in_sync(team, &["a", "b"]).await?;
    cluster.apply(cluster.postgres_sink(team, "new")).await?;
    cluster.shows("KollectDatabaseSink", team, "new", &["Ready=True/ConnectionOK"]).await?;
    cluster.patch("KollectInventory", team, "all", refs(&["new"])).await?;
    wait_for("the new entry alone is in sync", SOON, async || {
        let status = cluster.status("KollectInventory", team, "all").await?;
        Ok(binding_synced(&status, "database/new") == "True/Exported" && sink_export(&status, "database/pg").is_none())
    })
    .await?;
    rows(&cluster, team, &["a", "b"]).await
}

#[tokio::test]
async fn a_suspended_inventory_exports_nothing_until_it_is_resumed() -> anyhow::Result<()> {
    let team = "paused";
    let (cluster, work) = in_sync(team, &["a"]).await?;
    cluster.patch("KollectInventory", team, "all", json!({"spec": {"suspend": true}})).await?;
    let suspended = ["Ready=False/Suspended", "Synced=False/Suspended", "!Degraded"];
    let status = cluster.inventory_shows(team, &suspended).await?;
    ensure!(sink_export(&status, "database/pg").is_some_and(|e| e["lastExportTime"].is_string()), "{status:#}");
    cluster.delete("ConfigMap", &work, "a").await?;
    cluster.apply([scene::config_map(&work, "b", "first", 0)]).await?;
    // Another inventory of the same rows proves that the changes were seen.
    cluster.apply([scene::inventory(team, "other", None, Some("pg"), "0s")]).await?;
    cluster.rows_become(team, "other", &["paused-work/b"]).await?;
    rows(&cluster, team, &["a"]).await?;
    cluster.patch("KollectInventory", team, "all", json!({"spec": {"suspend": false}})).await?;
    rows(&cluster, team, &["b"]).await?;
    cluster.inventory_shows(team, &EXPORTED).await.map(drop)
}

#[tokio::test]
async fn changes_within_the_interval_wait_and_are_shown_as_debounced() -> anyhow::Result<()> {
    let team = "debounced";
    let (cluster, work) = in_sync(team, &["a"]).await?;
    cluster.patch("KollectInventory", team, "all", json!({"spec": {"exportMinInterval": "10m"}})).await?;
    cluster.inventory_shows(team, &EXPORTED).await?;
    wait_for("the changed interval was exported under", SOON, async || {
        let object = cluster.objects("KollectInventory", team).get("all").await?;
        Ok(object.data["status"]["observedGeneration"].as_i64() == object.metadata.generation)
    })
    .await?;
    // The first change of a quiet time goes out at once; the next ones wait.
    cluster.apply([scene::config_map(&work, "b", "first", 0)]).await?;
    rows(&cluster, team, &["a", "b"]).await?;
    cluster.apply([scene::config_map(&work, "c", "first", 0)]).await?;
    let status = cluster
        .inventory_shows(team, &["Ready=True/PartiallySynced", "Synced=False/PartiallySynced", "!Degraded"])
        .await?;
    ensure!(binding_synced(&status, "database/pg") == "False/Debounced", "{status:#}");
    rows(&cluster, team, &["a", "b"]).await?;
    ensure!(sink_export(&status, "database/pg").is_some_and(|e| e["lastExportTime"].is_string()), "{status:#}");
    // A changed spec exports at once.
    cluster.patch("KollectInventory", team, "all", json!({"spec": {"exportMinInterval": "0s"}})).await?;
    rows(&cluster, team, &["a", "b", "c"]).await?;
    cluster.inventory_shows(team, &EXPORTED).await.map(drop)
}

#[tokio::test]
async fn a_removed_reference_takes_its_rows_along_and_retain_keeps_them() -> anyhow::Result<()> {
    for (team, policy, left) in [("unref-delete", "Delete", false), ("unref-retain", "Retain", true)] {
        let (cluster, _) = in_sync(team, &["a"]).await?;
        cluster.apply([cluster.git_sink(team, "git")?]).await?;
        let both = json!({"spec": {"snapshotSinkRefs": [{"name": "git"}], "deletionPolicy": policy}});
        cluster.patch("KollectInventory", team, "all", both).await?;
        cluster.files_become(team, 1).await?;
        cluster.inventory_shows(team, &EXPORTED).await?;

        cluster.patch("KollectInventory", team, "all", refs(&[])).await?;
        wait_for("the entry is dropped", SOON, async || {
            let status = cluster.status("KollectInventory", team, "all").await?;
            Ok(sink_export(&status, "database/pg").is_none() && status["sinksSummary"] == "1/1")
        })
        .await?;
        rows(&cluster, team, if left { &["a"] } else { &[] }).await?;
        ensure!(cluster.files(team).len() == 1, "the other sink keeps its files");
        cluster.inventory_shows(team, &EXPORTED).await?;
        // The reference comes back: in sync again, whatever was left.
        cluster.patch("KollectInventory", team, "all", refs(&["pg"])).await?;
        cluster.apply([scene::config_map(&format!("{team}-work"), "b", "first", 0)]).await?;
        rows(&cluster, team, &["a", "b"]).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_deleted_inventory_takes_rows_and_files_along_unless_they_are_retained() -> anyhow::Result<()> {
    for (team, policy, left) in [("gone-delete", "Delete", 0), ("gone-retain", "Retain", 2)] {
        let (cluster, _) = in_sync(team, &["a", "b"]).await?;
        cluster.apply([cluster.git_sink(team, "git")?]).await?;
        let both = json!({"spec": {"snapshotSinkRefs": [{"name": "git"}], "deletionPolicy": policy}});
        cluster.patch("KollectInventory", team, "all", both).await?;
        cluster.files_become(team, 2).await?;
        cluster.inventory_shows(team, &EXPORTED).await?;
        cluster.delete("KollectInventory", team, "all").await?;
        cluster.gone("KollectInventory", team, "all").await?;
        ensure!(
            cluster.rows(team, "all").await?.len() == left,
            "{policy}: rows {:?}",
            cluster.rows(team, "all").await?
        );
        ensure!(cluster.files(team).len() == left, "{policy}: files {:?}", cluster.files(team));
    }
    Ok(())
}

#[tokio::test]
async fn a_sink_and_secret_deleted_before_their_inventory_do_not_hold_its_deletion_back() -> anyhow::Result<()> {
    let team = "sinkless";
    let (cluster, _) = in_sync(team, &["a"]).await?;
    cluster.delete("KollectDatabaseSink", team, "pg").await?;
    cluster.delete("Secret", team, "pg-credentials").await?;
    cluster.inventory_shows(team, &["Degraded=True/SinkNotFound"]).await?;
    rows(&cluster, team, &["a"]).await?;
    cluster.delete("KollectInventory", team, "all").await?;
    cluster.gone("KollectInventory", team, "all").await?;
    // The credentials were still in memory.
    rows(&cluster, team, &[]).await
}

#[tokio::test]
async fn a_secret_deleted_before_its_sink_does_not_hold_a_deletion_back_either() -> anyhow::Result<()> {
    let team = "secretless";
    let (cluster, _) = in_sync(team, &["a"]).await?;
    cluster.delete("Secret", team, "pg-credentials").await?;
    cluster.inventory_shows(team, &["Degraded=True/SecretResolveFailed"]).await?;
    cluster.delete("KollectDatabaseSink", team, "pg").await?;
    cluster.inventory_shows(team, &["Degraded=True/SinkNotFound"]).await?;
    rows(&cluster, team, &["a"]).await?;
    cluster.delete("KollectInventory", team, "all").await?;
    cluster.gone("KollectInventory", team, "all").await?;
    rows(&cluster, team, &[]).await
}

#[tokio::test]
async fn a_deletion_that_cannot_clean_up_reports_what_it_left_behind() -> anyhow::Result<()> {
    let team = "leftover";
    let (cluster, _) = in_sync(team, &["a"]).await?;
    let wrong = cluster.postgres.url("no-such-database");
    cluster.patch("Secret", team, "pg-credentials", json!({"stringData": {"dsn": wrong}})).await?;
    wait_for("the binding fails", SOON, async || {
        let status = cluster.status("KollectInventory", team, "all").await?;
        Ok(binding_synced(&status, "database/pg") == "False/ExportFailed")
    })
    .await?;
    cluster.delete("KollectInventory", team, "all").await?;
    cluster.gone("KollectInventory", team, "all").await?;
    wait_for("a warning reports it", SOON, async || {
        let events = cluster.events(team, "all").await?;
        Ok(events.iter().any(|(reason, note)| reason == "CleanupTerminal" && note.contains("database/pg")))
    })
    .await?;
    rows(&cluster, team, &["a"]).await
}

#[tokio::test]
async fn a_suspended_or_deleted_target_takes_its_rows_out_of_every_sink() -> anyhow::Result<()> {
    let team = "halted";
    let (cluster, work) = in_sync(team, &["a", "b"]).await?;
    cluster.apply([scene::target(team, "second", "maps", &[&work])]).await?;
    cluster.patch("KollectTarget", team, "second", json!({"spec": {"names": ["b"]}})).await?;
    cluster.patch("KollectTarget", team, "maps", json!({"spec": {"suspend": true}})).await?;
    cluster.target_shows(team, &["Ready=False/Suspended", "Synced=False/Suspended", "!Degraded"]).await?;
    rows(&cluster, team, &["b"]).await?;
    cluster.patch("KollectTarget", team, "maps", json!({"spec": {"suspend": false}})).await?;
    rows(&cluster, team, &["a", "b"]).await?;
    cluster.delete("KollectTarget", team, "maps").await?;
    cluster.gone("KollectTarget", team, "maps").await?;
    rows(&cluster, team, &["b"]).await?;
    cluster.inventory_shows(team, &EXPORTED).await.map(drop)
}

#[tokio::test]
async fn a_scope_takes_away_denied_kinds_namespaces_and_sinks_and_gives_them_back() -> anyhow::Result<()> {
    let team = "scoped";
    let (cluster, work) = in_sync(team, &["a"]).await?;
    let scope = |spec: Value| {
        json!({
            "apiVersion": "kollect.dev/v1alpha1", "kind": "KollectScope",
            "metadata": {"namespace": team, "name": "ceiling"}, "spec": spec,
        })
    };
    let denied = |reason: &str| ["Ready=False", "Synced=False", "Degraded=True"].map(|part| format!("{part}/{reason}"));
    for (spec, reason) in [
        (json!({"allowedGVKs": [{"group": "apps", "version": "v1", "kind": "Deployment"}]}), "ScopeGVKDenied"),
        (json!({"allowedNamespaces": ["elsewhere"]}), "ScopeNamespaceDenied"),
        (json!({"deniedNamespaces": [work]}), "ScopeNamespaceDenied"),
    ] {
        cluster.apply([scope(spec)]).await?;
        let wanted = denied(reason);
        cluster.target_shows(team, &wanted.each_ref().map(String::as_str)).await?;
        rows(&cluster, team, &[]).await?;
        cluster.delete("KollectScope", team, "ceiling").await?;
        cluster.target_shows(team, &["Ready=True/Collecting", "!Degraded"]).await?;
        rows(&cluster, team, &["a"]).await?;
    }
    cluster.apply([scope(json!({"databaseSinkRefs": ["another"]}))]).await?;
    let wanted = denied("ScopeSinkDenied");
    cluster.inventory_shows(team, &wanted.each_ref().map(String::as_str)).await?;
    cluster.delete("KollectScope", team, "ceiling").await?;
    cluster.inventory_shows(team, &EXPORTED).await?;
    rows(&cluster, team, &["a"]).await
}

#[tokio::test]
async fn rows_stay_while_the_profile_is_deleted_and_move_on_when_it_is_back() -> anyhow::Result<()> {
    let team = "profileless";
    let (cluster, work) = in_sync(team, &["a", "b"]).await?;
    cluster.delete("KollectProfile", team, "maps").await?;
    let wanted = ["Ready=False/ProfileNotFound", "Synced=False/ProfileNotFound", "Degraded=True/ProfileNotFound"];
    cluster.target_shows(team, &wanted).await?;
    cluster.delete("ConfigMap", &work, "a").await?;
    // Another target proves that the exporter went on.
    cluster
        .apply([
            scene::profile(team, "others", "v1", "ConfigMap", &[("value", "$.data.value")]),
            scene::target(team, "others", "others", &[&work]),
        ])
        .await?;
    wait_for("the other target's row", SOON, async || {
        let sql = format!("SELECT 1 FROM {} WHERE inventory_namespace = $1 AND target_name = 'others'", scene::TABLE);
        Ok(cluster.database().await?.query(&sql, &[&team]).await?.len() == 1)
    })
    .await?;
    rows(&cluster, team, &["a", "b"]).await?;
    cluster.delete("KollectTarget", team, "others").await?;
    cluster.apply([test_cluster::map_profile(team)]).await?;
    cluster.target_shows(team, &["Ready=True/Collecting", "!Degraded"]).await?;
    rows(&cluster, team, &["b"]).await
}

#[tokio::test]
async fn target_refs_and_target_selector_choose_what_an_inventory_exports() -> anyhow::Result<()> {
    let team = "sharded";
    let (cluster, work) = in_sync(team, &["a", "b"]).await?;
    for name in ["a", "b"] {
        cluster.apply([scene::target(team, name, "maps", &[&work])]).await?;
        let patch = json!({"metadata": {"labels": {"part": name}}, "spec": {"names": [name]}});
        cluster.patch("KollectTarget", team, name, patch).await?;
    }
    cluster.delete("KollectTarget", team, "maps").await?;
    let mut by_name = scene::inventory(team, "by-name", None, Some("pg"), "0s");
    by_name["spec"]["targetRefs"] = json!(["a"]);
    let mut by_label = scene::inventory(team, "by-label", None, Some("pg"), "0s");
    by_label["spec"]["targetSelector"] = json!({"matchLabels": {"part": "b"}});
    cluster.apply([by_name, by_label]).await?;
    cluster.rows_become(team, "by-name", &["sharded-work/a"]).await?;
    cluster.rows_become(team, "by-label", &["sharded-work/b"]).await?;
    rows(&cluster, team, &["a", "b"]).await?;
    // A relabelled target and an edited reference move rows from one to the other.
    cluster.patch("KollectTarget", team, "a", json!({"metadata": {"labels": {"part": "b"}}})).await?;
    cluster.rows_become(team, "by-label", &["sharded-work/a", "sharded-work/b"]).await?;
    cluster.patch("KollectInventory", team, "by-name", json!({"spec": {"targetRefs": ["b"]}})).await?;
    cluster.rows_become(team, "by-name", &["sharded-work/b"]).await
}

#[tokio::test]
async fn watch_labels_and_opt_in_decide_which_objects_have_rows() -> anyhow::Result<()> {
    let team = "watched";
    let (cluster, work) = in_sync(team, &["plain", "off", "on"]).await?;
    let label = |value: &str| json!({"metadata": {"labels": {"kollect.dev/watch": value}}});
    cluster.patch("ConfigMap", &work, "off", label("disabled")).await?;
    cluster.patch("ConfigMap", &work, "on", label("enabled")).await?;
    rows(&cluster, team, &["plain", "on"]).await?;
    cluster.patch("Namespace", "", &work, label("disabled")).await?;
    rows(&cluster, team, &["on"]).await?;
    cluster.patch("Namespace", "", &work, json!({"metadata": {"labels": {"kollect.dev/watch": null}}})).await?;
    rows(&cluster, team, &["plain", "on"]).await?;

    cluster.patch("KollectTarget", team, "maps", json!({"spec": {"watchMode": "OptIn"}})).await?;
    rows(&cluster, team, &["on"]).await?;
    let annotation = json!({"metadata": {"annotations": {"kollect.dev/namespace-watch": "enabled"}}});
    cluster.patch("Namespace", "", &work, annotation).await?;
    rows(&cluster, team, &["plain", "on"]).await
}

#[tokio::test]
async fn resource_rules_are_ored_and_a_match_policy_evaluates_the_object() -> anyhow::Result<()> {
    let team = "ruled";
    let (cluster, work) = in_sync(team, &["one", "two", "three", "four"]).await?;
    cluster.patch("ConfigMap", &work, "two", json!({"metadata": {"labels": {"tier": "db"}}})).await?;
    cluster.patch("ConfigMap", &work, "three", json!({"data": {"value": "big"}})).await?;
    cluster
        .patch("ConfigMap", &work, "four", json!({"metadata": {"labels": {"tier": "db"}}, "data": {"value": null}}))
        .await?;
    let gvk = json!({"group": "", "version": "v1", "kind": "ConfigMap"});
    let rules = json!({"spec": {"resourceRules": [
        {"gvk": gvk, "matchLabels": {"tier": "db"}, "matchPolicy": "has(object.data.value)"},
        {"gvk": gvk, "matchPolicy": "object.data.value == 'big'"},
    ]}});
    cluster.patch("KollectTarget", team, "maps", rules).await?;
    rows(&cluster, team, &["two", "three"]).await?;
    wait_for("the status counts the rules", SOON, async || {
        Ok(cluster.status("KollectTarget", team, "maps").await?["activeResourceRules"] == 2)
    })
    .await?;
    cluster.target_shows(team, &["Ready=True/Collecting", "!Degraded"]).await?;
    // An object that stops matching loses its row, one that starts gets one.
    cluster.patch("ConfigMap", &work, "three", json!({"data": {"value": "small"}})).await?;
    cluster.patch("ConfigMap", &work, "one", json!({"data": {"value": "big"}})).await?;
    rows(&cluster, team, &["one", "two"]).await
}

#[tokio::test]
async fn a_changed_namespace_label_takes_effect_at_once() -> anyhow::Result<()> {
    let team = "labelled";
    let (cluster, work) = in_sync(team, &["a"]).await?;
    let selector = json!({"matchLabels": {"cluster": "labelled-prod"}});
    let patch = json!({"spec": {"includedNamespaces": null, "namespaceSelector": selector}});
    cluster.patch("KollectTarget", team, "maps", patch).await?;
    rows(&cluster, team, &[]).await?;
    let begun = Instant::now();
    cluster.patch("Namespace", "", &work, json!({"metadata": {"labels": {"cluster": "labelled-prod"}}})).await?;
    rows(&cluster, team, &["a"]).await?;
    cluster.patch("Namespace", "", &work, json!({"metadata": {"labels": {"cluster": "test"}}})).await?;
    rows(&cluster, team, &[]).await?;
    ensure!(begun.elapsed() < Duration::from_secs(10), "twice in {:?}", begun.elapsed());
    Ok(())
}

#[tokio::test]
async fn an_idle_operator_sends_watches_and_lease_requests_only_and_writes_nothing() -> anyhow::Result<()> {
    let cluster = TestCluster::start().await?;
    cluster.grant_everywhere().await?;
    let team = "idle";
    cluster.namespace_with("idle-work", &["a", "b"]).await?;
    cluster.pipeline(team, &["idle-work"]).await?;
    cluster.apply([cluster.git_sink(team, "git")?]).await?;
    cluster.apply([scene::inventory(team, "all", Some("git"), Some("pg"), "0s")]).await?;
    let operator = cluster.operator().await?;
    rows(&cluster, team, &["a", "b"]).await?;
    cluster.files_become(team, 2).await?;
    cluster.inventory_shows(team, &EXPORTED).await?;
    let from = quiet(&cluster).await?;

    let (exported, git) = (operator.metric("kollect_export_bytes_total").await?, cluster.git.requests());
    // The thing measured is a span of time; nothing is waited for.
    tokio::time::sleep(Duration::from_secs(20)).await;
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for request in cluster.requests(from)?.0 {
        let kept = request.verb == "watch" || request.resource == "leases";
        ensure!(kept, "an idle operator asked for {request:?}");
        *counts.entry(format!("{} {}", request.verb, request.resource)).or_default() += 1;
    }
    ensure!(counts.values().sum::<usize>() <= 10, "at most 15 requests a minute, but in 20 s: {counts:?}");
    ensure!(operator.metric("kollect_export_bytes_total").await? <= exported, "bytes were exported");
    ensure!(cluster.git.requests() == git, "the Git server was asked something");
    Ok(())
}

/// Where the audit log ends once the operator has settled: no request but watches and the lease for twelve seconds, more
/// than a status write may wait.
async fn quiet(cluster: &TestCluster) -> anyhow::Result<u64> {
    let (mut from, mut since) = (cluster.requests(0)?.1, Instant::now());
    wait_for("the operator settles", Duration::from_secs(90), async || {
        let (requests, end) = cluster.requests(from)?;
        if requests.iter().any(|request| request.verb != "watch" && request.resource != "leases") {
            since = Instant::now();
        }
        from = end;
        Ok(since.elapsed() > Duration::from_secs(12))
    })
    .await?;
    Ok(from)
}

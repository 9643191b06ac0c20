//! What is removed, and in which order: inventories, references, targets, namespaces, and objects that come back under
//! the name of an old one.

use crate::test_cluster::{Running, SOON, TestCluster, binding_synced, sink_export};
use anyhow::{Context as _, ensure};
use kollect_testkit::fault_proxy::{HttpAction, HttpProxy, HttpRule};
use kollect_testkit::scene;
use kollect_testkit::servers::wait_for;
use kube::api::{DeleteParams, ObjectMeta, PostParams};
use serde_json::{Value, json};
use std::time::Duration;

const EXPORTED: [&str; 3] = ["Ready=True/Exported", "Synced=True/Exported", "!Degraded"];

/// A pipeline in namespace `team` over ConfigMaps `a` and `b` of `<team>-work`. No operator yet.
async fn pipeline(cluster: &TestCluster, team: &str) -> anyhow::Result<()> {
    let work = format!("{team}-work");
    cluster.namespace_with(&work, &["a", "b"]).await?;
    cluster.pipeline(team, &[&work]).await
}

async fn rows(cluster: &TestCluster, team: &str, maps: &[&str]) -> anyhow::Result<()> {
    let names: Vec<String> = maps.iter().map(|map| format!("{team}-work/{map}")).collect();
    cluster.rows_become(team, "all", &names.iter().map(String::as_str).collect::<Vec<_>>()).await
}

/// The same in sync, with the operator that all tests share.
async fn in_sync(team: &str) -> anyhow::Result<TestCluster> {
    let cluster = TestCluster::shared().await?;
    pipeline(&cluster, team).await?;
    rows(&cluster, team, &["a", "b"]).await?;
    cluster.inventory_shows(team, &EXPORTED).await?;
    Ok(cluster)
}

/// Waits until the operator holds back the deletion of the inventory `all`.
async fn held_back(cluster: &TestCluster, team: &str) -> anyhow::Result<()> {
    wait_for("the inventory has its finalizer", SOON, async || {
        let inventory = cluster.objects("KollectInventory", team).get("all").await?;
        Ok(inventory.metadata.finalizers.is_some_and(|all| !all.is_empty()))
    })
    .await
}

fn refs(databases: &[&str]) -> Value {
    json!({"spec": {"databaseSinkRefs": databases.iter().map(|name| json!({"name": name})).collect::<Vec<_>>()}})
}

#[tokio::test]
async fn an_inventory_goes_although_the_removal_of_its_finalizer_is_refused_at_first() -> anyhow::Result<()> {
    let cluster = TestCluster::start().await?;
    cluster.grant_everywhere().await?;
    let team = "stuck";
    pipeline(&cluster, team).await?;
    let proxy = HttpProxy::start(&cluster.api).await?;
    let mut operator = cluster.spawn_through(&proxy)?;
    operator.wait_ready(SOON).await?;
    rows(&cluster, team, &["a", "b"]).await?;
    cluster.inventory_shows(team, &EXPORTED).await?;
    for (code, refused) in [(409, 1), (500, 2)] {
        held_back(&cluster, team).await?;
        proxy.forget_requests();
        let patch =
            HttpRule { method: Some("PATCH"), ..HttpRule::new(["/kollectinventories/all?"], HttpAction::Answer(code)) };
        let rule = proxy.add(patch);
        cluster.delete("KollectInventory", team, "all").await?;
        wait_for("the finalizer's removal is refused", SOON, async || {
            Ok(proxy.count("patch", "kollectinventories") >= refused)
        })
        .await?;
        rows(&cluster, team, &[]).await?;
        proxy.remove(rule);
        cluster.gone("KollectInventory", team, "all").await?;
        cluster.apply([scene::inventory(team, "all", None, Some("pg"), "0s")]).await?;
        rows(&cluster, team, &["a", "b"]).await?;
    }
    Ok(())
}

#[tokio::test]
async fn an_inventory_deleted_while_no_operator_runs_takes_its_rows_along_afterwards() -> anyhow::Result<()> {
    let cluster = TestCluster::start().await?;
    cluster.grant_everywhere().await?;
    let team = "absent";
    pipeline(&cluster, team).await?;
    cluster.apply([cluster.git_sink(team, "git")?]).await?;
    cluster.apply([scene::inventory(team, "all", Some("git"), Some("pg"), "0s")]).await?;
    let mut operator = cluster.operator().await?;
    rows(&cluster, team, &["a", "b"]).await?;
    cluster.files_become(team, 2).await?;
    cluster.inventory_shows(team, &EXPORTED).await?;
    held_back(&cluster, team).await?;
    operator.terminate(Duration::from_secs(8)).await?;
    cluster.delete("KollectInventory", team, "all").await?;

    let _successor: Running = cluster.operator().await?;
    cluster.gone("KollectInventory", team, "all").await?;
    rows(&cluster, team, &[]).await?;
    cluster.files_become(team, 0).await?;
    let left = cluster.events(team, "all").await?;
    ensure!(!left.iter().any(|(reason, _)| reason == "CleanupTerminal"), "{left:?}");
    Ok(())
}

#[tokio::test]
async fn a_reference_removed_while_no_operator_runs_takes_its_rows_along_afterwards() -> anyhow::Result<()> {
    let cluster = TestCluster::start().await?;
    cluster.grant_everywhere().await?;
    let team = "unreferenced";
    pipeline(&cluster, team).await?;
    let mut operator = cluster.operator().await?;
    rows(&cluster, team, &["a", "b"]).await?;
    cluster.inventory_shows(team, &EXPORTED).await?;
    operator.terminate(Duration::from_secs(8)).await?;
    cluster.patch("KollectInventory", team, "all", refs(&[])).await?;

    let _successor = cluster.operator().await?;
    rows(&cluster, team, &[]).await?;
    let status = cluster.inventory_shows(team, &["Ready=True/NoExport"]).await?;
    wait_for("the entry is dropped", SOON, async || {
        Ok(sink_export(&cluster.status("KollectInventory", team, "all").await?, "database/pg").is_none())
    })
    .await
    .with_context(|| format!("{status:#}"))
}

#[tokio::test]
async fn of_two_references_to_one_table_one_can_be_removed_and_every_row_stays() -> anyhow::Result<()> {
    let team = "twofold";
    let cluster = in_sync(team).await?;
    cluster.apply(cluster.postgres_sink(team, "pg2")).await?;
    cluster.patch("KollectInventory", team, "all", refs(&["pg", "pg2"])).await?;
    wait_for("both are in sync", SOON, async || {
        let status = cluster.status("KollectInventory", team, "all").await?;
        Ok(["database/pg", "database/pg2"].iter().all(|name| binding_synced(&status, name) == "True/Exported"))
    })
    .await?;
    let database = cluster.database().await?;
    database.batch_execute(&log_of_deletes(team)).await?;
    cluster.patch("KollectInventory", team, "all", refs(&["pg2"])).await?;
    wait_for("the entry is dropped", SOON, async || {
        let status = cluster.status("KollectInventory", team, "all").await?;
        Ok(sink_export(&status, "database/pg").is_none() && status["sinksSummary"] == "1/1")
    })
    .await?;
    cluster.inventory_shows(team, &EXPORTED).await?;
    rows(&cluster, team, &["a", "b"]).await?;
    // The one that is left goes on.
    cluster.apply([scene::config_map(&format!("{team}-work"), "c", "first", 0)]).await?;
    rows(&cluster, team, &["a", "b", "c"]).await?;

    // A sink that is replaced by another one with the same table in one step.
    cluster.apply(cluster.postgres_sink(team, "pg3")).await?;
    cluster.patch("KollectInventory", team, "all", refs(&["pg3"])).await?;
    wait_for("the new entry alone is in sync", SOON, async || {
        let status = cluster.status("KollectInventory", team, "all").await?;
        Ok(binding_synced(&status, "database/pg3") == "True/Exported" && sink_export(&status, "database/pg2").is_none())
    })
    .await?;
    rows(&cluster, team, &["a", "b", "c"]).await?;
    let deleted = database.query(&format!("SELECT uid FROM deleted_{team}"), &[]).await?;
    ensure!(deleted.is_empty(), "{} rows were missing for a while", deleted.len());
    Ok(())
}

/// Keeps the uid of every row of the team that is ever deleted.
fn log_of_deletes(team: &str) -> String {
    format!(
        "CREATE TABLE deleted_{team} (uid text); \
         CREATE FUNCTION log_delete_{team}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN \
         IF OLD.inventory_namespace = '{team}' THEN INSERT INTO public.deleted_{team} VALUES (OLD.source_uid::text); \
         END IF; RETURN NULL; END $$; \
         CREATE TRIGGER log_delete_{team} AFTER DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION log_delete_{team}()",
        table = scene::TABLE
    )
}

#[tokio::test]
async fn a_target_that_another_controller_holds_back_from_deletion_does_not_hold_back_the_others() -> anyhow::Result<()>
{
    let team = "foreign";
    let cluster = in_sync(team).await?;
    let work = format!("{team}-work");
    cluster.apply([scene::target(team, "second", "maps", &[&work])]).await?;
    cluster.patch("KollectTarget", team, "maps", json!({"spec": {"names": ["a"]}})).await?;
    cluster.patch("KollectTarget", team, "second", json!({"spec": {"names": ["b"]}})).await?;
    cluster.apply([cluster.git_sink(team, "git")?]).await?;
    let finalizers = json!({"metadata": {"finalizers": ["kollect.dev/target-cleanup", "example.com/wait"]}});
    cluster.patch("KollectTarget", team, "second", finalizers).await?;
    cluster.delete("KollectTarget", team, "second").await?;
    rows(&cluster, team, &["a"]).await?;
    // A new binding compares, which needs every part of the view.
    cluster.apply([scene::inventory(team, "other", Some("git"), Some("pg"), "0s")]).await?;
    cluster.rows_become(team, "other", &["foreign-work/a"]).await?;
    cluster.files_become(team, 1).await?;
    cluster.patch("KollectTarget", team, "second", json!({"metadata": {"finalizers": null}})).await?;
    cluster.gone("KollectTarget", team, "second").await
}

#[tokio::test]
async fn retained_rows_stay_when_their_namespace_is_deleted_with_everything_in_it() -> anyhow::Result<()> {
    let cluster = TestCluster::start().await?;
    cluster.grant_everywhere().await?;
    let team = "retained";
    pipeline(&cluster, team).await?;
    cluster.patch("KollectInventory", team, "all", json!({"spec": {"deletionPolicy": "Retain"}})).await?;
    let operator = cluster.operator().await?;
    rows(&cluster, team, &["a", "b"]).await?;
    cluster.inventory_shows(team, &EXPORTED).await?;
    // No controller empties the namespace here, so that this test sets the order of deletions.
    cluster.delete("Namespace", "", team).await?;
    cluster.delete("KollectTarget", team, "maps").await?;
    cluster.gone("KollectTarget", team, "maps").await?;
    wait_for("the operator saw the end of the namespace", SOON, async || {
        Ok(operator.logs().contains("the namespace is being deleted"))
    })
    .await?;
    cluster.delete("KollectProfile", team, "maps").await?;
    cluster.delete("ConfigMap", "retained-work", "a").await?;
    // An inventory elsewhere proves that the deletion was seen.
    cluster.apply([scene::namespace("witness")]).await?;
    cluster.pipeline("witness", &["retained-work"]).await?;
    cluster.rows_become("witness", "all", &["retained-work/b"]).await?;
    cluster.delete("KollectInventory", team, "all").await?;
    cluster.gone("KollectInventory", team, "all").await?;
    rows(&cluster, team, &["a", "b"]).await
}

#[tokio::test]
async fn a_deleted_target_takes_its_rows_along_although_the_inventory_retains_at_its_own_end() -> anyhow::Result<()> {
    let team = "retaining";
    let cluster = in_sync(team).await?;
    cluster.patch("KollectInventory", team, "all", json!({"spec": {"deletionPolicy": "Retain"}})).await?;
    cluster.apply([scene::target(team, "second", "maps", &[&format!("{team}-work")])]).await?;
    cluster.patch("KollectTarget", team, "second", json!({"spec": {"names": ["b"]}})).await?;
    cluster.patch("KollectTarget", team, "maps", json!({"spec": {"names": ["a"]}})).await?;
    rows(&cluster, team, &["a", "b"]).await?;
    cluster.delete("KollectTarget", team, "second").await?;
    cluster.gone("KollectTarget", team, "second").await?;
    rows(&cluster, team, &["a"]).await?;
    cluster.delete("KollectInventory", team, "all").await?;
    cluster.gone("KollectInventory", team, "all").await?;
    rows(&cluster, team, &["a"]).await
}

#[tokio::test]
async fn an_object_that_is_replaced_at_once_under_its_name_gets_its_conditions() -> anyhow::Result<()> {
    let team = "replaced";
    let cluster = in_sync(team).await?;
    let test = json!({
        "apiVersion": "kollect.dev/v1alpha1", "kind": "KollectConnectionTest",
        "metadata": {"namespace": team, "name": "try"},
        "spec": {"sinkRef": {"databaseSinkRef": "pg"}, "ttlSecondsAfterFinished": 3600},
    });
    cluster.apply([test]).await?;
    cluster.shows("KollectConnectionTest", team, "try", &["Ready=True/ProbeSucceeded"]).await?;
    cluster.shows("KollectProfile", team, "maps", &["Ready=True/Compiled"]).await?;
    for _ in 0..5 {
        for (kind, name, wanted) in [
            ("KollectProfile", "maps", "Ready=True/Compiled"),
            ("KollectConnectionTest", "try", "Ready=True/ProbeSucceeded"),
        ] {
            replace(&cluster, kind, team, name).await?;
            cluster.shows(kind, team, name, &[wanted]).await?;
        }
    }
    Ok(())
}

/// Deletes an object and creates it again, as `kubectl replace --force` does.
async fn replace(cluster: &TestCluster, kind: &str, namespace: &str, name: &str) -> anyhow::Result<()> {
    let api = cluster.objects(kind, namespace);
    let mut object = api.get(name).await?;
    object.metadata =
        ObjectMeta { name: object.metadata.name, namespace: object.metadata.namespace, ..ObjectMeta::default() };
    object.data.as_object_mut().context("an object")?.remove("status");
    api.delete(name, &DeleteParams::default()).await?;
    api.create(&PostParams::default(), &object).await.with_context(|| format!("creating {kind} {name} again"))?;
    Ok(())
}

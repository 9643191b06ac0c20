//! What a restart does to sinks that are in sync, and to sinks that somebody changed behind the operator's back.

use crate::stage::{CLUSTER, SOON, Stage, repo};
use kollect_testkit::scene;
use kollect_testkit::servers::wait_for;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

const TEAM: &str = "team";
const MAPS: [&str; 4] = ["one", "two", "three", "four"];

/// Both sinks, one inventory, four ConfigMaps.
pub(crate) async fn both_sinks(stage: &Stage) -> anyhow::Result<()> {
    stage.grant_everywhere().await?;
    stage.namespace_with("work", &MAPS).await?;
    stage.pipeline(TEAM, &["work"]).await?;
    stage.apply([stage.git_sink(TEAM, "git")?, scene::inventory(TEAM, "all", Some("git"), Some("pg"), "0s")]).await
}

/// Waits until both sinks hold exactly these ConfigMaps, each with the value that the API server has.
pub(crate) async fn in_sync(stage: &Stage, names: &[&str]) -> anyhow::Result<()> {
    let rows: Vec<String> = names.iter().map(|name| format!("work/{name}")).collect();
    stage.rows_become(TEAM, "all", &rows.iter().map(String::as_str).collect::<Vec<_>>()).await?;
    stage.files_become(TEAM, names.len()).await?;
    wait_for("every value in both sinks is the cluster's", SOON, async || values_equal(stage, names).await).await
}

async fn values_equal(stage: &Stage, names: &[&str]) -> anyhow::Result<bool> {
    let database = stage.database().await?;
    for name in names {
        let object = stage.objects("ConfigMap", "work").get(name).await?;
        let truth = object.data.pointer("/data/value").and_then(Value::as_str).unwrap_or_default().to_owned();
        let sql = format!("SELECT payload->'attributes'->>'value' FROM {} WHERE payload->>'name' = $1", scene::TABLE);
        let row: Option<String> = database.query_one(&sql, &[name]).await?.get(0);
        let blob = format!("main:{CLUSTER}/work/configmap/{name}.yaml");
        let file = stage.git.repos.git(&repo(TEAM), ["show", &blob]).unwrap_or_default();
        if row.as_deref() != Some(&truth) || !file.contains(&format!("value: {truth}")) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// What a write would change: each row's transaction and the newest commit.
async fn fingerprint(stage: &Stage) -> anyhow::Result<(BTreeMap<String, String>, String)> {
    let sql = format!("SELECT payload->>'name', xmin::text || ' ' || exported_at::text FROM {}", scene::TABLE);
    let rows = stage.database().await?.query(&sql, &[]).await?;
    let rows = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    Ok((rows, stage.git.repos.git(&repo(TEAM), ["rev-parse", "main"])?))
}

async fn exported_since(stage: &Stage, operator: &crate::stage::Running) -> anyhow::Result<()> {
    // Both bindings compared in this process: only then the metric counts them.
    wait_for("both bindings finished a cycle", SOON, async || {
        Ok(operator.metric("kollect_export_duration_seconds_count").await.unwrap_or(0.0) >= 2.0)
    })
    .await?;
    stage.inventory_shows(TEAM, &["Ready=True/Exported", "Synced=True/Exported"]).await.map(|_| ())
}

#[tokio::test]
async fn a_restart_in_sync_writes_no_row_and_no_commit() -> anyhow::Result<()> {
    let stage = Stage::start().await?;
    both_sinks(&stage).await?;
    let mut operator = stage.operator().await?;
    in_sync(&stage, &MAPS).await?;
    stage.inventory_shows(TEAM, &["Ready=True/Exported"]).await?;
    operator.terminate(Duration::from_secs(8)).await?;
    drop(operator);

    let before = fingerprint(&stage).await?;
    let operator = stage.operator().await?;
    exported_since(&stage, &operator).await?;
    assert_eq!(fingerprint(&stage).await?, before);
    Ok(())
}

#[tokio::test]
async fn what_happened_while_it_was_down_is_mended_at_the_restart_and_nothing_else() -> anyhow::Result<()> {
    let stage = Stage::start().await?;
    both_sinks(&stage).await?;
    let mut operator = stage.operator().await?;
    in_sync(&stage, &MAPS).await?;
    operator.terminate(Duration::from_secs(8)).await?;
    drop(operator);

    let (before, _) = fingerprint(&stage).await?;
    let database = stage.database().await?;
    database.execute(&format!("DELETE FROM {} WHERE payload->>'name' = 'one'", scene::TABLE), &[]).await?;
    stage.delete("ConfigMap", "work", "two").await?;
    stage.apply([scene::config_map("work", "five", "new", 0)]).await?;

    let _operator = stage.operator().await?;
    in_sync(&stage, &["one", "three", "four", "five"]).await?;
    let (after, _) = fingerprint(&stage).await?;
    for untouched in ["three", "four"] {
        assert_eq!(after.get(untouched), before.get(untouched), "{untouched} was written again");
    }
    Ok(())
}

#[tokio::test]
async fn a_truncated_and_a_recreated_table_are_refilled_in_the_next_cycle() -> anyhow::Result<()> {
    let stage = Stage::start().await?;
    both_sinks(&stage).await?;
    let _operator = stage.operator().await?;
    in_sync(&stage, &MAPS).await?;
    let database = stage.database().await?;
    for (round, damage) in ["TRUNCATE", "DROP TABLE"].into_iter().enumerate() {
        database.batch_execute(&format!("{damage} {}", scene::TABLE)).await?;
        stage.patch("ConfigMap", "work", "one", json!({"data": {"value": format!("round-{round}")}})).await?;
        in_sync(&stage, &MAPS).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_recreated_repository_is_restored_at_the_next_push_and_a_lost_mirror_harms_nobody() -> anyhow::Result<()> {
    let stage = Stage::start().await?;
    both_sinks(&stage).await?;
    let operator = stage.operator().await?;
    in_sync(&stage, &MAPS).await?;

    let mirrors = operator.dir().join("git-mirrors");
    assert!(mirrors.is_dir(), "the mirror is not where the test expects it: {}", mirrors.display());
    std::fs::remove_dir_all(&mirrors)?;
    stage.patch("ConfigMap", "work", "one", json!({"data": {"value": "without-mirror"}})).await?;
    in_sync(&stage, &MAPS).await?;

    stage.git.repos.recreate(&repo(TEAM))?;
    stage.patch("ConfigMap", "work", "two", json!({"data": {"value": "after-recreation"}})).await?;
    in_sync(&stage, &MAPS).await
}

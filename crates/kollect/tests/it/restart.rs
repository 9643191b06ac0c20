//! What a restart does to sinks that are in sync, and to sinks that another client changed meanwhile.

use crate::export_scenario::{ExportScenario, Sinks, TEAM, differences, map_file};
use crate::test_cluster::{Running, SOON, repo};
use anyhow::Context as _;
use kollect_testkit::scene;
use kollect_testkit::servers::wait_for;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const MAPS: [&str; 4] = ["one", "two", "three", "four"];

async fn scenario() -> anyhow::Result<ExportScenario> {
    ExportScenario::start(Sinks::Both, &[("work", &MAPS)]).await
}

/// Ends the operator as the kubelet does.
async fn end(mut operator: Running) -> anyhow::Result<()> {
    let status = operator.terminate(Duration::from_secs(8)).await?;
    anyhow::ensure!(status.success(), "the operator ended with {status}");
    Ok(())
}

/// Waits until this process has compared both sinks: only then their cycles are counted.
async fn both_compared(operator: &Running) -> anyhow::Result<()> {
    wait_for("both sinks were compared", SOON, async || {
        let metrics = operator.metrics().await?;
        let counted = |sink: &str| {
            let series = format!("kollect_export_duration_seconds_count{{sink_type=\"{sink}\"}} ");
            metrics.lines().any(|line| line.strip_prefix(&series).is_some_and(|count| count != "0"))
        };
        Ok(counted("git") && counted("postgres"))
    })
    .await
}

/// Keys of rows whose fingerprint is another than before, or that are new.
async fn rewritten(scenario: &ExportScenario, before: &BTreeMap<String, String>) -> anyhow::Result<BTreeSet<String>> {
    let now = scenario.written().await?;
    Ok(now.into_iter().filter(|(key, written)| before.get(key) != Some(written)).map(|(key, _)| key).collect())
}

#[tokio::test]
async fn a_restart_in_sync_writes_no_row_and_no_commit() -> anyhow::Result<()> {
    let scenario = scenario().await?;
    let operator = scenario.spawn(&[])?;
    scenario.in_sync().await?;
    end(operator).await?;

    let (rows, commits) = (scenario.written().await?, scenario.commits()?);
    let operator = scenario.spawn(&[])?;
    both_compared(&operator).await?;
    assert_eq!(scenario.written().await?, rows);
    assert_eq!(scenario.commits()?, commits);

    // Nothing was merely late either: the next write is that of the next change, and of nothing else.
    scenario.set("work", "two", "changed").await?;
    scenario.in_sync().await?;
    assert_eq!(rewritten(&scenario, &rows).await?, ["work/two".to_owned()].into());
    let now = scenario.commits()?;
    let (old, new) = (commits.last().context("no commit")?, now.last().context("no commit")?);
    assert_eq!(now.len(), commits.len() + 1);
    assert_eq!(differences(old, new), [format!("~ {}", map_file("work", "two"))]);
    Ok(())
}

#[tokio::test]
async fn what_changed_while_it_was_down_is_repaired_at_the_restart_and_nothing_else() -> anyhow::Result<()> {
    let scenario = scenario().await?;
    let operator = scenario.spawn(&[])?;
    scenario.in_sync().await?;
    end(operator).await?;

    let (rows, commits) = (scenario.written().await?, scenario.commits()?);
    let database = scenario.database().await?;
    database.execute(&format!("DELETE FROM {} WHERE payload->>'name' = 'one'", scene::TABLE), &[]).await?;
    scenario.delete("ConfigMap", "work", "two").await?;
    scenario.apply([scene::config_map("work", "five", "new", 0)]).await?;
    assert!(scenario.verdict().await.is_err(), "the oracle sees no difference");

    let _operator = scenario.spawn(&[])?;
    scenario.in_sync().await?;
    assert_eq!(rewritten(&scenario, &rows).await?, ["work/five", "work/one"].map(str::to_owned).into());
    let now = scenario.commits()?;
    let (old, new) = (commits.last().context("no commit")?, now.last().context("no commit")?);
    // The deleted row changes nothing in Git, where its object still has its file.
    let wanted = [format!("- {}", map_file("work", "two")), format!("+ {}", map_file("work", "five"))];
    assert_eq!(differences(old, new), wanted);
    assert_eq!(now.len(), commits.len() + 1);
    Ok(())
}

#[tokio::test]
async fn a_truncated_and_a_recreated_table_are_refilled_in_the_next_cycle() -> anyhow::Result<()> {
    let scenario = ExportScenario::start(Sinks::Postgres, &[("work", &MAPS)]).await?;
    let _operator = scenario.spawn(&[])?;
    scenario.in_sync().await?;
    let database = scenario.database().await?;
    let table = scene::TABLE;
    let sql = format!("SELECT tableowner::text FROM pg_tables WHERE tablename = '{table}'");
    let owner: String = database.query_one(&sql, &[]).await?.get(0);
    let copy = format!("CREATE TABLE copy (LIKE {table} INCLUDING ALL); ALTER TABLE copy OWNER TO {owner}");
    database.batch_execute(&copy).await?;
    let damages = [
        format!("TRUNCATE {table}"),
        format!("DROP TABLE {table}"),
        format!("DROP TABLE {table}; ALTER TABLE copy RENAME TO {table}"),
    ];
    for damage in damages {
        database.batch_execute(&damage).await?;
        assert!(scenario.verdict().await.is_err(), "the oracle sees no difference after {damage}");
        scenario.set("work", "one", &damage).await?;
        scenario.in_sync().await.with_context(|| format!("after {damage}"))?;
    }
    Ok(())
}

#[tokio::test]
async fn a_recreated_repository_is_restored_at_the_next_push_and_a_lost_mirror_harms_nothing() -> anyhow::Result<()> {
    let scenario = ExportScenario::start(Sinks::Git, &[("work", &MAPS)]).await?;
    let _operator = scenario.spawn(&[])?;
    scenario.in_sync().await?;

    let mirrors = || anyhow::Ok(std::fs::read_dir(scenario.mirrors())?.collect::<Result<Vec<_>, _>>()?);
    // What is in the directory goes; the directory itself may be a mounted volume.
    assert!(!mirrors()?.is_empty(), "no mirror where the test expects it");
    for entry in mirrors()? {
        if entry.file_type()?.is_dir() {
            std::fs::remove_dir_all(entry.path())?;
        } else {
            std::fs::remove_file(entry.path())?;
        }
    }
    scenario.set("work", "one", "without-mirror").await?;
    scenario.in_sync().await?;

    scenario.git.repos.recreate(&repo(TEAM))?;
    assert!(scenario.verdict().await.is_err(), "the oracle sees no difference");
    scenario.set("work", "two", "in-an-empty-repository").await?;
    scenario.in_sync().await?;

    scenario.git.repos.recreate(&repo(TEAM))?;
    scenario.git.repos.commit_behind(&repo(TEAM), "main", &[(".kollect/README", "not Kollect's\n")])?;
    scenario.set("work", "three", "beside-another-file").await?;
    scenario.in_sync().await?;
    let newest = scenario.commits()?.pop().context("no commit")?;
    assert!(newest.files.contains_key(".kollect/README"), "{newest:?}");
    Ok(())
}

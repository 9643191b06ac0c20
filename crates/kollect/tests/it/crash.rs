//! `kill -9` anywhere: after the restart both sinks equal the cluster, and nothing was deleted that still exists.

use crate::export_scenario::{ExportScenario, Sinks, TEAM};
use crate::test_cluster::SOON;
use anyhow::Context as _;
use kollect_testkit::fault_proxy::{HttpAction, HttpProxy, HttpRule};
use kollect_testkit::scene;
use kollect_testkit::servers::wait_for;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::os::unix::process::ExitStatusExt as _;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// Exist throughout, so every commit must have them.
const STEADY: [&str; 4] = ["one", "two", "three", "four"];

/// The points of the two cycles after a start, in their order: the first compares, the second knows its cursor. The
/// engine and the sink both have a `sent` and an `acked`, the engine's around the sink's.
const POSTGRES_POINTS: [&str; 10] = [
    "sent",
    "sent:2",
    "acked",
    "acked:2",
    "cursor_moved", // compared
    "sent:3",
    "sent:4",
    "acked:3",
    "acked:4",
    "cursor_moved:2", // incremental
];
const GIT_POINTS: [&str; 12] = [
    "sent",
    "record_written",
    "sent:2",
    "acked",
    "acked:2",
    "cursor_moved", // compared
    "sent:3",
    "record_written:2",
    "sent:4",
    "acked:3",
    "acked:4",
    "cursor_moved:2", // incremental
];

fn steady() -> [(&'static str, &'static str); 4] {
    STEADY.map(|name| ("work", name))
}

/// Dies at every point and restarts; after each restart the oracle must find no difference.
async fn walk(sinks: Sinks, points: &[&str]) -> anyhow::Result<ExportScenario> {
    let scenario = ExportScenario::start(sinks, &[("work", &STEADY)]).await?;
    for (round, point) in points.iter().enumerate() {
        // Lives for this round only: its row and file must go, whatever the crash interrupted.
        let passing = format!("passing-{round}");
        scenario.apply([scene::config_map("work", &passing, "first", 0)]).await?;
        let mut doomed = scenario.spawn(&[("KOLLECT_KILL_AT", point)])?;
        let mut change = 0;
        wait_for(&format!("the operator dies at {point}"), SOON, async || {
            change += 1;
            scenario.set("work", "one", &format!("{round}-{change}")).await?;
            Ok(doomed.exited()?.is_some())
        })
        .await?;
        let status = doomed.exited()?.context("it has ended")?;
        anyhow::ensure!(status.signal() == Some(6), "it ended with {status} instead of at {point}");
        scenario.delete("ConfigMap", "work", &passing).await?;
        let recovered = scenario.spawn(&[])?;
        scenario.in_sync().await.with_context(|| format!("after a crash at {point}"))?;
        // Dropping kills it as kill -9 does.
        drop((recovered, doomed));
    }
    Ok(scenario)
}

#[tokio::test]
async fn a_crash_at_any_named_point_of_an_export_to_postgres_loses_and_doubles_nothing() -> anyhow::Result<()> {
    walk(Sinks::Postgres, &POSTGRES_POINTS).await.map(|_| ())
}

#[tokio::test]
async fn a_crash_at_any_named_point_of_a_push_loses_nothing_and_leaves_no_partial_commit() -> anyhow::Result<()> {
    walk(Sinks::Git, &GIT_POINTS).await?.every_commit_has(&steady())
}

/// Objects come, change and go, one after another, until `ended`.
async fn churn(scenario: &ExportScenario, ended: &std::sync::atomic::AtomicBool) -> anyhow::Result<()> {
    let mut step = 0_usize;
    while !ended.load(std::sync::atomic::Ordering::Relaxed) {
        scenario.set("work", STEADY[step % STEADY.len()], &format!("step-{step}")).await?;
        scenario.apply([scene::config_map("work", &format!("passing-{step}"), "here", 0)]).await?;
        // Each lives for a while, so that some are there when the operator dies and gone when it is back.
        if let Some(old) = step.checked_sub(5) {
            scenario.delete("ConfigMap", "work", &format!("passing-{old}")).await?;
        }
        step += 1;
    }
    Ok(())
}

/// Kills the operator at random moments: while it starts in even rounds, while it exports in odd ones.
async fn kills(scenario: &ExportScenario, rounds: u32, ended: &std::sync::atomic::AtomicBool) -> anyhow::Result<()> {
    for round in 0..rounds {
        let mut operator = scenario.spawn(&[])?;
        if round % 2 == 1 {
            operator.wait_ready(SOON).await?;
        }
        let life = Duration::from_millis(RandomState::new().build_hasher().finish() % 2_000);
        eprintln!("round {round}: killed after {life:?}");
        sleep_until(Instant::now() + life).await;
        operator.exited()?.map_or(Ok(()), |status| Err(anyhow::anyhow!("the operator ended by itself: {status}")))?;
    }
    ended.store(true, std::sync::atomic::Ordering::Relaxed);
    Ok(())
}

async fn random_rounds(rounds: u32) -> anyhow::Result<()> {
    let scenario = ExportScenario::start(Sinks::Both, &[("work", &STEADY)]).await?;
    let ended = std::sync::atomic::AtomicBool::new(false);
    tokio::try_join!(churn(&scenario, &ended), kills(&scenario, rounds, &ended))?;
    let _operator = scenario.spawn(&[])?;
    scenario.in_sync().await?;
    scenario.every_commit_has(&steady())?;
    anyhow::ensure!(scenario.commits()?.len() > 1, "the operator never came to export while it was being killed");
    Ok(())
}

#[tokio::test]
async fn after_a_few_kills_under_constant_change_both_sinks_equal_the_cluster() -> anyhow::Result<()> {
    random_rounds(4).await
}

#[tokio::test]
#[ignore = "soak"]
async fn after_fifty_kills_under_constant_change_both_sinks_equal_the_cluster() -> anyhow::Result<()> {
    random_rounds(50).await
}

#[tokio::test]
async fn a_part_whose_watch_stalls_over_a_crash_keeps_its_rows_and_files_until_it_is_listed_again() -> anyhow::Result<()>
{
    let maps: &[&str] = &["keeps", "goes"];
    let names: Vec<String> = (0..10).map(|n| format!("part-{n}")).collect();
    let namespaces: Vec<(&str, &[&str])> = names.iter().map(|name| (name.as_str(), maps)).collect();
    let scenario = ExportScenario::start(Sinks::Both, &namespaces).await?;
    let proxy = HttpProxy::start(&scenario.api).await?;
    let operator = scenario.spawn_through(&proxy)?;
    scenario.in_sync().await?;

    // One of ten watches goes silent, the operator dies, and both parts lose an object meanwhile.
    let (healthy, silent) = ("part-1", "part-0");
    let stalled = proxy.add(HttpRule::new([format!("namespaces/{silent}/configmaps").as_str()], HttpAction::Stall));
    scenario.set(silent, "keeps", "unseen").await?;
    scenario.set(healthy, "keeps", "updated").await?;
    let count_rows =
        async |sql: &str| anyhow::Ok(scenario.database().await?.query_one(sql, &[]).await?.get::<_, i64>(0));
    let count = format!("SELECT count(*) FROM {} WHERE payload->'attributes'->>'value' = ", scene::TABLE);
    wait_for("the healthy part goes on", SOON, async || Ok(count_rows(&format!("{count}'updated'")).await? == 1))
        .await?;
    assert_eq!(count_rows(&format!("{count}'unseen'")).await?, 0, "the watch is not stalled");
    drop(operator);
    let before = scenario.written().await?;
    scenario.delete("ConfigMap", healthy, "goes").await?;
    scenario.delete("ConfigMap", silent, "goes").await?;

    let _operator = scenario.spawn_through(&proxy)?;
    // A part that cannot be listed is waited for, then given up, and only then the others are compared without it.
    wait_for("the deletion in the healthy part arrives in both sinks", Duration::from_secs(75), async || {
        let (row, file) = (format!("{healthy}/goes"), crate::export_scenario::map_file(healthy, "goes"));
        Ok(!scenario.written().await?.contains_key(&row) && !scenario.files(TEAM).contains(&file))
    })
    .await?;
    let (rows, files) = (scenario.written().await?, scenario.files(TEAM));
    for name in maps {
        let key = format!("{silent}/{name}");
        assert_eq!(rows.get(&key), before.get(&key), "{key} was touched");
        assert!(files.contains(&crate::export_scenario::map_file(silent, name)), "{key} has no file: {files:?}");
    }

    proxy.remove(stalled);
    scenario.in_sync_within(Duration::from_mins(1)).await?;
    let keeping: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "keeps")).collect();
    scenario.every_commit_has(&keeping)
}

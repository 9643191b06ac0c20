//! `kill -9` anywhere: after the last restart both sinks equal the cluster, and nothing was deleted that still exists.

use crate::restart::{both_sinks, in_sync};
use crate::stage::{CLUSTER, SOON, Stage, repo};
use kollect_testkit::fault_proxy::{HttpAction, HttpProxy, HttpRule};
use kollect_testkit::scene;
use kollect_testkit::servers::wait_for;
use kollect_testkit::truth::{git_commits, partial_commits};
use serde_json::json;
use std::time::Duration;

const TEAM: &str = "team";
/// Exist throughout, so every commit must have them.
const STEADY: [&str; 4] = ["one", "two", "three", "four"];

/// Every named point, and how often it may be passed before it ends the process: the same name is passed by the engine
/// and by each sink.
const POINTS: [&str; 9] =
    ["sent", "sent:2", "sent:3", "acked", "acked:2", "acked:3", "cursor_moved", "cursor_moved:2", "record_written"];

fn no_commit_is_partial(stage: &Stage) -> anyhow::Result<()> {
    let commits = git_commits(&stage.git.repos, &repo(TEAM), "main")?;
    let partial = partial_commits(&commits, &format!("{CLUSTER}/"), STEADY.len());
    anyhow::ensure!(partial.is_empty(), "commits with a partial inventory: {partial:?}");
    Ok(())
}

#[tokio::test]
async fn a_crash_at_any_named_point_loses_and_doubles_nothing() -> anyhow::Result<()> {
    let stage = Stage::start().await?;
    both_sinks(&stage).await?;
    for (round, point) in POINTS.into_iter().enumerate() {
        // An object that lives for one round only: its row and file must go, whatever the crash interrupted.
        let passing = format!("passing-{round}");
        stage.apply([scene::config_map("work", &passing, "first", 0)]).await?;
        let mut doomed = stage.spawn_operator_dying_at(point)?;
        let mut change = 0;
        wait_for(&format!("the operator dies at {point}"), SOON, async || {
            change += 1;
            let value = format!("{round}-{change}");
            stage.patch("ConfigMap", "work", "one", json!({"data": {"value": value}})).await?;
            Ok(doomed.exited()?.is_some())
        })
        .await?;
        drop(doomed);
        stage.delete("ConfigMap", "work", &passing).await?;
        let operator = stage.operator().await?;
        in_sync(&stage, &STEADY).await?;
        // Dropping kills it as kill -9 does.
        drop(operator);
    }
    no_commit_is_partial(&stage)
}

/// Kills the operator at random moments while objects come, change and go.
async fn random_rounds(rounds: u32) -> anyhow::Result<()> {
    let stage = Stage::start().await?;
    both_sinks(&stage).await?;
    for round in 0..rounds {
        let operator = stage.spawn_operator(&[])?;
        let life = Duration::from_millis(300 + u64::from(round * 977 % 2500));
        let until = tokio::time::Instant::now() + life;
        let mut step = 0;
        while tokio::time::Instant::now() < until {
            step += 1;
            let value = format!("{round}-{step}");
            let name = STEADY[step % STEADY.len()];
            stage.patch("ConfigMap", "work", name, json!({"data": {"value": value}})).await?;
            let passing = format!("passing-{round}-{step}");
            stage.apply([scene::config_map("work", &passing, "here", 0)]).await?;
            stage.delete("ConfigMap", "work", &passing).await?;
        }
        drop(operator);
    }
    let _operator = stage.operator().await?;
    in_sync(&stage, &STEADY).await?;
    no_commit_is_partial(&stage)
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
async fn a_part_whose_watch_stalls_after_a_crash_keeps_its_rows_and_files() -> anyhow::Result<()> {
    let stage = Stage::start().await?;
    stage.grant_everywhere().await?;
    stage.namespace_with("work", &["one", "two"]).await?;
    stage.namespace_with("slow", &["alpha", "beta"]).await?;
    stage.pipeline(TEAM, &["work", "slow"]).await?;
    stage.apply([stage.git_sink(TEAM, "git")?, scene::inventory(TEAM, "all", Some("git"), Some("pg"), "0s")]).await?;
    let all = ["work/one", "work/two", "slow/alpha", "slow/beta"];
    let operator = stage.operator().await?;
    stage.rows_become(TEAM, "all", &all).await?;
    stage.files_become(TEAM, 4).await?;
    drop(operator);

    let proxy = HttpProxy::start(&stage.api).await?;
    let stalled = proxy.add(HttpRule::new(["namespaces/slow/configmaps"], HttpAction::Stall));
    let _operator = stage.operator_through(&proxy).await?;
    stage.delete("ConfigMap", "work", "one").await?;
    // The healthy part goes on; a part that could not be listed is given up after a while and only then compared without.
    wait_for("the deletion in the healthy part arrives", Duration::from_secs(75), async || {
        Ok(!stage.rows(TEAM, "all").await?.contains("work/one"))
    })
    .await?;
    stage.rows_become(TEAM, "all", &["work/two", "slow/alpha", "slow/beta"]).await?;
    let files = stage.files(TEAM);
    assert!(files.iter().filter(|path| path.contains("/slow/")).count() == 2, "{files:?}");

    stage.delete("ConfigMap", "slow", "alpha").await?;
    proxy.remove(stalled);
    wait_for("the stalled part is in sync again", Duration::from_secs(75), async || {
        let rows = stage.rows(TEAM, "all").await?;
        Ok(!rows.contains("slow/alpha") && rows.contains("slow/beta") && stage.files(TEAM).len() == 2)
    })
    .await
}

//! What happens when the rows of all targets would take too much memory.

use crate::cluster::{PATIENCE, TestCluster, config_map, config_maps, key};
use kollect_collect::TargetSpec;
use kollect_store::PartState;
use kollect_testkit::servers::{ApiServer, ApiServerOptions, wait_for};

fn created(name: &str, namespace: &str, created: i64) -> anyhow::Result<TargetSpec> {
    Ok(TargetSpec { created, ..config_maps(name, &[namespace])? })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beyond_the_store_limit_the_newest_target_is_not_collected_and_comes_back_when_there_is_room()
-> anyhow::Result<()> {
    const LIMIT: u64 = 38_000;
    let server = ApiServer::start(ApiServerOptions::default()).await?;
    let cluster = TestCluster::limited(&server, LIMIT).await?;
    cluster.namespaces(&["old", "new"]).await?;
    let long = "x".repeat(10_000);
    for name in ["cm-0", "cm-1"] {
        cluster.apply(config_map("new", name, &long)).await?;
    }
    cluster.apply(config_map("old", "cm-0", "small")).await?;
    let specs = || Ok::<_, anyhow::Error>(vec![created("new", "new", 200)?, created("old", "old", 100)?]);
    cluster.collector.set_targets(specs()?, vec![]);
    cluster.expect_state("old", "old", |state| *state == PartState::Synced).await?;
    cluster.expect_state("new", "new", |state| *state == PartState::Synced).await?;

    // The older target grows, but the newer one is excluded.
    for name in ["cm-0", "cm-1"] {
        cluster.apply(config_map("old", name, &long)).await?;
    }
    let no_room = || cluster.collector.status(&key("new")).and_then(|status| status.no_room);
    wait_for("the newest target is not collected", PATIENCE, async || Ok(no_room().is_some())).await?;
    let why = no_room().unwrap_or_default();
    assert!(why.contains("--max-store-bytes") && why.contains("sinks keep"), "{why}");
    assert!(cluster.store.bytes() <= LIMIT && cluster.rows("new").is_empty());
    cluster.expect_state("new", "new", |state| matches!(state, PartState::Lost(_))).await?;
    let old = async |text: &str| {
        let has = || cluster.rows("old").iter().any(|row| row.contains(text));
        wait_for("the older target is collected", PATIENCE, async || Ok(has())).await
    };
    cluster.apply(config_map("old", "cm-2", "changed")).await?;
    old("changed").await?;

    // Not enough memory yet, whatever else changes.
    cluster.collector.set_targets(specs()?, vec![]);
    cluster.apply(config_map("old", "cm-2", "another")).await?;
    old("another").await?;
    assert!(no_room().is_some());

    // Enough memory again.
    for name in ["cm-0", "cm-1"] {
        cluster.apply(config_map("old", name, "small")).await?;
    }
    let collected = || cluster.rows("new").len() == 2 && no_room().is_none();
    wait_for("the target is collected again", PATIENCE, async || {
        cluster.collector.set_targets(specs()?, vec![]);
        Ok(collected())
    })
    .await
}

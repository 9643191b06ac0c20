//! Targets whose expressions are expensive.

use crate::cluster::{PATIENCE, TestCluster, config_map, config_maps, key, target};
use kollect_model::Gvk;
use kollect_store::PartState;
use kollect_testkit::servers::{ApiServer, ApiServerOptions, wait_for};

/// Some 20,000 steps for the value.
const EXPENSIVE: &str = "cel:lists.range(9000).exists(i, i < 0) ? 'never' : object.data.k";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expensive_target_gets_a_watch_of_its_own_and_keeps_exact_rows() -> anyhow::Result<()> {
    let server = ApiServer::start(ApiServerOptions::default()).await?;
    let cluster = TestCluster::new(&server, None).await?;
    cluster.namespaces(&["a"]).await?;
    for n in 0..60 {
        cluster.apply(config_map("a", &format!("cm-{n}"), "1")).await?;
    }
    let usual = || config_maps("usual", &["a"]);
    let expensive = |version| target("expensive", &Gvk::new("", "v1", "ConfigMap"), &["a"], EXPENSIVE, version);
    cluster.collector.set_targets(vec![usual()?, expensive(1)?], vec![]);
    let complete = |target: &str, rows: usize, version: &str| {
        let found = cluster.rows(target);
        found.len() == rows && found.iter().all(|row| row.ends_with(&format!(r#"{{"v":"{version}"}}"#)))
    };

    wait_for("both have all rows", PATIENCE, async || Ok(["usual", "expensive"].iter().all(|t| complete(t, 60, "1"))))
        .await?;
    wait_for("a list of its own", PATIENCE, async || Ok(cluster.lists() == 2)).await?;
    cluster.expect_state("expensive", "a", |state| *state == PartState::Synced).await?;

    let low = |name: &str| cluster.collector.status(&key(name)).is_some_and(|status| status.low_priority);
    assert!(low("expensive") && !low("usual"), "its status reports it");

    // Changes and deletions come by its own watch.
    for n in 0..60 {
        if n % 3 == 0 {
            cluster.delete(config_map("a", &format!("cm-{n}"), "")).await?;
        } else {
            cluster.apply(config_map("a", &format!("cm-{n}"), "2")).await?;
        }
    }
    wait_for("both have followed", PATIENCE, async || Ok(["usual", "expensive"].iter().all(|t| complete(t, 40, "2"))))
        .await?;
    // A new version is listed by that watch, and no other watch lists again.
    cluster.collector.set_targets(vec![usual()?, expensive(2)?], vec![]);
    wait_for("the new version has listed", PATIENCE, async || Ok(cluster.lists() == 3)).await?;
    cluster.expect_state("expensive", "a", |state| *state == PartState::Synced).await?;
    assert!(complete("expensive", 40, "2"), "{:?}", cluster.rows("expensive"));

    // A removed target loses its rows.
    cluster.collector.set_targets(vec![usual()?], vec![]);
    wait_for("its rows are gone", PATIENCE, async || Ok(cluster.rows("expensive").is_empty())).await?;
    assert_eq!(cluster.rows("usual").len(), 40);
    cluster.collector.stop().await;
    Ok(())
}

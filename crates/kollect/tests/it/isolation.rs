//! One bad part beside healthy ones: the healthy ones go on, the bad ones report their cause.

use crate::test_cluster::{self, CLUSTER, SOON, TestCluster, binding_synced, message};
use kollect_testkit::servers::{Postgres, free_port, wait_for};
use kollect_testkit::{operator, scene};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const TEAM: &str = "team";
const CHANGES: u32 = 100;

#[tokio::test]
async fn a_missing_kind_an_unreachable_and_a_broken_sink_leave_healthy_ones_as_fast_as_before() -> anyhow::Result<()> {
    let cluster = TestCluster::start().await?;
    operator::grant_read(&cluster.client, &[("", "configmaps"), ("example.org", "gadgets")]).await?;
    cluster.namespace_with("work", &["one", "two", "three"]).await?;
    cluster.pipeline(TEAM, &["work"]).await?;
    let _operator = cluster.operator().await?;
    cluster.inventory_shows(TEAM, &["Ready=True/Exported", "Synced=True/Exported", "!Degraded"]).await?;
    latency(&cluster, "warm", 20).await?;

    let mut without = latency(&cluster, "before", CHANGES).await?;
    break_parts(&cluster).await?;
    each_bad_part_reports_its_cause(&cluster).await?;
    let with = latency(&cluster, "during", 2 * CHANGES).await?;
    remove_bad_parts(&cluster).await?;
    without.extend(latency(&cluster, "after", CHANGES).await?);

    // A machine that runs other tests beside this one hiccups; the slack is for that, the ratio for the faults.
    for (percent, slack) in [(50, Duration::from_millis(25)), (95, Duration::from_millis(150))] {
        let (calm, faulty) = (percentile(&without, percent), percentile(&with, percent));
        let ratio = faulty.as_secs_f64() / calm.as_secs_f64();
        eprintln!("change to row, p{percent}: {calm:?} without faults, {faulty:?} with, ratio {ratio:.2}");
        assert!(faulty <= calm.mul_f64(1.2) + slack, "p{percent}: {faulty:?} with faults, {calm:?} without");
    }
    Ok(())
}

/// Time from each change's request until its row is there.
async fn latency(cluster: &TestCluster, phase: &str, changes: u32) -> anyhow::Result<Vec<Duration>> {
    let database = cluster.database().await?;
    let sql = format!(
        "SELECT 1 FROM {} WHERE payload->>'name' = 'one' AND payload->'attributes'->>'value' = $1",
        scene::TABLE
    );
    let statement = database.prepare(&sql).await?;
    let mut times = Vec::new();
    for change in 0..changes {
        let value = format!("{phase}-{change}");
        let begun = Instant::now();
        cluster.patch("ConfigMap", "work", "one", json!({"data": {"value": value}})).await?;
        while database.query_opt(&statement, &[&value]).await?.is_none() {
            anyhow::ensure!(begun.elapsed() < SOON, "{value} did not arrive");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        times.push(begun.elapsed());
    }
    Ok(times)
}

fn percentile(times: &[Duration], percent: usize) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort();
    sorted[(sorted.len() * percent / 100).min(sorted.len() - 1)]
}

/// Two sinks that fail in the healthy inventory itself, and a target of the same namespace whose kind does not exist.
async fn break_parts(cluster: &TestCluster) -> anyhow::Result<()> {
    let dead = scene::postgres_sink_at(
        &cluster.postgres,
        "localhost",
        free_port()?,
        TEAM,
        "dead",
        Postgres::DATABASE,
        CLUSTER,
    );
    cluster.apply(dead).await?;
    cluster.apply(cluster.postgres_sink(TEAM, "broken")).await?;
    let wrong = cluster.postgres.url(Postgres::DATABASE).replace(Postgres::PASSWORD, "wrong");
    cluster.patch("Secret", TEAM, "broken-credentials", json!({"stringData": {"dsn": wrong}})).await?;
    cluster
        .apply([
            scene::profile(TEAM, "gadgets", "example.org/v1", "Gadget", &[("size", "$.spec.size")]),
            scene::target(TEAM, "gadgets", "gadgets", &["work"]),
        ])
        .await?;
    let refs = json!({"spec": {"databaseSinkRefs": [{"name": "pg"}, {"name": "dead"}, {"name": "broken"}]}});
    cluster.patch("KollectInventory", TEAM, "all", refs).await
}

async fn each_bad_part_reports_its_cause(cluster: &TestCluster) -> anyhow::Result<()> {
    let unserved = "InformerRegistrationFailed";
    let wanted = ["Ready=False", "Synced=False", "Degraded=True"].map(|part| format!("{part}/{unserved}"));
    let wanted: Vec<&str> = wanted.iter().map(String::as_str).collect();
    let target = cluster.shows("KollectTarget", TEAM, "gadgets", &wanted).await?;
    assert!(message(&target, "Degraded").contains("Gadget"), "{target:#}");
    let partial = ["Ready=True/PartiallySynced", "Synced=False/PartiallySynced", "Degraded=True/ExportTerminal"];
    let inventory = cluster.inventory_shows(TEAM, &partial).await?;
    let degraded = message(&inventory, "Degraded");
    assert!(degraded.contains("database/broken") && !degraded.contains("database/dead"), "{degraded}");
    wait_for("every binding reports its own state", SOON, async || {
        let status = cluster.status("KollectInventory", TEAM, "all").await?;
        Ok(binding_synced(&status, "database/pg") == "True/Exported"
            && binding_synced(&status, "database/dead") == "False/ExportFailed"
            && binding_synced(&status, "database/broken") == "False/ExportFailed")
    })
    .await?;
    let failed = "ConnectionVerified=False/ConnectionTestFailed";
    cluster
        .shows("KollectDatabaseSink", TEAM, "dead", &["Ready=True/ConnectionTestFailed", failed, "!Degraded"])
        .await?;
    let failing = ["Ready=False/ConnectionTestFailed", failed, "Degraded=True/ConnectionTestFailed"];
    cluster.shows("KollectDatabaseSink", TEAM, "broken", &failing).await?;
    cluster.target_shows(TEAM, &["Ready=True/Collecting", "SinkReachable=False/SinkUnreachable", "!Degraded"]).await?;
    for (object, reason) in
        [("gadgets", unserved), ("all", "ExportFailed"), ("all", "ExportTerminal"), ("broken", "ConnectionTestFailed")]
    {
        wait_for(&format!("a Warning {reason} about {object}"), SOON, async || {
            Ok(cluster.events(TEAM, object).await?.iter().any(|(event, _)| event == reason))
        })
        .await?;
    }
    Ok(())
}

async fn remove_bad_parts(cluster: &TestCluster) -> anyhow::Result<()> {
    cluster.delete("KollectTarget", TEAM, "gadgets").await?;
    cluster.gone("KollectTarget", TEAM, "gadgets").await?;
    let refs: Value = json!({"spec": {"databaseSinkRefs": [{"name": "pg"}]}});
    cluster.patch("KollectInventory", TEAM, "all", refs).await?;
    for sink in ["dead", "broken"] {
        cluster.delete("KollectDatabaseSink", TEAM, sink).await?;
        cluster.gone("KollectDatabaseSink", TEAM, sink).await?;
    }
    cluster.inventory_shows(TEAM, &["Ready=True/Exported", "Synced=True/Exported", "!Degraded"]).await?;
    cluster.rows_become(TEAM, "all", &["work/one", "work/two", "work/three"]).await
}

#[tokio::test]
async fn a_missing_kind_is_collected_as_soon_as_its_definition_is_installed() -> anyhow::Result<()> {
    let cluster = TestCluster::start().await?;
    operator::grant_read(&cluster.client, &[("", "configmaps"), ("example.org", "gadgets")]).await?;
    cluster.namespace_with("work", &["one"]).await?;
    cluster.pipeline(TEAM, &["work"]).await?;
    cluster
        .apply([
            scene::profile(TEAM, "gadgets", "example.org/v1", "Gadget", &[("size", "$.spec.size")]),
            scene::target(TEAM, "gadgets", "gadgets", &["work"]),
        ])
        .await?;
    let mut operator = cluster.operator().await?;
    cluster.shows("KollectTarget", TEAM, "gadgets", &["Degraded=True/InformerRegistrationFailed"]).await?;
    cluster.rows_become(TEAM, "all", &["work/one"]).await?;
    cluster.target_shows(TEAM, &["Ready=True/Collecting", "!Degraded"]).await?;

    cluster.apply([test_cluster::definition("gadget", "Gadget")]).await?;
    wait_for("a Gadget can be made", SOON, async || {
        let gadget = json!({
            "apiVersion": "example.org/v1", "kind": "Gadget",
            "metadata": {"namespace": "work", "name": "lamp"}, "spec": {"size": 7},
        });
        Ok(cluster.apply([gadget]).await.is_ok())
    })
    .await?;
    cluster.shows("KollectTarget", TEAM, "gadgets", &["Ready=True/Collecting", "!Degraded"]).await?;
    cluster.rows_become(TEAM, "all", &["work/one", "work/lamp"]).await?;
    assert!(operator.exited()?.is_none(), "it must not restart for this");
    Ok(())
}

//! Connection tests: one recorded attempt per generation.

use crate::test_cluster::{TestCluster, message};
use anyhow::ensure;
use kollect_testkit::scene;
use serde_json::{Value, json};

fn test(namespace: &str, name: &str, sink: &Value, ttl: u32) -> Value {
    json!({
        "apiVersion": "kollect.dev/v1alpha1", "kind": "KollectConnectionTest",
        "metadata": {"namespace": namespace, "name": name},
        "spec": {"sinkRef": sink, "ttlSecondsAfterFinished": ttl},
    })
}

#[tokio::test]
async fn a_test_records_success_once_and_belongs_to_its_sink() -> anyhow::Result<()> {
    let (cluster, team) = (TestCluster::shared().await?, "tested");
    cluster.apply([scene::namespace(team)]).await?;
    cluster.apply(cluster.postgres_sink(team, "pg")).await?;
    cluster.apply([test(team, "try", &json!({"databaseSinkRef": "pg"}), 3600)]).await?;
    let wanted = ["ConnectionVerified=True/ConnectionOK", "Ready=True/ProbeSucceeded"];
    let status = cluster.shows("KollectConnectionTest", team, "try", &wanted).await?;
    ensure!(status["completed"] == true && status["completedAt"].is_string(), "{status:#}");
    ensure!(status["latencyMs"].is_i64() && status["observedGeneration"] == 1, "{status:#}");
    let object = cluster.objects("KollectConnectionTest", team).get("try").await?;
    let owner = object.metadata.owner_references.unwrap_or_default().pop().expect("an owner");
    ensure!(owner.kind == "KollectDatabaseSink" && owner.name == "pg" && owner.controller == Some(true), "{owner:?}");

    // A changed spec is another test.
    cluster
        .patch("KollectConnectionTest", team, "try", json!({"spec": {"sinkRef": {"databaseSinkRef": "no"}}}))
        .await?;
    let wanted = ["ConnectionVerified=False/SinkNotFound", "Ready=False/SinkNotFound"];
    let status = cluster.shows("KollectConnectionTest", team, "try", &wanted).await?;
    ensure!(status["observedGeneration"] == 2 && status.get("latencyMs").is_none(), "{status:#}");
    Ok(())
}

#[tokio::test]
async fn a_test_that_fails_reports_the_cause_without_the_credentials() -> anyhow::Result<()> {
    let (cluster, team) = (TestCluster::shared().await?, "untested");
    cluster.apply([scene::namespace(team)]).await?;
    cluster.apply(cluster.postgres_sink(team, "pg")).await?;
    let wrong = cluster.postgres.url("no-such-database");
    cluster.patch("Secret", team, "pg-credentials", json!({"stringData": {"dsn": wrong}})).await?;
    cluster.apply([test(team, "try", &json!({"databaseSinkRef": "pg"}), 3600)]).await?;
    let wanted = ["ConnectionVerified=False/ConnectionTestFailed", "Ready=False/ConnectionTestFailed"];
    let status = cluster.shows("KollectConnectionTest", team, "try", &wanted).await?;
    ensure!(message(&status, "Ready").contains("database does not exist"), "{status:#}");
    ensure!(!status.to_string().contains("://"), "{status:#}");
    cluster.delete("Secret", team, "pg-credentials").await?;
    cluster.shows("KollectDatabaseSink", team, "pg", &["Ready=False/SecretResolveFailed"]).await?;
    cluster.apply([test(team, "again", &json!({"databaseSinkRef": "pg"}), 3600)]).await?;
    cluster.shows("KollectConnectionTest", team, "again", &["Ready=False/SecretResolveFailed"]).await.map(drop)
}

#[tokio::test]
async fn a_finished_test_deletes_itself_when_its_time_is_over() -> anyhow::Result<()> {
    let (cluster, team) = (TestCluster::shared().await?, "expired");
    cluster.apply([scene::namespace(team)]).await?;
    cluster.apply([test(team, "gone", &json!({"snapshotSinkRef": "none"}), 1)]).await?;
    cluster.gone("KollectConnectionTest", team, "gone").await
}

#[tokio::test]
async fn a_sink_that_this_release_cannot_write_to_is_reported() -> anyhow::Result<()> {
    let (cluster, team) = (TestCluster::shared().await?, "events");
    cluster.apply([scene::namespace(team)]).await?;
    let spec = json!({"type": "kafka", "kafka": {"brokers": ["kafka.example:9092"], "topic": "t"}});
    cluster
        .apply([
            json!({
                "apiVersion": "kollect.dev/v1alpha1", "kind": "KollectEventSink",
                "metadata": {"namespace": team, "name": "bus"}, "spec": spec,
            }),
            json!({
                "apiVersion": "kollect.dev/v1alpha1", "kind": "KollectInventory",
                "metadata": {"namespace": team, "name": "all"}, "spec": {"eventSinkRefs": ["bus"]},
            }),
        ])
        .await?;
    let status = cluster.shows("KollectEventSink", team, "bus", &["Ready=False/SinkInvalid"]).await?;
    ensure!(message(&status, "Ready").contains("kafka"), "{status:#}");
    cluster
        .shows("KollectInventory", team, "all", &["Ready=False/SinkInvalid", "Degraded=True/SinkInvalid"])
        .await
        .map(drop)
}

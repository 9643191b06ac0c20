//! Connection tests: one recorded attempt per generation.

use crate::stage::{Stage, message};
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
    let (stage, team) = (Stage::shared().await?, "tested");
    stage.apply([scene::namespace(team)]).await?;
    stage.apply(stage.postgres_sink(team, "pg")).await?;
    stage.apply([test(team, "try", &json!({"databaseSinkRef": "pg"}), 3600)]).await?;
    let wanted = ["ConnectionVerified=True/ConnectionOK", "Ready=True/ProbeSucceeded"];
    let status = stage.shows("KollectConnectionTest", team, "try", &wanted).await?;
    ensure!(status["completed"] == true && status["completedAt"].is_string(), "{status:#}");
    ensure!(status["latencyMs"].is_i64() && status["observedGeneration"] == 1, "{status:#}");
    let object = stage.objects("KollectConnectionTest", team).get("try").await?;
    let owner = object.metadata.owner_references.unwrap_or_default().pop().expect("an owner");
    ensure!(owner.kind == "KollectDatabaseSink" && owner.name == "pg" && owner.controller == Some(true), "{owner:?}");

    // A changed spec is another test.
    stage.patch("KollectConnectionTest", team, "try", json!({"spec": {"sinkRef": {"databaseSinkRef": "no"}}})).await?;
    let wanted = ["ConnectionVerified=False/SinkNotFound", "Ready=False/SinkNotFound"];
    let status = stage.shows("KollectConnectionTest", team, "try", &wanted).await?;
    ensure!(status["observedGeneration"] == 2 && status.get("latencyMs").is_none(), "{status:#}");
    Ok(())
}

#[tokio::test]
async fn a_test_that_fails_says_why_without_the_credentials() -> anyhow::Result<()> {
    let (stage, team) = (Stage::shared().await?, "untested");
    stage.apply([scene::namespace(team)]).await?;
    stage.apply(stage.postgres_sink(team, "pg")).await?;
    let wrong = stage.postgres.url("no-such-database");
    stage.patch("Secret", team, "pg-credentials", json!({"stringData": {"dsn": wrong}})).await?;
    stage.apply([test(team, "try", &json!({"databaseSinkRef": "pg"}), 3600)]).await?;
    let wanted = ["ConnectionVerified=False/ConnectionTestFailed", "Ready=False/ConnectionTestFailed"];
    let status = stage.shows("KollectConnectionTest", team, "try", &wanted).await?;
    ensure!(message(&status, "Ready").contains("database does not exist"), "{status:#}");
    ensure!(!status.to_string().contains("://"), "{status:#}");
    stage.delete("Secret", team, "pg-credentials").await?;
    stage.shows("KollectDatabaseSink", team, "pg", &["Ready=False/SecretResolveFailed"]).await?;
    stage.apply([test(team, "again", &json!({"databaseSinkRef": "pg"}), 3600)]).await?;
    stage.shows("KollectConnectionTest", team, "again", &["Ready=False/SecretResolveFailed"]).await.map(drop)
}

#[tokio::test]
async fn a_finished_test_deletes_itself_when_its_time_is_over() -> anyhow::Result<()> {
    let (stage, team) = (Stage::shared().await?, "expired");
    stage.apply([scene::namespace(team)]).await?;
    stage.apply([test(team, "gone", &json!({"snapshotSinkRef": "none"}), 1)]).await?;
    stage.gone("KollectConnectionTest", team, "gone").await
}

#[tokio::test]
async fn a_sink_that_this_release_cannot_write_to_says_so() -> anyhow::Result<()> {
    let (stage, team) = (Stage::shared().await?, "events");
    stage.apply([scene::namespace(team)]).await?;
    let spec = json!({"type": "kafka", "kafka": {"brokers": ["kafka.example:9092"], "topic": "t"}});
    stage
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
    let status = stage.shows("KollectEventSink", team, "bus", &["Ready=False/SinkInvalid"]).await?;
    ensure!(message(&status, "Ready").contains("kafka"), "{status:#}");
    stage
        .shows("KollectInventory", team, "all", &["Ready=False/SinkInvalid", "Degraded=True/SinkInvalid"])
        .await
        .map(drop)
}

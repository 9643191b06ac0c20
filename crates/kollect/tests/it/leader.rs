//! Two operators: one leads, the other is ready to; whoever has lost the lead writes nothing more.

use crate::stage::{CLUSTER, Running, SOON, Stage, map_profile};
use anyhow::ensure;
use kollect_testkit::fault_proxy::{TcpFault, TcpMatch, TcpProxy};
use kollect_testkit::operator::SERVICE_ACCOUNT;
use kollect_testkit::scene;
use kollect_testkit::servers::{Postgres, wait_for};
use serde_json::json;
use std::time::{Duration, Instant};

const TEAM: &str = "team";
const LEASE: &str = "3274ac8a.kollect.dev";
/// So that a lost lead is noticed within a test's time.
const SHORT: [&str; 3] =
    ["--leader-elect-lease-duration=4s", "--leader-elect-renew-deadline=3s", "--leader-elect-retry-period=1s"];

/// One ConfigMap `work/one` whose value is exported.
async fn stage() -> anyhow::Result<Stage> {
    let stage = Stage::start().await?;
    stage.grant_everywhere().await?;
    stage.namespace_with("work", &["one"]).await?;
    stage.pipeline(TEAM, &["work"]).await?;
    Ok(stage)
}

/// The same with a proxy before Postgres.
async fn stage_with_proxy() -> anyhow::Result<(Stage, TcpProxy)> {
    let stage = Stage::start().await?;
    stage.grant_everywhere().await?;
    stage.namespace_with("work", &["one"]).await?;
    let proxy = TcpProxy::start(([127, 0, 0, 1], stage.postgres.port()).into()).await?;
    let (server, port) = (&stage.postgres, proxy.port());
    stage.apply([scene::namespace(TEAM)]).await?;
    stage.apply(scene::postgres_sink_at(server, "localhost", port, TEAM, "pg", Postgres::DATABASE, CLUSTER)).await?;
    stage
        .apply([
            map_profile(TEAM),
            scene::target(TEAM, "maps", "maps", &["work"]),
            scene::inventory(TEAM, "all", None, Some("pg"), "0s"),
        ])
        .await?;
    Ok((stage, proxy))
}

async fn change(stage: &Stage, value: &str) -> anyhow::Result<()> {
    stage.patch("ConfigMap", "work", "one", json!({"data": {"value": value}})).await
}

/// Value and row version, as Postgres has them.
async fn row(stage: &Stage) -> anyhow::Result<(String, String)> {
    let sql = format!("SELECT payload->'attributes'->>'value', xmin::text FROM {}", scene::TABLE);
    let row = stage.database().await?.query_one(&sql, &[]).await?;
    Ok((row.get(0), row.get(1)))
}

async fn arrives(stage: &Stage, value: &str) -> anyhow::Result<()> {
    wait_for(&format!("{value} is in Postgres"), SOON, async || Ok(row(stage).await?.0 == value)).await
}

async fn holder(stage: &Stage) -> anyhow::Result<String> {
    let lease = stage.objects("Lease", SERVICE_ACCOUNT.0).get(LEASE).await?;
    Ok(lease.data["spec"]["holderIdentity"].as_str().unwrap_or_default().to_owned())
}

async fn leads(stage: &Stage, pod: &str) -> anyhow::Result<()> {
    wait_for(&format!("{pod} leads"), SOON, async || Ok(holder(stage).await? == pod)).await
}

#[tokio::test]
async fn a_ready_standby_takes_over_from_a_terminated_leader_within_5_s() -> anyhow::Result<()> {
    let stage = stage().await?;
    let mut leader = stage.operator_as("pod-a", &[]).await?;
    leads(&stage, "pod-a").await?;
    let mut standby = stage.operator_as("pod-b", &[]).await?;
    arrives(&stage, "first").await?;
    for value in ["second", "third"] {
        ensure!(holder(&stage).await? == if value == "second" { "pod-a" } else { "pod-b" }, "another one leads");
        let begun = Instant::now();
        let status = leader.terminate(Duration::from_secs(8)).await?;
        ensure!(status.success(), "it ended with {status}");
        let ended = Instant::now();
        change(&stage, value).await?;
        arrives(&stage, value).await?;
        eprintln!("ended after {:?}, {value} exported {:?} later", ended - begun, ended.elapsed());
        ensure!(ended.elapsed() <= Duration::from_secs(5), "{value} was exported only {:?} later", ended.elapsed());
        // And back again, as a rolling replacement goes on.
        leader = std::mem::replace(&mut standby, stage.operator_as("pod-a", &[]).await?);
    }
    Ok(())
}

#[tokio::test]
async fn a_leader_whose_sink_hangs_ends_within_8_s_all_the_same() -> anyhow::Result<()> {
    let (stage, proxy) = stage_with_proxy().await?;
    let mut operator = stage.operator().await?;
    arrives(&stage, "first").await?;
    hang_a_write(&stage, &proxy, "second").await?;
    operator.terminate(Duration::from_secs(8)).await?;
    proxy.heal();
    ensure!(row(&stage).await?.0 == "first" || row(&stage).await?.0 == "second", "half a write");
    let _successor = stage.operator().await?;
    arrives(&stage, "second").await
}

/// Stalls what is connected and waits until a write hangs in it.
async fn hang_a_write(stage: &Stage, proxy: &TcpProxy, value: &str) -> anyhow::Result<()> {
    for connection in proxy.connections() {
        proxy.set_for(TcpMatch::Number(connection.number), TcpFault::Stall);
    }
    let sent = || proxy.connections().iter().map(|connection| connection.sent).sum::<u64>();
    let before = sent();
    change(stage, value).await?;
    wait_for("a write is on its way", SOON, async || Ok(sent() > before)).await
}

#[tokio::test]
async fn a_frozen_leader_whose_write_arrives_after_another_took_over_changes_nothing() -> anyhow::Result<()> {
    let (stage, proxy) = stage_with_proxy().await?;
    let mut frozen = stage.operator_as("pod-a", &SHORT).await?;
    leads(&stage, "pod-a").await?;
    let _standby = stage.operator_as("pod-b", &SHORT).await?;
    arrives(&stage, "first").await?;
    hang_a_write(&stage, &proxy, "stale").await?;
    frozen.freeze(true);
    leads(&stage, "pod-b").await?;
    arrives(&stage, "stale").await?;
    change(&stage, "fresh").await?;
    arrives(&stage, "fresh").await?;
    let before = row(&stage).await?;

    proxy.heal();
    frozen.freeze(false);
    exits_in_failure(&mut frozen).await?;
    ensure!(
        row(&stage).await? == before,
        "written after the lead was lost: {:?} then {:?}",
        before,
        row(&stage).await?
    );
    ensure!(holder(&stage).await? == "pod-b", "the lease moved");
    change(&stage, "last").await?;
    arrives(&stage, "last").await
}

#[tokio::test]
async fn a_leader_that_froze_in_the_middle_of_a_transaction_does_not_commit_it_when_it_thaws() -> anyhow::Result<()> {
    let stage = stage().await?;
    let mut frozen = stage.operator_as("pod-a", &SHORT).await?;
    leads(&stage, "pod-a").await?;
    let _standby = stage.operator_as("pod-b", &SHORT).await?;
    arrives(&stage, "first").await?;
    let database = stage.database().await?;
    database.batch_execute(&log_of_writes()).await?;
    let sessions = async |condition: &str| {
        let sql = format!("SELECT 1 FROM pg_stat_activity WHERE usename = '{}' AND {condition}", Postgres::USER);
        anyhow::Ok(!database.query(&sql, &[]).await?.is_empty())
    };
    let lock = stage.database().await?;
    lock.batch_execute(&format!("BEGIN; LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE", scene::TABLE)).await?;
    change(&stage, "stale").await?;
    wait_for("a write waits for the lock", SOON, async || sessions("wait_event_type = 'Lock'").await).await?;
    frozen.freeze(true);
    leads(&stage, "pod-b").await?;
    change(&stage, "fresh").await?;
    lock.batch_execute("COMMIT").await?;
    wait_for("the write is done and not committed", SOON, async || sessions("state = 'idle in transaction'").await)
        .await?;

    frozen.freeze(false);
    exits_in_failure(&mut frozen).await?;
    arrives(&stage, "fresh").await?;
    let committed = database.query("SELECT value FROM written", &[]).await?;
    let committed: Vec<String> = committed.iter().map(|row| row.get(0)).collect();
    ensure!(!committed.iter().any(|value| value == "stale"), "committed without the right to write: {committed:?}");
    ensure!(committed.iter().any(|value| value == "fresh"), "the log of writes does not work");
    Ok(())
}

/// Keeps the value of every row that was ever committed.
fn log_of_writes() -> String {
    format!(
        "CREATE TABLE written (value text); \
         CREATE FUNCTION log_write() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN \
         INSERT INTO public.written VALUES (NEW.payload->'attributes'->>'value'); RETURN NULL; END $$; \
         CREATE TRIGGER log_write AFTER INSERT OR UPDATE ON {} FOR EACH ROW EXECUTE FUNCTION log_write()",
        scene::TABLE
    )
}

#[tokio::test]
async fn an_operator_whose_lease_was_taken_away_ends_in_failure_and_writes_nothing_more() -> anyhow::Result<()> {
    let stage = stage().await?;
    let mut operator = stage.operator().await?;
    arrives(&stage, "first").await?;
    let taken = json!({"spec": {"holderIdentity": "somebody-else"}});
    stage.patch("Lease", SERVICE_ACCOUNT.0, LEASE, taken).await?;
    exits_in_failure(&mut operator).await?;
    ensure!(holder(&stage).await? == "somebody-else", "a lost lease must not be released");
    Ok(())
}

async fn exits_in_failure(operator: &mut Running) -> anyhow::Result<()> {
    let status = operator.wait_exit(Duration::from_secs(15)).await?;
    ensure!(!status.success(), "it ended as if all were well");
    ensure!(operator.logs().contains("leader election lost"), "the log does not say why it ended");
    Ok(())
}

#[tokio::test]
async fn a_deleted_lease_does_not_shut_the_next_leader_out_of_its_sinks() -> anyhow::Result<()> {
    let stage = stage().await?;
    for value in ["second", "third"] {
        let mut operator = stage.operator().await?;
        change(&stage, value).await?;
        arrives(&stage, value).await?;
        operator.terminate(Duration::from_secs(8)).await?;
    }
    // As when the operator is removed with its namespace and installed again.
    stage.delete("Lease", SERVICE_ACCOUNT.0, LEASE).await?;
    let _operator = stage.operator().await?;
    change(&stage, "fourth").await?;
    arrives(&stage, "fourth").await
}

#[tokio::test]
async fn a_leader_whose_clock_was_set_back_writes_again_with_a_fence_above_the_one_in_postgres() -> anyhow::Result<()> {
    const HOUR: i64 = 3_600_000_000;
    let stage = stage().await?;
    let mut operator = stage.operator().await?;
    arrives(&stage, "first").await?;
    let acquired = async || {
        let lease = stage.objects("Lease", SERVICE_ACCOUNT.0).get(LEASE).await?;
        let text = lease.data["spec"]["acquireTime"].as_str().unwrap_or_default().to_owned();
        anyhow::Ok(text.parse::<jiff::Timestamp>()?.as_microsecond())
    };
    let began = acquired().await?;
    // As if the one before had led with a clock an hour ahead, and its Lease was deleted.
    let ahead = format!("UPDATE kollect_writer SET fence = fence + {HOUR} RETURNING fence");
    let held: i64 = stage.database().await?.query_one(&ahead, &[]).await?.get(0);
    change(&stage, "second").await?;
    arrives(&stage, "second").await?;
    let now: i64 = stage.database().await?.query_one("SELECT fence FROM kollect_writer", &[]).await?.get(0);
    ensure!(now == held + 1, "the fence is {now} after {held}");
    ensure!(acquired().await? == began + HOUR + 1, "the Lease does not say so");
    // The next leader begins above it.
    operator.terminate(Duration::from_secs(8)).await?;
    let _next = stage.operator_as("pod-b", &[]).await?;
    change(&stage, "third").await?;
    arrives(&stage, "third").await
}

//! Two operators: one leads, the other is ready to; a process that lost the lead writes nothing more.

use crate::test_cluster::{CLUSTER, Running, SOON, TestCluster, map_profile};
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
async fn cluster() -> anyhow::Result<TestCluster> {
    let cluster = TestCluster::start().await?;
    cluster.grant_everywhere().await?;
    cluster.namespace_with("work", &["one"]).await?;
    cluster.pipeline(TEAM, &["work"]).await?;
    Ok(cluster)
}

/// The same with a proxy before Postgres.
async fn stage_with_proxy() -> anyhow::Result<(TestCluster, TcpProxy)> {
    let cluster = TestCluster::start().await?;
    cluster.grant_everywhere().await?;
    cluster.namespace_with("work", &["one"]).await?;
    let proxy = TcpProxy::start(([127, 0, 0, 1], cluster.postgres.port()).into()).await?;
    let (server, port) = (&cluster.postgres, proxy.port());
    cluster.apply([scene::namespace(TEAM)]).await?;
    cluster.apply(scene::postgres_sink_at(server, "localhost", port, TEAM, "pg", Postgres::DATABASE, CLUSTER)).await?;
    cluster
        .apply([
            map_profile(TEAM),
            scene::target(TEAM, "maps", "maps", &["work"]),
            scene::inventory(TEAM, "all", None, Some("pg"), "0s"),
        ])
        .await?;
    Ok((cluster, proxy))
}

async fn change(cluster: &TestCluster, value: &str) -> anyhow::Result<()> {
    cluster.patch("ConfigMap", "work", "one", json!({"data": {"value": value}})).await
}

/// Value and row version, as Postgres has them.
async fn row(cluster: &TestCluster) -> anyhow::Result<(String, String)> {
    let sql = format!("SELECT payload->'attributes'->>'value', xmin::text FROM {}", scene::TABLE);
    let row = cluster.database().await?.query_one(&sql, &[]).await?;
    Ok((row.get(0), row.get(1)))
}

async fn arrives(cluster: &TestCluster, value: &str) -> anyhow::Result<()> {
    wait_for(&format!("{value} is in Postgres"), SOON, async || Ok(row(cluster).await?.0 == value)).await
}

async fn holder(cluster: &TestCluster) -> anyhow::Result<String> {
    let lease = cluster.objects("Lease", SERVICE_ACCOUNT.0).get(LEASE).await?;
    Ok(lease.data["spec"]["holderIdentity"].as_str().unwrap_or_default().to_owned())
}

async fn leads(cluster: &TestCluster, pod: &str) -> anyhow::Result<()> {
    wait_for(&format!("{pod} leads"), SOON, async || Ok(holder(cluster).await? == pod)).await
}

#[tokio::test]
async fn a_ready_standby_takes_over_from_a_terminated_leader_within_5_s() -> anyhow::Result<()> {
    let cluster = cluster().await?;
    let mut leader = cluster.operator_as("pod-a", &[]).await?;
    leads(&cluster, "pod-a").await?;
    let mut standby = cluster.operator_as("pod-b", &[]).await?;
    arrives(&cluster, "first").await?;
    for value in ["second", "third"] {
        ensure!(holder(&cluster).await? == if value == "second" { "pod-a" } else { "pod-b" }, "another one leads");
        let begun = Instant::now();
        let status = leader.terminate(Duration::from_secs(8)).await?;
        ensure!(status.success(), "it ended with {status}");
        let ended = Instant::now();
        change(&cluster, value).await?;
        arrives(&cluster, value).await?;
        eprintln!("ended after {:?}, {value} exported {:?} later", ended - begun, ended.elapsed());
        ensure!(ended.elapsed() <= Duration::from_secs(5), "{value} was exported only {:?} later", ended.elapsed());
        // And back again, as a rolling replacement goes on.
        leader = std::mem::replace(&mut standby, cluster.operator_as("pod-a", &[]).await?);
    }
    Ok(())
}

#[tokio::test]
async fn a_leader_whose_sink_hangs_ends_within_8_s_all_the_same() -> anyhow::Result<()> {
    let (cluster, proxy) = stage_with_proxy().await?;
    let mut operator = cluster.operator().await?;
    arrives(&cluster, "first").await?;
    hang_a_write(&cluster, &proxy, "second").await?;
    operator.terminate(Duration::from_secs(8)).await?;
    proxy.heal();
    ensure!(row(&cluster).await?.0 == "first" || row(&cluster).await?.0 == "second", "half a write");
    let _successor = cluster.operator().await?;
    arrives(&cluster, "second").await
}

/// Stalls what is connected and waits until a write hangs in it.
async fn hang_a_write(cluster: &TestCluster, proxy: &TcpProxy, value: &str) -> anyhow::Result<()> {
    for connection in proxy.connections() {
        proxy.set_for(TcpMatch::Number(connection.number), TcpFault::Stall);
    }
    let sent = || proxy.connections().iter().map(|connection| connection.sent).sum::<u64>();
    let before = sent();
    change(cluster, value).await?;
    wait_for("a write is on its way", SOON, async || Ok(sent() > before)).await
}

#[tokio::test]
async fn a_frozen_leader_whose_write_arrives_after_another_took_over_changes_nothing() -> anyhow::Result<()> {
    let (cluster, proxy) = stage_with_proxy().await?;
    let mut frozen = cluster.operator_as("pod-a", &SHORT).await?;
    leads(&cluster, "pod-a").await?;
    let _standby = cluster.operator_as("pod-b", &SHORT).await?;
    arrives(&cluster, "first").await?;
    hang_a_write(&cluster, &proxy, "stale").await?;
    frozen.freeze(true);
    leads(&cluster, "pod-b").await?;
    arrives(&cluster, "stale").await?;
    change(&cluster, "fresh").await?;
    arrives(&cluster, "fresh").await?;
    let before = row(&cluster).await?;

    proxy.heal();
    frozen.freeze(false);
    exits_in_failure(&mut frozen).await?;
    ensure!(
        row(&cluster).await? == before,
        "written after the lead was lost: {:?} then {:?}",
        before,
        row(&cluster).await?
    );
    ensure!(holder(&cluster).await? == "pod-b", "the lease moved");
    change(&cluster, "last").await?;
    arrives(&cluster, "last").await
}

#[tokio::test]
async fn a_leader_that_froze_in_the_middle_of_a_transaction_does_not_commit_it_when_it_thaws() -> anyhow::Result<()> {
    let cluster = cluster().await?;
    let mut frozen = cluster.operator_as("pod-a", &SHORT).await?;
    leads(&cluster, "pod-a").await?;
    let _standby = cluster.operator_as("pod-b", &SHORT).await?;
    arrives(&cluster, "first").await?;
    let database = cluster.database().await?;
    database.batch_execute(&log_of_writes()).await?;
    let sessions = async |condition: &str| {
        let sql = format!("SELECT 1 FROM pg_stat_activity WHERE usename = '{}' AND {condition}", Postgres::USER);
        anyhow::Ok(!database.query(&sql, &[]).await?.is_empty())
    };
    let lock = cluster.database().await?;
    lock.batch_execute(&format!("BEGIN; LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE", scene::TABLE)).await?;
    change(&cluster, "stale").await?;
    wait_for("a write waits for the lock", SOON, async || sessions("wait_event_type = 'Lock'").await).await?;
    frozen.freeze(true);
    leads(&cluster, "pod-b").await?;
    change(&cluster, "fresh").await?;
    lock.batch_execute("COMMIT").await?;
    wait_for("the write is done and not committed", SOON, async || sessions("state = 'idle in transaction'").await)
        .await?;

    frozen.freeze(false);
    exits_in_failure(&mut frozen).await?;
    arrives(&cluster, "fresh").await?;
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
    let cluster = cluster().await?;
    let mut operator = cluster.operator().await?;
    arrives(&cluster, "first").await?;
    let taken = json!({"spec": {"holderIdentity": "another-process"}});
    cluster.patch("Lease", SERVICE_ACCOUNT.0, LEASE, taken).await?;
    exits_in_failure(&mut operator).await?;
    ensure!(holder(&cluster).await? == "another-process", "a lost lease must not be released");
    Ok(())
}

async fn exits_in_failure(operator: &mut Running) -> anyhow::Result<()> {
    let status = operator.wait_exit(Duration::from_secs(15)).await?;
    ensure!(!status.success(), "it ended as if all were well");
    ensure!(operator.logs().contains("leader election lost"), "the log lacks the cause of the end");
    Ok(())
}

#[tokio::test]
async fn a_deleted_lease_does_not_shut_the_next_leader_out_of_its_sinks() -> anyhow::Result<()> {
    let cluster = cluster().await?;
    for value in ["second", "third"] {
        let mut operator = cluster.operator().await?;
        change(&cluster, value).await?;
        arrives(&cluster, value).await?;
        operator.terminate(Duration::from_secs(8)).await?;
    }
    // As when the operator is removed with its namespace and installed again.
    cluster.delete("Lease", SERVICE_ACCOUNT.0, LEASE).await?;
    let _operator = cluster.operator().await?;
    change(&cluster, "fourth").await?;
    arrives(&cluster, "fourth").await
}

#[tokio::test]
async fn a_leader_whose_clock_was_set_back_writes_again_with_a_fence_above_the_one_in_postgres() -> anyhow::Result<()> {
    const HOUR: i64 = 3_600_000_000;
    let cluster = cluster().await?;
    let mut operator = cluster.operator().await?;
    arrives(&cluster, "first").await?;
    let acquired = async || {
        let lease = cluster.objects("Lease", SERVICE_ACCOUNT.0).get(LEASE).await?;
        let text = lease.data["spec"]["acquireTime"].as_str().unwrap_or_default().to_owned();
        anyhow::Ok(text.parse::<jiff::Timestamp>()?.as_microsecond())
    };
    let began = acquired().await?;
    // As if the one before had led with a clock an hour ahead, and its Lease was deleted.
    let ahead = format!("UPDATE kollect_writer SET fence = fence + {HOUR} RETURNING fence");
    let held: i64 = cluster.database().await?.query_one(&ahead, &[]).await?.get(0);
    change(&cluster, "second").await?;
    arrives(&cluster, "second").await?;
    let now: i64 = cluster.database().await?.query_one("SELECT fence FROM kollect_writer", &[]).await?.get(0);
    ensure!(now == held + 1, "the fence is {now} after {held}");
    ensure!(acquired().await? == began + HOUR + 1, "the Lease has another time");
    // The next leader begins above it.
    operator.terminate(Duration::from_secs(8)).await?;
    let _next = cluster.operator_as("pod-b", &[]).await?;
    change(&cluster, "third").await?;
    arrives(&cluster, "third").await
}

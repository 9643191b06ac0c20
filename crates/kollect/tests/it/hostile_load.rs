//! Tenants whose expressions, rows, Secrets and Git server attack the operator, beside a tenant who works.

use crate::test_cluster::{Running, SOON, TestCluster};
use kollect_testkit::hostile::{self, GitBomb};
use kollect_testkit::operator::{self, HealthProbe};
use kollect_testkit::servers::wait_for;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const TEAM: &str = "team";
/// What the operator may use at most while it is attacked; `deploy/operator.yaml` gives it 512 MiB.
const MAX_RSS_KB: u64 = 200 << 10;
/// A lease that is not renewed for so long is lost.
const RENEWED_WITHIN: Duration = Duration::from_secs(15);
/// A kubelet waits one second. A machine that runs other tests beside this one gets more.
const PROBE_PATIENCE: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tenants_that_attack_are_degraded_and_everything_else_goes_on() -> anyhow::Result<()> {
    let cluster = TestCluster::start().await?;
    operator::grant_read(&cluster.client, &[("", "configmaps"), ("", "secrets")]).await?;
    cluster.namespace_with("work", &["one"]).await?;
    cluster.pipeline(TEAM, &["work"]).await?;
    cluster.apply([kollect_testkit::scene::namespace("bench-000")]).await?;
    let mut operator = cluster.operator_with(&["--max-store-bytes=358Mi"]).await?;
    cluster.inventory_shows(TEAM, &["Ready=True/Exported"]).await?;
    let bomb = GitBomb::start().await?;
    let pulse = Pulse::watch(operator.health_probe());

    let objects = hostile::objects(&bomb);
    cluster.apply(objects.clone()).await?;
    for round in 0..10 {
        change(&cluster, &format!("round-{round}")).await?;
    }
    let targets = objects.iter().filter(|object| object["kind"] == "KollectTarget");
    for target in targets {
        let name = target["metadata"]["name"].as_str().unwrap_or_default();
        let status = is_degraded(&cluster, "KollectTarget", name).await?;
        eprintln!("{name}: {}", status["conditions"]);
    }
    let bombed = is_degraded(&cluster, "KollectInventory", "bomb").await?;
    eprintln!("bomb: {}", bombed["conditions"]);
    change(&cluster, "last").await?;
    lease_is_renewed(&cluster).await?;
    pulse.end().await?;
    lives_within_its_memory(&mut operator)
}

/// A change of the tenant who works arrives.
async fn change(cluster: &TestCluster, value: &str) -> anyhow::Result<()> {
    cluster.patch("ConfigMap", "work", "one", json!({"data": {"value": value}})).await?;
    let database = cluster.database().await?;
    let sql = format!("SELECT 1 FROM {} WHERE payload->'attributes'->>'value' = $1", kollect_testkit::scene::TABLE);
    wait_for(&format!("{value} arrives"), SOON, async || Ok(database.query_opt(&sql, &[&value]).await?.is_some())).await
}

async fn is_degraded(cluster: &TestCluster, kind: &str, name: &str) -> anyhow::Result<Value> {
    let mut last = Value::Null;
    let degraded = wait_for(&format!("{kind} {name} is degraded"), 4 * SOON, async || {
        last = cluster.status(kind, hostile::NAMESPACE, name).await?;
        let conditions = last["conditions"].as_array();
        Ok(conditions.is_some_and(|all| all.iter().any(|one| one["type"] == "Degraded" && one["status"] == "True")))
    })
    .await;
    degraded.map_err(|error| error.context(format!("{kind} {name}: {last:#}")))?;
    Ok(last)
}

async fn lease_is_renewed(cluster: &TestCluster) -> anyhow::Result<()> {
    let leases = cluster.objects("Lease", "kollect-system");
    let time = async || {
        let list = leases.list(&kube::api::ListParams::default()).await?;
        anyhow::Ok(list.items.first().map(|lease| lease.data["spec"]["renewTime"].clone()))
    };
    let before = time().await?;
    wait_for("the lease is renewed", RENEWED_WITHIN, async || Ok(time().await? != before)).await
}

fn lives_within_its_memory(operator: &mut Running) -> anyhow::Result<()> {
    anyhow::ensure!(operator.exited()?.is_none(), "the operator has ended");
    let usage = operator.usage()?;
    eprintln!("resident {} MiB, at most {} MiB", usage.rss_kb >> 10, usage.peak_kb >> 10);
    anyhow::ensure!(usage.peak_kb <= MAX_RSS_KB, "{} MiB at most", usage.peak_kb >> 10);
    Ok(())
}

/// Asks the health probe without a pause.
struct Pulse {
    stop: CancellationToken,
    task: JoinHandle<anyhow::Result<Duration>>,
}

impl Pulse {
    fn watch(probe: HealthProbe) -> Self {
        let stop = CancellationToken::new();
        let until = stop.clone();
        let task = tokio::spawn(async move {
            let mut slowest = Duration::ZERO;
            while until.run_until_cancelled(tokio::time::sleep(Duration::from_millis(200))).await.is_some() {
                let begun = Instant::now();
                tokio::time::timeout(PROBE_PATIENCE, probe.ask()).await??;
                slowest = slowest.max(begun.elapsed());
            }
            Ok(slowest)
        });
        Self { stop, task }
    }

    async fn end(self) -> anyhow::Result<()> {
        self.stop.cancel();
        let slowest = self.task.await??;
        eprintln!("slowest health probe: {slowest:?}");
        Ok(())
    }
}

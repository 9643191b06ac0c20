//! Tenants that attack, at work: their objects change all the time.

use crate::bench_cluster::BenchCluster;
use kollect_testkit::hostile::{self, GitBomb};
use kollect_testkit::operator;
use kollect_testkit::servers::wait_for;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Their objects change this often, all of them.
const EVERY: Duration = Duration::from_secs(1);

/// The tenants and what they send. Their objects change all the time, with and without something that collects them, so
/// that what the API server has to do is the same.
pub(super) struct Hostile {
    client: kube::Client,
    attack: Vec<Value>,
    stop: CancellationToken,
    busy: JoinHandle<()>,
    _bomb: GitBomb,
}

impl Hostile {
    pub(super) async fn new(cluster: &BenchCluster) -> anyhow::Result<Self> {
        let (client, bomb, stop) = (cluster.client.clone(), GitBomb::start().await?, CancellationToken::new());
        let is_collected = |object: &Value| matches!(object["kind"].as_str(), Some("Namespace" | "ConfigMap"));
        let (collected, attack): (Vec<Value>, _) = hostile::objects(&bomb).into_iter().partition(is_collected);
        for object in &collected {
            operator::apply(&client, object.clone()).await?;
        }
        let maps = collected.into_iter().filter(|object| object["kind"] == "ConfigMap").collect();
        let busy = tokio::spawn(change_all(client.clone(), maps, stop.clone()));
        Ok(Self { client, attack, stop, busy, _bomb: bomb })
    }

    pub(super) async fn begin(&self) -> anyhow::Result<()> {
        for object in &self.attack {
            operator::apply(&self.client, object.clone()).await?;
        }
        for target in self.attack.iter().filter(|object| object["kind"] == "KollectTarget") {
            self.is_degraded(target).await?;
        }
        Ok(())
    }

    pub(super) async fn end(&self) -> anyhow::Result<()> {
        for object in &self.attack {
            let name = object["metadata"]["name"].as_str().unwrap_or_default();
            operator::api_of(&self.client, object).delete(name, &DeleteParams::default()).await?;
        }
        anyhow::ensure!(!self.busy.is_finished(), "the objects of the attackers do not change any more");
        Ok(())
    }

    async fn is_degraded(&self, target: &Value) -> anyhow::Result<()> {
        let name = target["metadata"]["name"].as_str().unwrap_or_default();
        let targets = operator::api_of(&self.client, target);
        wait_for(&format!("target {name} is degraded"), Duration::from_mins(1), async || {
            let object = targets.get(name).await?;
            let conditions = object.data.pointer("/status/conditions").and_then(Value::as_array);
            Ok(conditions.is_some_and(|all| all.iter().any(|c| c["type"] == "Degraded" && c["status"] == "True")))
        })
        .await
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn change_all(client: kube::Client, maps: Vec<Value>, stop: CancellationToken) {
    let mut round = 0_u64;
    while stop.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_some() {
        round += 1;
        for map in &maps {
            let name = map["metadata"]["name"].as_str().unwrap_or_default();
            let patch = Patch::Merge(json!({"metadata": {"labels": {"round": round.to_string()}}}));
            let _ = operator::api_of(&client, map).patch(name, &PatchParams::default(), &patch).await;
        }
    }
}

//! Tenants that attack, at work: their objects change all the time.

use crate::bench_live::Stage;
use crate::hostile::{self, GitBomb};
use crate::operator;
use crate::servers::wait_for;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Their objects change this often, all of them.
const EVERY: Duration = Duration::from_secs(1);

/// The tenants and what they send.
pub(super) struct Hostile {
    client: kube::Client,
    bomb: GitBomb,
    busy: Option<(CancellationToken, JoinHandle<()>)>,
}

impl Hostile {
    pub(super) async fn new(stage: &Stage) -> anyhow::Result<Self> {
        Ok(Self { client: stage.client.clone(), bomb: GitBomb::start().await?, busy: None })
    }

    pub(super) async fn begin(&mut self) -> anyhow::Result<()> {
        let objects = hostile::objects(&self.bomb);
        for object in &objects {
            operator::apply(&self.client, object.clone()).await?;
        }
        for target in objects.iter().filter(|object| object["kind"] == "KollectTarget") {
            self.is_degraded(target).await?;
        }
        let stop = CancellationToken::new();
        let maps: Vec<Value> = objects.into_iter().filter(|object| object["kind"] == "ConfigMap").collect();
        let task = tokio::spawn(change_all(self.client.clone(), maps, stop.clone()));
        self.busy = Some((stop, task));
        Ok(())
    }

    pub(super) async fn end(&mut self) -> anyhow::Result<()> {
        if let Some((stop, task)) = self.busy.take() {
            stop.cancel();
            task.await?;
        }
        for object in hostile::objects(&self.bomb).iter().filter(|object| object["kind"] != "Namespace") {
            let name = object["metadata"]["name"].as_str().unwrap_or_default();
            operator::api_of(&self.client, object).delete(name, &DeleteParams::default()).await?;
        }
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

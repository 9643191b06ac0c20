//! `bench faults`: how fast changes of healthy parts arrive with ill parts beside them, as a ratio to without.
//!
//! Separate from `bench live` because it compares the operator with itself: calm and ill phases alternate, so that what
//! else the machine does falls on both.

use crate::bench_live::{CLUSTER, INVENTORY, Latency, Stage, latency, say};
use crate::operator::{self, Operator, OperatorOptions};
use crate::scene;
use crate::servers::{Postgres, free_port, wait_for};
use anyhow::Context as _;
use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams};
use serde_json::{Value, json};
use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

const SOON: Duration = Duration::from_mins(1);

/// Compares the latency of healthy parts with and without ill ones beside them
#[derive(clap::Args, Clone, Debug)]
pub struct FaultArgs {
    /// ConfigMaps of about 1 KB
    #[arg(long, default_value_t = 1_000)]
    pub objects: u32,
    /// Namespaces; the first one gets the ill parts
    #[arg(long, default_value_t = 4)]
    pub namespaces: u32,
    /// Calm and ill phases
    #[arg(long, default_value_t = 5)]
    pub rounds: u32,
    /// Single changes in each phase
    #[arg(long, default_value_t = 400)]
    pub changes: u32,
    /// Write the numbers to this file
    #[arg(long)]
    pub json: Option<PathBuf>,
}

/// Runs the comparison and prints the numbers.
pub async fn run(args: &FaultArgs) -> anyhow::Result<()> {
    let stage = Stage::prepare(args.objects, args.namespaces).await?;
    stage.apply_pipelines().await?;
    operator::grant_read(&stage.client, &[("", "configmaps"), ("example.org", "gadgets")]).await?;
    let ill = Ill::new(&stage)?;
    let mut operator = Operator::start(&stage.kubeconfig, &OperatorOptions::default())?;
    operator.wait_ready(SOON).await?;
    ill.inventory_becomes("Exported").await?;
    let (mut without, mut with) = (Vec::new(), Vec::new());
    // The first changes find cold caches and new connections.
    measure(&stage, "warm", args.changes).await?;
    for round in 0..args.rounds {
        without.extend(measure(&stage, &format!("calm-{round}"), args.changes).await?);
        ill.begin().await?;
        with.extend(measure(&stage, &format!("ill-{round}"), args.changes).await?);
        ill.end().await?;
    }
    let [without, with] = [without, with].map(Latency::of).map(|l| l.context("--rounds and --changes must not be 0"));
    let (without, with) = (without?, with?);
    let report = json!({
        "latency_ms": {"without": {"p50": without.p50, "p99": without.p99}, "with": {"p50": with.p50, "p99": with.p99}},
        "ratio": {"p50": with.p50 / without.p50, "p99": with.p99 / without.p99},
    });
    writeln!(std::io::stdout(), "{report:#}")?;
    if let Some(file) = &args.json {
        std::fs::write(file, format!("{report:#}\n")).with_context(|| format!("write {}", file.display()))?;
    }
    Ok(())
}

async fn measure(stage: &Stage, phase: &str, changes: u32) -> anyhow::Result<Vec<f64>> {
    let times = latency(&stage.client, &stage.postgres, &stage.loaded, phase, changes).await?;
    let of = Latency::of(times.clone()).unwrap_or_default();
    say(&format!("{phase}: p50 {:.1} ms, p99 {:.1} ms", of.p50, of.p99));
    Ok(times)
}

/// A missing kind, an unreachable sink and a sink that refuses its credentials, in one namespace with a healthy pipeline
/// and, for the sinks, in its own inventory.
struct Ill<'a> {
    client: &'a kube::Client,
    namespace: &'a str,
    objects: Vec<Value>,
}

impl<'a> Ill<'a> {
    fn new(stage: &'a Stage) -> anyhow::Result<Self> {
        let namespace = stage.loaded.namespaces.first().context("a namespace")?.as_str();
        let (server, database) = (&stage.postgres, Postgres::DATABASE);
        let mut objects =
            scene::postgres_sink_at(server, "localhost", free_port()?, namespace, "dead", database, CLUSTER);
        let mut broken = scene::postgres_sink(server, namespace, "broken", database, CLUSTER);
        let wrong = server.url(database).replace(Postgres::PASSWORD, "wrong");
        let credentials = broken.first_mut().and_then(|secret| secret.pointer_mut("/stringData/dsn"));
        *credentials.context("a Secret with a DSN")? = json!(wrong);
        objects.extend(broken);
        objects.push(scene::profile(namespace, "gadgets", "example.org/v1", "Gadget", &[("size", "$.spec.size")]));
        objects.push(scene::target(namespace, "gadgets", "gadgets", &[namespace]));
        Ok(Self { client: &stage.client, namespace, objects })
    }

    async fn begin(&self) -> anyhow::Result<()> {
        for object in &self.objects {
            operator::apply(self.client, object.clone()).await?;
        }
        self.refer(&["postgres", "dead", "broken"]).await?;
        self.inventory_becomes("PartiallySynced").await
    }

    async fn end(&self) -> anyhow::Result<()> {
        self.refer(&["postgres"]).await?;
        for object in self.objects.iter().filter(|object| object["kind"] != "Secret") {
            let name = object["metadata"]["name"].as_str().context("an object without a name")?;
            operator::api_of(self.client, object).delete(name, &DeleteParams::default()).await?;
        }
        self.inventory_becomes("Exported").await
    }

    async fn refer(&self, sinks: &[&str]) -> anyhow::Result<()> {
        let refs: Vec<Value> = sinks.iter().map(|name| json!({"name": name})).collect();
        let patch = Patch::Merge(json!({"spec": {"databaseSinkRefs": refs}}));
        self.inventories().patch(INVENTORY, &PatchParams::default(), &patch).await?;
        Ok(())
    }

    fn inventories(&self) -> Api<DynamicObject> {
        operator::api_of(self.client, &scene::inventory(self.namespace, INVENTORY, None, None, "0s"))
    }

    async fn inventory_becomes(&self, reason: &str) -> anyhow::Result<()> {
        let inventories = self.inventories();
        wait_for(&format!("the inventory is {reason}"), SOON, async || {
            let object = inventories.get(INVENTORY).await?;
            let conditions = object.data.pointer("/status/conditions").and_then(Value::as_array);
            Ok(conditions.is_some_and(|all| all.iter().any(|c| c["type"] == "Ready" && c["reason"] == reason)))
        })
        .await
    }
}

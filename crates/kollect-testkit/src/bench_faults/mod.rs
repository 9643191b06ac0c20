//! `bench faults`: how fast changes of healthy parts arrive with failing or hostile parts beside them, as a ratio to without.
//!
//! It compares the operator with itself: phases with and without alternate, so that what else the machine does falls on both.

mod failing;
mod hostile;
mod vital_signs;

use crate::bench_live::{INVENTORY, Latency, Stage, latency, say};
use crate::operator::{self, Operator, OperatorOptions};
use crate::scene;
use crate::servers::wait_for;
use anyhow::Context as _;
use failing::Failing;
use hostile::Hostile;
use serde_json::json;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

const SOON: Duration = Duration::from_mins(1);

/// What the healthy parts have beside them
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Beside {
    /// A missing kind, an unreachable sink, a sink that refuses its credentials
    Failing,
    /// Tenants that attack: expressions without end, rows without end, Secrets of others, a Git server with a bomb
    Hostile,
}

/// Compares the latency of healthy parts with and without failing or hostile ones beside them
#[derive(clap::Args, Clone, Debug)]
pub struct FaultArgs {
    /// What they have beside them
    #[arg(long, value_enum, default_value_t = Beside::Failing)]
    pub beside: Beside,
    /// ConfigMaps of about 1 KB
    #[arg(long, default_value_t = 1_000)]
    pub objects: u32,
    /// Namespaces; the first one gets the failing parts
    #[arg(long, default_value_t = 4)]
    pub namespaces: u32,
    /// Phases with and without
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
    let mut troubles = Troubles::new(args.beside, &stage).await?;
    // The limit of `deploy/operator.yaml`, as the operator would find it in its container.
    let options = OperatorOptions { args: vec!["--max-store-bytes=358Mi".to_owned()], ..OperatorOptions::default() };
    let mut operator = Operator::start(&stage.kubeconfig, &options)?;
    operator.wait_ready(SOON).await?;
    inventory_becomes(&stage, "Exported").await?;
    let (mut without, mut with) = (Vec::new(), Vec::new());
    // The first changes find cold caches and new connections.
    measure(&stage, "warm", args.changes).await?;
    let signs = vital_signs::watch(&operator, &stage.client);
    for round in 0..args.rounds {
        without.extend(measure(&stage, &format!("without-{round}"), args.changes).await?);
        troubles.begin().await?;
        with.extend(measure(&stage, &format!("with-{round}"), args.changes).await?);
        troubles.end().await?;
    }
    let signs = signs.end().await?;
    anyhow::ensure!(operator.exited()?.is_none(), "the operator has ended");
    let [without, with] = [without, with].map(Latency::of).map(|l| l.context("--rounds and --changes must not be 0"));
    let (without, with) = (without?, with?);
    let report = json!({
        "latency_ms": {"without": {"p50": without.p50, "p99": without.p99}, "with": {"p50": with.p50, "p99": with.p99}},
        "ratio": {"p50": with.p50 / without.p50, "p99": with.p99 / without.p99},
        "healthz": {"asked": signs.asked, "failed": signs.failed, "slowest_ms": signs.slowest.as_millis()},
        "lease": {"longest_without_renewal_s": signs.longest_without_renewal.as_secs_f64()},
        "peak_rss_mb": operator.usage()?.peak_kb / 1024,
    });
    writeln!(std::io::stdout(), "{report:#}")?;
    if let Some(file) = &args.json {
        std::fs::write(file, format!("{report:#}\n")).with_context(|| format!("write {}", file.display()))?;
    }
    Ok(())
}

/// What begins and ends beside the healthy parts.
enum Troubles<'a> {
    Failing(Failing<'a>),
    Hostile(Box<Hostile>),
}

impl<'a> Troubles<'a> {
    async fn new(beside: Beside, stage: &'a Stage) -> anyhow::Result<Self> {
        Ok(match beside {
            Beside::Failing => Self::Failing(Failing::new(stage)?),
            Beside::Hostile => Self::Hostile(Box::new(Hostile::new(stage).await?)),
        })
    }

    async fn begin(&mut self) -> anyhow::Result<()> {
        match self {
            Self::Failing(failing) => failing.begin().await,
            Self::Hostile(hostile) => hostile.begin().await,
        }
    }

    async fn end(&mut self) -> anyhow::Result<()> {
        match self {
            Self::Failing(failing) => failing.end().await,
            Self::Hostile(hostile) => hostile.end().await,
        }
    }
}

async fn measure(stage: &Stage, phase: &str, changes: u32) -> anyhow::Result<Vec<f64>> {
    let times = latency(&stage.client, &stage.postgres, &stage.loaded, phase, changes).await?;
    let of = Latency::of(times.clone()).unwrap_or_default();
    say(&format!("{phase}: p50 {:.1} ms, p99 {:.1} ms", of.p50, of.p99));
    Ok(times)
}

/// Waits for a reason of the inventory in the first namespace.
async fn inventory_becomes(stage: &Stage, reason: &str) -> anyhow::Result<()> {
    let namespace = stage.loaded.namespaces.first().context("a namespace")?;
    let inventories = operator::api_of(&stage.client, &scene::inventory(namespace, INVENTORY, None, None, "0s"));
    wait_for(&format!("the inventory is {reason}"), SOON, async || {
        let object = inventories.get(INVENTORY).await?;
        let conditions = object.data.pointer("/status/conditions").and_then(serde_json::Value::as_array);
        Ok(conditions.is_some_and(|all| all.iter().any(|c| c["type"] == "Ready" && c["reason"] == reason)))
    })
    .await
}

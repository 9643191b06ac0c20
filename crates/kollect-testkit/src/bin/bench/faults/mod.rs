//! `bench faults`: how fast changes of healthy parts arrive with failing or hostile parts beside them, as a ratio to without.
//!
//! It compares the operator with itself: phases with and without alternate, so that what else the machine does falls on both.

mod failing;
mod hostile;
mod vital_signs;

use crate::bench_cluster::{BenchCluster, progress};
use crate::live::measure::latency;
use anyhow::Context as _;
use failing::Failing;
use hostile::Hostile;
use kollect_testkit::latency::Latency;
use kollect_testkit::operator::{self, Operator, OperatorOptions};
use serde_json::json;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

const SOON: Duration = Duration::from_mins(1);

/// What the healthy parts have beside them
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Beside {
    /// A missing kind, an unreachable sink, a sink that refuses its credentials
    Failing,
    /// Tenants that attack: expressions without end, rows without end, Secrets of others, a Git server with a bomb
    Hostile,
}

/// Compares the latency of healthy parts with and without failing or hostile ones beside them
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct FaultArgs {
    /// What they have beside them
    #[arg(long, value_enum, default_value_t = Beside::Failing)]
    pub(crate) beside: Beside,
    /// ConfigMaps of about 1 KB
    #[arg(long, default_value_t = 1_000)]
    pub(crate) objects: u32,
    /// Namespaces; the first one gets the failing parts
    #[arg(long, default_value_t = 4)]
    pub(crate) namespaces: u32,
    /// Phases with and without
    #[arg(long, default_value_t = 5)]
    pub(crate) rounds: u32,
    /// Single changes in each phase
    #[arg(long, default_value_t = 400)]
    pub(crate) changes: u32,
    /// Write the numbers to this file
    #[arg(long)]
    pub(crate) json: Option<PathBuf>,
}

/// Runs the comparison and prints the numbers.
pub(crate) async fn run(args: &FaultArgs) -> anyhow::Result<()> {
    let cluster = BenchCluster::prepare(args.objects, args.namespaces).await?;
    cluster.apply_pipelines().await?;
    operator::grant_read(&cluster.client, &[("", "configmaps"), ("example.org", "gadgets")]).await?;
    let mut fault_load = FaultLoad::new(args.beside, &cluster).await?;
    // The limit of `deploy/operator.yaml`, as the operator would find it in its container.
    let options = OperatorOptions { args: vec!["--max-store-bytes=358Mi".to_owned()], ..OperatorOptions::default() };
    let mut operator = Operator::start(&cluster.kubeconfig, &options)?;
    operator.wait_ready(SOON).await?;
    cluster.inventory_becomes("Exported").await?;
    let (mut without, mut with) = (Vec::new(), Vec::new());
    // The first changes find cold caches and new connections.
    measure(&cluster, "warm", args.changes).await?;
    let signs = vital_signs::watch(&operator, &cluster.client);
    for round in 0..args.rounds {
        without.extend(measure(&cluster, &format!("without-{round}"), args.changes).await?);
        fault_load.begin().await?;
        with.extend(measure(&cluster, &format!("with-{round}"), args.changes).await?);
        fault_load.end().await?;
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
enum FaultLoad<'a> {
    Failing(Failing<'a>),
    Hostile(Box<Hostile>),
}

impl<'a> FaultLoad<'a> {
    async fn new(beside: Beside, cluster: &'a BenchCluster) -> anyhow::Result<Self> {
        Ok(match beside {
            Beside::Failing => Self::Failing(Failing::new(cluster)?),
            Beside::Hostile => Self::Hostile(Box::new(Hostile::new(cluster).await?)),
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

async fn measure(cluster: &BenchCluster, phase: &str, changes: u32) -> anyhow::Result<Vec<f64>> {
    let times = latency(&cluster.client, &cluster.postgres, &cluster.loaded, phase, changes).await?;
    let of = Latency::of(times.clone()).unwrap_or_default();
    progress(&format!("{phase}: p50 {:.1} ms, p99 {:.1} ms", of.p50, of.p99));
    Ok(times)
}

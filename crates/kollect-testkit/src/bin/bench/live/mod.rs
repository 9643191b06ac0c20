//! `bench live`: the operator against a real API server and Postgres, measured from outside.
//!
//! Timings are reported here and never asserted in tests. What is read is the process, the API server's audit log and the
//! database; the operator is the one that users run.

pub(crate) mod measure;
mod report;

use crate::bench_cluster::{BenchCluster, progress};
use anyhow::Context as _;
use kollect_testkit::latency::Latency;
use kollect_testkit::operator::{Operator, OperatorOptions};
use kollect_testkit::servers::{Postgres, free_port};
use measure::Marks;
use report::{Idle, Memory, Report};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// A backend of Postgres reports its counters only now and then.
const STATISTICS_LAG: Duration = Duration::from_secs(12);
/// Statuses report changed counts at most every ten seconds, so the last ones come a little after the last change.
const STATUS_LAG: Duration = Duration::from_secs(30);

/// Measures the operator at work
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct LiveArgs {
    /// ConfigMaps of about 1 KB
    #[arg(long, default_value_t = 10_000)]
    pub(crate) objects: u32,
    /// Namespaces, each with one profile, target, inventory and sink
    #[arg(long, default_value_t = 10)]
    pub(crate) namespaces: u32,
    /// Write the numbers to this file
    #[arg(long)]
    pub(crate) json: Option<PathBuf>,
    /// Single changes for the latency
    #[arg(long, default_value_t = 1_000)]
    pub(crate) changes: u32,
    /// Deletions
    #[arg(long, default_value_t = 1_000)]
    pub(crate) deletes: u32,
    /// Seconds of quiet before the memory is read
    #[arg(long, default_value_t = 60)]
    pub(crate) settle: u64,
    /// Seconds of idling at the end
    #[arg(long, default_value_t = 370)]
    pub(crate) idle: u64,
    /// Run with the validating webhook, as an installation does
    #[arg(long)]
    pub(crate) webhook: bool,
}

impl LiveArgs {
    fn operator(&self) -> anyhow::Result<OperatorOptions> {
        let args =
            if self.webhook { vec![format!("--webhook-bind-address=127.0.0.1:{}", free_port()?)] } else { Vec::new() };
        Ok(OperatorOptions { args, ..OperatorOptions::default() })
    }
}

/// Runs the whole bench and prints the numbers.
pub(crate) async fn run(args: &LiveArgs) -> anyhow::Result<()> {
    let cluster = BenchCluster::prepare(args.objects, args.namespaces).await?;
    let (base, log_from) = cluster.base(&args.operator()?).await?;
    cluster.apply_pipelines().await?;
    let mut report = Report { objects: args.objects, ..Report::default() };

    progress("starting the operator");
    let begun = Instant::now();
    let mut operator = Operator::start(&cluster.kubeconfig, &args.operator()?)?;
    let complete = measure::rows_become(&cluster.postgres, u64::from(args.objects), Duration::from_mins(15)).await;
    report.first_export_s = begun.elapsed().as_secs_f64();
    if let Err(error) = complete {
        operator.exited()?;
        anyhow::bail!("{error:#}; the operator's log ends with:\n{}", tail(&operator.logs()));
    }
    report.first_export_cpu_s = operator.usage()?.cpu.as_secs_f64();
    progress(&format!(
        "all rows after {:.2} s and {:.2} CPU seconds",
        report.first_export_s, report.first_export_cpu_s
    ));

    tokio::time::sleep(Duration::from_secs(args.settle)).await;
    let steady = operator.usage()?;
    let marks = Marks::take(&cluster.postgres, &operator, &cluster.api, log_from).await?;
    report.api_requests = marks.requests;
    report.rows_written = marks.rows_written;
    report.bytes_exported = marks.bytes_exported;
    report.truth.add(&cluster.truth().await?);

    progress(&format!("{} single changes", args.changes));
    let times = measure::latency(&cluster.client, &cluster.postgres, &cluster.loaded, "change", args.changes).await?;
    report.latency_ms = Latency::of(times).context("--changes must not be 0")?;
    let deletes = args.deletes.min(args.objects / 2);
    progress(&format!("{deletes} deletions"));
    report.delete_s = measure::deletions(&cluster.client, &cluster.postgres, &cluster.loaded, deletes).await?;
    report.truth.add(&cluster.truth().await?);
    let peak = operator.usage()?.peak_kb;
    report.rss_mb = Memory::of(steady, peak, base);

    progress(&format!("idling for {} s", args.idle));
    report.idle = idle(&cluster, &operator, Duration::from_secs(args.idle)).await?;
    operator.terminate(Duration::from_secs(15)).await?;
    report.write(args.json.as_deref())
}

async fn idle(cluster: &BenchCluster, operator: &Operator, time: Duration) -> anyhow::Result<Idle> {
    // Counts in statuses follow the last change within two of their quiet periods.
    tokio::time::sleep(STATUS_LAG).await;
    let from = std::fs::metadata(cluster.api.audit_log())?.len();
    let before = Marks::take(&cluster.postgres, operator, &cluster.api, from).await?;
    // Taken after the marks, whose own read of the table is a transaction of that database.
    tokio::time::sleep(STATISTICS_LAG).await;
    let transactions = cluster.postgres.transactions(Postgres::DATABASE).await?;
    let (cpu, begun) = (operator.usage()?.cpu, Instant::now());
    tokio::time::sleep(time).await;
    let (cpu, seconds) = (operator.usage()?.cpu.saturating_sub(cpu), begun.elapsed());
    let transactions = cluster.postgres.transactions(Postgres::DATABASE).await? - transactions;
    let after = Marks::take(&cluster.postgres, operator, &cluster.api, from).await?;
    Ok(Idle {
        seconds: seconds.as_secs_f64(),
        cpu_s: cpu.as_secs_f64(),
        api_requests: after.requests,
        rows_written: after.rows_written - before.rows_written,
        bytes_exported: after.bytes_exported - before.bytes_exported,
        transactions,
    })
}

fn tail(text: &str) -> &str {
    let from = text.len().saturating_sub(3_000);
    text.get(from..).unwrap_or(text)
}

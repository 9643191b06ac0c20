//! `bench live`: the operator against a real API server and Postgres, measured from outside.
//!
//! Separate from tests because timings are only reported here, never asserted. It looks at the process, at the API
//! server's audit log and at the database; the operator is the one users run.

mod load;
mod measure;
mod report;

use crate::operator::{self, Operator, OperatorOptions};
use crate::scene;
use crate::servers::{ApiServer, ApiServerOptions, Postgres, PostgresOptions, free_port};
use crate::truth::{
    Difference, Expectation, ExpectedAttribute, ExpectedTarget, compare, expected_rows, path, postgres_rows,
};
use anyhow::Context as _;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{Api, DeleteParams, ListParams};
use measure::Marks;
use report::{Idle, Memory, Report};

pub(crate) use load::Loaded;
pub(crate) use measure::latency;
pub(crate) use report::Latency;
use std::path::PathBuf;
use std::time::{Duration, Instant};

pub(crate) const CLUSTER: &str = "bench";
pub(crate) const INVENTORY: &str = "inventory";
pub(crate) const TARGET: &str = "target";
const BASE_AFTER: Duration = Duration::from_secs(30);
/// A backend of Postgres reports its counters only now and then.
const STATISTICS_LAG: Duration = Duration::from_secs(12);
/// Statuses report changed counts at most every ten seconds, so the last ones come a little after the last change.
const STATUS_LAG: Duration = Duration::from_secs(30);

/// Measures the operator at work
#[derive(clap::Args, Clone, Debug)]
pub struct LiveArgs {
    /// ConfigMaps of about 1 KB
    #[arg(long, default_value_t = 10_000)]
    pub objects: u32,
    /// Namespaces, each with one profile, target, inventory and sink
    #[arg(long, default_value_t = 10)]
    pub namespaces: u32,
    /// Write the numbers to this file
    #[arg(long)]
    pub json: Option<PathBuf>,
    /// Single changes for the latency
    #[arg(long, default_value_t = 1_000)]
    pub changes: u32,
    /// Deletions
    #[arg(long, default_value_t = 1_000)]
    pub deletes: u32,
    /// Seconds of quiet before the memory is read
    #[arg(long, default_value_t = 60)]
    pub settle: u64,
    /// Seconds of idling at the end
    #[arg(long, default_value_t = 370)]
    pub idle: u64,
    /// Run with the validating webhook, as an installation does
    #[arg(long)]
    pub webhook: bool,
}

impl LiveArgs {
    fn operator(&self) -> anyhow::Result<OperatorOptions> {
        let args =
            if self.webhook { vec![format!("--webhook-bind-address=127.0.0.1:{}", free_port()?)] } else { Vec::new() };
        Ok(OperatorOptions { args, ..OperatorOptions::default() })
    }
}

/// The servers, with everything loaded but the pipelines.
pub(crate) struct Stage {
    api: ApiServer,
    pub(crate) postgres: Postgres,
    pub(crate) client: kube::Client,
    pub(crate) kubeconfig: String,
    pub(crate) loaded: Loaded,
}

/// Runs the whole bench and prints the numbers.
pub async fn run(args: &LiveArgs) -> anyhow::Result<()> {
    let stage = Stage::prepare(args.objects, args.namespaces).await?;
    let (base, log_from) = stage.base(args).await?;
    stage.apply_pipelines().await?;
    let mut report = Report { objects: args.objects, ..Report::default() };

    say("starting the operator");
    let begun = Instant::now();
    let mut operator = Operator::start(&stage.kubeconfig, &args.operator()?)?;
    let complete = measure::rows_become(&stage.postgres, u64::from(args.objects), Duration::from_mins(15)).await;
    report.first_export_s = begun.elapsed().as_secs_f64();
    if let Err(error) = complete {
        operator.exited()?;
        anyhow::bail!("{error:#}; the operator's log ends with:\n{}", tail(&operator.logs()));
    }
    report.first_export_cpu_s = operator.usage()?.cpu.as_secs_f64();
    say(&format!("all rows after {:.2} s and {:.2} CPU seconds", report.first_export_s, report.first_export_cpu_s));

    tokio::time::sleep(Duration::from_secs(args.settle)).await;
    let steady = operator.usage()?;
    let marks = Marks::take(&stage.postgres, &operator, &stage.api, log_from).await?;
    report.api_requests = marks.requests;
    report.rows_written = marks.rows_written;
    report.bytes_exported = marks.bytes_exported;
    report.truth.add(&stage.truth().await?);

    say(&format!("{} single changes", args.changes));
    let times = measure::latency(&stage.client, &stage.postgres, &stage.loaded, "change", args.changes).await?;
    report.latency_ms = Latency::of(times).context("--changes must not be 0")?;
    let deletes = args.deletes.min(args.objects / 2);
    say(&format!("{deletes} deletions"));
    report.delete_s = measure::deletions(&stage.client, &stage.postgres, &stage.loaded, deletes).await?;
    report.truth.add(&stage.truth().await?);
    let peak = operator.usage()?.peak_kb;
    report.rss_mb = Memory::of(steady, peak, base);

    say(&format!("idling for {} s", args.idle));
    report.idle = idle(&stage, &operator, Duration::from_secs(args.idle)).await?;
    operator.terminate(Duration::from_secs(15)).await?;
    report.write(args.json.as_deref())
}

impl Stage {
    pub(crate) async fn prepare(objects: u32, namespaces: u32) -> anyhow::Result<Self> {
        anyhow::ensure!(namespaces > 0 && objects >= namespaces, "at least one object per namespace");
        say("starting servers");
        let options = ApiServerOptions { audit_users: vec![operator::USER.to_owned()], ..ApiServerOptions::default() };
        // Vacuuming would count as work of the operator.
        let settings = vec!["autovacuum = off".to_owned()];
        let (api, postgres) =
            tokio::try_join!(ApiServer::start(options), Postgres::start(PostgresOptions { settings }))?;
        let token = operator::install(&api).await?;
        let client = api.admin().await?;
        operator::grant_read(&client, &[("", "configmaps")]).await?;
        say(&format!("creating {objects} ConfigMaps in {namespaces} namespaces"));
        let loaded = load::create(&client, objects, namespaces).await?;
        let kubeconfig = api.kubeconfig_for_token(&token);
        Ok(Self { api, postgres, client, kubeconfig, loaded })
    }

    /// Resident memory, in KiB, of an operator that has nothing to do, and the length of the audit log after it.
    async fn base(&self, args: &LiveArgs) -> anyhow::Result<(u64, u64)> {
        say("measuring the operator without pipelines");
        let mut operator = Operator::start(&self.kubeconfig, &args.operator()?)?;
        operator.wait_ready(Duration::from_secs(30)).await?;
        tokio::time::sleep(BASE_AFTER).await;
        let rss = operator.usage()?.rss_kb;
        operator.terminate(Duration::from_secs(15)).await?;
        // The measured run starts like the first one ever: without anybody's lease.
        let leases = Api::<Lease>::namespaced(self.client.clone(), operator::SERVICE_ACCOUNT.0);
        leases.delete_collection(&DeleteParams::default(), &ListParams::default()).await?;
        Ok((rss, std::fs::metadata(self.api.audit_log())?.len()))
    }

    pub(crate) async fn apply_pipelines(&self) -> anyhow::Result<()> {
        let attributes =
            [("value", "$.data.value"), ("app", "$.metadata.labels.app"), ("tier", "cel:object.metadata.labels.tier")];
        for namespace in &self.loaded.namespaces {
            let mut objects = scene::postgres_sink(&self.postgres, namespace, "postgres", Postgres::DATABASE, CLUSTER);
            objects.push(scene::profile(namespace, "config-maps", "v1", "ConfigMap", &attributes));
            objects.push(scene::target(namespace, TARGET, "config-maps", &[namespace]));
            objects.push(scene::inventory(namespace, INVENTORY, None, Some("postgres"), "0s"));
            for object in objects {
                operator::apply(&self.client, object).await?;
            }
        }
        Ok(())
    }

    async fn truth(&self) -> anyhow::Result<Difference> {
        let mut expected = std::collections::BTreeMap::new();
        for namespace in &self.loaded.namespaces {
            expected.extend(expected_rows(&self.client, &expectation(namespace)).await?);
        }
        let database = self.postgres.admin(Postgres::DATABASE).await?;
        let difference = compare(&expected, postgres_rows(&database, scene::TABLE, CLUSTER).await?);
        say(&difference.check().map_or_else(|error| format!("oracle: {error}"), |()| "oracle: equal".to_owned()));
        Ok(difference)
    }
}

fn expectation(namespace: &str) -> Expectation {
    let attributes = vec![
        ExpectedAttribute::new("value", path("data.value")),
        ExpectedAttribute::new("app", path("metadata.labels.app")),
        ExpectedAttribute::new("tier", path("metadata.labels.tier")),
    ];
    let target = ExpectedTarget {
        namespace: namespace.to_owned(),
        name: TARGET.to_owned(),
        api_version: "v1".to_owned(),
        kind: "ConfigMap".to_owned(),
        plural: "configmaps".to_owned(),
        object_namespaces: Some(vec![namespace.to_owned()]),
        filter: None,
        attributes,
    };
    Expectation { namespace: namespace.to_owned(), name: INVENTORY.to_owned(), targets: vec![target] }
}

async fn idle(stage: &Stage, operator: &Operator, time: Duration) -> anyhow::Result<Idle> {
    // Counts in statuses follow the last change within two of their quiet periods.
    tokio::time::sleep(STATUS_LAG).await;
    let from = std::fs::metadata(stage.api.audit_log())?.len();
    let before = Marks::take(&stage.postgres, operator, &stage.api, from).await?;
    // Taken after the marks, whose own look at the table is a transaction of that database.
    tokio::time::sleep(STATISTICS_LAG).await;
    let transactions = stage.postgres.transactions(Postgres::DATABASE).await?;
    let (cpu, begun) = (operator.usage()?.cpu, Instant::now());
    tokio::time::sleep(time).await;
    let (cpu, seconds) = (operator.usage()?.cpu.saturating_sub(cpu), begun.elapsed());
    let transactions = stage.postgres.transactions(Postgres::DATABASE).await? - transactions;
    let after = Marks::take(&stage.postgres, operator, &stage.api, from).await?;
    Ok(Idle {
        seconds: seconds.as_secs_f64(),
        cpu_s: cpu.as_secs_f64(),
        api_requests: after.requests,
        rows_written: after.rows_written - before.rows_written,
        bytes_exported: after.bytes_exported - before.bytes_exported,
        transactions,
    })
}

pub(crate) fn say(text: &str) {
    eprintln!("bench: {text}");
}

fn tail(text: &str) -> &str {
    let from = text.len().saturating_sub(3_000);
    text.get(from..).unwrap_or(text)
}

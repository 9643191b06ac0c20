//! `kollect operator`: puts the parts together, leads or stands by, and stops in order.

use crate::args::OperatorArgs;
use crate::http;
use crate::only_one::OnlyOne;
use crate::readiness::{Phase, Phases, readiness};
use crate::settings::{LeaderElection, Settings};
use crate::sinks::Registry;
use anyhow::Context;
use kollect_admission::certs::Serving;
use kollect_collect::{CollectSettings, Collector, NamespaceWatch};
use kollect_control::context::ControlSettings;
use kollect_control::lease::{Election, LeaseSettings};
use kollect_control::metrics::Metrics;
use kollect_control::observe::Observer;
use kollect_control::reconciler::{Reconciler, ReconcilerParts};
use kollect_control::shared::work_queue::WorkQueue;
use kollect_export::{ExportSettings, Exporter, WriteRight};
use kollect_net::{Cidr, Guard};
use kollect_read_api::Held;
use kollect_resources::target::CollectPolicy;
use kollect_rules::RuleSettings;
use kollect_store::Store;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

/// In-flight exports may finish for this long after a stop was asked for.
const EXPORT_GRACE: Duration = Duration::from_secs(5);
const RELEASE_GRACE: Duration = Duration::from_secs(2);
const REVIEW_GRACE: Duration = Duration::from_secs(2);

/// Poll interval for the end of the first lists.
const SETTLE_POLL: Duration = Duration::from_millis(200);

/// Runs until a signal or until leadership is lost.
pub(crate) fn run(args: &OperatorArgs) -> anyhow::Result<()> {
    let settings = Settings::from_args(args)?;
    crate::logging::start(settings.log_level, settings.log_format);
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        tracing::debug!("a TLS provider is already set");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("starting the run time")?;
    let outcome = runtime.block_on(serve(args, settings));
    // Blocking work of a cancelled export (a push that hangs) must not hold up the exit.
    runtime.shutdown_timeout(Duration::from_millis(500));
    outcome
}

async fn serve(args: &OperatorArgs, settings: Settings) -> anyhow::Result<()> {
    let stop = CancellationToken::new();
    let metrics = Arc::new(Metrics::new());
    let phases = Phases::new();
    let reviewing = settings.webhook.as_ref().map(|_| Serving::new());
    let mut servers = JoinSet::new();
    if let Some(address) = settings.health_address {
        servers.spawn(http::serve_probes(address, readiness(phases.clone(), reviewing.clone()), stop.clone()));
    }
    if let Some(address) = settings.metrics_address {
        servers.spawn(http::serve_metrics(address, metrics.clone(), stop.clone()));
    }
    let client = crate::client::connect(args.kubeconfig.as_deref()).await?;
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "Starting manager");
    if let (Some(webhook), Some(serving)) = (settings.webhook.clone(), reviewing) {
        let rules = rule_settings(args);
        let namespace = settings.namespace.clone();
        servers.spawn(crate::webhook::serve(webhook, namespace, rules, client.clone(), serving, stop.clone()));
    }
    let (held, readers) = watch::channel(None);
    if let Some(read_api) = settings.read_api.clone() {
        servers.spawn(crate::read_api::serve(read_api, client.clone(), readers, stop.clone()));
    }
    let process = Process { client, metrics, phases, held };
    let outcome = tokio::select! {
        outcome = lead_when_elected(args, &settings, process, stop.clone()) => outcome,
        failed = server_failed(&mut servers, &stop) => Err(failed),
    };
    stop.cancel();
    // Reviews under way end; a write that waits for one would be refused.
    let ended = async { while servers.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(REVIEW_GRACE, ended).await;
    outcome
}

/// A server that ends before it is told to is a failure of the process.
async fn server_failed(servers: &mut JoinSet<anyhow::Result<()>>, stop: &CancellationToken) -> anyhow::Error {
    loop {
        match servers.join_next().await {
            Some(Ok(Err(error))) => return error,
            Some(Err(error)) => return anyhow::Error::new(error).context("a server task ended"),
            Some(Ok(Ok(()))) if stop.is_cancelled() => {}
            Some(Ok(Ok(()))) => return anyhow::anyhow!("a server ended although the process goes on"),
            None => std::future::pending().await,
        }
    }
}

/// What a replica has before it leads.
struct Process {
    client: kube::Client,
    metrics: Arc<Metrics>,
    phases: Phases,
    /// Tells readers what the leader holds.
    held: watch::Sender<Option<Arc<Held>>>,
}

async fn lead_when_elected(
    args: &OperatorArgs,
    settings: &Settings,
    process: Process,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let Process { client, metrics, phases, held } = process;
    let released = CancellationToken::new();
    let (right, mut leading, mut election): (Arc<dyn WriteRight>, _, _) = match &settings.leader_election {
        None => {
            let (_always, signal) = watch::channel(true);
            (Arc::new(OnlyOne::new()), signal, None)
        }
        Some(wanted) => {
            let (election, permit, signal) = Election::new(client.clone(), lease_settings(settings, wanted));
            (permit, signal, Some(tokio::spawn(election.run(released.clone()))))
        }
    };
    let ended = async {
        match &mut election {
            Some(task) => match task.await {
                Ok(Ok(())) => Ok(()),
                Ok(Err(lost)) => Err(anyhow::Error::new(lost)),
                Err(panic) => Err(anyhow::Error::new(panic).context("the leader election ended")),
            },
            None => std::future::pending().await,
        }
    };
    tokio::pin!(ended);
    let elected = async { leading.wait_for(|leads| *leads).await.is_ok() };
    tokio::select! {
        () = signalled() => {
            released.cancel();
            return within(RELEASE_GRACE, ended.as_mut()).await;
        }
        lost = ended.as_mut() => return lost,
        _ = elected => {}
    }
    phases.set(Phase::Reading);
    let mut work = Work::start(args, settings, client, metrics, right, stop.clone())?;
    held.send_replace(Some(work.held.clone()));
    let (outcome, still_leads) = tokio::select! {
        () = signalled() => (Ok(()), true),
        lost = ended.as_mut() => (lost.and(Err(anyhow::anyhow!("the leader election ended"))), false),
        failed = work.failed(&phases) => (Err(failed), true),
    };
    tracing::info!("stopping: no new objects are taken in; running exports may finish");
    stop.cancel();
    work.stop().await;
    released.cancel();
    if still_leads && settings.leader_election.is_some() {
        let released = within(RELEASE_GRACE, ended).await;
        return outcome.and(released);
    }
    outcome
}

async fn within(grace: Duration, end: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    tokio::time::timeout(grace, end).await.unwrap_or(Ok(()))
}

async fn signalled() {
    let (Ok(mut term), Ok(mut int)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
}

fn lease_settings(settings: &Settings, wanted: &LeaderElection) -> LeaseSettings {
    LeaseSettings {
        namespace: settings.namespace.clone(),
        identity: wanted.identity.clone(),
        lease_duration: wanted.lease_duration,
        renew_deadline: wanted.renew_deadline,
        retry_period: wanted.retry_period,
    }
}

/// Everything that runs only on the leader.
struct Work {
    exporter: Arc<Exporter>,
    collector: Arc<Collector>,
    held: Arc<Held>,
    control: JoinHandle<()>,
    /// The first decisions about all Kollect objects were made.
    decided: Arc<AtomicBool>,
    /// Ends its watch when it is dropped.
    _namespaces: NamespaceWatch,
}

impl Work {
    fn start(
        args: &OperatorArgs,
        settings: &Settings,
        client: kube::Client,
        metrics: Arc<Metrics>,
        right: Arc<dyn WriteRight>,
        stop: CancellationToken,
    ) -> anyhow::Result<Self> {
        let store = Arc::new(Store::new());
        let queue = WorkQueue::default();
        let observer = Arc::new(Observer { metrics: metrics.clone(), queue: queue.clone() });
        let weak: Weak<Observer> = Arc::downgrade(&observer);
        store.observe(weak);
        let export = ExportSettings { export_timeout: settings.export_timeout, ..ExportSettings::default() };
        let exporter = Exporter::new(store.clone(), right, export, observer.clone());
        let collect = CollectSettings {
            workers: settings.dispatch_workers,
            queue_size: settings.dispatch_queue,
            given_namespaces: !args.watch_namespaces.is_empty(),
            max_store_bytes: settings.max_store_bytes,
            max_row_bytes: settings.max_row_bytes,
        };
        let given = args.watch_namespaces.iter().map(|ns| Arc::from(ns.as_str())).collect();
        let namespaces = NamespaceWatch::start(client.clone(), given);
        let collector = Collector::new(client.clone(), store.clone(), &collect, observer)
            .context("starting the workers that make rows of objects")?;
        let parts = ReconcilerParts {
            client,
            store: store.clone(),
            exporter: exporter.clone(),
            collector: collector.clone(),
            registry: Arc::new(registry(args)),
            metrics,
            queue,
            namespaces: namespaces.facts(),
            settings: control_settings(args, settings),
        };
        let reconciler = Reconciler::new(parts, stop);
        let held = Arc::new(Held::new(store, reconciler.cache(), reconciler.started()));
        let decided = reconciler.decided();
        let control = tokio::spawn(reconciler.run());
        Ok(Self { exporter, collector, held, decided, control, _namespaces: namespaces })
    }

    /// Keeps `phases` up to date, and ends only with the control loops: without them the process would hold the Lease
    /// and do nothing.
    async fn failed(&mut self, phases: &Phases) -> anyhow::Error {
        let Self { control, collector, decided, .. } = self;
        let settled = async {
            until(|| decided.load(Ordering::Acquire)).await;
            phases.set(Phase::Listing);
            until(|| collector.settled()).await;
            phases.set(Phase::Leading);
            std::future::pending::<std::convert::Infallible>().await
        };
        let ended = tokio::select! {
            ended = control => ended,
            never = settled => match never {},
        };
        let ended = ended.map_err(|panic| anyhow::Error::new(panic).context("the control loops ended")).err();
        ended.unwrap_or_else(|| anyhow::anyhow!("the control loops ended: the watch of namespaces is gone"))
    }

    /// Intake first, so that what is still exported is a state that the cluster had.
    async fn stop(self) {
        self.collector.stop().await;
        self.exporter.stop(EXPORT_GRACE).await;
    }
}

async fn until(reached: impl Fn() -> bool) {
    while !reached() {
        tokio::time::sleep(SETTLE_POLL).await;
    }
}

fn registry(args: &OperatorArgs) -> Registry {
    Registry {
        guard: Guard {
            allow_private: args.allow_private_sinks,
            allow_loopback: args.allow_loopback_sinks,
            quote_private: false,
            denied: denied_sink_cidrs(args),
        },
        pools: kollect_sink_postgres::Pools::default(),
        mirror_root: mirror_root(),
        force_basic_auth: force_basic_auth(),
        max_document: u64::try_from(max_export_bytes(args)).unwrap_or(0),
    }
}

/// The ranges of the flag, and the API server as Pods reach it: a tenant's sink has nothing to ask it.
fn denied_sink_cidrs(args: &OperatorArgs) -> Arc<[Cidr]> {
    denied_cidrs(&args.denied_sink_cidrs, std::env::var("KUBERNETES_SERVICE_HOST").ok().as_deref())
}

fn denied_cidrs(given: &[Cidr], server: Option<&str>) -> Arc<[Cidr]> {
    let server = server.and_then(|host| host.trim_matches(['[', ']']).parse::<IpAddr>().ok());
    // A server on this machine, as in a demo, is what --allow-loopback-sinks is about.
    let server = server.filter(|address| !address.is_loopback()).map(Cidr::from);
    given.iter().copied().chain(server).collect()
}

/// `KOLLECT_GIT_FORCE_BASIC_AUTH`.
pub(crate) fn force_basic_auth() -> bool {
    let forced = std::env::var("KOLLECT_GIT_FORCE_BASIC_AUTH").unwrap_or_default();
    ["1", "true", "yes"].contains(&forced.to_lowercase().as_str())
}

/// Where copies of repositories are kept.
pub(crate) fn mirror_root() -> PathBuf {
    let set = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    set("KOLLECT_GIT_MIRROR_DIR")
        .or_else(|| set("XDG_CACHE_HOME").map(|dir| dir.join("kollect/git-mirrors")))
        .or_else(|| set("HOME").map(|dir| dir.join(".cache/kollect/git-mirrors")))
        .unwrap_or_else(|| std::env::temp_dir().join("kollect-git-mirrors"))
}

fn max_export_bytes(args: &OperatorArgs) -> i64 {
    if args.max_export_bytes > 0 { args.max_export_bytes } else { RuleSettings::default().max_export_bytes }
}

/// The webhook judges by what the control loops go by.
fn rule_settings(args: &OperatorArgs) -> RuleSettings {
    RuleSettings {
        max_export_bytes: max_export_bytes(args),
        tenant_mode: args.tenant_mode,
        allow_private_sinks: args.allow_private_sinks,
        allow_loopback_sinks: args.allow_loopback_sinks,
        denied_sink_cidrs: denied_sink_cidrs(args),
        secret_extraction: args.secret_extraction,
    }
}

fn control_settings(args: &OperatorArgs, settings: &Settings) -> ControlSettings {
    let policy = CollectPolicy {
        secret_extraction: args.secret_extraction,
        operator_namespace: settings.namespace.clone(),
        own_secrets: vec![args.webhook.webhook_secret_name.clone()],
        default_included_namespaces: args.default_included_namespaces.clone(),
        default_excluded_namespaces: args.default_excluded_namespaces.clone(),
        tenant_mode: args.tenant_mode,
    };
    ControlSettings {
        policy,
        watch_namespaces: args.watch_namespaces.clone(),
        scrub_keys: args.scrub_keys.clone(),
        max_export_bytes: max_export_bytes(args),
        shard_warn_rows: args.export_shard_warn_rows,
        allowed_secret_namespaces: args.allowed_secret_namespaces.clone(),
        target_count_resync: if args.target_count_resync.is_zero() {
            Duration::from_mins(1)
        } else {
            args.target_count_resync
        },
        identity: settings.leader_election.as_ref().map_or_else(|| "kollect".to_owned(), |e| e.identity.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_of_the_api_server_is_denied_beside_the_given_ranges() {
        let given = ["10.0.0.0/8".parse().unwrap()];
        let denies = |server: Option<&str>, address: &str| {
            denied_cidrs(&given, server).iter().any(|range| range.contains(address.parse().unwrap()))
        };
        assert!(denies(None, "10.1.2.3") && !denies(None, "172.20.0.1"));
        assert!(denies(Some("172.20.0.1"), "172.20.0.1") && !denies(Some("172.20.0.1"), "172.20.0.2"));
        assert!(denies(Some("fd00::1"), "fd00::1") && denies(Some("[fd00::1]"), "fd00::1"));
        assert!(!denies(Some("127.0.0.1"), "127.0.0.1") && !denies(Some("kubernetes"), "172.20.0.1"));
    }
}

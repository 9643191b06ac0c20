//! `kollect operator`: builds the parts, waits for leadership, leads, and stops in order.

use crate::args::OperatorArgs;
use crate::http;
use crate::leader_tasks::LeaderTasks;
use crate::only_one::OnlyOne;
use crate::part_settings::rule_settings;
use crate::readiness::{Phase, Phases, readiness};
use crate::settings::{LeaderElection, Settings};
use anyhow::Context;
use kollect_admission::certs::Serving;
use kollect_control::lease::{Election, LeaseSettings};
use kollect_control::metrics::Metrics;
use kollect_export::WriteRight;
use kollect_read_api::DataSource;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Releasing the Lease may take this long.
const RELEASE_GRACE: Duration = Duration::from_secs(2);
/// Reviews under way may finish for this long after a stop.
const REVIEW_GRACE: Duration = Duration::from_secs(2);

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
    let (data_source, readers) = watch::channel(None);
    if let Some(read_api) = settings.read_api.clone() {
        servers.spawn(crate::read_api::serve(read_api, client.clone(), readers, stop.clone()));
    }
    let process = Process { client, metrics, phases, data_source };
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

/// A server that ends before the stop is a failure of the process.
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
    /// Passes the rows and objects of the leader to readers.
    data_source: watch::Sender<Option<Arc<DataSource>>>,
}

async fn lead_when_elected(
    args: &OperatorArgs,
    settings: &Settings,
    process: Process,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let Process { client, metrics, phases, data_source } = process;
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
    let mut tasks = LeaderTasks::start(args, settings, client, metrics, right, stop.clone())?;
    data_source.send_replace(Some(tasks.data_source.clone()));
    let (outcome, still_leads) = tokio::select! {
        () = signalled() => (Ok(()), true),
        lost = ended.as_mut() => (lost.and(Err(anyhow::anyhow!("the leader election ended"))), false),
        failed = tasks.failed(&phases) => (Err(failed), true),
    };
    tracing::info!("stopping: no new objects are taken in; running exports may finish");
    stop.cancel();
    tasks.stop().await;
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

//! Collects from one cluster: the operator's collector, until everything was listed once.
//!
//! A cluster that does not respond fails this source alone.

use super::namespaces;
use super::plan::{Planned, Skip, plan};
use super::source::{CollectedSource, Listener, Skipped, settle, title_of};
use crate::config::CollectConfig;
use kollect_collect::{CollectSettings, Collector, TargetSpec, TargetStatus};
use kollect_store::{PartState, Store, View};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

/// Longest wait for a notification before the progress is read again.
const POLL: Duration = Duration::from_millis(50);
/// Longest time without progress while a list or an access check fails.
const GIVE_UP: Duration = Duration::from_secs(15);

/// Collects from the cluster of `client`. The error is for people.
pub(super) async fn collect(
    client: kube::Client,
    context: &str,
    config: &CollectConfig,
    patience: Duration,
    cancel: &CancellationToken,
) -> Result<CollectedSource, String> {
    let facts = Arc::new(namespaces::read(&client, config, patience).await?);
    let planned = plan(config, &facts);
    let store = Arc::new(Store::new());
    let listener = Arc::new(Listener::default());
    let collector = Collector::new(client, store.clone(), &CollectSettings::default(), listener.clone())
        .map_err(|error| format!("cannot start the workers that read objects: {error}"))?;
    collector.set_namespaces(&facts);
    let specs: Vec<TargetSpec> = planned.iter().flat_map(|planned| planned.specs.clone()).collect();
    collector.set_targets(specs.clone(), Vec::new());
    let waited = wait(&collector, &store, &specs, &listener, patience, cancel).await;
    let statuses: Vec<_> = specs.iter().map(|spec| collector.status(&spec.key)).collect();
    collector.stop().await;
    waited?;
    let skipped = skipped(&store, &planned, &specs, &statuses);
    settle(&store, &planned, "it was not listed in time");
    let (failures, failure_count) = listener.failures(&|key| title_of(&planned, key));
    Ok(CollectedSource { context: context.to_owned(), store, planned, skipped, failures, failure_count, counts: None })
}

/// Whether waiting longer lists nothing more of a target.
fn is_known(status: Option<&TargetStatus>) -> bool {
    status.is_some_and(|status| status.not_served.is_some() || status.pending == 0)
}

async fn wait(
    collector: &Collector,
    store: &Store,
    specs: &[TargetSpec],
    listener: &Listener,
    patience: Duration,
    cancel: &CancellationToken,
) -> Result<(), String> {
    let mut last = (0, 0);
    let mut since = Instant::now();
    loop {
        let statuses: Vec<_> = specs.iter().map(|spec| collector.status(&spec.key)).collect();
        let open = statuses.iter().filter(|status| !is_known(status.as_ref())).count();
        if open == 0 {
            return Ok(());
        }
        if cancel.is_cancelled() {
            return Err("stopped".to_owned());
        }
        let now = (open, store.rows());
        if now != last {
            (last, since) = (now, Instant::now());
        }
        let failing =
            statuses.iter().flatten().any(|status| status.list_error.is_some() || status.access_error.is_some());
        if since.elapsed() > if failing { GIVE_UP.min(patience) } else { patience } {
            return Ok(());
        }
        let _ = timeout(POLL, listener.woken.notified()).await;
    }
}

/// What of each target was not collected, and why.
fn skipped(
    store: &Store,
    planned: &[Planned],
    specs: &[TargetSpec],
    statuses: &[Option<TargetStatus>],
) -> Vec<Skipped> {
    let mut all = Vec::new();
    for (spec, status) in specs.iter().zip(statuses) {
        let target = title_of(planned, &spec.key);
        let mut add = |namespace: &str, reason: &'static str, message: String| {
            let skip = Skip { reason, message };
            all.push(Skipped { target: target.clone(), namespace: namespace.to_owned(), skip });
        };
        let Some(status) = status else {
            add("", "transient", "the API server did not list in time what it serves".to_owned());
            continue;
        };
        if let Some(why) = &status.not_served {
            add("", "gvk-not-found", why.clone());
            continue;
        }
        for (namespace, gvk) in &status.forbidden {
            add(namespace, "forbidden", format!("list and watch of {gvk} are not permitted"));
        }
        let refused = |namespace: &str| status.forbidden.iter().any(|(name, _)| **name == *namespace);
        for (_, namespace, state) in store.parts(&View::of(vec![spec.key.clone()])) {
            let namespace = namespace.unwrap_or_default();
            if matches!(state, PartState::Pending | PartState::Lost(_)) && !refused(&namespace) {
                let why = status.list_error.as_ref().or(status.access_error.as_ref()).cloned();
                let lost = match state {
                    PartState::Lost(why) => why.to_string(),
                    _ => "it was not listed in time".to_owned(),
                };
                add(&namespace, "transient", why.unwrap_or(lost));
            }
        }
    }
    // A kind that is not served is reported once per target, not once per namespace of a cluster target.
    all.dedup_by(|a, b| a.target == b.target && a.namespace == b.namespace && a.skip == b.skip);
    all
}

//! Collects from one cluster: the operator's collector, until everything was listed once.
//!
//! Separate because it waits. A cluster that does not answer ends as an error of this source alone.

use super::namespaces;
use super::plan::{Planned, Skip, plan};
use super::source::{Listener, Skipped, Source, settle, title_of};
use crate::config::Config;
use kollect_collect::{CollectSettings, Collector, TargetSpec, TargetStatus};
use kollect_store::{PartState, Store, View};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

/// A look at how far it is, in case nothing was told.
const LOOK: Duration = Duration::from_millis(50);
/// With an error at hand, no progress for this long is enough.
const GIVE_UP: Duration = Duration::from_secs(15);

/// Collects from the cluster of `client`. The error is for people.
pub(super) async fn collect(
    client: kube::Client,
    context: &str,
    config: &Config,
    patience: Duration,
    cancel: &CancellationToken,
) -> Result<Source, String> {
    let facts = Arc::new(namespaces::look(&client, config, patience).await?);
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
    Ok(Source { context: context.to_owned(), store, planned, skipped, failures, failure_count, counts: None })
}

/// Whether nothing more will become known of a target by waiting.
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
        let ill = statuses.iter().flatten().any(|status| status.list_error.is_some() || status.access_error.is_some());
        if since.elapsed() > if ill { GIVE_UP.min(patience) } else { patience } {
            return Ok(());
        }
        // Told or not, it looks again.
        let _ = timeout(LOOK, listener.woken.notified()).await;
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
            add("", "transient", "the API server did not say in time what it serves".to_owned());
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
    // A kind that is not served says so once per target, not once per namespace of a cluster target.
    all.dedup_by(|a, b| a.target == b.target && a.namespace == b.namespace && a.skip == b.skip);
    all
}

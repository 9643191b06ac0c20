//! Reads the namespaces of a cluster once, and separates a refusal from an outage.
//!
//! Where every target names its namespaces, only those are read, so that no right to list is needed.

use crate::cluster::no_answer;
use crate::config::CollectConfig;
use k8s_openapi::api::core::v1::Namespace;
use kollect_api::names::label::NAMESPACE_NAME;
use kollect_collect::{NamespaceFacts, NamespaceMeta};
use kube::api::{Api, ListParams, PartialObjectMeta};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

const PAGE: u32 = 500;
const ANSWER: Duration = Duration::from_secs(30);
/// Retries of a failed request.
const RETRIES: u32 = 2;
const PAUSE: Duration = Duration::from_millis(500);

/// The namespaces that targets may select. No request takes longer than `patience`, retries included.
pub(super) async fn read(
    client: &kube::Client,
    config: &CollectConfig,
    patience: Duration,
) -> Result<NamespaceFacts, String> {
    let api: Api<Namespace> = Api::all(client.clone());
    match named(config) {
        Some(names) => {
            let mut facts = NamespaceFacts::new();
            for name in names {
                if let Some(meta) = one(&api, &name, patience).await? {
                    facts.insert(name, Arc::new(meta));
                }
            }
            Ok(facts)
        }
        None => all(&api, patience).await,
    }
}

/// The namespaces that targets name, if every one of them does.
fn named(config: &CollectConfig) -> Option<BTreeSet<Arc<str>>> {
    let mut names = BTreeSet::new();
    for target in config.targets.iter().filter(|target| !target.object.suspended()) {
        let selection = target.object.selection();
        if selection.included_namespaces.is_empty() {
            return None;
        }
        names.extend(selection.included_namespaces.iter().map(|name| Arc::from(name.as_str())));
    }
    Some(names)
}

async fn all(api: &Api<Namespace>, patience: Duration) -> Result<NamespaceFacts, String> {
    let mut facts = NamespaceFacts::new();
    let mut params = ListParams::default().limit(PAGE);
    loop {
        let page = with_retries("listing namespaces", patience, || api.list_metadata(&params)).await?;
        let page = page.map_err(|refusal| {
            format!("listing namespaces is refused: {refusal}; grant it, or name includedNamespaces in every target")
        })?;
        for object in page.items {
            if let Some(name) = &object.metadata.name {
                facts.insert(name.as_str().into(), Arc::new(meta_of(&object)));
            }
        }
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params.continue_token = Some(token),
            None => return Ok(facts),
        }
    }
}

/// One namespace; `None` when it does not exist.
async fn one(api: &Api<Namespace>, name: &str, patience: Duration) -> Result<Option<NamespaceMeta>, String> {
    let answer = with_retries(&format!("reading namespace {name}"), patience, || api.get_metadata_opt(name)).await?;
    let Ok(object) = answer else {
        // Refused: its name is known all the same.
        let labels = [(NAMESPACE_NAME.to_owned(), name.to_owned())].into();
        return Ok(Some(NamespaceMeta { labels, unread: true, ..NamespaceMeta::default() }));
    };
    Ok(object.map(|object| meta_of(&object)))
}

fn meta_of(object: &PartialObjectMeta<Namespace>) -> NamespaceMeta {
    NamespaceMeta {
        labels: object.metadata.labels.clone().unwrap_or_default(),
        annotations: object.metadata.annotations.clone().unwrap_or_default(),
        unread: false,
        terminating: object.metadata.deletion_timestamp.is_some(),
    }
}

/// Sends a request until it succeeds, at most `RETRIES` times more. `Ok(Err(…))` is a refusal.
async fn with_retries<T, F>(what: &str, patience: Duration, ask: impl Fn() -> F) -> Result<Result<T, String>, String>
where
    F: Future<Output = Result<T, kube::Error>>,
{
    let until = Instant::now() + patience;
    let mut attempt = 0;
    loop {
        let wait = ANSWER.min(until.saturating_duration_since(Instant::now()));
        let why = match timeout(wait, ask()).await {
            Ok(Ok(answer)) => return Ok(Ok(answer)),
            Ok(Err(kube::Error::Api(status))) if status.code == 403 => return Ok(Err(status.message.clone())),
            Ok(Err(kube::Error::Api(status))) if status.code == 401 => {
                return Err(format!("{what}: the API server does not accept the credentials ({})", status.message));
            }
            Ok(Err(error)) => no_answer(&error),
            Err(_) => format!("no answer within {} seconds", ANSWER.min(patience).as_secs()),
        };
        if attempt == RETRIES || Instant::now() + PAUSE >= until {
            return Err(format!("{what}: {why}"));
        }
        attempt += 1;
        sleep(PAUSE).await;
    }
}

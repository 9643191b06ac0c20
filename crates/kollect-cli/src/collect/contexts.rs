//! Selects clusters: contexts of a kubeconfig by name or pattern, the current one, or the cluster of the Pod.
//!
//! It makes no network request.

use crate::cluster::why;
use kollect_model::Glob;
use kube::Config;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Time for a connection and its TLS handshake.
const CONNECT: Duration = Duration::from_secs(10);

/// Clusters that cannot be found.
#[derive(Debug, thiserror::Error)]
pub(super) enum ContextError {
    #[error("the kubeconfig cannot be used: {0}")]
    Kubeconfig(String),
    #[error("--context: the kubeconfig has no context {name:?}; it has {known}")]
    Unknown { name: String, known: String },
    #[error("--context: no context matches {patterns}; the kubeconfig has {known}")]
    None { patterns: String, known: String },
    #[error(
        "there is neither a kubeconfig nor an API server around this process: use --kubeconfig, or --from for manifests"
    )]
    Nowhere,
    #[error("the kubeconfig has no current context: choose one with --context")]
    NoCurrent,
    #[error("context {name:?} of the kubeconfig: {why}")]
    Unusable { name: String, why: String },
}

/// One cluster to collect from.
pub(super) struct Context {
    /// Empty inside a cluster.
    pub(super) name: String,
    /// How to reach it, or why that is not possible.
    pub(super) config: Result<Config, ContextError>,
}

/// The contexts, sorted, and the patterns that match none.
pub(super) async fn find(
    kubeconfig: Option<&Path>,
    wanted: &[String],
) -> Result<(Vec<Context>, Vec<String>), ContextError> {
    let Some(file) = read(kubeconfig, !wanted.is_empty())? else {
        let config = Config::incluster().map_err(|_| ContextError::Nowhere)?;
        return Ok((vec![Context { name: String::new(), config: Ok(tuned(config)) }], Vec::new()));
    };
    let known: Vec<&str> = file.contexts.iter().map(|context| context.name.as_str()).collect();
    let (names, unmatched) = if wanted.is_empty() {
        let current = file.current_context.clone().filter(|name| !name.is_empty()).ok_or(ContextError::NoCurrent)?;
        select(&known, &[current])?
    } else {
        select(&known, wanted)?
    };
    let mut contexts = Vec::new();
    for name in names {
        let options = KubeConfigOptions { context: Some(name.clone()), ..KubeConfigOptions::default() };
        let config = Config::from_custom_kubeconfig(file.clone(), &options).await;
        let config = config.map(tuned).map_err(|error| ContextError::Unusable { name: name.clone(), why: why(&error) });
        contexts.push(Context { name, config });
    }
    Ok((contexts, unmatched))
}

fn tuned(mut config: Config) -> Config {
    // The callers retry, and report it.
    config.default_retry = false;
    config.connect_timeout = Some(CONNECT);
    config
}

/// The kubeconfig; `None` when there is none and none is needed.
fn read(named: Option<&Path>, needed: bool) -> Result<Option<Kubeconfig>, ContextError> {
    let failed = |error: KubeconfigError| ContextError::Kubeconfig(why(&error));
    if let Some(path) = named {
        return Kubeconfig::read_from(path).map(Some).map_err(failed);
    }
    let set = std::env::var_os("KUBECONFIG").is_some_and(|value| !value.is_empty());
    let usual = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".kube/config"));
    if !set && !needed && !usual.is_some_and(|path| path.is_file()) {
        return Ok(None);
    }
    Kubeconfig::read().map(Some).map_err(failed)
}

/// Names that are wanted, sorted and once each, and the patterns without a match.
fn select(known: &[&str], wanted: &[String]) -> Result<(Vec<String>, Vec<String>), ContextError> {
    let list = || if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    let mut names = BTreeSet::new();
    let mut unmatched = Vec::new();
    for name in wanted {
        if !Glob::has_wild_card(name) {
            if !known.contains(&name.as_str()) {
                return Err(ContextError::Unknown { name: name.clone(), known: list() });
            }
            names.insert(name.clone());
            continue;
        }
        let before = names.len();
        let mut any = false;
        let pattern = Glob::new(name);
        for context in known.iter().filter(|context| pattern.matches(context)) {
            any = true;
            names.insert((*context).to_owned());
        }
        if !any && names.len() == before {
            unmatched.push(name.clone());
        }
    }
    if names.is_empty() {
        return Err(ContextError::None { patterns: wanted.join(", "), known: list() });
    }
    Ok((names.into_iter().collect(), unmatched))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_patterns_select_sorted_and_once() {
        let known = ["prod-west", "prod-east", "dev"];
        let select = |wanted: &[&str]| select(&known, &wanted.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>());
        let (names, unmatched) = select(&["prod-*", "prod-east", "x*"]).unwrap();
        assert_eq!((names, unmatched), (vec!["prod-east".into(), "prod-west".into()], vec!["x*".to_owned()]));
        assert!(matches!(select(&["prod"]), Err(ContextError::Unknown { .. })));
        assert!(matches!(select(&["x*"]), Err(ContextError::None { .. })));
        assert!(select(&["dev"]).unwrap().1.is_empty());
    }
}

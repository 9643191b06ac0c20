//! What every target collects from one source, or why it collects nothing. Pure: facts about namespaces come in, and targets
//! are resolved as by the operator.

use crate::config::{CollectConfig, ConfigTarget};
use kollect_api::{ExportMode, KollectScope};
use kollect_collect::{NamespaceFacts, TargetSpec};
use kollect_model::{Gvk, TargetKey};
use kollect_resources::scopes::Scopes;
use kollect_resources::target::{CollectPolicy, ResolvedTarget, Stop, TargetInputs, TargetObject};
use kollect_rules::SecretExtractionPolicy;
use std::sync::Arc;

/// Why a part of a target was not collected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Skip {
    /// One word for programs.
    pub(super) reason: &'static str,
    /// For people.
    pub(super) message: String,
}

/// One target of the configuration and its part of this source.
#[derive(Debug)]
pub(super) struct Planned {
    /// `namespace/name`.
    pub(super) title: String,
    /// Kind of the objects.
    pub(super) gvk: Arc<Gvk>,
    /// Names of the attributes, sorted.
    pub(super) attributes: Vec<String>,
    /// Whose rows belong to it: itself, or one key per namespace for a cluster target.
    pub(super) keys: Vec<Arc<TargetKey>>,
    /// What to collect.
    pub(super) specs: Vec<TargetSpec>,
    /// Why nothing is collected.
    pub(super) stop: Option<Stop>,
    /// It is switched off, which is no failure.
    pub(super) suspended: bool,
}

/// Plans all targets, in their order.
pub(super) fn plan(config: &CollectConfig, facts: &NamespaceFacts) -> Vec<Planned> {
    // The person who runs this reads with rights of their own, so data of Secrets is denied only by a scope with `Deny`.
    let policy = CollectPolicy { secret_extraction: SecretExtractionPolicy::Any, ..CollectPolicy::default() };
    config.targets.iter().map(|target| plan_one(config, target, facts, &policy)).collect()
}

fn plan_one(config: &CollectConfig, target: &ConfigTarget, facts: &NamespaceFacts, policy: &CollectPolicy) -> Planned {
    let profile = config.profile(target);
    let scopes = scopes(config, target);
    let inputs = TargetInputs { profile, scopes: &scopes, unreadable: None, namespaces: Some(facts), policy };
    let ResolvedTarget { keys, specs, stop, .. } = target.object.resolve(&inputs);
    Planned {
        title: target.title(),
        gvk: profile.map_or_else(|| Arc::new(Gvk::new("", "", "")), |profile| profile.gvk.clone()),
        attributes: attributes(config, target),
        keys: keys.into_values().collect(),
        specs,
        stop,
        suspended: target.object.suspended(),
    }
}

fn attributes(config: &CollectConfig, target: &ConfigTarget) -> Vec<String> {
    let Some(profile) = config.profile(target) else { return Vec::new() };
    let spec = &profile.source.spec;
    let copy = spec.export.as_ref().filter(|export| export.mode == ExportMode::Resource);
    let names = spec.attributes.iter().map(|attribute| attribute.name.clone());
    let mut names: Vec<String> = names.chain(copy.map(|export| export.as_.clone())).collect();
    names.sort_unstable();
    names
}

/// The scopes of the target's namespace, or those of cluster targets.
fn scopes(config: &CollectConfig, target: &ConfigTarget) -> Scopes {
    match target.object {
        TargetObject::Cluster(_) => Scopes::Cluster(config.cluster_scopes.iter().cloned().map(Arc::new).collect()),
        TargetObject::Namespaced(_) => scopes_of(config, &target.namespace),
    }
}

/// The scopes of a namespace.
pub(super) fn scopes_of(config: &CollectConfig, namespace: &str) -> Scopes {
    let of_namespace = |scope: &&KollectScope| scope.metadata.namespace.as_deref() == Some(namespace);
    Scopes::Namespace(config.scopes.iter().filter(of_namespace).cloned().map(Arc::new).collect())
}

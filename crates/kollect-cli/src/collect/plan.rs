//! What every target collects from one source, or why it collects nothing.
//!
//! Separate and pure: facts about namespaces come in. It asks the same rules as the operator's control loops.

use crate::config::{Config, Target};
use kollect_api::KollectScope;
use kollect_collect::{Matching, NamespaceFacts, TargetSpec, WantedNamespaces};
use kollect_model::{Gvk, TargetKey, TargetScope};
use kollect_rules::{Ceiling, SecretExtractionPolicy};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Why a target, or a part of it, was not collected.
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
    pub(super) stop: Option<Skip>,
    /// It is switched off, which is no trouble.
    pub(super) suspended: bool,
}

/// Plans all targets, in their order.
pub(super) fn plan(config: &Config, facts: &NamespaceFacts) -> Vec<Planned> {
    config.targets.iter().map(|target| plan_one(config, target, facts)).collect()
}

fn plan_one(config: &Config, target: &Target, facts: &NamespaceFacts) -> Planned {
    let profile = config.profile(target);
    let mut attributes: Vec<String> = profile
        .map(|profile| profile.source.spec.attributes.iter().map(|attribute| attribute.name.clone()).collect())
        .unwrap_or_default();
    if let Some(export) = profile.and_then(|profile| profile.source.spec.export.as_ref())
        && export.mode == kollect_api::ExportMode::Resource
    {
        attributes.push(export.as_.clone());
    }
    attributes.sort_unstable();
    let mut planned = Planned {
        title: target.title(),
        gvk: profile.map_or_else(|| Arc::new(Gvk::new("", "", "")), |profile| profile.gvk.clone()),
        attributes,
        keys: vec![own_key(target)],
        specs: Vec::new(),
        stop: None,
        suspended: target.spec.suspend,
    };
    if planned.suspended {
        return planned;
    }
    match specs(config, target, facts) {
        Ok(specs) => {
            if target.cluster.is_some() {
                planned.keys = specs.iter().map(|spec| spec.key.clone()).collect();
            }
            planned.specs = specs;
        }
        Err(stop) => planned.stop = Some(stop),
    }
    planned
}

fn own_key(target: &Target) -> Arc<TargetKey> {
    let scope = if target.cluster.is_some() { TargetScope::Cluster } else { TargetScope::Namespaced };
    Arc::new(TargetKey { namespace: target.namespace.clone(), name: target.name.clone(), scope })
}

fn skip(reason: &'static str, message: impl Into<String>) -> Skip {
    Skip { reason, message: message.into() }
}

fn specs(config: &Config, target: &Target, facts: &NamespaceFacts) -> Result<Vec<TargetSpec>, Skip> {
    let profile = config.profile(target).ok_or_else(|| skip("profile-not-found", "its KollectProfile is not there"))?;
    let extractor = profile.result.clone().map_err(|why| skip("invalid-profile", why))?;
    let scope = ceiling(config, target);
    scope.gvk_allowed(&profile.gvk).map_err(|why| skip("denied-by-scope", why))?;
    // The person who runs this reads with rights of their own, so only a scope that says Deny is in the way.
    if kollect_rules::collects_secret_data(&profile.source) {
        kollect_rules::secret_extraction_allowed(SecretExtractionPolicy::Any, &scope, "KollectScope")
            .map_err(|why| skip("secret-extraction-denied", why))?;
    }
    static_reference(target, &scope)?;
    let effective = resolve(target, &scope, facts)?;
    let matching =
        Matching::of(&target.spec).map_err(|why| skip("invalid-target", format!("spec.resourceRules: {why}")))?;
    let spec = |key: Arc<TargetKey>, namespaces: BTreeSet<Arc<str>>, matching: &Arc<Matching>| TargetSpec {
        key,
        gvk: profile.gvk.clone(),
        extractor: extractor.clone(),
        matching: matching.clone(),
        namespaces: WantedNamespaces::Only(Arc::new(namespaces)),
        created: 0,
        version: 1,
    };
    let matching = Arc::new(matching);
    if target.cluster.is_none() {
        return Ok(vec![spec(own_key(target), effective, &matching)]);
    }
    // Rows of a cluster target belong to it in each namespace of objects.
    let of = |namespace: &Arc<str>| {
        let key = TargetKey { namespace: namespace.clone(), ..(*own_key(target)).clone() };
        spec(Arc::new(key), BTreeSet::from([namespace.clone()]), &matching)
    };
    Ok(effective.iter().map(of).collect())
}

/// What the scopes of the target's namespace permit, or those of cluster targets.
fn ceiling<'a>(config: &'a Config, target: &Target) -> Ceiling<'a> {
    if target.cluster.is_some() {
        return Ceiling::of_cluster(&config.cluster_scopes);
    }
    let of_namespace = |scope: &&KollectScope| scope.metadata.namespace.as_deref() == Some(&*target.namespace);
    Ceiling::of_namespace(config.scopes.iter().filter(of_namespace))
}

/// Cluster targets may use profiles of some namespaces only.
fn static_reference(target: &Target, scope: &Ceiling<'_>) -> Result<(), Skip> {
    let Some(cluster) = &target.cluster else { return Ok(()) };
    let namespace = cluster.spec.profile_ref.namespace.as_deref().unwrap_or_default();
    scope.static_ref_allowed(namespace).map_err(|why| skip("denied-by-scope", format!("profileRef.namespace: {why}")))
}

fn resolve(target: &Target, scope: &Ceiling<'_>, facts: &NamespaceFacts) -> Result<BTreeSet<Arc<str>>, Skip> {
    let known: Vec<(&str, &BTreeMap<String, String>)> =
        facts.iter().map(|(name, meta)| (name.as_ref(), &meta.labels)).collect();
    let unread: Vec<&str> = facts.iter().filter(|(_, meta)| meta.unread).map(|(name, _)| name.as_ref()).collect();
    let resolved = kollect_rules::resolve_namespaces(&kollect_rules::NamespaceIntent {
        target: target.cluster.as_ref().map_or_else(|| (&target.spec).into(), |cluster| (&cluster.spec).into()),
        known: &known,
        unread: &unread,
        default_included: &[],
        default_excluded: &[],
        ceiling: scope,
        confinement: None,
    });
    if let Some(why) = resolved.violation {
        return Err(skip("denied-by-scope", why));
    }
    if !resolved.undecided.is_empty() {
        let names = resolved.undecided.join(", ");
        let why = format!(
            "what it selects depends on labels of the namespaces {names}, which may not be read: grant get on \
             namespaces, or select by name"
        );
        return Err(skip("forbidden", why));
    }
    Ok(resolved.effective.iter().map(|name| Arc::from(name.as_str())).collect())
}

//! What a target of either kind collects, or why it collects nothing. Pure: operator and command line resolve every target
//! here, so that they cannot disagree.

use crate::cache::ResourceCache;
use crate::kinds::{Kind, NamespacedName, ObjectRef};
use crate::profile::{CompiledProfile, join_violations};
use crate::scopes::Scopes;
use kollect_api::names::finalizer;
use kollect_api::{KollectClusterTarget, KollectTarget, KollectTargetSpec};
use kollect_collect::{Matching, NamespaceFacts, PausedTarget, TargetSpec, WantedNamespaces};
use kollect_model::{Gvk, Reason, TargetKey};
use kollect_rules::{Ceiling, Confinement, NamespaceIntent, SecretExtractionPolicy, Violation};
use kube::api::ObjectMeta;
use serde_json::Value;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

/// A target of either kind.
#[derive(Clone, Debug)]
pub enum TargetObject {
    /// Collects with a profile of its own namespace.
    Namespaced(Arc<KollectTarget>),
    /// Collects from many namespaces. To the collector it is one target per namespace, all with the same profile, so that
    /// an inventory can take some namespaces and leave others.
    Cluster(Arc<KollectClusterTarget>),
}

/// A reason that stops a target altogether.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stop {
    /// Reason of its conditions.
    pub reason: Reason,
    /// What is wrong and what to do.
    pub message: String,
}

impl Stop {
    /// A stop.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }
}

/// What the process decides about every target: settings of the operator, or of a run of the command line.
#[derive(Clone, Debug, Default)]
pub struct CollectPolicy {
    /// Where data of Secrets may be collected.
    pub secret_extraction: SecretExtractionPolicy,
    /// Where the operator runs. Its own Secrets are never collected there.
    pub operator_namespace: String,
    /// Names of the operator's own Secrets.
    pub own_secrets: Vec<String>,
    /// Namespaces a target collects from when it names none.
    pub default_included_namespaces: Vec<String>,
    /// Namespaces no target collects from.
    pub default_excluded_namespaces: Vec<String>,
    /// No cluster-wide rights.
    pub tenant_mode: bool,
}

/// What a target depends on besides itself.
pub struct TargetInputs<'a> {
    /// The profile that it names, if it exists.
    pub profile: Option<&'a CompiledProfile>,
    /// The scopes that limit it.
    pub scopes: &'a Scopes,
    /// A kind of scope that cannot be listed, so that the limits are unknown.
    pub unreadable: Option<Kind>,
    /// Every namespace; `None` while they are not known.
    pub namespaces: Option<&'a NamespaceFacts>,
    /// Settings of the process.
    pub policy: &'a CollectPolicy,
}

/// What a target collects.
#[derive(Debug, Default)]
pub struct ResolvedTarget {
    /// Kind of its objects, when its profile is known.
    pub gvk: Option<Arc<Gvk>>,
    /// Namespaces that it selects, sorted.
    pub matched: Vec<String>,
    /// Those that are left by its scopes, sorted.
    pub effective: Vec<String>,
    /// Whose rows belong to it: itself, or one key per effective namespace of a cluster target. They are known even when
    /// the profile is not, so that rows of a faulty target stay.
    pub keys: BTreeMap<Arc<str>, Arc<TargetKey>>,
    /// What to collect; empty when nothing can be.
    pub specs: Vec<TargetSpec>,
    /// Why nothing can be collected.
    pub stop: Option<Stop>,
    /// Its rows belong to inventories. Those of a suspended or denied target do not.
    pub in_view: bool,
}

impl ResolvedTarget {
    /// The keys of a target whose rows stay in the sinks although it is not collected at the moment.
    pub fn paused(&self) -> impl Iterator<Item = PausedTarget> {
        let paused = self.in_view && self.specs.is_empty();
        let why: Arc<str> = self.stop.as_ref().map_or("stopped", |stop| stop.reason.as_str()).into();
        let keys = self.keys.values().filter(move |_| paused);
        keys.map(move |key| PausedTarget { key: key.clone(), why: why.clone() })
    }

    /// Whether the collector and the inventories need not learn of `self` after `other`.
    pub fn collects_like(&self, other: &Self) -> bool {
        let spec = |spec: &TargetSpec| (spec.key.clone(), spec.version, spec.namespaces.clone());
        self.has_rows_like(other)
            && self.stop == other.stop
            && self.specs.iter().map(spec).eq(other.specs.iter().map(spec))
    }

    /// Whether both put the same rows into inventories.
    pub fn has_rows_like(&self, other: &Self) -> bool {
        self.in_view == other.in_view && self.keys.keys().eq(other.keys.keys())
    }
}

impl TargetObject {
    /// The target that `object` names, if it exists.
    pub fn find(cache: &ResourceCache, object: &ObjectRef) -> Option<Self> {
        match object.kind {
            Kind::Target => cache.get(&object.key()).map(Self::Namespaced),
            Kind::ClusterTarget => cache.get(&object.key()).map(Self::Cluster),
            _ => None,
        }
    }

    /// Metadata.
    pub fn meta(&self) -> &ObjectMeta {
        match self {
            Self::Namespaced(target) => &target.metadata,
            Self::Cluster(target) => &target.metadata,
        }
    }

    /// Its finalizer.
    pub fn finalizer(&self) -> &'static str {
        match self {
            Self::Namespaced(_) => finalizer::TARGET,
            Self::Cluster(_) => finalizer::CLUSTER_TARGET,
        }
    }

    /// `spec.suspend`.
    pub fn suspended(&self) -> bool {
        match self {
            Self::Namespaced(target) => target.spec.suspend,
            Self::Cluster(target) => target.spec.suspend,
        }
    }

    /// What it selects, in the fields of a KollectTarget.
    pub fn selection(&self) -> Cow<'_, KollectTargetSpec> {
        match self {
            Self::Namespaced(target) => Cow::Borrowed(&target.spec),
            Self::Cluster(target) => Cow::Owned(target.spec.as_target()),
        }
    }

    /// The profile that it names.
    pub fn profile_key(&self) -> NamespacedName {
        match self {
            Self::Namespaced(target) => {
                let namespace = target.metadata.namespace.as_deref().unwrap_or_default();
                NamespacedName::new(namespace, &target.spec.profile_ref)
            }
            Self::Cluster(target) => {
                let reference = &target.spec.profile_ref;
                NamespacedName::new(reference.namespace.as_deref().unwrap_or_default(), &reference.name)
            }
        }
    }

    /// `status` as JSON.
    pub fn status(&self) -> Value {
        match self {
            Self::Namespaced(target) => serde_json::to_value(&target.status),
            Self::Cluster(target) => serde_json::to_value(&target.status),
        }
        .unwrap_or_default()
    }

    fn name(&self) -> (&str, &str) {
        let meta = self.meta();
        (meta.namespace.as_deref().unwrap_or_default(), meta.name.as_deref().unwrap_or_default())
    }

    /// What it collects, or why nothing.
    pub fn resolve(&self, inputs: &TargetInputs<'_>) -> ResolvedTarget {
        let mut resolved = ResolvedTarget { in_view: !self.suspended(), ..ResolvedTarget::default() };
        match self {
            Self::Namespaced(_) => {
                let (namespace, name) = self.name();
                let key = Arc::new(TargetKey::namespaced(namespace, name));
                resolved.keys = BTreeMap::from([(key.namespace.clone(), key)]);
            }
            Self::Cluster(_) => self.resolve_cluster_namespaces(inputs, &mut resolved),
        }
        if self.suspended() {
            return resolved;
        }
        match self.specs(inputs, &mut resolved) {
            Ok(specs) => resolved.specs = specs,
            Err(stop) => {
                resolved.in_view = !stop.reason.is_denial();
                resolved.stop = Some(stop);
            }
        }
        resolved
    }

    fn resolve_cluster_namespaces(&self, inputs: &TargetInputs<'_>, resolved: &mut ResolvedTarget) {
        let Some(namespaces) = inputs.namespaces else { return };
        let selected = self.select_namespaces(namespaces, inputs, &inputs.scopes.ceiling(), None);
        let (_, name) = self.name();
        let key = |namespace: &String| {
            let key = Arc::new(TargetKey::cluster(namespace, name));
            (key.namespace.clone(), key)
        };
        resolved.keys = selected.effective.iter().map(key).collect();
        resolved.matched = selected.matched;
        resolved.effective = selected.effective;
    }

    fn select_namespaces(
        &self,
        namespaces: &NamespaceFacts,
        inputs: &TargetInputs<'_>,
        ceiling: &Ceiling<'_>,
        confinement: Option<Confinement<'_>>,
    ) -> kollect_rules::ResolvedNamespaces {
        let known: Vec<(&str, &BTreeMap<String, String>)> =
            namespaces.iter().map(|(name, meta)| (name.as_ref(), &meta.labels)).collect();
        let unread: Vec<&str> =
            namespaces.iter().filter(|(_, meta)| meta.unread).map(|(name, _)| name.as_ref()).collect();
        kollect_rules::resolve_namespaces(&NamespaceIntent {
            target: match self {
                Self::Namespaced(target) => (&target.spec).into(),
                Self::Cluster(target) => (&target.spec).into(),
            },
            known: &known,
            unread: &unread,
            default_included: &inputs.policy.default_included_namespaces,
            default_excluded: &inputs.policy.default_excluded_namespaces,
            ceiling,
            confinement,
        })
    }

    fn specs(&self, inputs: &TargetInputs<'_>, resolved: &mut ResolvedTarget) -> Result<Vec<TargetSpec>, Stop> {
        let ceiling = inputs.scopes.ceiling();
        self.check_references(inputs, &ceiling)?;
        let profile = inputs.profile.ok_or_else(|| self.profile_not_found())?;
        resolved.gvk = Some(profile.gvk.clone());
        let extractor = profile
            .result
            .clone()
            .map_err(|why| Stop::new(Reason::InvalidPath, format!("KollectProfile {}: {why}", self.profile_key())))?;
        if let Self::Namespaced(target) = self {
            refuse(&kollect_rules::check_target(target, &profile.gvk))?;
        }
        ceiling.gvk_allowed(&profile.gvk).map_err(|why| Stop::new(Reason::ScopeGVKDenied, why))?;
        self.check_secret_data(profile, inputs.policy, &ceiling)?;
        let namespaces = self.namespaces(&profile.gvk, inputs, &ceiling, resolved)?;
        let matching = Arc::new(self.matching(&profile.gvk, inputs.policy)?);
        let version = self.version(profile);
        let created = self.meta().creation_timestamp.as_ref().map_or(0, |time| time.0.as_second());
        let spec = |key: &Arc<TargetKey>, namespaces: WantedNamespaces| TargetSpec {
            key: key.clone(),
            gvk: profile.gvk.clone(),
            extractor: extractor.clone(),
            matching: matching.clone(),
            namespaces,
            created,
            version,
        };
        let of_one = |namespace: &Arc<str>| WantedNamespaces::Only(Arc::new(BTreeSet::from([namespace.clone()])));
        Ok(match self {
            Self::Namespaced(_) => resolved.keys.values().map(|key| spec(key, namespaces.clone())).collect(),
            Self::Cluster(_) => resolved.keys.iter().map(|(namespace, key)| spec(key, of_one(namespace))).collect(),
        })
    }

    fn check_references(&self, inputs: &TargetInputs<'_>, ceiling: &Ceiling<'_>) -> Result<(), Stop> {
        match self {
            Self::Namespaced(target) if target.spec.profile_ref.trim().is_empty() => {
                let why = "spec.profileRef is empty; name a KollectProfile of this namespace";
                Err(Stop::new(Reason::MissingProfileRef, why))
            }
            Self::Namespaced(_) => Ok(()),
            Self::Cluster(target) => {
                if let Some(kind) = inputs.unreadable {
                    return Err(Stop::new(Reason::ScopeLookupFailed, cannot_list(kind)));
                }
                let namespace = &self.profile_key().namespace;
                ceiling.static_ref_allowed(namespace).map_err(|why| {
                    let why = format!("spec.profileRef: namespace {namespace} {why}");
                    Stop::new(Reason::ScopeNamespaceDenied, why)
                })?;
                refuse(&violations(&**target, 0, inputs.policy.tenant_mode))
            }
        }
    }

    fn profile_not_found(&self) -> Stop {
        let key = self.profile_key();
        let fix = match self {
            Self::Namespaced(_) => "create it in this namespace",
            Self::Cluster(_) => "create it or correct spec.profileRef",
        };
        Stop::new(Reason::ProfileNotFound, format!("KollectProfile {key} does not exist; {fix}"))
    }

    /// A profile may request the data of Secrets; whether it gets it is decided by the owner of the data.
    fn check_secret_data(
        &self,
        profile: &CompiledProfile,
        policy: &CollectPolicy,
        ceiling: &Ceiling<'_>,
    ) -> Result<(), Stop> {
        if !kollect_rules::collects_secret_data(&profile.source) {
            return Ok(());
        }
        let owner = match self {
            Self::Namespaced(_) => "KollectScope of its namespace",
            Self::Cluster(_) => "KollectClusterScope",
        };
        kollect_rules::secret_extraction_allowed(policy.secret_extraction, ceiling, owner).map_err(|why| {
            let why = format!("the profile asks for the data of Secrets, but {why}");
            Stop::new(Reason::SecretExtractionDenied, why)
        })
    }

    /// The namespaces of a namespaced target. Those of a cluster target are its keys.
    fn namespaces(
        &self,
        gvk: &Gvk,
        inputs: &TargetInputs<'_>,
        ceiling: &Ceiling<'_>,
        resolved: &mut ResolvedTarget,
    ) -> Result<WantedNamespaces, Stop> {
        let (Self::Namespaced(_), Some(namespaces)) = (self, inputs.namespaces) else {
            return Ok(WantedNamespaces::Undecided);
        };
        let policy = inputs.policy;
        let secrets = kollect_rules::is_core_secret(gvk) && policy.secret_extraction != SecretExtractionPolicy::Any;
        let confinement = Confinement::of(self.name().0, ceiling, secrets, policy.tenant_mode);
        let selected = self.select_namespaces(namespaces, inputs, ceiling, confinement);
        resolved.matched = selected.matched;
        resolved.effective = selected.effective;
        if let Some(why) = selected.violation {
            return Err(Stop::new(Reason::ScopeNamespaceDenied, why));
        }
        if !selected.undecided.is_empty() {
            let names = selected.undecided.join(", ");
            let why = format!(
                "what the target selects depends on labels of namespaces, and the operator may not read those of {names}; \
                 grant it get on namespaces there, or select by name"
            );
            return Err(Stop::new(Reason::Forbidden, why));
        }
        let wanted: BTreeSet<Arc<str>> = resolved.effective.iter().map(|ns| Arc::from(ns.as_str())).collect();
        Ok(WantedNamespaces::Only(Arc::new(wanted)))
    }

    /// What it selects, never with the operator's own Secrets.
    fn matching(&self, gvk: &Gvk, policy: &CollectPolicy) -> Result<Matching, Stop> {
        let invalid = |why: String| Stop::new(Reason::InvalidSpec, why);
        let matching = Matching::of(&self.selection()).map_err(|why| invalid(format!("spec.resourceRules: {why}")))?;
        if !kollect_rules::is_core_secret(gvk) || policy.operator_namespace.is_empty() {
            return Ok(matching);
        }
        let without = matching.without_own_secrets(&policy.operator_namespace, &policy.own_secrets);
        without.map_err(|why| invalid(why.to_string()))
    }

    /// Changes when every object must be read again.
    fn version(&self, profile: &CompiledProfile) -> u64 {
        let spec = match self {
            Self::Namespaced(target) => serde_json::to_string(&target.spec),
            Self::Cluster(target) => serde_json::to_string(&target.spec),
        };
        let mut version = DefaultHasher::new();
        spec.unwrap_or_default().hash(&mut version);
        serde_json::to_string(&profile.source.spec).unwrap_or_default().hash(&mut version);
        profile.source.metadata.annotations.hash(&mut version);
        version.finish()
    }
}

fn refuse(violations: &[Violation]) -> Result<(), Stop> {
    if violations.is_empty() { Ok(()) } else { Err(Stop::new(Reason::InvalidSpec, join_violations(violations))) }
}

/// Why nothing is decided about cluster kinds while the kind cannot be listed.
pub fn cannot_list(kind: Kind) -> String {
    let plural = kind.plural();
    format!("the operator may not list {plural}, or they are not installed; grant it list and watch, and apply the CRD")
}

/// What admission would refuse about an object, for installations without webhooks.
pub fn violations<K: serde::Serialize>(object: &K, max_export_bytes: i64, tenant_mode: bool) -> Vec<Violation> {
    let settings = kollect_rules::RuleSettings {
        max_export_bytes,
        tenant_mode,
        // Addresses are checked when they are dialed.
        allow_private_sinks: true,
        allow_loopback_sinks: true,
        ..kollect_rules::RuleSettings::default()
    };
    let Ok(object) = serde_json::to_value(object) else { return Vec::new() };
    let review = kollect_rules::review(&object, &settings, &kollect_rules::ReviewFacts::default());
    review.unwrap_or_default().violations
}

//! A target with everything that its decision depends on.

use super::decide::{SinkSummary, TargetFacts, namespace_name};
use super::summary::stop_of;
use crate::context::{Context, ControlSettings};
use crate::controllers::Controllers;
use crate::sink::decide::LastProbe;
use crate::sink::state::SinkState;
use kollect_api::{DeletionPolicy, SinkFamily};
use kollect_collect::{NamespaceFacts, TargetStatus, WantedNamespaces};
use kollect_model::Reason;
use kollect_resources::cache::{ResourceCache, in_namespace};
use kollect_resources::keys::kind_of;
use kollect_resources::kinds::{Kind, NamespacedName, ObjectRef};
use kollect_resources::profile::CompiledProfile;
use kollect_resources::registry::SinkObject;
use kollect_resources::scopes::Scopes;
use kollect_resources::target::{ResolvedTarget, TargetInputs, TargetObject};
use std::sync::Arc;

/// A target that exists, with everything that it depends on.
pub struct ActiveTarget {
    /// The target.
    pub(super) target: TargetObject,
    profile: Option<CompiledProfile>,
    scopes: Scopes,
    unreadable: Option<Kind>,
    namespaces: Option<Arc<NamespaceFacts>>,
    settings: Arc<ControlSettings>,
    sinks: SinkSummary,
}

impl ActiveTarget {
    /// Reads what the target depends on.
    pub(crate) fn of(context: &Context, all: &Controllers, object: &ObjectRef, target: TargetObject) -> Self {
        let cache = context.cache.read();
        let (scopes, unreadable, sinks) = match &target {
            TargetObject::Namespaced(_) => {
                let scopes = Scopes::of_namespace(&cache.scopes, &object.namespace);
                (scopes, None, sinks_of(&cache, all, &object.namespace))
            }
            TargetObject::Cluster(_) => {
                let unreadable = cache.unreadable.get(&Kind::ClusterScope).copied();
                (Scopes::of_cluster(&cache.cluster_scopes), unreadable, SinkSummary::None)
            }
        };
        Self {
            profile: all.profiles.get(&target.profile_key()).cloned(),
            target,
            scopes,
            unreadable,
            namespaces: context.namespaces.borrow().clone(),
            settings: context.settings.clone(),
            sinks,
        }
    }

    /// What it collects.
    pub(crate) fn resolve(&self) -> ResolvedTarget {
        self.target.resolve(&TargetInputs {
            profile: self.profile.as_ref(),
            scopes: &self.scopes,
            unreadable: self.unreadable,
            namespaces: self.namespaces.as_deref(),
            policy: &self.settings.policy,
        })
    }

    /// Everything that its conditions depend on.
    pub(super) fn facts(
        &self,
        resolved: &ResolvedTarget,
        status: &TargetStatus,
        rows: u64,
        list_error: Option<String>,
    ) -> TargetFacts {
        let mut facts = TargetFacts {
            suspended: self.target.suspended(),
            stop: resolved.stop.clone().or_else(|| stop_of(status)),
            profile: match &self.target {
                TargetObject::Namespaced(target) => target.spec.profile_ref.clone(),
                TargetObject::Cluster(_) => self.target.profile_key().to_string(),
            },
            gvk: resolved.gvk.as_ref().map(ToString::to_string).unwrap_or_default(),
            rows,
            low_priority: status.low_priority,
            extraction_failures: status.extraction_failures,
            last_extraction_error: status.last_extraction_error.clone(),
            collected_namespaces: status.synced + status.pending,
            forbidden: status.forbidden.iter().map(|(ns, _)| namespace_name(ns)).collect(),
            selects_none: self.selects_none(resolved),
            list_error,
            sinks: self.sinks.clone(),
        };
        facts.forbidden.sort();
        facts.forbidden.dedup();
        if facts.collected_namespaces == 0 && facts.forbidden.is_empty() && facts.list_error.is_none() {
            // A target that selects nothing is healthy and empty.
            facts.collected_namespaces = 1;
        }
        facts
    }

    /// Why a target is empty that selects no namespace.
    fn selects_none(&self, resolved: &ResolvedTarget) -> Option<String> {
        let known = &self.settings.watch_namespaces;
        match &self.target {
            TargetObject::Cluster(_) => resolved
                .keys
                .is_empty()
                .then(|| "it selects no namespace that exists and that the KollectClusterScope permits".to_owned()),
            TargetObject::Namespaced(_) => {
                let empty =
                    |namespaces: &WantedNamespaces| matches!(namespaces, WantedNamespaces::Only(n) if n.is_empty());
                let none = resolved.specs.first().is_some_and(|spec| empty(&spec.namespaces));
                none.then(|| {
                    if known.is_empty() {
                        "it selects none of the namespaces of the cluster".to_owned()
                    } else {
                        format!("it selects none of the namespaces that the operator watches ({})", known.join(", "))
                    }
                })
            }
        }
    }
}

/// Whether an inventory of the target's namespace retains what it exported.
pub(super) fn is_retained(context: &Context, target: &ObjectRef) -> bool {
    let cache = context.cache.read();
    target.kind == Kind::Target
        && in_namespace(&cache.inventories, &target.namespace)
            .any(|(_, inventory)| inventory.spec.deletion_policy == DeletionPolicy::Retain)
}

/// The sinks that the inventories of a namespace refer to.
fn sinks_of(cache: &ResourceCache, all: &Controllers, namespace: &str) -> SinkSummary {
    let inventories = in_namespace(&cache.inventories, namespace).map(|(_, inventory)| &inventory.spec);
    let refs = inventories.flat_map(|spec| {
        SinkFamily::ALL.into_iter().flat_map(move |family| spec.sink_refs(family).iter().map(move |r| (family, r)))
    });
    let mut count = 0;
    for (family, reference) in refs {
        let key = NamespacedName::new(namespace, &reference.name);
        let object = ObjectRef::new(kind_of(family), &key);
        if SinkObject::find(cache, &object).is_none() {
            return SinkSummary::Faulty(Reason::SinkNotFound, format!("{object} does not exist"));
        }
        if let Some(LastProbe::Failed { message, .. }) = all.sink(&object).map(SinkState::last_probe) {
            return SinkSummary::Faulty(Reason::SinkUnreachable, format!("{object}: {message}"));
        }
        count += 1;
    }
    if count == 0 { SinkSummary::None } else { SinkSummary::Reachable(count) }
}

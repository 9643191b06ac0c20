//! Cluster targets: the objects of many namespaces with one profile.
//!
//! To the collector a cluster target is one target per namespace, all with the same compiled profile, so that an
//! inventory can take some namespaces and leave others. What is decided, watched and reported is one object.

use crate::control::{Control, health_of};
use crate::kinds::{Kind, NamespacedName, ObjectRef};
use crate::scope::Scopes;
use crate::shared::finalizers;
use crate::target::decide::{self, Facts, Stop};
use crate::target::spec::created;
use crate::target::{Selected, fields, stop_of};
use kollect_api::names::finalizer;
use kollect_api::{KollectClusterTarget, KollectClusterTargetSpec, KollectClusterTargetStatus, KollectTargetSpec};
use kollect_collect::{Held, TargetSpec, TargetStatus, WantedNamespaces};
use kollect_model::TargetKey;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use tokio::time::Instant;

/// What the operator holds of one cluster target.
#[derive(Default)]
pub struct ClusterTargetState {
    /// Its rows' keys by effective namespace.
    pub keys: BTreeMap<Arc<str>, Arc<TargetKey>>,
    /// Its rows belong to inventories. A suspended or denied target's rows do not.
    pub in_view: bool,
    /// It cannot collect anything.
    pub fault: bool,
    collect: Vec<TargetSpec>,
    stop: Option<Stop>,
    gvk: String,
    version: u64,
    matched: Vec<String>,
}

fn stop(reason: &'static str, message: impl Into<String>) -> Stop {
    Stop { reason, message: message.into() }
}

impl Control {
    /// Brings one cluster target up to date.
    pub(crate) fn reconcile_cluster_target(&mut self, object: &ObjectRef) {
        let key = object.key();
        let Some(target) = self.world.read().cluster_targets.get(&key).cloned() else {
            self.drop_cluster_target(object);
            return self.gone(object);
        };
        if target.metadata.deletion_timestamp.is_some() {
            self.drop_cluster_target(object);
            // Dropping rows happens in memory and cannot fail; sinks follow through the inventories' views.
            if finalizers::has(&target.metadata, finalizer::CLUSTER_TARGET) {
                self.set_finalizer(object, &target.metadata, finalizer::CLUSTER_TARGET, false);
            }
            return;
        }
        if !finalizers::has(&target.metadata, finalizer::CLUSTER_TARGET) {
            self.set_finalizer(object, &target.metadata, finalizer::CLUSTER_TARGET, true);
        }
        let state = self.decide_cluster_target(&target);
        let old = self.cluster_targets.get(&key);
        let same_view = old.is_some_and(|old| old.in_view == state.in_view && old.keys.keys().eq(state.keys.keys()));
        let same = old.is_some_and(|old| same_view && old.stop == state.stop && old.version == state.version);
        self.targets_changed |= !same;
        self.cluster_targets.insert(key, state);
        if !same_view {
            self.mark_dependents(object);
        }
        self.report_cluster_target(object, &target);
        self.dirty.mark_at(object.clone(), Instant::now() + self.settings.target_count_resync);
    }

    fn drop_cluster_target(&mut self, object: &ObjectRef) {
        self.count_rows(&object.key(), None);
        self.failing_lists.forget(object);
        if self.cluster_targets.remove(&object.key()).is_some() {
            self.targets_changed = true;
            self.mark_dependents(object);
        }
    }

    /// What to collect in which namespaces, or why nothing can be.
    pub(crate) fn decide_cluster_target(&self, target: &KollectClusterTarget) -> ClusterTargetState {
        let mut state = ClusterTargetState { in_view: !target.spec.suspend, ..ClusterTargetState::default() };
        let name = target.metadata.name.as_deref().unwrap_or_default();
        let asks = target.spec.as_target();
        self.cluster_namespaces(name, &target.spec, &mut state);
        if target.spec.suspend {
            return state;
        }
        match self.cluster_specs(target, &asks, &mut state) {
            Ok(specs) => state.collect = specs,
            Err(why) => {
                state.in_view = !why.is_denial();
                state.fault = true;
                state.stop = Some(why);
            }
        }
        state
    }

    /// The namespaces are known even when the profile is not, so that rows of a faulty target stay.
    fn cluster_namespaces(&self, name: &str, spec: &KollectClusterTargetSpec, state: &mut ClusterTargetState) {
        let Some(facts) = self.namespaces.borrow().clone() else { return };
        let labels: Vec<(&str, &BTreeMap<String, String>)> =
            facts.iter().map(|(name, meta)| (name.as_ref(), &meta.labels)).collect();
        let scopes = Scopes::of_cluster(&self.world.read().cluster_scopes);
        let resolved = kollect_rules::resolve_namespaces(&kollect_rules::NamespaceIntent {
            target: spec.into(),
            known: &labels,
            unread: &[],
            default_included: &self.settings.default_included_namespaces,
            default_excluded: &self.settings.default_excluded_namespaces,
            ceiling: &scopes.ceiling(),
            confinement: None,
        });
        state.keys = resolved
            .effective
            .iter()
            .map(|namespace| {
                let key = Arc::new(TargetKey::cluster(namespace, name));
                (key.namespace.clone(), key)
            })
            .collect();
        state.matched = resolved.matched;
    }

    fn cluster_specs(
        &self,
        target: &KollectClusterTarget,
        asks: &KollectTargetSpec,
        state: &mut ClusterTargetState,
    ) -> Result<Vec<TargetSpec>, Stop> {
        if self.world.read().unreadable.contains(&Kind::ClusterScope) {
            return Err(stop("ScopeLookupFailed", crate::scope::unreadable(Kind::ClusterScope)));
        }
        let reference = &target.spec.profile_ref;
        let profile_key = NamespacedName::new(reference.namespace.as_deref().unwrap_or_default(), &reference.name);
        let scopes = Scopes::of_cluster(&self.world.read().cluster_scopes);
        let ceiling = scopes.ceiling();
        let namespace = &profile_key.namespace;
        ceiling
            .static_ref_allowed(namespace)
            .map_err(|why| stop("ScopeNamespaceDenied", format!("spec.profileRef: namespace {namespace} {why}")))?;
        let violations = self.violations(target);
        if !violations.is_empty() {
            return Err(stop("InvalidSpec", crate::profile::join(&violations)));
        }
        let Some(profile) = self.profiles.get(&profile_key) else {
            let why = format!("KollectProfile {profile_key} does not exist; create it or correct spec.profileRef");
            return Err(stop("ProfileNotFound", why));
        };
        state.gvk = profile.gvk.to_string();
        let extractor = match &profile.result {
            Ok(extractor) => extractor.clone(),
            Err(why) => return Err(stop("InvalidPath", format!("KollectProfile {profile_key}: {why}"))),
        };
        ceiling.gvk_allowed(&profile.gvk).map_err(|why| stop("ScopeGVKDenied", why))?;
        self.secrets_agreed(profile, &ceiling, "KollectClusterScope")?;
        let matching = Arc::new(self.matching(asks, &profile.gvk)?);
        let mut version = DefaultHasher::new();
        serde_json::to_string(&target.spec).unwrap_or_default().hash(&mut version);
        serde_json::to_string(&profile.source.spec).unwrap_or_default().hash(&mut version);
        profile.source.metadata.annotations.hash(&mut version);
        state.version = version.finish();
        let created = created(&target.metadata);
        let spec = |(namespace, key): (&Arc<str>, &Arc<TargetKey>)| TargetSpec {
            key: key.clone(),
            gvk: profile.gvk.clone(),
            extractor: extractor.clone(),
            matching: matching.clone(),
            namespaces: WantedNamespaces::Only(Arc::new(BTreeSet::from([namespace.clone()]))),
            created,
            version: state.version,
        };
        Ok(state.keys.iter().map(spec).collect())
    }

    /// What the collector is told of cluster targets.
    pub(crate) fn cluster_collection(&self) -> (Vec<TargetSpec>, Vec<Held>) {
        let states = self.cluster_targets.values();
        let specs = states.clone().flat_map(|state| state.collect.iter().cloned()).collect();
        let stopped = states.filter(|state| state.in_view && state.collect.is_empty());
        let held = stopped.flat_map(|state| {
            let why: Arc<str> = state.stop.as_ref().map_or("stopped", |stop| stop.reason).into();
            state.keys.values().map(move |key| Held { key: key.clone(), why: why.clone() })
        });
        (specs, held.collect())
    }

    fn report_cluster_target(&mut self, object: &ObjectRef, target: &KollectClusterTarget) {
        let Some(state) = self.cluster_targets.get(&object.key()) else { return };
        let status = total(state.keys.values().filter_map(|key| self.collector.status(key)));
        let list_error = self.long_list_error(object, &status);
        let Some(state) = self.cluster_targets.get(&object.key()) else { return };
        let reference = &target.spec.profile_ref;
        let profile = format!("{}/{}", reference.namespace.as_deref().unwrap_or_default(), reference.name);
        let rows = state.keys.values().map(|key| self.store.target_rows(key)).sum();
        let mut facts = Facts {
            suspended: target.spec.suspend,
            stop: state.stop.clone().or_else(|| stop_of(&status)),
            profile: profile.clone(),
            gvk: state.gvk.clone(),
            rows,
            low_priority: status.low_priority,
            extraction_failures: status.extraction_failures,
            last_extraction_error: status.last_extraction_error.clone(),
            collected_namespaces: status.synced + status.pending,
            forbidden: status.forbidden.iter().map(|(ns, _)| decide::namespace_name(ns)).collect(),
            selects_none: state
                .keys
                .is_empty()
                .then(|| "it selects no namespace that exists and that the KollectClusterScope permits".to_owned()),
            list_error,
            ..Facts::default()
        };
        facts.forbidden.sort();
        facts.forbidden.dedup();
        if status.synced == 0 && status.pending == 0 && facts.forbidden.is_empty() && facts.list_error.is_none() {
            // Nothing to look at is a healthy, empty target.
            facts.collected_namespaces = 1;
        }
        let labels = crate::metrics::ProfileGvk { profile, gvk: state.gvk.clone() };
        if self.count_rows(&object.key(), Some((labels, i64::try_from(rows).unwrap_or(i64::MAX)))) {
            self.mark_dependents(object);
        }
        let wanted = decide::verdict(&facts);
        let fault = wanted.iter().any(|c| c.kind == "Ready" && !c.status);
        let Some(state) = self.cluster_targets.get_mut(&object.key()) else { return };
        let turned = std::mem::replace(&mut state.fault, fault) != fault;
        let present = serde_json::to_value(&target.status).unwrap_or_default();
        let base =
            self.statuses.last_written(object, target.metadata.uid.as_deref()).unwrap_or_else(|| present.clone());
        let before: KollectClusterTargetStatus = serde_json::from_value(base).unwrap_or_default();
        let selected = Selected {
            matched: &state.matched,
            effective: state.keys.keys().map(AsRef::as_ref).collect(),
            rules: target.spec.resource_rules.len(),
        };
        let fields = fields(&facts, &selected, (before.collected_count, before.collected_count_updated_at));
        if turned {
            self.mark_dependents(object);
        }
        let health = health_of(&wanted);
        self.report(object, &target.metadata, &present, &wanted, fields, health);
    }
}

/// One status for all namespaces.
fn total(all: impl Iterator<Item = TargetStatus>) -> TargetStatus {
    all.fold(TargetStatus::default(), |mut sum, one| {
        sum.not_served = sum.not_served.or(one.not_served);
        sum.no_room = sum.no_room.or(one.no_room);
        sum.access_error = sum.access_error.or(one.access_error);
        sum.list_error = sum.list_error.or(one.list_error);
        sum.last_extraction_error = one.last_extraction_error.or(sum.last_extraction_error);
        sum.forbidden.extend(one.forbidden);
        sum.low_priority |= one.low_priority;
        sum.extraction_failures += one.extraction_failures;
        sum.pending += one.pending;
        sum.synced += one.synced;
        sum.rows += one.rows;
        sum
    })
}

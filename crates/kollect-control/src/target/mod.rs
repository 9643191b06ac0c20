//! Targets: which objects to collect with which profile, and how that goes.

pub mod decide;
pub(crate) mod listing;
pub(crate) mod spec;

use crate::clock::timestamp;
use crate::control::{Control, health_of};
use crate::kinds::{Kind, NamespacedName, ObjectRef};
use crate::shared::finalizers;
use crate::sink::decide::Probed;
use decide::{Facts, Sinks, Stop};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kollect_api::names::finalizer;
use kollect_api::{KollectTarget, KollectTargetStatus};
use kollect_collect::{Held, TargetSpec, TargetStatus, WantedNamespaces};
use kollect_model::TargetKey;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use tokio::time::Instant;

/// What the operator holds of one target.
pub struct TargetState {
    /// Key of its rows.
    pub key: Arc<TargetKey>,
    /// Its rows belong to the inventories of the namespace. A suspended or denied target's rows do not.
    pub in_view: bool,
    /// What to collect, if anything.
    pub collect: Option<TargetSpec>,
    /// Why nothing can be collected.
    pub stop: Option<Stop>,
    /// Kind, for messages and metrics.
    gvk: String,
    /// Namespaces that match, and those that are left after the scope.
    matched: Vec<String>,
    effective: Vec<String>,
}

impl Control {
    /// Brings one target up to date.
    pub(crate) fn reconcile_target(&mut self, object: &ObjectRef) {
        let key = object.key();
        let target = self.world.read().targets.get(&key).cloned();
        let Some(target) = target else {
            self.drop_target(object);
            return self.gone(object);
        };
        if target.metadata.deletion_timestamp.is_some() {
            if !self.may_leave_views(object) {
                return;
            }
            self.drop_target(object);
            // Dropping rows happens in memory and cannot fail; sinks follow through the inventories' views.
            if finalizers::has(&target.metadata, finalizer::TARGET) {
                self.set_finalizer(object, &target.metadata, finalizer::TARGET, false);
            }
            return;
        }
        if !finalizers::has(&target.metadata, finalizer::TARGET) {
            self.set_finalizer(object, &target.metadata, finalizer::TARGET, true);
        }
        let state = self.decide_target(&key, &target);
        let changed = self.targets.get(&key).is_none_or(|old| {
            old.in_view != state.in_view
                || old.stop != state.stop
                || old.collect.as_ref().map(fingerprint) != state.collect.as_ref().map(fingerprint)
        });
        let view_changed = self.targets.get(&key).is_none_or(|old| old.in_view != state.in_view);
        self.targets.insert(key.clone(), state);
        self.targets_changed |= changed;
        if view_changed {
            self.mark_inventories(&key);
        }
        self.report_target(object, &target);
        self.dirty.mark_at(object.clone(), Instant::now() + self.settings.target_count_resync);
    }

    fn drop_target(&mut self, object: &ObjectRef) {
        self.count_rows(&object.key(), None);
        self.failing_lists.forget(object);
        if self.targets.remove(&object.key()).is_some() {
            self.targets_changed = true;
            self.mark_inventories(&object.key());
        }
    }

    /// Each target adds its own rows to the gauges of its profile and of all. Says whether the number is another one than
    /// before.
    pub(crate) fn count_rows(&mut self, key: &NamespacedName, now: Option<(crate::metrics::ProfileGvk, i64)>) -> bool {
        let before = match now.clone() {
            Some(now) => self.counted.insert(key.clone(), now),
            None => self.counted.remove(key),
        };
        let rows = |counted: &Option<(_, i64)>| counted.as_ref().map(|(_, rows)| *rows);
        let changed = rows(&before) != rows(&now);
        if let Some((labels, rows)) = before {
            self.metrics.collected_objects.get_or_create(&labels).dec_by(rows);
            self.metrics.collect_items.dec_by(rows);
        }
        if let Some((labels, rows)) = now {
            self.metrics.collected_objects.get_or_create(&labels).inc_by(rows);
            self.metrics.collect_items.inc_by(rows);
        }
        changed
    }

    fn mark_inventories(&self, target: &NamespacedName) {
        let world = self.world.read();
        for (key, _) in crate::world::in_namespace(&world.inventories, &target.namespace) {
            self.dirty.mark(ObjectRef::new(Kind::Inventory, key));
        }
    }

    fn decide_target(&self, key: &NamespacedName, target: &KollectTarget) -> TargetState {
        let mut state = TargetState {
            key: Arc::new(TargetKey::namespaced(&key.namespace, &key.name)),
            in_view: !target.spec.suspend,
            collect: None,
            stop: None,
            gvk: String::new(),
            matched: Vec::new(),
            effective: Vec::new(),
        };
        if target.spec.suspend {
            return state;
        }
        match self.target_spec(key, target, &mut state) {
            Ok(spec) => state.collect = Some(spec),
            Err(stop) => {
                state.in_view = !stop.is_denial();
                state.stop = Some(stop);
            }
        }
        state
    }

    /// Hands the targets to the collector if any of them changed.
    pub(crate) fn apply_targets(&mut self) {
        if !std::mem::take(&mut self.targets_changed) {
            return;
        }
        let (mut specs, mut held) = self.cluster_collection();
        specs.extend(self.targets.values().filter_map(|state| state.collect.clone()));
        let stopped = self.targets.values().filter(|state| state.in_view && state.collect.is_none()).map(|state| {
            Held { key: state.key.clone(), why: state.stop.as_ref().map_or("stopped", |stop| stop.reason).into() }
        });
        held.extend(stopped);
        self.collector.set_targets(specs, held);
    }

    fn report_target(&mut self, object: &ObjectRef, target: &KollectTarget) {
        let Some(state) = self.targets.get(&object.key()) else { return };
        let status = self.collector.status(&state.key).unwrap_or_default();
        let list_error = self.long_list_error(object, &status);
        let Some(state) = self.targets.get(&object.key()) else { return };
        let mut facts = Facts {
            suspended: target.spec.suspend,
            stop: state.stop.clone().or_else(|| stop_of(&status)),
            profile: target.spec.profile_ref.clone(),
            gvk: state.gvk.clone(),
            rows: self.store.target_rows(&state.key),
            low_priority: status.low_priority,
            extraction_failures: status.extraction_failures,
            last_extraction_error: status.last_extraction_error.clone(),
            collected_namespaces: status.synced + status.pending,
            sinks: self.sinks_of(&object.namespace),
            forbidden: status.forbidden.iter().map(|(ns, _)| decide::namespace_name(ns)).collect(),
            selects_none: state.collect.as_ref().and_then(|spec| self.selects_none(spec)),
            list_error,
        };
        facts.forbidden.sort();
        if status.synced == 0 && status.pending == 0 && facts.forbidden.is_empty() && facts.list_error.is_none() {
            // Nothing to look at (no namespace matches) is a healthy, empty target.
            facts.collected_namespaces = 1;
        }
        let labels = crate::metrics::ProfileGvk {
            profile: format!("{}/{}", object.namespace, target.spec.profile_ref),
            gvk: state.gvk.clone(),
        };
        if self.count_rows(&object.key(), Some((labels, i64::try_from(facts.rows).unwrap_or(i64::MAX)))) {
            // An inventory without sinks hears of rows in no other way.
            self.mark_inventories(&object.key());
        }
        let Some(state) = self.targets.get(&object.key()) else { return };
        let wanted = decide::conditions(&facts);
        let present = serde_json::to_value(&target.status).unwrap_or_default();
        let base =
            self.statuses.last_written(object, target.metadata.uid.as_deref()).unwrap_or_else(|| present.clone());
        let before: KollectTargetStatus = serde_json::from_value(base).unwrap_or_default();
        let selected = Selected {
            matched: &state.matched,
            effective: state.effective.iter().map(String::as_str).collect(),
            rules: target.spec.resource_rules.len(),
        };
        let fields = fields(&facts, &selected, (before.collected_count, before.collected_count_updated_at));
        // The count is in the message; only states and reasons are health.
        let health = health_of(&wanted);
        self.report(object, &target.metadata, &present, &wanted, fields, health);
    }

    /// Why a target is empty that selects no namespace.
    fn selects_none(&self, spec: &TargetSpec) -> Option<String> {
        if !matches!(&spec.namespaces, WantedNamespaces::Only(namespaces) if namespaces.is_empty()) {
            return None;
        }
        let known = &self.settings.watch_namespaces;
        Some(if known.is_empty() {
            "it selects none of the namespaces of the cluster".to_owned()
        } else {
            format!("it selects none of the namespaces that the operator looks at ({})", known.join(", "))
        })
    }

    /// How the sinks that the namespace's inventories reference look.
    fn sinks_of(&self, namespace: &str) -> Sinks {
        let refs = self.inventory_refs_sinks(namespace);
        if refs.is_empty() {
            return Sinks::None;
        }
        for (family, name) in &refs {
            let kind = crate::inventory::binding::kind_of(*family);
            let key = NamespacedName::new(namespace, name);
            if crate::sink::find(self, kind, &key).is_none() {
                return Sinks::Trouble("SinkNotFound", format!("{} {key} does not exist", kind.name()));
            }
            if let Some(state) = self.sinks.get(&ObjectRef::new(kind, &key))
                && let Probed::Failed { message, .. } = state.probed()
            {
                return Sinks::Trouble("SinkUnreachable", format!("{} {key}: {message}", kind.name()));
            }
        }
        Sinks::Reachable(refs.len())
    }
}

/// What the collector says that stops the whole target.
pub(crate) fn stop_of(status: &TargetStatus) -> Option<Stop> {
    if let Some(why) = &status.not_served {
        return Some(Stop { reason: "InformerRegistrationFailed", message: why.clone() });
    }
    if let Some(why) = &status.no_room {
        return Some(Stop { reason: "StoreLimitExceeded", message: why.clone() });
    }
    status.access_error.as_ref().map(|why| Stop {
        reason: "AccessCheckFailed",
        message: format!("collection is paused until the access check succeeds: {why}"),
    })
}

fn fingerprint(spec: &TargetSpec) -> (u64, String) {
    (spec.version, format!("{:?}", spec.namespaces))
}

/// What a target of either kind selects, for its status.
pub(crate) struct Selected<'a> {
    pub(crate) matched: &'a [String],
    pub(crate) effective: Vec<&'a str>,
    pub(crate) rules: usize,
}

/// The count that a status has now, and since when.
pub(crate) type Counted = (Option<i64>, Option<Time>);

/// The fields of a status beside its conditions.
pub(crate) fn fields(facts: &Facts, selected: &Selected<'_>, before: Counted) -> Map<String, Value> {
    let rows = i64::try_from(facts.rows).unwrap_or(i64::MAX);
    let mut fields = Map::new();
    // While nothing can be collected the last count stays: it says what the sinks still hold.
    let counted = if facts.stop.is_some() { before.0 } else { Some(rows) };
    if let Some(count) = counted {
        fields.insert("collectedCount".to_owned(), json!(count));
        let since = match before {
            (Some(old), Some(since)) if old == count => since,
            _ => Time(timestamp()),
        };
        fields.insert("collectedCountUpdatedAt".to_owned(), json!(since));
    }
    if facts.extraction_failures > 0 {
        fields.insert("extractionFailures".to_owned(), json!(facts.extraction_failures));
        fields.insert("lastExtractionError".to_owned(), json!(facts.last_extraction_error));
    }
    if !selected.matched.is_empty() {
        fields.insert("matchedNamespaces".to_owned(), json!(selected.matched));
    }
    if !selected.effective.is_empty() {
        fields.insert("effectiveNamespaces".to_owned(), json!(selected.effective));
    }
    if selected.rules > 0 {
        fields.insert("activeResourceRules".to_owned(), json!(selected.rules));
    }
    fields
}

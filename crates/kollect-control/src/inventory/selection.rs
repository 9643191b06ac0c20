//! Which rows an inventory has: its targets, and for cluster inventories the namespaces of each.
//!
//! A view that is wrong deletes rows: a target that was not reconciled yet stays in, and namespaces come from what is
//! known, never from a guess.

use crate::clock::timestamp;
use crate::context::Context;
use crate::controllers::Controllers;
use crate::inventory::facts::Rollup;
use crate::targets::ActiveTarget;
use kollect_api::{Dedupe, KollectClusterInventory, KollectInventory};
use kollect_collect::NamespaceFacts;
use kollect_model::TargetKey;
use kollect_resources::cache::in_namespace;
use kollect_resources::inventory::InventoryObject;
use kollect_resources::kinds::{Kind, NamespacedName, ObjectRef};
use kollect_resources::target::TargetObject;
use kollect_rules::Selector;
use kollect_store::{NamespaceFilter, View};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// A cluster inventory without targets is young for so long: what it selects may be created after it.
const SETTLING: Duration = Duration::from_mins(5);

/// The rows of an inventory.
pub(super) struct Selection {
    /// All of them.
    pub view: View,
    /// The cluster targets of a cluster inventory.
    pub rollup: Option<Rollup>,
    /// The targets of each namespace of a cluster inventory.
    pub by_namespace: BTreeMap<Arc<str>, Vec<Arc<TargetKey>>>,
}

impl Selection {
    /// The rows of an inventory, by the targets as they were last decided.
    pub(super) fn of(context: &Context, all: &Controllers, object: &ObjectRef, inventory: &InventoryObject) -> Self {
        match inventory {
            InventoryObject::Namespaced(inventory) => Self {
                view: view_of_namespace(context, all, &object.namespace, inventory),
                rollup: None,
                by_namespace: BTreeMap::new(),
            },
            InventoryObject::Cluster(inventory) => roll_up(context, all, inventory),
        }
    }
}

/// The targets that the inventory exports, in canonical order.
fn view_of_namespace(context: &Context, all: &Controllers, namespace: &str, inventory: &KollectInventory) -> View {
    let cache = context.cache.read();
    let targets = in_namespace(&cache.targets, namespace)
        .filter(|(key, target)| {
            let labels = target.metadata.labels.clone().unwrap_or_default();
            kollect_rules::exports_target(&inventory.spec, &key.name, &labels)
        })
        .flat_map(|(key, target)| match all.targets.get(key) {
            Some(state) if state.resolved.in_view => state.resolved.keys.values().cloned().collect(),
            Some(_) => Vec::new(),
            None if target.metadata.deletion_timestamp.is_some() => Vec::new(),
            // Not reconciled yet: it stays in, because a view without it would delete its rows.
            None => vec![Arc::new(TargetKey::namespaced(&key.namespace, &key.name))],
        })
        .collect();
    View::of(targets)
}

/// What a cluster target gives to cluster inventories.
struct Contribution {
    name: Arc<str>,
    keys: BTreeMap<Arc<str>, Arc<TargetKey>>,
    in_view: bool,
    degraded: bool,
}

fn roll_up(context: &Context, all: &Controllers, inventory: &KollectClusterInventory) -> Selection {
    let spec = &inventory.spec;
    let facts = context.namespaces.borrow().clone().unwrap_or_default();
    let namespaces = selected_namespaces(inventory, &facts);
    let mut rollup = Rollup::default();
    let mut by_namespace: BTreeMap<Arc<str>, Vec<Arc<TargetKey>>> = BTreeMap::new();
    for target in contributions(context, all, inventory) {
        let within = target.keys.iter().filter(|(namespace, _)| namespaces.contains(*namespace));
        let mut selected = false;
        for (namespace, key) in within.filter(|_| target.in_view) {
            by_namespace.entry(namespace.clone()).or_default().push(key.clone());
            selected = true;
        }
        rollup.targets += usize::from(selected);
        if target.degraded {
            rollup.degraded.push(target.name.to_string());
        }
    }
    let cache = context.cache.read();
    let exists = |name: &&String| cache.cluster_targets.contains_key(&NamespacedName::new("", name));
    rollup.missing = spec.target_refs.iter().filter(|name| !exists(name)).cloned().collect();
    rollup.settling = if rollup.targets == 0 { settling(inventory) } else { None };
    let dedupe = match spec.dedupe {
        Dedupe::KeepAll => kollect_store::Dedupe::KeepAll,
        Dedupe::ByResourceUid => kollect_store::Dedupe::ByResourceUid,
    };
    let targets = by_namespace.values().flatten().cloned().collect();
    Selection { view: View::new(targets, NamespaceFilter::All, dedupe), rollup: Some(rollup), by_namespace }
}

fn contributions(context: &Context, all: &Controllers, inventory: &KollectClusterInventory) -> Vec<Contribution> {
    let spec = &inventory.spec;
    let targets = context.cache.read().cluster_targets.clone();
    let selected = targets.into_iter().filter(|(key, target)| match spec.target_refs.as_slice() {
        [] => {
            let labels = target.metadata.labels.clone().unwrap_or_default();
            spec.target_selector.as_ref().is_none_or(|selector| kollect_rules::selector_matches(selector, &labels))
        }
        named => named.iter().any(|name| **name == *key.name),
    });
    let contribution = |(key, target): (NamespacedName, Arc<_>)| {
        if let Some(state) = all.cluster_targets.get(&key) {
            let resolved = &state.resolved;
            return Some(Contribution {
                name: key.name,
                keys: resolved.keys.clone(),
                in_view: resolved.in_view,
                degraded: state.degraded,
            });
        }
        let target = TargetObject::Cluster(target);
        if target.meta().deletion_timestamp.is_some() {
            return None;
        }
        let object = ObjectRef::new(Kind::ClusterTarget, &key);
        let resolved = ActiveTarget::of(context, all, &object, target).resolve();
        let (in_view, degraded) = (resolved.in_view, resolved.stop.is_some());
        Some(Contribution { name: key.name, keys: resolved.keys, in_view, degraded })
    };
    selected.filter_map(contribution).collect()
}

/// Namespaces that may contribute: those of `namespaces`, of `namespaceSelector`, or of both if both are set.
fn selected_namespaces(inventory: &KollectClusterInventory, facts: &NamespaceFacts) -> BTreeSet<Arc<str>> {
    let spec = &inventory.spec;
    let selector = spec.namespace_selector.as_ref().map(Selector::new);
    if selector.is_none() && spec.namespaces.is_empty() {
        return BTreeSet::new();
    }
    let listed = |name: &str| spec.namespaces.is_empty() || spec.namespaces.iter().any(|listed| listed == name);
    let selected = facts
        .iter()
        .filter(|(name, meta)| listed(name) && selector.as_ref().is_none_or(|selector| selector.matches(&meta.labels)));
    selected.map(|(name, _)| name.clone()).collect()
}

/// For how long the inventory counts as young.
fn settling(inventory: &KollectClusterInventory) -> Option<Duration> {
    let created = inventory.metadata.creation_timestamp.as_ref()?;
    let age = timestamp().as_second().saturating_sub(created.0.as_second());
    let age = Duration::from_secs(u64::try_from(age).unwrap_or(0));
    SETTLING.checked_sub(age).filter(|left| !left.is_zero())
}

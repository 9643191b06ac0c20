//! Which rows an inventory has: its targets, and for cluster inventories the namespaces of each.
//!
//! Separate because a view that is wrong deletes rows: a target that was not looked at yet stays in, and namespaces come
//! from what is known, never from a guess.

use crate::clock::timestamp;
use crate::control::Control;
use crate::inventory::decide::Rollup;
use crate::inventory::object::InventoryObject;
use crate::kinds::{Kind, NamespacedName, ObjectRef};
use kollect_api::{Dedupe, KollectClusterInventory, KollectInventory};
use kollect_model::TargetKey;
use kollect_rules::Selector;
use kollect_store::{NamespaceFilter, View};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// A cluster inventory without targets is young for so long: what it selects may be created after it.
const SETTLING: Duration = Duration::from_mins(5);

/// The rows of an inventory.
pub struct Selection {
    /// All of them.
    pub view: View,
    /// The cluster targets of a cluster inventory, and how they stand.
    pub rollup: Option<Rollup>,
    /// The targets of each namespace of a cluster inventory.
    pub by_namespace: BTreeMap<Arc<str>, Vec<Arc<TargetKey>>>,
}

impl Control {
    /// The rows of an inventory.
    pub(crate) fn selection_of(&self, key: &NamespacedName, inventory: &InventoryObject) -> Selection {
        match inventory {
            InventoryObject::Namespaced(inventory) => Selection {
                view: self.view_of_namespace(&key.namespace, inventory),
                rollup: None,
                by_namespace: BTreeMap::new(),
            },
            InventoryObject::Cluster(inventory) => self.rolled_up(key, inventory),
        }
    }

    /// The targets that the inventory exports, in canonical order.
    fn view_of_namespace(&self, namespace: &str, inventory: &KollectInventory) -> View {
        let world = self.world.read();
        let targets = crate::world::in_namespace(&world.targets, namespace)
            .filter(|(key, target)| {
                let labels = target.metadata.labels.clone().unwrap_or_default();
                kollect_rules::exports_target(&inventory.spec, &key.name, &labels)
            })
            .filter_map(|(key, target)| match self.targets.get(key) {
                Some(state) => state.in_view.then(|| state.key.clone()),
                None if target.metadata.deletion_timestamp.is_some() => None,
                // Not looked at yet: it stays in, because a view without it would delete its rows.
                None => Some(Arc::new(TargetKey::namespaced(&key.namespace, &key.name))),
            })
            .collect();
        View::of(targets)
    }

    fn rolled_up(&self, key: &NamespacedName, inventory: &KollectClusterInventory) -> Selection {
        let spec = &inventory.spec;
        let namespaces = self.selected_namespaces(inventory);
        let world = self.world.read();
        let named = |name: &str| spec.target_refs.iter().any(|wanted| wanted == name);
        let selected = world.cluster_targets.iter().filter(|(key, target)| match spec.target_refs.as_slice() {
            [] => {
                let labels = target.metadata.labels.clone().unwrap_or_default();
                spec.target_selector.as_ref().is_none_or(|selector| kollect_rules::selector_matches(selector, &labels))
            }
            _ => named(&key.name),
        });
        let mut rollup = Rollup::default();
        let mut by_namespace: BTreeMap<Arc<str>, Vec<Arc<TargetKey>>> = BTreeMap::new();
        for (key, target) in selected {
            let fresh;
            let state = if let Some(state) = self.cluster_targets.get(key) {
                state
            } else if target.metadata.deletion_timestamp.is_some() {
                continue;
            } else {
                fresh = self.decide_cluster_target(target);
                &fresh
            };
            let within = state.keys.iter().filter(|(namespace, _)| namespaces.contains(*namespace));
            let mut seen = false;
            for (namespace, key) in within.filter(|_| state.in_view) {
                by_namespace.entry(namespace.clone()).or_default().push(key.clone());
                seen = true;
            }
            rollup.targets += usize::from(seen);
            if state.fault && !target.spec.suspend {
                rollup.degraded.push(key.name.to_string());
            }
        }
        let exists = |name: &&String| world.cluster_targets.contains_key(&NamespacedName::new("", name));
        rollup.missing = spec.target_refs.iter().filter(|name| !exists(name)).cloned().collect();
        drop(world);
        rollup.settling = rollup.targets == 0 && self.is_settling(key, inventory);
        let dedupe = match spec.dedupe {
            Dedupe::KeepAll => kollect_store::Dedupe::KeepAll,
            Dedupe::ByResourceUid => kollect_store::Dedupe::ByResourceUid,
        };
        let targets = by_namespace.values().flatten().cloned().collect();
        Selection { view: View::new(targets, NamespaceFilter::All, dedupe), rollup: Some(rollup), by_namespace }
    }

    /// Namespaces that may contribute: those of `namespaces`, of `namespaceSelector`, or of both if both are set.
    fn selected_namespaces(&self, inventory: &KollectClusterInventory) -> BTreeSet<Arc<str>> {
        let spec = &inventory.spec;
        let selector = spec.namespace_selector.as_ref().map(Selector::new);
        if selector.is_none() && spec.namespaces.is_empty() {
            return BTreeSet::new();
        }
        let facts = self.namespaces.borrow().clone().unwrap_or_default();
        let listed = |name: &str| spec.namespaces.is_empty() || spec.namespaces.iter().any(|listed| listed == name);
        let wanted = facts.iter().filter(|(name, meta)| {
            listed(name) && selector.as_ref().is_none_or(|selector| selector.matches(&meta.labels))
        });
        wanted.map(|(name, _)| name.clone()).collect()
    }

    fn is_settling(&self, key: &NamespacedName, inventory: &KollectClusterInventory) -> bool {
        let Some(created) = &inventory.metadata.creation_timestamp else { return false };
        let age = timestamp().as_second().saturating_sub(created.0.as_second());
        let age = Duration::from_secs(u64::try_from(age).unwrap_or(0));
        let Some(left) = SETTLING.checked_sub(age).filter(|left| !left.is_zero()) else { return false };
        self.dirty.mark_at(ObjectRef::new(Kind::ClusterInventory, key), Instant::now() + left);
        true
    }
}

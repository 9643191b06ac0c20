//! What is exported as one: an inventory, or a target where the configuration has no inventories. Pure.
//!
//! An export without any known part is left out, since writing it would empty what its sink holds.

use super::plan::Planned;
use super::source::CollectedSource;
use crate::config::CollectConfig;
use kollect_api::{KollectInventory, Partitioning};
use kollect_export::InventoryKey;
use kollect_resources::keys::CLUSTER;
use kollect_store::{PartState, View};
use std::sync::Arc;

/// One export.
pub(super) struct Unit<'a> {
    /// Its name in paths and keys.
    pub(super) key: InventoryKey,
    /// The inventory, unless it is a target of its own.
    pub(super) inventory: Option<&'a KollectInventory>,
    /// Its rows.
    pub(super) view: View,
    /// Its targets, by their place in the plan.
    pub(super) targets: Vec<usize>,
}

impl Unit<'_> {
    /// `metadata.generation` of the inventory.
    pub(super) fn generation(&self) -> i64 {
        self.inventory.and_then(|inventory| inventory.metadata.generation).unwrap_or(0)
    }

    /// `spec.maxExportBytes`, if it is set.
    pub(super) fn max_bytes(&self) -> Option<i64> {
        self.inventory.and_then(|inventory| inventory.spec.max_export_bytes)
    }

    /// `spec.partitioning`.
    pub(super) fn partitioning(&self) -> Partitioning {
        self.inventory.map(|inventory| inventory.spec.partitioning).unwrap_or_default()
    }

    /// Whether nothing at all is known of it, so that it must not be exported as if it were empty.
    pub(super) fn is_unknown(&self, source: &CollectedSource) -> bool {
        let parts = source.store.parts(&self.view);
        let rows = || self.targets.iter().any(|at| source.has_rows_of(&source.planned[*at].keys));
        !parts.is_empty()
            && !rows()
            && parts.iter().all(|(_, _, state)| matches!(state, PartState::Lost(_) | PartState::Pending))
    }
}

/// All exports of a source, and targets that belong to none.
pub(super) fn units<'a>(config: &'a CollectConfig, source: &CollectedSource) -> (Vec<Unit<'a>>, Vec<String>) {
    let mut units = Vec::new();
    let mut exported = vec![false; source.planned.len()];
    for inventory in config.inventories.iter().filter(|inventory| !inventory.spec.suspend) {
        let targets: Vec<usize> =
            (0..source.planned.len()).filter(|at| selects(inventory, config, *at, &source.planned[*at])).collect();
        for at in &targets {
            exported[*at] = true;
        }
        let text = |name: &Option<String>| Arc::from(name.as_deref().unwrap_or_default());
        let meta = &inventory.metadata;
        let key = InventoryKey { namespace: text(&meta.namespace), name: text(&meta.name) };
        units.push(Unit { key, inventory: Some(inventory), view: view_of(source, &targets), targets });
    }
    let mut left = Vec::new();
    for (at, (target, planned)) in config.targets.iter().zip(&source.planned).enumerate() {
        if exported[at] || planned.suspended {
            continue;
        }
        if !config.inventories.is_empty() && !target.is_cluster() {
            left.push(planned.title.clone());
            continue;
        }
        let namespace = if target.is_cluster() { CLUSTER.into() } else { target.namespace.clone() };
        let key = InventoryKey { namespace, name: target.name.clone() };
        units.push(Unit { key, inventory: None, view: view_of(source, &[at]), targets: vec![at] });
    }
    (units, left)
}

fn view_of(source: &CollectedSource, targets: &[usize]) -> View {
    View::of(targets.iter().flat_map(|at| source.planned[*at].keys.clone()).collect())
}

/// Whether an inventory exports a target: of its namespace, by name and by label.
fn selects(inventory: &KollectInventory, config: &CollectConfig, at: usize, planned: &Planned) -> bool {
    let target = &config.targets[at];
    !target.is_cluster()
        && !planned.suspended
        && inventory.metadata.namespace.as_deref() == Some(&*target.namespace)
        && kollect_rules::exports_target(&inventory.spec, &target.name, &target.labels)
}

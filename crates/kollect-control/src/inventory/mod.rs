//! Inventories of both kinds: which rows go to which sinks, and how that stands.
//!
//! `object` hides which kind it is, `view` says which rows it has, `binding` makes its bindings, `decide` judges,
//! `status` reports, `cleanup` ends.

pub mod binding;
pub mod cleanup;
pub mod decide;
mod ending;
pub(crate) mod namespace_end;
pub mod object;
mod shards;
pub mod status;
mod view;

use crate::control::Control;
use crate::kinds::{Kind, NamespacedName, ObjectRef};
use crate::shared::finalizers;
use decide::Facts;
use ending::Postponed;
use kollect_api::SinkFamily;
use kollect_export::BindingSpec;
use namespace_end::WithNamespace;
use object::InventoryObject;
use shards::Shards;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What the operator holds of one inventory.
#[derive(Default)]
pub struct InventoryState {
    /// The object that this is about; another one of the same name starts anew.
    pub uid: Option<String>,
    /// Bindings that the exporter has, by `family/name`, as they were last given to it.
    pub bindings: BTreeMap<String, BindingSpec>,
    /// Bindings that cannot run at the moment, as they last ran: their credentials may be needed for a clean-up.
    pub resting: BTreeMap<String, BindingSpec>,
    /// Bindings whose clean-up is running, and where they wrote.
    pub leaving: BTreeMap<String, String>,
    /// Bindings whose clean-up waits for their sink.
    pub postponed: Postponed,
    /// Bindings whose clean-up has ended, while the status still lists them.
    pub left: BTreeSet<String>,
    /// Rows of the view at the last look.
    pub items: u64,
    /// Export failures whose warning was already given.
    pub warned: BTreeMap<String, String>,
    /// Rows by namespace, of cluster inventories.
    pub shards: Shards,
}

impl Control {
    /// The inventory as last seen.
    pub(crate) fn find_inventory(&self, key: &NamespacedName) -> Option<InventoryObject> {
        let world = self.world.read();
        if key.namespace.is_empty() {
            return world.cluster_inventories.get(key).cloned().map(InventoryObject::Cluster);
        }
        world.inventories.get(key).cloned().map(InventoryObject::Namespaced)
    }

    /// Brings one inventory up to date.
    pub(crate) fn reconcile_inventory(&mut self, object: &ObjectRef) {
        let key = object.key();
        self.note_cleanups(object);
        let Some(inventory) = self.find_inventory(&key) else {
            self.detach_inventory(&key);
            return self.gone(object);
        };
        let meta = inventory.meta();
        if self.inventories.get(&key).is_some_and(|known| known.uid != meta.uid) {
            self.detach_inventory(&key);
        }
        self.inventories.entry(key.clone()).or_default().uid.clone_from(&meta.uid);
        if meta.deletion_timestamp.is_some() {
            return self.clean_up_inventory(object, &inventory);
        }
        if !finalizers::has(meta, inventory.finalizer()) {
            self.set_finalizer(object, meta, inventory.finalizer(), true);
        }
        match self.ends_with_namespace(object, &inventory) {
            WithNamespace::Stays => {}
            WithNamespace::Unknown => return,
            WithNamespace::Leaves => return self.pause_all(&key),
        }
        let selection = self.selection_of(&key, &inventory);
        let mut facts = Facts {
            suspended: inventory.suspended(),
            items: self.store.counts(&selection.view),
            blocked: self.blocked(&inventory),
            rollup: selection.rollup.clone(),
            ..Facts::default()
        };
        let wanted = self.wanted_bindings(&key, &inventory, &selection.view);
        // Before anything new is bound: a new reference may lead to the place that an old one leaves.
        self.forget_removed(object, &inventory, &wanted);
        self.look_at_counts(&key, facts.items);
        let halted = facts.suspended || facts.blocked.is_some();
        for (name, binding) in wanted {
            let state = match binding {
                Ok(spec) if halted => {
                    self.pause(&key, &name, &spec.id);
                    continue;
                }
                Ok(spec) => self.bind(&key, &name, spec),
                Err(state) => {
                    let id = self.inventories.get(&key).and_then(|s| s.bindings.get(&name)).map(|s| s.id.clone());
                    if let Some(id) = id {
                        self.pause(&key, &name, &id);
                    }
                    state
                }
            };
            facts.bindings.push(decide::Binding { name, state });
        }
        self.report_inventory(object, &inventory, &selection, facts);
    }

    fn pause_all(&mut self, key: &NamespacedName) {
        let bound = self.inventories.get(key).map(|state| state.bindings.clone()).unwrap_or_default();
        if !bound.is_empty() {
            tracing::info!(inventory = %key, "nothing is exported any more: the namespace is being deleted, and \
                deletionPolicy is Retain");
        }
        for (name, spec) in bound {
            self.pause(key, &name, &spec.id);
        }
    }

    /// Why nothing of the inventory can be exported, as reason and message.
    fn blocked(&self, inventory: &InventoryObject) -> Option<(&'static str, String)> {
        let violations = match inventory {
            InventoryObject::Namespaced(inventory) => {
                kollect_rules::check_inventory(inventory, self.settings.max_export_bytes)
            }
            InventoryObject::Cluster(inventory) => {
                // Without them the view would be empty, and an empty view deletes.
                let unreadable = &self.world.read().unreadable;
                let unknown = [Kind::ClusterScope, Kind::ClusterTarget].into_iter().find(|k| unreadable.contains(k));
                if let Some(kind) = unknown {
                    return Some(("ScopeLookupFailed", crate::scope::unreadable(kind)));
                }
                self.violations(&**inventory)
            }
        };
        (!violations.is_empty()).then(|| ("InvalidSpec", crate::profile::join(&violations)))
    }

    /// When the number of rows moved, the targets' counts follow soon, but not at every change.
    fn look_at_counts(&mut self, key: &NamespacedName, items: u64) {
        let state = self.inventories.entry(key.clone()).or_default();
        if std::mem::replace(&mut state.items, items) == items {
            return;
        }
        let when = tokio::time::Instant::now() + crate::shared::status::QUIET_PERIOD;
        let world = self.world.read();
        if key.namespace.is_empty() {
            for target in world.cluster_targets.keys() {
                self.dirty.mark_at(ObjectRef::new(Kind::ClusterTarget, target), when);
            }
            return;
        }
        for (target, _) in crate::world::in_namespace(&world.targets, &key.namespace) {
            self.dirty.mark_at(ObjectRef::new(Kind::Target, target), when);
        }
    }

    /// The sinks that the inventories of a namespace reference.
    pub(crate) fn inventory_refs_sinks(&self, namespace: &str) -> Vec<(SinkFamily, Arc<str>)> {
        let world = self.world.read();
        crate::world::in_namespace(&world.inventories, namespace)
            .flat_map(|(_, inventory)| {
                SinkFamily::ALL.into_iter().flat_map(move |family| {
                    inventory.spec.sink_refs(family).iter().map(move |r| (family, Arc::from(r.name.as_str())))
                })
            })
            .collect()
    }
}

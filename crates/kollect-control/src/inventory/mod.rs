//! Inventories of both kinds: which rows go to which sinks, and how that stands.
//!
//! `object` hides which kind it is, `view` says which rows it has, `binding` makes its bindings, `decide` judges,
//! `status` reports, `cleanup` ends.

pub mod binding;
pub mod cleanup;
pub mod decide;
pub mod object;
mod shards;
pub mod status;
mod view;

use crate::control::Control;
use crate::kinds::{Kind, NamespacedName, ObjectRef};
use crate::shared::finalizers;
use decide::Facts;
use kollect_api::SinkFamily;
use kollect_export::BindingSpec;
use object::InventoryObject;
use shards::Shards;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// What the operator holds of one inventory.
#[derive(Default)]
pub struct InventoryState {
    /// Bindings that the exporter has, by `family/name`, as they were last given to it.
    pub bindings: BTreeMap<String, BindingSpec>,
    /// Bindings that cannot run at the moment, as they last ran: their credentials may be needed for a clean-up.
    pub resting: BTreeMap<String, BindingSpec>,
    /// Bindings whose clean-up is running, and where they wrote.
    pub leaving: BTreeMap<String, String>,
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
            if let Some(state) = self.inventories.remove(&key) {
                self.leave(state.bindings.values());
            }
            return self.gone(object);
        };
        let meta = inventory.meta();
        if meta.deletion_timestamp.is_some() {
            return self.clean_up_inventory(object, &inventory);
        }
        if !finalizers::has(meta, inventory.finalizer()) {
            self.set_finalizer(object, meta, inventory.finalizer(), true);
        }
        // An inventory of the same name may have been deleted a moment ago.
        if let Some(state) = self.inventories.get_mut(&key) {
            state.leaving.remove(cleanup::ALL);
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
        let names: BTreeSet<String> = wanted.iter().map(|(name, _)| name.clone()).collect();
        // Before anything new is bound: a new reference may lead to the place that an old one leaves.
        self.forget_removed(&key, &inventory, &names);
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

    /// Removes or adds our finalizer in the background; the change comes back as an event.
    pub(crate) fn set_finalizer(
        &self,
        object: &ObjectRef,
        meta: &kube::api::ObjectMeta,
        name: &'static str,
        wanted: bool,
    ) {
        if !self.finalizing.lock().insert(object.clone()) {
            return;
        }
        let (client, object, meta, dirty) = (self.client.clone(), object.clone(), meta.clone(), self.dirty.clone());
        let finalizing = self.finalizing.clone();
        tokio::spawn(async move {
            let outcome = finalizers::set(&client, &object, &meta, name, wanted).await;
            finalizing.lock().remove(&object);
            let Err(error) = outcome else { return };
            if error.is_conflict() {
                tracing::debug!(object = %object, "finalizer not changed yet: somebody else changed the object");
            } else {
                tracing::warn!(object = %object, %error, error_class = "transient", "finalizer not changed; trying again");
            }
            dirty.mark_at(object, tokio::time::Instant::now() + Duration::from_secs(2));
        });
    }

    /// Shares one allocation of a view's inventory names.
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

//! Inventories of both kinds: which rows go to which sinks, and how that goes.
//!
//! `selection` has the rows, `observed` the bindings, `decide` the conditions; `bindings` and `cleanup` apply them, `status`
//! reports.

mod bindings;
mod cleanup;
pub mod decide;
mod ending;
mod facts;
mod observed;
mod selection;
mod shards;
mod state;
mod status;

use crate::context::Context;
use crate::controllers::{Controller, Controllers, Reconciled};
use crate::shared::namespace_ends::NamespaceEnd;
use bindings::Bound;
use facts::BindingOutcome;
use kollect_api::{KollectClusterInventory, KollectInventory};
use kollect_export::BindingSpec;
use kollect_model::Reason;
use kollect_resources::inventory::InventoryObject;
use kollect_resources::kinds::{NamespacedName, ObjectRef, Scope};
use observed::ActiveInventory;
use state::{InventoryController, InventoryState};
use status::AppliedInventory;

impl Reconciled for KollectInventory {
    type Controller = InventoryController;
}

impl Reconciled for KollectClusterInventory {
    type Controller = InventoryController;
}

/// What to do about an inventory.
pub enum DecidedInventory {
    /// It does not exist: what it exported stays.
    Forget,
    /// It is being deleted: end every binding, then let it go.
    Delete(Box<ActiveInventory>),
    /// Its namespace may be ending, and it retains what it exported: nothing changes until that is known.
    Wait(Box<ActiveInventory>),
    /// Its namespace ends, and it retains what it exported: stop every binding.
    Retain(Box<ActiveInventory>),
    /// Export it.
    Export(Box<ActiveInventory>, DecidedBindings),
}

/// The bindings of an inventory.
pub struct DecidedBindings {
    /// Why none of them may run.
    blocked: Option<(Reason, String)>,
    /// One per sink reference: the binding to have, or why there is none.
    wanted: Vec<(String, Result<BindingSpec, BindingOutcome>)>,
}

impl Controller for InventoryController {
    type Observed = Option<Box<ActiveInventory>>;
    type Decision = DecidedInventory;
    /// `None` when nothing is left to report on.
    type Applied = Option<AppliedInventory>;

    fn observe(context: &Context, all: &Controllers, object: &ObjectRef) -> Self::Observed {
        let inventory = InventoryObject::find(&context.cache.read(), object)?;
        let known = all.inventory_state(object).map(InventoryState::known).unwrap_or_default();
        Some(Box::new(ActiveInventory::of(context, all, object, inventory, known)))
    }

    fn decide(_: &ObjectRef, observed: Self::Observed) -> Self::Decision {
        let Some(active) = observed else { return DecidedInventory::Forget };
        if active.inventory.meta().deletion_timestamp.is_some() {
            return DecidedInventory::Delete(active);
        }
        match active.namespace_end() {
            NamespaceEnd::Pending => DecidedInventory::Wait(active),
            NamespaceEnd::Terminating | NamespaceEnd::TerminatingUntil(_) => DecidedInventory::Retain(active),
            NamespaceEnd::Active | NamespaceEnd::Unasked => {
                let bindings = DecidedBindings { blocked: active.blocked(), wanted: active.wanted() };
                DecidedInventory::Export(active, bindings)
            }
        }
    }

    fn apply(&mut self, context: &Context, object: &ObjectRef, decision: Self::Decision) -> Self::Applied {
        let key = object.key();
        match decision {
            DecidedInventory::Forget => {
                self.take_finished(context, &key, None);
                self.detach(context, &key);
                context.reporter.forget(object);
            }
            DecidedInventory::Delete(active) => {
                self.prepare(context, &key, &active);
                self.end_all(context, &key, &active);
            }
            DecidedInventory::Wait(active) => self.prepare(context, &key, &active),
            DecidedInventory::Retain(active) => {
                self.prepare(context, &key, &active);
                if let NamespaceEnd::TerminatingUntil(until) = active.namespace {
                    context.queue.add_at(object.clone(), until);
                }
                self.suspend_all(context, &key);
            }
            DecidedInventory::Export(active, bindings) => {
                self.prepare(context, &key, &active);
                return Some(self.export(context, &key, active, bindings));
            }
        }
        None
    }

    fn report(&mut self, context: &Context, object: &ObjectRef, applied: Self::Applied) {
        if let Some(applied) = applied {
            self.report_export(context, object, applied);
        }
    }
}

impl Controllers {
    fn inventory_state(&self, object: &ObjectRef) -> Option<&InventoryState> {
        let key = object.key();
        match object.kind.scope() {
            Scope::Cluster => self.cluster_inventories.inventories.get(&key),
            Scope::Namespaced => self.inventories.inventories.get(&key),
        }
    }
}

impl InventoryController {
    /// Takes finished clean-ups, starts anew for another object of the same name, and sets the finalizer.
    fn prepare(&mut self, context: &Context, key: &NamespacedName, active: &ActiveInventory) {
        self.take_finished(context, key, Some(active));
        let meta = active.inventory.meta();
        if self.inventories.get(key).is_some_and(|known| known.uid != meta.uid) {
            self.detach(context, key);
        }
        self.state(key).uid.clone_from(&meta.uid);
        if meta.deletion_timestamp.is_none() {
            context.finalizers.set(&active.object, meta, active.inventory.finalizer(), true);
        }
    }

    fn export(
        &mut self,
        context: &Context,
        key: &NamespacedName,
        active: Box<ActiveInventory>,
        bindings: DecidedBindings,
    ) -> AppliedInventory {
        let DecidedBindings { blocked, wanted } = bindings;
        if let Some(left) = active.selection.rollup.as_ref().and_then(|rollup| rollup.settling) {
            context.queue.add_at(active.object.clone(), tokio::time::Instant::now() + left);
        }
        // Before anything new is bound: a new reference may lead to the place that an old one leaves.
        self.end_unwanted(context, key, &active, &wanted);
        let halted = active.inventory.suspended() || blocked.is_some();
        let mut bound = Vec::new();
        for (name, binding) in wanted {
            match binding {
                Ok(spec) if halted => self.suspend(context, key, &name, &spec.id),
                Ok(spec) => bound.push(self.bind(context, key, &active, name, spec)),
                Err(outcome) => {
                    self.suspend_named(context, key, &name);
                    bound.push(Bound { name, outcome, status: None });
                }
            }
        }
        let items = context.store.counts(&active.selection.view);
        AppliedInventory { active, blocked, bound, items }
    }
}

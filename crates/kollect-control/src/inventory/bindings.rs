//! Gives bindings to the exporter and takes them back.

use super::facts::BindingOutcome;
use super::observed::{ActiveInventory, ReferencedSink};
use super::state::InventoryController;
use crate::context::Context;
use kollect_export::{BindingId, BindingSpec, BindingState, BindingStatus, Class};
use kollect_model::Reason;
use kollect_resources::kinds::NamespacedName;

/// A sink reference after it was applied.
pub(super) struct Bound {
    /// `family/name`.
    pub(super) name: String,
    /// The newest outcome.
    pub(super) outcome: BindingOutcome,
    /// What the exporter reports, read once.
    pub(super) status: Option<BindingStatus>,
}

impl InventoryController {
    /// Gives a binding to the exporter if it is new or changed, and reads its status.
    pub(super) fn bind(
        &mut self,
        context: &Context,
        key: &NamespacedName,
        active: &ActiveInventory,
        name: String,
        spec: BindingSpec,
    ) -> Bound {
        let state = self.state(key);
        // The reference names a sink of another namespace now: what the old one holds is left there.
        if let Some(old) = state.active.get(&name).filter(|old| old.id != spec.id) {
            context.exporter.leave_binding(&old.id);
        }
        if state.deleting.iter().any(|(other, place)| *other == name || *place == spec.destination) {
            let outcome =
                BindingOutcome::Waiting("a removed reference to the same place is being cleaned up".to_owned());
            return Bound { name, outcome, status: None };
        }
        state.suspended.remove(&name);
        state.deleted.remove(&name);
        let same = |known: &BindingSpec| {
            known.config_version == spec.config_version && known.view == spec.view && known.id == spec.id
        };
        let id = spec.id.clone();
        if !state.active.get(&name).is_some_and(same) || context.exporter.status(&id).is_none() {
            context.exporter.set_binding(spec.clone());
            state.active.insert(name.clone(), spec);
        }
        let status = context.exporter.status(&id);
        let outcome = outcome_of(status.as_ref());
        if matches!(outcome, BindingOutcome::Failed { class: Class::Terminal, .. }) {
            reread_secrets(context, active, &name);
        }
        Bound { name, outcome, status }
    }

    /// Stops a binding without touching what the sink holds.
    pub(super) fn suspend(&mut self, context: &Context, key: &NamespacedName, name: &str, id: &BindingId) {
        let Some(state) = self.inventories.get_mut(key) else { return };
        if let Some(spec) = state.active.remove(name) {
            state.suspended.insert(name.to_owned(), spec);
            context.exporter.leave_binding(id);
        }
    }

    /// Stops the binding of a reference, if it has one.
    pub(super) fn suspend_named(&mut self, context: &Context, key: &NamespacedName, name: &str) {
        let id = self.inventories.get(key).and_then(|state| state.active.get(name)).map(|spec| spec.id.clone());
        if let Some(id) = id {
            self.suspend(context, key, name, &id);
        }
    }

    /// Stops every binding, because the namespace ends.
    pub(super) fn suspend_all(&mut self, context: &Context, key: &NamespacedName) {
        let active = self.inventories.get(key).map(|state| state.active.clone()).unwrap_or_default();
        if !active.is_empty() {
            tracing::info!(inventory = %key, "nothing is exported any more: the namespace is being deleted, and \
                deletionPolicy is Retain");
        }
        for (name, spec) in active {
            self.suspend(context, key, &name, &spec.id);
        }
    }
}

/// A backend that refuses a binding may have a newer Secret than the operator. One that changed has the sink built anew,
/// which starts the binding again.
fn reread_secrets(context: &Context, active: &ActiveInventory, name: &str) {
    let Some(sink) = active.sinks.iter().find(|sink| sink.name == name).map(ReferencedSink::object) else {
        return;
    };
    let secrets = context.secrets.clone();
    tokio::spawn(async move { secrets.reread(&sink).await });
}

fn outcome_of(status: Option<&BindingStatus>) -> BindingOutcome {
    let Some(status) = status else {
        return BindingOutcome::Waiting("the first export has not started".to_owned());
    };
    match &status.state {
        BindingState::Waiting { why } => BindingOutcome::Waiting(why.clone()),
        BindingState::Exported => BindingOutcome::InSync,
        BindingState::Debounced { changes, due_in } => BindingOutcome::Debounced { changes: *changes, due_in: *due_in },
        BindingState::Failed { error, .. } => {
            let reason = match error.class {
                Class::Terminal | Class::Forbidden => error.reason.unwrap_or(Reason::ExportTerminal),
                Class::Transient { .. } => Reason::ExportFailed,
            };
            BindingOutcome::Failed { class: error.class, reason, message: error.to_string() }
        }
    }
}

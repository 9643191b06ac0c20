//! The status of an inventory: counts, one entry per binding, the conditions, and the events that belong to them.

use super::bindings::Bound;
use super::decide;
use super::facts::{BindingOutcome, BindingReport, InventoryFacts};
use super::observed::ActiveInventory;
use super::selection::Selection;
use super::state::{InventoryController, InventoryState};
use crate::clock::{timestamp, to_timestamp};
use crate::context::Context;
use crate::metrics::Controller;
use crate::shared::conditions::{ConditionUpdate, merge};
use crate::shared::report::Report;
use crate::sink::decide::LastProbe;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kollect_api::{Partitioning, SinkExportStatus};
use kollect_export::BindingStatus;
use kollect_export::layout::Mode;
use kollect_model::Reason;
use kollect_resources::inventory::InventoryObject;
use kollect_resources::kinds::ObjectRef;
use serde_json::{Map, Value, json};

/// Most refused rows that a message names.
const MOST_REJECTED: usize = 10;

/// An inventory after it was applied.
pub struct AppliedInventory {
    pub(super) active: Box<ActiveInventory>,
    pub(super) blocked: Option<(Reason, String)>,
    pub(super) bound: Vec<Bound>,
    pub(super) items: u64,
}

impl InventoryController {
    /// Writes the status of an inventory and the events that belong to it.
    pub(super) fn report_export(&mut self, context: &Context, object: &ObjectRef, applied: AppliedInventory) {
        let AppliedInventory { active, blocked, bound, items } = applied;
        let state = self.state(&object.key());
        let exports = sink_exports(&active, state, blocked.is_some(), &bound);
        announce_new_destinations(context, &active, &bound);
        let facts = facts_of(context, &active, state, blocked, bound, items);
        announce_failures(context, &active, state, &facts);
        announce_debounced(context, object, &facts);
        let conditions = decide::conditions(&facts);
        let mut fields = fields(&facts, &exports);
        add_shards(context, object, state, &active.selection, &mut fields);
        let health = health(&facts, &conditions);
        announce_shard_warning(context, &active, &facts);
        let (meta, present) = (active.inventory.meta().clone(), active.inventory.status());
        context.reporter.report(object, Report { meta, present, conditions, fields, health });
    }
}

fn facts_of(
    context: &Context,
    active: &ActiveInventory,
    state: &InventoryState,
    blocked: Option<(Reason, String)>,
    bound: Vec<Bound>,
    items: u64,
) -> InventoryFacts {
    let mut facts = InventoryFacts {
        suspended: active.inventory.suspended(),
        blocked,
        items,
        rollup: active.selection.rollup.clone(),
        shard_warning: shard_warning(context, active, state, &bound, items),
        unreachable: unreachable(active),
        ..InventoryFacts::default()
    };
    for Bound { name, outcome, status } in bound {
        if let Some(status) = status {
            facts.rejected.extend(status.rejected.iter().map(|r| format!("{} ({})", r.id, r.why)));
            facts.left_out.extend(status.left_out.iter().map(|row| (row.reason, format!("{name}: {}", row.why))));
        }
        facts.bindings.push(BindingReport { name, outcome });
    }
    facts.rejected.truncate(MOST_REJECTED);
    facts
}

/// One entry per binding. A binding that is being cleaned up keeps its entry until that is done.
fn sink_exports(
    active: &ActiveInventory,
    state: &InventoryState,
    blocked: bool,
    bound: &[Bound],
) -> Vec<SinkExportStatus> {
    let (inventory, before) = (&active.inventory, &active.before.sink_exports);
    if inventory.suspended() || blocked {
        // What was exported before still exists, and is reported as it was.
        let referenced = |entry: &&SinkExportStatus| inventory.reference(&entry.name).is_some();
        return before.iter().filter(referenced).cloned().collect();
    }
    let old = |name: &str| before.iter().find(|e| e.name == name).cloned().unwrap_or_default();
    let mut all: Vec<_> = bound.iter().map(|one| entry(active, one, old(&one.name))).collect();
    let leaves = |name: &str| state.deleting.contains_key(name) || state.postponed.contains(name);
    let leaving = before.iter().filter(|e| leaves(&e.name) && !bound.iter().any(|b| b.name == e.name));
    all.extend(leaving.cloned());
    all
}

fn entry(active: &ActiveInventory, bound: &Bound, old: SinkExportStatus) -> SinkExportStatus {
    let (inventory, status) = (&active.inventory, bound.status.as_ref());
    let namespace = match (inventory, inventory.reference(&bound.name)) {
        (InventoryObject::Cluster(_), Some((_, reference))) => {
            Some(inventory.sink_key(reference).namespace.to_string())
        }
        _ => None,
    };
    SinkExportStatus {
        name: bound.name.clone(),
        namespace,
        destination: status.map(|s| s.destination.clone()).or(old.destination),
        last_export_time: status.and_then(|s| s.last_export).map(|t| Time(to_timestamp(t))).or(old.last_export_time),
        last_checksum: status.and_then(|s| s.checksum.clone()).or(old.last_checksum),
        conditions: merge(&old.conditions, &[synced(&bound.outcome)], inventory.generation(), timestamp()),
    }
}

fn synced(outcome: &BindingOutcome) -> ConditionUpdate {
    match outcome {
        BindingOutcome::InSync => {
            ConditionUpdate::is_true("Synced", Reason::Exported, "the sink holds what the inventory has")
        }
        BindingOutcome::Debounced { changes, due_in } => {
            let message = format!("{changes} changes wait for exportMinInterval; due in {}s", due_in.as_secs());
            ConditionUpdate::is_false("Synced", Reason::Debounced, message)
        }
        BindingOutcome::Waiting(why) => ConditionUpdate::is_false("Synced", Reason::Progressing, why.clone()),
        BindingOutcome::Failed { reason, message, .. } => {
            let reason = match reason {
                Reason::ExportTerminal => Reason::ExportFailed,
                other => *other,
            };
            ConditionUpdate::is_false("Synced", reason, message.clone())
        }
    }
}

fn announce_new_destinations(context: &Context, active: &ActiveInventory, bound: &[Bound]) {
    for Bound { name, status, .. } in bound {
        let old = active.before.sink_exports.iter().find(|entry| entry.name == *name);
        let (Some(before), Some(status)) = (old.and_then(|entry| entry.destination.as_deref()), status) else {
            continue;
        };
        if before != status.destination && status.last_export.is_some() {
            let BindingStatus { destination, .. } = status;
            let message = format!("{name} writes to {destination} now; what it wrote to {before} is left there");
            let uid = active.inventory.meta().uid.clone();
            context.reporter.note(&active.object, uid, Reason::DestinationChanged, message);
        }
    }
}

/// One warning per binding and failure, not one per attempt.
fn announce_failures(context: &Context, active: &ActiveInventory, state: &mut InventoryState, facts: &InventoryFacts) {
    let failed = |name: &str| facts.bindings.iter().any(|b| b.name == name && b.outcome.is_failed());
    state.reported_failures.retain(|name, _| failed(name));
    for binding in &facts.bindings {
        let BindingOutcome::Failed { class, reason, message } = &binding.outcome else { continue };
        if state.reported_failures.insert(binding.name.clone(), *reason) != Some(*reason) {
            context.count_error(active.object.kind, class.label());
            let uid = active.inventory.meta().uid.clone();
            context.reporter.warn(&active.object, uid, *reason, format!("{}: {message}", binding.name));
        }
    }
}

fn announce_debounced(context: &Context, object: &ObjectRef, facts: &InventoryFacts) {
    let debounced = facts.bindings.iter().filter(|b| matches!(b.outcome, BindingOutcome::Debounced { .. })).count();
    if debounced > 0 {
        let labels = Controller { controller: object.kind.name().to_owned() };
        context.metrics.export_debounced.get_or_create(&labels).inc_by(debounced as u64);
    }
}

fn announce_shard_warning(context: &Context, active: &ActiveInventory, facts: &InventoryFacts) {
    let Some(message) = &facts.shard_warning else { return };
    if !active.before.conditions.iter().any(|c| c.type_ == "ExportShardWarning") {
        context.metrics.export_shard_warn.inc();
        let uid = active.inventory.meta().uid.clone();
        context.reporter.warn(&active.object, uid, Reason::ApproachingExportCap, message);
    }
}

/// Only whole documents have a size to warn of.
fn shard_warning(
    context: &Context,
    active: &ActiveInventory,
    state: &InventoryState,
    bound: &[Bound],
    items: u64,
) -> Option<String> {
    let is_document = |bound: &Bound| {
        let document = state.active.get(&bound.name).and_then(|spec| spec.document.as_ref());
        match document.map(|document| document.mode) {
            Some(Mode::Document) => true,
            // Which it is was decided with the rows.
            Some(Mode::Auto) => bound.status.as_ref().is_some_and(|status| status.document),
            Some(Mode::PerResource | Mode::Split) | None => false,
        }
    };
    if items < context.settings.shard_warn_rows || !bound.iter().any(is_document) {
        return None;
    }
    let next = match active.inventory.partitioning() {
        Partitioning::Auto => "larger documents are split into parts",
        Partitioning::Disabled => "larger documents are refused",
    };
    Some(format!(
        "{items} rows go into whole documents ({next}); split with several inventories and spec.targetRefs or \
         spec.targetSelector"
    ))
}

fn unreachable(active: &ActiveInventory) -> Vec<(String, String)> {
    let wanted = active.sinks.iter().filter(|sink| sink.is_wanted);
    wanted
        .filter_map(|sink| match &sink.last_probe {
            Some(LastProbe::Failed { message, .. }) => Some((sink.name.clone(), message.clone())),
            _ => None,
        })
        .collect()
}

/// Adds what the status of a cluster inventory has of its targets and namespaces.
fn add_shards(
    context: &Context,
    object: &ObjectRef,
    state: &mut InventoryState,
    selection: &Selection,
    fields: &mut Map<String, Value>,
) {
    let Some(rollup) = &selection.rollup else { return };
    let (shards, namespaces, again) = state.shards.of(&context.store, selection);
    if rollup.targets > 0 {
        fields.insert("targetCount".to_owned(), json!(rollup.targets));
    }
    if namespaces > 0 {
        fields.insert("namespaceShardCount".to_owned(), json!(namespaces));
        fields.insert("namespaceShards".to_owned(), serde_json::to_value(shards).unwrap_or_default());
    }
    if let Some(again) = again {
        context.queue.add_at(object.clone(), again);
    }
}

fn fields(facts: &InventoryFacts, exports: &[SinkExportStatus]) -> Map<String, Value> {
    let mut fields = Map::new();
    let is_synced = |b: &&BindingReport| matches!(b.outcome, BindingOutcome::InSync | BindingOutcome::Debounced { .. });
    let in_sync = facts.bindings.iter().filter(is_synced).count();
    fields.insert("itemCount".to_owned(), json!(facts.items));
    fields.insert("sinksSummary".to_owned(), json!(format!("{in_sync}/{}", facts.bindings.len())));
    fields.insert("sinkExports".to_owned(), serde_json::to_value(exports).unwrap_or_default());
    if let Some(newest) = exports.iter().filter_map(|e| e.last_export_time.as_ref()).map(|t| t.0).max() {
        fields.insert("lastExportTime".to_owned(), serde_json::to_value(Time(newest)).unwrap_or_default());
    }
    fields
}

/// Changes when something fails, recovers or first succeeds; a debounced binding is as healthy as an exported one.
fn health(facts: &InventoryFacts, conditions: &[ConditionUpdate]) -> String {
    let mut parts = Vec::new();
    for binding in &facts.bindings {
        let state = match &binding.outcome {
            BindingOutcome::Waiting(_) => "waiting",
            BindingOutcome::InSync | BindingOutcome::Debounced { .. } => "ok",
            BindingOutcome::Failed { reason, .. } => reason.as_str(),
        };
        parts.push(format!("{}={state}", binding.name));
    }
    for condition in conditions.iter().filter(|c| matches!(c.kind, "Ready" | "Degraded" | "ExportShardWarning")) {
        parts.push(format!("{}={}", condition.kind, condition.status));
    }
    parts.join(";")
}

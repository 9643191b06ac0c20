//! What an inventory's status says: counts, one entry per binding, and the conditions.

use crate::clock::{timestamp, to_timestamp};
use crate::control::Control;
use crate::inventory::binding::kind_of;
use crate::inventory::decide::{self, Facts, State};
use crate::inventory::object::{Before, InventoryObject};
use crate::inventory::view::Selection;
use crate::kinds::ObjectRef;
use crate::metrics::Controller;
use crate::shared::conditions::{Wanted, merge};
use crate::sink::decide::Probed;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kollect_api::SinkExportStatus;
use kollect_export::BindingSpec;
use kollect_export::BindingStatus;
use kollect_export::layout::Mode;
use serde_json::{Map, Value, json};

impl Control {
    /// Writes the status of an inventory and the events that belong to it.
    pub(crate) fn report_inventory(
        &mut self,
        object: &ObjectRef,
        inventory: &InventoryObject,
        selection: &Selection,
        mut facts: Facts,
    ) {
        facts.shard_warning = self.shard_warning(object, inventory, facts.items);
        facts.unreachable = self.unreachable(inventory);
        let present = inventory.status();
        let base =
            self.statuses.last_written(object, inventory.meta().uid.as_deref()).unwrap_or_else(|| present.clone());
        let before: Before = serde_json::from_value(base).unwrap_or_default();
        let exports = self.sink_exports(object, inventory, &before, &mut facts);
        self.announce_failures(object, inventory, &facts);
        let wanted = decide::conditions(&facts);
        let mut fields = fields(&facts, &exports);
        self.add_shards(object, selection, &mut fields);
        let health = health(&facts, &wanted);
        if wanted.iter().any(|c| c.kind == "ExportShardWarning")
            && !before.conditions.iter().any(|c| c.type_ == "ExportShardWarning")
        {
            self.metrics.export_shard_warn.inc();
            let message = facts.shard_warning.clone().unwrap_or_default();
            self.warn(object, inventory.meta().uid.clone(), "ApproachingExportCap", &message);
        }
        self.report(object, inventory.meta(), &present, &wanted, fields, health);
    }

    fn sink_exports(
        &self,
        object: &ObjectRef,
        inventory: &InventoryObject,
        before: &Before,
        facts: &mut Facts,
    ) -> Vec<SinkExportStatus> {
        let key = object.key();
        if facts.suspended || facts.blocked.is_some() {
            // What was exported before is still there, and is told as it was.
            let referenced = |entry: &&SinkExportStatus| inventory.reference(&entry.name).is_some();
            return before.sink_exports.iter().filter(referenced).cloned().collect();
        }
        let mut all = Vec::new();
        let (mut rejected, mut left_out_rows) = (Vec::new(), Vec::new());
        for binding in &facts.bindings {
            let old = before.sink_exports.iter().find(|e| e.name == binding.name).cloned().unwrap_or_default();
            let status = self
                .inventories
                .get(&key)
                .and_then(|s| s.bindings.get(&binding.name))
                .and_then(|spec| self.exporter.status(&spec.id));
            if let Some(status) = &status {
                rejected.extend(status.rejected.iter().map(|r| format!("{} ({})", r.id, r.why)));
                let left_out = status.left_out.iter().map(|row| (row.reason, format!("{}: {}", binding.name, row.why)));
                left_out_rows.extend(left_out);
                self.announce_new_destination(object, inventory, &old, status);
            }
            let mut entry = entry(binding, old, status.as_ref(), inventory.generation());
            if let (InventoryObject::Cluster(_), Some((_, reference))) = (inventory, inventory.reference(&binding.name))
            {
                entry.namespace = Some(inventory.sink_key(reference).namespace.to_string());
            }
            all.push(entry);
        }
        // A binding that is being cleaned up keeps its entry until that is done.
        let state = self.inventories.get(&key);
        let leaves =
            |name: &str| state.is_some_and(|state| state.leaving.contains_key(name) || state.postponed.contains(name));
        let gone = before.sink_exports.iter().filter(|e| leaves(&e.name));
        all.extend(gone.filter(|e| !facts.bindings.iter().any(|b| b.name == e.name)).cloned());
        rejected.truncate(10);
        facts.rejected = rejected;
        facts.left_out = left_out_rows;
        all
    }

    fn announce_new_destination(
        &self,
        object: &ObjectRef,
        inventory: &InventoryObject,
        old: &SinkExportStatus,
        status: &BindingStatus,
    ) {
        let Some(before) = old.destination.as_deref() else { return };
        if before != status.destination && status.last_export.is_some() {
            let message =
                format!("{} writes to {} now; what it wrote to {before} is left there", old.name, status.destination);
            self.note(object, inventory.meta().uid.clone(), false, "DestinationChanged", &message);
        }
    }

    /// One warning per binding and failure, not one per attempt.
    fn announce_failures(&mut self, object: &ObjectRef, inventory: &InventoryObject, facts: &Facts) {
        let key = object.key();
        let mut warned = self.inventories.get(&key).map(|s| s.warned.clone()).unwrap_or_default();
        warned.retain(|name, _| {
            facts.bindings.iter().any(|b| b.name == *name && matches!(b.state, State::Failed { .. }))
        });
        for binding in &facts.bindings {
            let State::Failed { class, reason, message } = &binding.state else { continue };
            if warned.insert(binding.name.clone(), reason.clone()).as_ref() != Some(reason) {
                self.count_error(object.kind, class.label());
                self.warn(object, inventory.meta().uid.clone(), reason, &format!("{}: {message}", binding.name));
            }
        }
        self.inventories.entry(key).or_default().warned = warned;
        let debounced = facts.bindings.iter().filter(|b| matches!(b.state, State::Debounced { .. })).count();
        if debounced > 0 {
            let labels = Controller { controller: object.kind.name().to_owned() };
            self.metrics.export_debounced.get_or_create(&labels).inc_by(debounced as u64);
        }
    }

    /// Only whole documents have a size to worry about.
    fn shard_warning(&self, object: &ObjectRef, inventory: &InventoryObject, items: u64) -> Option<String> {
        let bindings = &self.inventories.get(&object.key())?.bindings;
        let is_document = |binding: &BindingSpec| match binding.document.as_ref().map(|document| document.mode) {
            Some(Mode::Document) => true,
            // Which it is was decided with the rows.
            Some(Mode::Auto) => self.exporter.status(&binding.id).is_some_and(|status| status.document),
            Some(Mode::PerResource | Mode::Split) | None => false,
        };
        let documents = bindings.values().any(is_document);
        if !documents || items < self.settings.shard_warn_rows {
            return None;
        }
        let next = match inventory.partitioning() {
            kollect_api::Partitioning::Auto => "larger documents are split into parts",
            kollect_api::Partitioning::Disabled => "larger documents are refused",
        };
        Some(format!(
            "{items} rows go into whole documents ({next}); split with several inventories and spec.targetRefs or \
             spec.targetSelector"
        ))
    }

    fn unreachable(&self, inventory: &InventoryObject) -> Vec<(String, String)> {
        let mut all = Vec::new();
        for (family, reference) in inventory.all_refs() {
            let state = self.sinks.get(&ObjectRef::new(kind_of(family), &inventory.sink_key(reference)));
            if let Some(Probed::Failed { message, .. }) = state.map(crate::sink::SinkState::probed) {
                all.push((format!("{family}/{}", reference.name), message));
            }
        }
        all
    }

    /// What a cluster inventory says of its targets and namespaces.
    fn add_shards(&mut self, object: &ObjectRef, selection: &Selection, fields: &mut Map<String, Value>) {
        let Some(rollup) = &selection.rollup else { return };
        let state = self.inventories.entry(object.key()).or_default();
        let (shards, namespaces, again) = state.shards.of(&self.store, selection);
        if rollup.targets > 0 {
            fields.insert("targetCount".to_owned(), json!(rollup.targets));
        }
        if namespaces > 0 {
            fields.insert("namespaceShardCount".to_owned(), json!(namespaces));
            fields.insert("namespaceShards".to_owned(), serde_json::to_value(shards).unwrap_or_default());
        }
        if let Some(again) = again {
            self.dirty.mark_at(object.clone(), again);
        }
    }
}

fn entry(
    binding: &decide::Binding,
    old: SinkExportStatus,
    status: Option<&BindingStatus>,
    generation: i64,
) -> SinkExportStatus {
    let wanted = match &binding.state {
        State::InSync => Wanted::is_true("Synced", "Exported", "the sink holds what the inventory has"),
        State::Debounced { changes, due_in } => Wanted::is_false(
            "Synced",
            "Debounced",
            format!("{changes} changes wait for exportMinInterval; due in {}s", due_in.as_secs()),
        ),
        State::Waiting(why) => Wanted::is_false("Synced", "Progressing", why.clone()),
        State::Failed { reason, message, .. } => {
            let reason = if reason.starts_with("Export") { "ExportFailed" } else { reason };
            Wanted::is_false("Synced", reason, message.clone())
        }
    };
    SinkExportStatus {
        name: binding.name.clone(),
        namespace: None,
        destination: status.map(|s| s.destination.clone()).or(old.destination),
        last_export_time: status.and_then(|s| s.last_export).map(|t| Time(to_timestamp(t))).or(old.last_export_time),
        last_checksum: status.and_then(|s| s.checksum.clone()).or(old.last_checksum),
        conditions: merge(&old.conditions, &[wanted], generation, timestamp()),
    }
}

fn fields(facts: &Facts, exports: &[SinkExportStatus]) -> Map<String, Value> {
    let mut fields = Map::new();
    let in_sync = facts.bindings.iter().filter(|b| matches!(b.state, State::InSync | State::Debounced { .. })).count();
    fields.insert("itemCount".to_owned(), json!(facts.items));
    fields.insert("sinksSummary".to_owned(), json!(format!("{in_sync}/{}", facts.bindings.len())));
    fields.insert("sinkExports".to_owned(), serde_json::to_value(exports).unwrap_or_default());
    if let Some(newest) = exports.iter().filter_map(|e| e.last_export_time.as_ref()).map(|t| t.0).max() {
        fields.insert("lastExportTime".to_owned(), serde_json::to_value(Time(newest)).unwrap_or_default());
    }
    fields
}

/// Changes when something fails, recovers or first succeeds; a debounced binding is as healthy as an exported one.
fn health(facts: &Facts, wanted: &[Wanted]) -> String {
    let mut parts = Vec::new();
    for binding in &facts.bindings {
        let state = match &binding.state {
            State::Waiting(_) => "waiting",
            State::InSync | State::Debounced { .. } => "ok",
            State::Failed { reason, .. } => reason,
        };
        parts.push(format!("{}={state}", binding.name));
    }
    for condition in wanted.iter().filter(|c| matches!(c.kind, "Ready" | "Degraded" | "ExportShardWarning")) {
        parts.push(format!("{}={}", condition.kind, condition.status));
    }
    parts.join(";")
}

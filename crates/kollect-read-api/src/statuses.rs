//! The state of exports, inventories and targets, read from their `status`. Pure; without a condition it is `unknown`.

use crate::json::append_json;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kollect_api::{KollectInventory, KollectTarget, SinkFamily};
use kollect_model::{Reason, SCHEMA_VERSION};
use kube::api::ObjectMeta;
use serde::Serialize;
use std::sync::Arc;

/// The state of the export to one sink.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ExportStatus {
    pub(crate) sink_name: String,
    pub(crate) sink_namespace: String,
    /// `ok`, `debounced`, `degraded` or `unknown`.
    pub(crate) status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) last_export_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) message: Option<String>,
}

/// One entry for each sink that the inventory refers to.
pub(crate) fn exports(inventory: &KollectInventory) -> Vec<ExportStatus> {
    let own_namespace = inventory.metadata.namespace.clone().unwrap_or_default();
    let status = inventory.status.as_ref();
    let of_all = status.and_then(|status| synced(&status.conditions));
    let references = SinkFamily::ALL
        .into_iter()
        .flat_map(|family| inventory.spec.sink_refs(family).iter().map(move |r| (family, r)));
    references
        .map(|(family, reference)| {
            let key = format!("{family}/{}", reference.name);
            let entry = status.and_then(|status| status.sink_exports.iter().find(|entry| entry.name == key));
            let condition = entry.and_then(|entry| synced(&entry.conditions)).or(of_all);
            let (status, message) = condition.map_or(("unknown", None), state_and_message);
            ExportStatus {
                sink_name: reference.name.clone(),
                sink_namespace: entry
                    .and_then(|entry| entry.namespace.clone())
                    .or_else(|| reference.namespace.clone())
                    .unwrap_or_else(|| own_namespace.clone()),
                status,
                last_export_time: entry.and_then(|entry| entry.last_export_time.as_ref()).map(time),
                message,
            }
        })
        .collect()
}

fn synced(conditions: &[Condition]) -> Option<&Condition> {
    conditions.iter().find(|condition| condition.type_ == "Synced")
}

fn state_and_message(condition: &Condition) -> (&'static str, Option<String>) {
    let message = Some(condition.message.clone()).filter(|message| !message.is_empty());
    match (condition.status.as_str(), condition.reason.as_str()) {
        ("True", _) => ("ok", None),
        ("False", reason) if reason == Reason::Debounced.as_str() => ("debounced", message),
        ("False", _) => ("degraded", message),
        _ => ("unknown", message),
    }
}

fn time(time: &Time) -> String {
    jiff::Timestamp::from_second(time.0.as_second()).unwrap_or_default().to_string()
}

/// The state of one Kollect object.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ObjectStatus {
    name: String,
    namespace: String,
    generation: i64,
    observed_generation: i64,
    item_count: i64,
    conditions: Vec<Condition>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_export_time: Option<String>,
}

impl ObjectStatus {
    fn new(meta: &ObjectMeta) -> Self {
        Self {
            name: meta.name.clone().unwrap_or_default(),
            namespace: meta.namespace.clone().unwrap_or_default(),
            generation: meta.generation.unwrap_or(0),
            observed_generation: 0,
            item_count: 0,
            conditions: Vec::new(),
            last_export_time: None,
        }
    }

    fn of_inventory(inventory: &KollectInventory) -> Self {
        let mut own = Self::new(&inventory.metadata);
        if let Some(status) = &inventory.status {
            own.observed_generation = status.observed_generation.unwrap_or(0);
            own.item_count = status.item_count.unwrap_or(0);
            own.conditions.clone_from(&status.conditions);
            own.last_export_time = status.last_export_time.as_ref().map(time);
        }
        own
    }

    fn of_target(target: &KollectTarget) -> Self {
        let mut own = Self::new(&target.metadata);
        if let Some(status) = &target.status {
            own.observed_generation = status.observed_generation.unwrap_or(0);
            own.item_count = status.collected_count.unwrap_or(0);
            own.conditions.clone_from(&status.conditions);
        }
        own
    }
}

/// The states of inventories as JSON.
pub(crate) fn inventories(all: &[Arc<KollectInventory>]) -> Vec<u8> {
    list(all.iter().map(|inventory| ObjectStatus::of_inventory(inventory)))
}

/// The states of targets as JSON.
pub(crate) fn targets(all: &[Arc<KollectTarget>]) -> Vec<u8> {
    list(all.iter().map(|target| ObjectStatus::of_target(target)))
}

fn list(items: impl Iterator<Item = ObjectStatus>) -> Vec<u8> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct List {
        schema_version: &'static str,
        items: Vec<ObjectStatus>,
    }
    let mut out = Vec::new();
    append_json(&List { schema_version: SCHEMA_VERSION, items: items.collect() }, &mut out);
    out.push(b'\n');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn inventory(status: &Value) -> KollectInventory {
        serde_json::from_value(json!({
            "apiVersion": "kollect.dev/v1alpha1", "kind": "KollectInventory",
            "metadata": {"name": "daily", "namespace": "shop", "generation": 4},
            "spec": {"snapshotSinkRefs": ["audit"], "databaseSinkRefs": ["audit", "warehouse"]},
            "status": status,
        }))
        .unwrap()
    }

    fn condition(status: &str, reason: &str, message: &str) -> Value {
        json!({"type": "Synced", "status": status, "reason": reason, "message": message,
               "lastTransitionTime": "2026-03-02T08:15:30Z"})
    }

    #[test]
    fn each_sink_reports_its_own_entry_before_that_of_the_inventory() {
        let status = json!({
            "conditions": [condition("False", "PartiallySynced", "1 of 3")],
            "sinkExports": [
                {"name": "snapshot/audit", "lastExportTime": "2026-03-02T08:15:30Z",
                 "conditions": [condition("False", "Debounced", "")]},
                {"name": "database/audit", "namespace": "other", "conditions": [condition("True", "Exported", "done")]},
            ],
        });
        let shown: Vec<Value> = exports(&inventory(&status)).iter().map(|e| serde_json::to_value(e).unwrap()).collect();
        assert_eq!(
            shown[0],
            json!({"sinkName": "audit", "sinkNamespace": "shop", "status": "debounced",
                                   "lastExportTime": "2026-03-02T08:15:30Z"})
        );
        assert_eq!(shown[1], json!({"sinkName": "audit", "sinkNamespace": "other", "status": "ok"}));
        assert_eq!(
            shown[2],
            json!({"sinkName": "warehouse", "sinkNamespace": "shop", "status": "degraded", "message": "1 of 3"})
        );
        assert!(exports(&inventory(&Value::Null)).iter().all(|export| export.status == "unknown"));
    }

    #[test]
    fn lists_repeat_the_statuses() {
        let status = json!({"observedGeneration": 3, "itemCount": 7, "lastExportTime": "2026-03-02T08:15:30Z"});
        let list: Value = serde_json::from_slice(&inventories(&[Arc::new(inventory(&status))])).unwrap();
        assert_eq!(
            list,
            json!({"schemaVersion": "kollect.dev/v1alpha1", "items": [{
                "name": "daily", "namespace": "shop", "generation": 4, "observedGeneration": 3, "itemCount": 7,
                "conditions": [], "lastExportTime": "2026-03-02T08:15:30Z"}]})
        );
    }
}

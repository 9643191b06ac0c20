//! Writes what a reconcile found into the object's status, and an event when its main reason changed.

use crate::clock::timestamp;
use crate::shared::conditions::{ConditionUpdate, main_condition, merge};
use crate::shared::events::{EventNote, Events};
use crate::shared::status::{StatusUpdate, StatusWriter};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kollect_model::Reason;
use kollect_resources::kinds::ObjectRef;
use kube::api::ObjectMeta;
use parking_lot::Mutex;
use serde_json::{Map, Value, json};
use std::collections::HashMap;

/// What a reconcile reports about its object.
pub struct Report {
    /// Metadata of the object that was reconciled.
    pub meta: ObjectMeta,
    /// Its status as the cache has it.
    pub present: Value,
    /// The conditions to have.
    pub conditions: Vec<ConditionUpdate>,
    /// The other fields of the status.
    pub fields: Map<String, Value>,
    /// Changes when the object's health changes; such a status is written at once.
    pub health: String,
}

/// Writes reports.
pub struct StatusReporter {
    statuses: StatusWriter,
    events: Events,
    /// The main reason of each object, and the uid that it belongs to.
    reasons: Mutex<HashMap<ObjectRef, (Option<String>, Reason)>>,
}

impl StatusReporter {
    /// Nothing reported yet.
    pub fn new(statuses: StatusWriter, events: Events) -> Self {
        Self { statuses, events, reasons: Mutex::default() }
    }

    /// The newest status of this process for the object with this uid, or `present`.
    pub fn newest(&self, object: &ObjectRef, meta: &ObjectMeta, present: &Value) -> Value {
        self.statuses.last_written(object, meta.uid.as_deref()).unwrap_or_else(|| present.clone())
    }

    /// Writes conditions and fields, and an event when the object's main reason changed.
    pub fn report(&self, object: &ObjectRef, report: Report) {
        let Report { meta, present, conditions: wanted, mut fields, health } = report;
        let base = self.newest(object, &meta, &present);
        let existing: Vec<Condition> =
            base.get("conditions").and_then(|c| serde_json::from_value(c.clone()).ok()).unwrap_or_default();
        let generation = meta.generation.unwrap_or(0);
        let conditions = merge(&existing, &wanted, generation, timestamp());
        fields.insert("conditions".to_owned(), serde_json::to_value(&conditions).unwrap_or_default());
        fields.insert("observedGeneration".to_owned(), json!(generation));
        if let Some(main) = main_condition(&wanted) {
            fields.insert("reason".to_owned(), json!(main.reason.as_str()));
            self.announce(object, &meta, main);
        }
        let update = StatusUpdate { status: Value::Object(fields), health };
        self.statuses.submit(object, meta.uid.as_deref(), update, &present);
    }

    /// Drops what is known of an object that does not exist any more.
    pub fn forget(&self, object: &ObjectRef) {
        self.statuses.forget(object);
        self.reasons.lock().remove(object);
    }

    /// Records a Warning event.
    pub fn warn(&self, about: &ObjectRef, uid: Option<String>, reason: Reason, message: impl Into<String>) {
        self.record(about, uid, true, reason, message.into());
    }

    /// Records a Normal event.
    pub fn note(&self, about: &ObjectRef, uid: Option<String>, reason: Reason, message: impl Into<String>) {
        self.record(about, uid, false, reason, message.into());
    }

    fn record(&self, about: &ObjectRef, uid: Option<String>, warning: bool, reason: Reason, message: String) {
        self.events.record(EventNote { about: about.clone(), uid, warning, reason, message });
    }

    /// Records an event when the main reason differs from the one before.
    fn announce(&self, object: &ObjectRef, meta: &ObjectMeta, main: &ConditionUpdate) {
        let before = self.reasons.lock().insert(object.clone(), (meta.uid.clone(), main.reason));
        let before = before.and_then(|(uid, reason)| (uid == meta.uid).then_some(reason));
        if before == Some(main.reason) {
            return;
        }
        if is_fault(main) {
            self.warn(object, meta.uid.clone(), main.reason, &main.message);
            tracing::warn!(object = %object, reason = %main.reason, why = %main.message, "object is not healthy");
        } else if main.reason == Reason::Exported && before.is_some() {
            self.note(object, meta.uid.clone(), Reason::ExportSucceeded, &main.message);
        }
    }
}

fn is_fault(main: &ConditionUpdate) -> bool {
    main.kind == "Degraded" || (!main.status && !matches!(main.reason, Reason::Suspended | Reason::Progressing))
}

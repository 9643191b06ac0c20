//! Writes statuses: failures at once, everything else at most every ten seconds per object, and never what is there.
//!
//! Separate from the reconcile rounds so that a slow API server delays no decision.

use crate::kinds::{Kind, ObjectRef};
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Least time between two status writes of one object that report no change of health.
pub const QUIET_PERIOD: Duration = Duration::from_secs(10);
const WRITE_DEADLINE: Duration = Duration::from_secs(15);
const CONCURRENT_WRITES: usize = 4;

/// A status that should stand on an object.
#[derive(Clone, Debug, PartialEq)]
pub struct Desired {
    /// The whole status.
    pub status: Value,
    /// Changes when the object's health turns; such a change is written at once.
    pub health: String,
}

#[derive(Default)]
struct Slot {
    pending: Option<Desired>,
    written: Option<Desired>,
    last_write: Option<Instant>,
    not_before: Option<Instant>,
    failures: u32,
    busy: bool,
    /// Every top-level field that the object's status ever had here: a merge patch removes only what it names.
    fields: std::collections::BTreeSet<String>,
}

/// Queue of status writes; holds only the latest wish per object.
#[derive(Clone)]
pub struct StatusWriter {
    client: kube::Client,
    slots: Arc<Mutex<HashMap<ObjectRef, Slot>>>,
    wake: Arc<Notify>,
    permits: Arc<Semaphore>,
}

impl StatusWriter {
    /// Starts the writing task, which ends with `stop`.
    pub fn start(client: kube::Client, stop: CancellationToken) -> Self {
        let writer = Self {
            client,
            slots: Arc::default(),
            wake: Arc::default(),
            permits: Arc::new(Semaphore::new(CONCURRENT_WRITES)),
        };
        let running = writer.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = running.run() => {}
            }
        });
        writer
    }

    /// What was last written (by this process) on the object, the base for the next transition times.
    pub fn last_written(&self, object: &ObjectRef) -> Option<Value> {
        let slots = self.slots.lock();
        let slot = slots.get(object)?;
        slot.pending.as_ref().or(slot.written.as_ref()).map(|d| d.status.clone())
    }

    /// Asks for a status. `present` is what the object carries now.
    pub fn submit(&self, object: &ObjectRef, desired: Desired, present: &Value) {
        let mut slots = self.slots.lock();
        let slot = slots.entry(object.clone()).or_default();
        let fields =
            [present, &desired.status].into_iter().filter_map(Value::as_object).flat_map(|o| o.keys().cloned());
        slot.fields.extend(fields);
        let known = slot.written.as_ref().map_or(present, |w| &w.status);
        if *known == desired.status {
            slot.pending = None;
            if slot.written.is_none() {
                slot.written = Some(desired);
            }
            return;
        }
        slot.pending = Some(desired);
        drop(slots);
        self.wake.notify_one();
    }

    /// Forgets an object that is gone.
    pub fn forget(&self, object: &ObjectRef) {
        self.slots.lock().remove(object);
    }

    async fn run(&self) {
        loop {
            let (due, next) = self.due();
            for (object, desired, patch) in due {
                let Ok(permit) = self.permits.clone().acquire_owned().await else { return };
                let this = self.clone();
                tokio::spawn(async move {
                    this.write(object, desired, patch).await;
                    drop(permit);
                });
            }
            match next {
                Some(when) => tokio::select! {
                    () = self.wake.notified() => {}
                    () = tokio::time::sleep_until(when) => {}
                },
                None => self.wake.notified().await,
            }
        }
    }

    fn due(&self) -> (Vec<(ObjectRef, Desired, Value)>, Option<Instant>) {
        let now = Instant::now();
        let mut due = Vec::new();
        let mut next: Option<Instant> = None;
        for (object, slot) in self.slots.lock().iter_mut() {
            let Some(pending) = &slot.pending else { continue };
            if slot.busy {
                continue;
            }
            let turned = slot.written.as_ref().is_none_or(|w| w.health != pending.health);
            let spaced = if turned { None } else { slot.last_write.map(|last| last + QUIET_PERIOD) };
            match spaced.max(slot.not_before) {
                Some(when) if when > now => next = Some(next.map_or(when, |n| n.min(when))),
                _ => {
                    slot.busy = true;
                    due.push((object.clone(), pending.clone(), complete(&slot.fields, &pending.status)));
                }
            }
        }
        (due, next)
    }

    async fn write(&self, object: ObjectRef, desired: Desired, patch: Value) {
        let result = tokio::time::timeout(WRITE_DEADLINE, self.patch(&object, patch)).await;
        let now = Instant::now();
        let mut slots = self.slots.lock();
        let Some(slot) = slots.get_mut(&object) else { return };
        slot.busy = false;
        let gone = matches!(&result, Ok(Err(kube::Error::Api(status))) if status.code == 404);
        if gone {
            slots.remove(&object);
            return;
        }
        if matches!(result, Ok(Ok(()))) {
            if slot.pending.as_ref() == Some(&desired) {
                slot.pending = None;
            }
            slot.written = Some(desired);
            slot.last_write = Some(now);
            slot.failures = 0;
            slot.not_before = None;
        } else {
            slot.failures = slot.failures.saturating_add(1);
            let pause = Duration::from_secs(1 << slot.failures.min(5)).mul_f64(0.5 + fastrand::f64() / 2.0);
            slot.not_before = Some(now + pause);
            if let Ok(Err(error)) = result {
                tracing::warn!(object = %object, %error, error_class = "transient", "status not written");
            }
        }
        drop(slots);
        self.wake.notify_one();
    }

    async fn patch(&self, object: &ObjectRef, status: Value) -> Result<(), kube::Error> {
        let api = api_of(&self.client, object);
        api.patch_status(&object.name, &PatchParams::default(), &Patch::Merge(json!({ "status": status })))
            .await
            .map(|_| ())
    }
}

/// The status with an explicit null for every field that went away.
fn complete(fields: &std::collections::BTreeSet<String>, status: &Value) -> Value {
    let mut all: serde_json::Map<String, Value> = fields.iter().map(|f| (f.clone(), Value::Null)).collect();
    if let Some(wanted) = status.as_object() {
        all.extend(wanted.clone());
    }
    Value::Object(all)
}

/// The API resource of a Kollect kind.
fn api_resource(kind: Kind) -> ApiResource {
    let gvk = GroupVersionKind::gvk("kollect.dev", "v1alpha1", kind.name());
    ApiResource::from_gvk_with_plural(&gvk, kind.plural())
}

/// The API that an object is patched through.
pub fn api_of(client: &kube::Client, object: &ObjectRef) -> Api<DynamicObject> {
    let resource = api_resource(object.kind);
    if object.kind.is_cluster_scoped() {
        Api::all_with(client.clone(), &resource)
    } else {
        Api::namespaced_with(client.clone(), &object.namespace, &resource)
    }
}

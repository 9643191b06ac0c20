//! Writes statuses: failures at once, everything else at most every ten seconds per object, and never an equal one.
//!
//! It runs beside the reconcile rounds, so that a slow API server delays no decision.

pub use crate::shared::status_queue::{QUIET_PERIOD, StatusUpdate};
use crate::shared::status_queue::{StatusQueue, Write, WriteResult};
use kollect_resources::kinds::Scope;
use kollect_resources::kinds::{Kind, ObjectRef};
use kollect_resources::supervise;
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

const WRITE_DEADLINE: Duration = Duration::from_secs(15);
const CONCURRENT_WRITES: usize = 4;

/// Writes statuses; keeps only the latest update per object.
#[derive(Clone)]
pub struct StatusWriter {
    client: kube::Client,
    queue: Arc<Mutex<StatusQueue>>,
    wake: Arc<Notify>,
    permits: Arc<Semaphore>,
}

impl StatusWriter {
    /// Starts the writing task, which ends with `stop`.
    pub fn start(client: kube::Client, stop: CancellationToken) -> Self {
        let writer = Self {
            client,
            queue: Arc::default(),
            wake: Arc::default(),
            permits: Arc::new(Semaphore::new(CONCURRENT_WRITES)),
        };
        let running = writer.clone();
        supervise::spawn("status writer", stop, move || running.clone().run());
        writer
    }

    /// The newest status of this process for the object with this uid: the base for the next transition times.
    pub fn last_written(&self, object: &ObjectRef, uid: Option<&str>) -> Option<Value> {
        self.queue.lock().newest(object, uid).cloned()
    }

    /// Queues a status. `present` is what the object with this uid has now.
    pub fn submit(&self, object: &ObjectRef, uid: Option<&str>, desired: StatusUpdate, present: &Value) {
        if self.queue.lock().submit(object, uid, desired, present, Instant::now()) {
            self.wake.notify_one();
        }
    }

    /// Forgets an object that is gone.
    pub fn forget(&self, object: &ObjectRef) {
        self.queue.lock().forget(object);
    }

    async fn run(self) {
        loop {
            let (due, next) = self.queue.lock().due(Instant::now());
            for write in due {
                let this = self.clone();
                tokio::spawn(async move { this.write(write).await });
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

    async fn write(&self, write: Write) {
        // Waiting is no part of the deadline, and a panic is a failure like another one.
        let _permit = self.permits.acquire().await;
        let request = tokio::time::timeout(WRITE_DEADLINE, self.patch(&write));
        let result = match supervise::caught(request).await {
            Ok(Ok(Ok(()))) => WriteResult::Written,
            Ok(Ok(Err(kube::Error::Api(status)))) if status.code == 404 => WriteResult::Gone,
            Ok(Ok(Err(error))) => {
                tracing::warn!(object = %write.object, %error, error_class = "transient", "status not written");
                WriteResult::Failed
            }
            Ok(Err(_)) | Err(supervise::Panicked) => {
                tracing::warn!(object = %write.object, error_class = "transient", "status not written: no answer in 15 s");
                WriteResult::Failed
            }
        };
        self.queue.lock().ended(write, result, fastrand::f64(), Instant::now());
        self.wake.notify_one();
    }

    async fn patch(&self, write: &Write) -> Result<(), kube::Error> {
        let Write { object, uid, status, .. } = write;
        let api = api_of(&self.client, object);
        let mut patch = json!({ "status": status });
        if let Some(uid) = uid {
            patch["metadata"] = json!({ "uid": uid });
        }
        let patch = Patch::Merge(patch);
        api.patch_status(&object.name, &PatchParams::default(), &patch).await.map(|_| ())
    }
}

/// The API resource of a Kollect kind.
fn api_resource(kind: Kind) -> ApiResource {
    let gvk = GroupVersionKind::gvk("kollect.dev", "v1alpha1", kind.name());
    ApiResource::from_gvk_with_plural(&gvk, kind.plural())
}

/// The API that an object is patched through.
pub fn api_of(client: &kube::Client, object: &ObjectRef) -> Api<DynamicObject> {
    let resource = api_resource(object.kind);
    match object.kind.scope() {
        Scope::Cluster => Api::all_with(client.clone(), &resource),
        Scope::Namespaced => Api::namespaced_with(client.clone(), &object.namespace, &resource),
    }
}

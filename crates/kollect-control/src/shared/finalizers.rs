//! Adds and removes our finalizer by a metadata-only patch, which rewrites no spec.

use crate::shared::status::api_of;
use crate::shared::work_queue::WorkQueue;
use kollect_model::{Backoff, jittered};
use kollect_resources::kinds::ObjectRef;
use kollect_resources::supervise;
use kube::api::{ObjectMeta, Patch, PatchParams};
use parking_lot::Mutex;
use serde_json::json;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

const DEADLINE: Duration = Duration::from_secs(15);
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LAST_RETRY: Duration = Duration::from_mins(1);
/// Conflicts that are answered at once by reading the object again.
const CONFLICTS: u32 = 4;

/// A finalizer that could not be changed.
#[derive(Debug, thiserror::Error)]
enum FinalizerError {
    /// The API server refused or could not be reached.
    #[error("changing the finalizers of {object}: {source}")]
    Patch { object: ObjectRef, source: Box<kube::Error> },
    /// No answer in time.
    #[error("changing the finalizers of {0}: the API server did not answer in 15 s")]
    Timeout(ObjectRef),
    /// A defect.
    #[error("changing the finalizers of {0}: {1}")]
    Panicked(ObjectRef, supervise::Panicked),
}

impl FinalizerError {
    /// Another writer changed the object in between.
    fn is_conflict(&self) -> bool {
        matches!(self, Self::Patch { source, .. } if matches!(&**source, kube::Error::Api(status) if status.code == 409))
    }
}

/// Whether the object carries the finalizer.
pub fn has(meta: &ObjectMeta, finalizer: &str) -> bool {
    meta.finalizers.as_ref().is_some_and(|all| all.iter().any(|f| f == finalizer))
}

#[derive(Debug, Default)]
struct Attempts {
    running: bool,
    failures: u32,
    not_before: Option<Instant>,
}

/// Whether a change of an object's finalizers may begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Permission {
    Begin,
    /// Too early after a failure.
    At(Instant),
    /// One is on its way; its end marks the object.
    Running,
}

/// The finalizer changes under way: one at a time per object, and later and later after failures.
#[derive(Clone, Debug, Default)]
struct FinalizerWrites(Arc<Mutex<HashMap<ObjectRef, Attempts>>>);

impl FinalizerWrites {
    fn begin(&self, object: &ObjectRef, now: Instant) -> Permission {
        let mut all = self.0.lock();
        let attempts = all.entry(object.clone()).or_default();
        match attempts.not_before {
            _ if attempts.running => Permission::Running,
            Some(when) if when > now => Permission::At(when),
            _ => {
                attempts.running = true;
                Permission::Begin
            }
        }
    }

    /// Records the end of a change; returns when the object must be reconciled again.
    fn ended(&self, object: &ObjectRef, succeeded: bool, jitter: f64, now: Instant) -> Instant {
        let mut all = self.0.lock();
        if succeeded {
            all.remove(object);
            // What was asked while the change was on its way is decided again.
            return now + FIRST_RETRY;
        }
        let attempts = all.entry(object.clone()).or_default();
        attempts.running = false;
        let pause = jittered(Backoff::new(FIRST_RETRY, LAST_RETRY).delay(attempts.failures), jitter);
        attempts.failures = attempts.failures.saturating_add(1);
        let when = now + pause;
        attempts.not_before = Some(when);
        when
    }
}

/// Adds and removes our finalizers in the background. Cloning is cheap.
#[derive(Clone)]
pub struct FinalizerWriter {
    client: kube::Client,
    queue: WorkQueue,
    writes: FinalizerWrites,
}

impl FinalizerWriter {
    /// No change on its way. The end of a change adds its object to `queue`.
    pub fn new(client: kube::Client, queue: WorkQueue) -> Self {
        Self { client, queue, writes: FinalizerWrites::default() }
    }

    /// Adds (`wanted`) or removes a finalizer, unless the object is so already. A failure adds the object to a later round,
    /// whose decision repeats this call.
    pub fn set(&self, object: &ObjectRef, meta: &ObjectMeta, name: &'static str, wanted: bool) {
        if has(meta, name) == wanted {
            return;
        }
        match self.writes.begin(object, Instant::now()) {
            Permission::Begin => {}
            Permission::At(when) => return self.queue.add_at(object.clone(), when),
            Permission::Running => return,
        }
        let (this, object, meta) = (self.clone(), object.clone(), meta.clone());
        tokio::spawn(async move {
            let change = supervise::caught(set(&this.client, &object, &meta, name, wanted)).await;
            let outcome = change.unwrap_or_else(|panicked| Err(FinalizerError::Panicked(object.clone(), panicked)));
            if let Err(error) = &outcome {
                if error.is_conflict() {
                    tracing::debug!(object = %object, "finalizer not changed yet: the object changed meanwhile");
                } else {
                    tracing::warn!(object = %object, %error, error_class = "transient", "finalizer not changed; trying again");
                }
            }
            let again = this.writes.ended(&object, outcome.is_ok(), fastrand::f64(), Instant::now());
            this.queue.add_at(object, again);
        });
    }
}

/// Another writer may change the object at any time, first of all our own status write: after a conflict the object is
/// read again. An inventory must not export for long without its finalizer.
async fn set(
    client: &kube::Client,
    object: &ObjectRef,
    meta: &ObjectMeta,
    finalizer: &str,
    wanted: bool,
) -> Result<(), FinalizerError> {
    let mut meta = meta.clone();
    for _ in 0..CONFLICTS {
        match patch(client, object, &meta, finalizer, wanted).await {
            Err(error) if error.is_conflict() => {}
            ended => return ended,
        }
        let api = api_of(client, object);
        match tokio::time::timeout(DEADLINE, api.get_metadata_opt(&object.name)).await {
            Ok(Ok(Some(now))) if now.metadata.uid == meta.uid => meta = now.metadata,
            Ok(Ok(_)) => return Ok(()),
            Ok(Err(source)) => return Err(FinalizerError::Patch { object: object.clone(), source: Box::new(source) }),
            Err(_) => return Err(FinalizerError::Timeout(object.clone())),
        }
        // A deleted object takes no new finalizer.
        if has(&meta, finalizer) == wanted || (wanted && meta.deletion_timestamp.is_some()) {
            return Ok(());
        }
    }
    patch(client, object, &meta, finalizer, wanted).await
}

async fn patch(
    client: &kube::Client,
    object: &ObjectRef,
    meta: &ObjectMeta,
    finalizer: &str,
    wanted: bool,
) -> Result<(), FinalizerError> {
    let mut all = meta.finalizers.clone().unwrap_or_default();
    all.retain(|f| f != finalizer);
    if wanted {
        all.push(finalizer.to_owned());
    }
    let patch = json!({ "metadata": { "finalizers": all, "resourceVersion": meta.resource_version } });
    let api = api_of(client, object);
    let params = PatchParams::default();
    let patch = Patch::Merge(patch);
    let request = api.patch_metadata(&object.name, &params, &patch);
    match tokio::time::timeout(DEADLINE, request).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(kube::Error::Api(status))) if status.code == 404 => Ok(()),
        Ok(Err(source)) => Err(FinalizerError::Patch { object: object.clone(), source: Box::new(source) }),
        Err(_) => Err(FinalizerError::Timeout(object.clone())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kollect_resources::kinds::{Kind, NamespacedName};

    #[test]
    fn a_failed_change_is_repeated_however_often_it_fails_and_never_twice_at_once() {
        let (writes, mut now) = (FinalizerWrites::default(), Instant::now());
        let object = ObjectRef::new(Kind::Inventory, &NamespacedName::new("team", "all"));
        for _ in 0..20 {
            assert_eq!(writes.begin(&object, now), Permission::Begin);
            assert_eq!(writes.begin(&object, now), Permission::Running);
            let again = writes.ended(&object, false, 0.5, now);
            assert!(again > now && again <= now + LAST_RETRY);
            assert_eq!(writes.begin(&object, now), Permission::At(again), "asked too early, by another change");
            now = again;
        }
        assert_eq!(writes.begin(&object, now), Permission::Begin);
        writes.ended(&object, true, 0.5, now);
        assert_eq!(writes.begin(&object, now), Permission::Begin, "the next change starts anew");
    }
}

//! Adds and removes our finalizer by a metadata-only patch, so that nobody's spec is ever rewritten.

use crate::kinds::ObjectRef;
use crate::shared::status::api_of;
use kube::api::{ObjectMeta, Patch, PatchParams};
use serde_json::json;
use std::time::Duration;

const DEADLINE: Duration = Duration::from_secs(15);

/// A finalizer that could not be changed.
#[derive(Debug, thiserror::Error)]
pub enum FinalizerError {
    /// The API server refused or could not be reached.
    #[error("changing the finalizers of {object}: {source}")]
    Patch {
        /// The object.
        object: ObjectRef,
        /// Why.
        source: Box<kube::Error>,
    },
    /// No answer in time.
    #[error("changing the finalizers of {0}: the API server did not answer in 15 s")]
    Timeout(ObjectRef),
}

impl FinalizerError {
    /// Somebody else changed the object in between.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Patch { source, .. } if matches!(&**source, kube::Error::Api(status) if status.code == 409))
    }
}

/// Whether the object carries the finalizer.
pub fn has(meta: &ObjectMeta, finalizer: &str) -> bool {
    meta.finalizers.as_ref().is_some_and(|all| all.iter().any(|f| f == finalizer))
}

/// Adds (`wanted`) or removes the finalizer. A conflict with another writer is an error: the next round has fresh data.
pub async fn set(
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

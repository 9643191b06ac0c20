//! Publishes the CA bundle in the ValidatingWebhookConfiguration.
//!
//! The installation owns the object, so only the `caBundle` of Kollect's webhooks is written, and only if it differs.

use super::stored::Trust;
use crate::manifest::webhook_name;
use crate::protocol::KINDS;
use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use kube::api::{Api, Patch, PatchParams};
use serde_json::json;

/// The outcome of publishing.
#[derive(Debug)]
pub(crate) enum Published {
    /// Every Kollect webhook already has the bundle.
    Same,
    /// The bundle was written.
    Written,
    /// There is no configuration, or it has no Kollect webhook.
    Absent,
    /// Another client wrote at the same time; retry with the next poll.
    Conflict,
    /// It could not be read or written.
    Failed(kube::Error),
}

impl Published {
    pub(crate) fn trust(&self) -> Trust {
        match self {
            Self::Same | Self::Written | Self::Absent => Trust::Published,
            Self::Conflict | Self::Failed(_) => Trust::Unknown,
        }
    }
}

/// Sets `caBundle` to `bundle` where it differs.
pub(crate) async fn publish(api: &Api<ValidatingWebhookConfiguration>, name: &str, bundle: &str) -> Published {
    let found = match api.get_opt(name).await {
        Ok(Some(found)) => found,
        Ok(None) => return Published::Absent,
        Err(error) => return Published::Failed(error),
    };
    let ours: Vec<String> = KINDS.iter().map(|kind| webhook_name(kind)).collect();
    let webhooks = found.webhooks.unwrap_or_default();
    let mine: Vec<_> = webhooks.iter().enumerate().filter(|(_, webhook)| ours.contains(&webhook.name)).collect();
    if mine.is_empty() {
        return Published::Absent;
    }
    let right = |bytes: Option<&k8s_openapi::ByteString>| bytes.is_some_and(|bytes| bytes.0 == bundle.as_bytes());
    let wrong = mine.iter().filter(|(_, webhook)| !right(webhook.client_config.ca_bundle.as_ref()));
    let encoded = json!(k8s_openapi::ByteString(bundle.as_bytes().to_vec()));
    let writes: Vec<_> = wrong
        .map(|(i, _)| json!({"op": "add", "path": format!("/webhooks/{i}/clientConfig/caBundle"), "value": encoded}))
        .collect();
    if writes.is_empty() {
        return Published::Same;
    }
    // Indexes are valid only in the version that was read.
    let mut patch =
        vec![json!({"op": "test", "path": "/metadata/resourceVersion", "value": found.metadata.resource_version})];
    patch.extend(writes);
    let patch = match serde_json::from_value(json!(patch)) {
        Ok(patch) => Patch::<()>::Json(patch),
        Err(error) => return Published::Failed(kube::Error::SerdeError(error)),
    };
    match api.patch(name, &PatchParams::default(), &patch).await {
        Ok(_) => Published::Written,
        Err(kube::Error::Api(status)) if [404, 409, 422].contains(&status.code) => Published::Conflict,
        Err(error) => Published::Failed(error),
    }
}

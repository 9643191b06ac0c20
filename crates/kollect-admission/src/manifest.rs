//! The ValidatingWebhookConfiguration to install; a test compares `deploy/webhooks.yaml` with it.

use crate::protocol::{KINDS, path_of};
use serde_json::{Value, json};

/// Name of the ValidatingWebhookConfiguration.
pub const CONFIGURATION: &str = "kollect-validating-webhook-configuration";
/// Name of the webhook's Service.
pub const SERVICE: &str = "kollect-webhook-service";
/// Name of the Secret with the certificates.
pub const SECRET: &str = "webhook-server-cert";
/// The operator's own user in `deploy/`.
const USER: &str = "system:serviceaccount:kollect-system:kollect-controller-manager";

/// Name of the webhook of a kind.
pub fn webhook_name(kind: &str) -> String {
    format!("v{}.kb.io", kind.to_lowercase())
}

/// The configuration for the Service of `deploy/`.
pub fn service_configuration() -> Value {
    configuration(|path| json!({"service": {"name": SERVICE, "namespace": "kollect-system", "path": path}}))
}

/// The configuration for a webhook at an address such as `https://127.0.0.1:9443`.
pub fn url_configuration(address: &str) -> Value {
    configuration(|path| json!({"url": format!("{address}{path}")}))
}

fn configuration(client: impl Fn(&str) -> Value) -> Value {
    let webhooks: Vec<Value> = KINDS.iter().map(|kind| webhook(kind, &client(&path_of(kind)))).collect();
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": CONFIGURATION, "labels": {"app.kubernetes.io/name": "kollect"}},
        "webhooks": webhooks,
    })
}

fn webhook(kind: &str, client: &Value) -> Value {
    let plural = kollect_plural(kind);
    json!({
        "name": webhook_name(kind),
        "admissionReviewVersions": ["v1"],
        "clientConfig": client,
        "failurePolicy": "Fail",
        "matchPolicy": "Equivalent",
        "sideEffects": "None",
        "timeoutSeconds": 5,
        "rules": [{
            "apiGroups": [kollect_api::GROUP],
            "apiVersions": [kollect_api::VERSION],
            "operations": ["CREATE", "UPDATE"],
            "resources": [plural],
            "scope": "*",
        }],
        "matchConditions": [
            // An unavailable webhook must not block the removal of finalizers.
            {"name": "not-being-deleted", "expression": "!has(object.metadata.deletionTimestamp)"},
            {"name": "not-the-operator", "expression": format!("request.userInfo.username != '{USER}'")},
        ],
    })
}

fn kollect_plural(kind: &str) -> String {
    let lower = kind.to_lowercase();
    match lower.strip_suffix('y') {
        Some(stem) => format!("{stem}ies"),
        None => format!("{lower}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a file of this repository")]
    fn the_file_to_install_has_exactly_these_webhooks() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/webhooks.yaml");
        let text = std::fs::read_to_string(&path).unwrap();
        let documents = text.split("\n---").map(|part| serde_saphyr::from_str::<Value>(part).unwrap());
        let found = documents.into_iter().find(|d| d["kind"] == "ValidatingWebhookConfiguration").unwrap();
        assert_eq!(found, service_configuration(), "deploy/webhooks.yaml differs");
    }

    #[test]
    fn every_kind_that_exists_is_reviewed_under_its_plural() {
        let crds = kollect_api::all_crds();
        let plurals: BTreeSet<String> = crds.into_iter().map(|crd| crd.spec.names.plural).collect();
        assert_eq!(KINDS.iter().map(|kind| kollect_plural(kind)).collect::<BTreeSet<_>>(), plurals);
    }
}

//! Decodes and encodes AdmissionReview v1. Pure; it must not know the rules.

use kollect_rules::{Review, Violation};
use serde::Deserialize;
use serde_json::{Value, json};

/// Every kind that is reviewed.
pub const KINDS: [&str; 11] = [
    "KollectProfile",
    "KollectTarget",
    "KollectInventory",
    "KollectSnapshotSink",
    "KollectDatabaseSink",
    "KollectEventSink",
    "KollectConnectionTest",
    "KollectScope",
    "KollectClusterScope",
    "KollectClusterTarget",
    "KollectClusterInventory",
];

const PREFIX: &str = "/validate-kollect-dev-v1alpha1-";
/// The API server truncates warnings beyond a total length; fewer whole ones are better than truncated ones.
const MAX_WARNINGS: usize = 20;
const MAX_CAUSES: usize = 50;

/// The path on which objects of a kind are reviewed.
pub(crate) fn path_of(kind: &str) -> String {
    format!("{PREFIX}{}", kind.to_lowercase())
}

/// The kind that is reviewed on a path.
pub(crate) fn kind_at(path: &str) -> Option<&'static str> {
    let name = path.strip_prefix(PREFIX)?;
    KINDS.into_iter().find(|kind| kind.to_lowercase() == name)
}

/// Why a body is no review.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProtocolError {
    /// Not JSON, or nested deeper than any object may be.
    #[error("the body is no AdmissionReview: {0}")]
    Unreadable(#[source] serde_json::Error),
    /// Not a supported version.
    #[error("the body is no AdmissionReview of admission.k8s.io/v1 with a request")]
    NotAReview,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    api_version: String,
    kind: String,
    request: Option<Asked>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Asked {
    uid: String,
    #[serde(default)]
    operation: String,
    #[serde(default)]
    sub_resource: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    namespace: String,
    #[serde(default)]
    object: Value,
}

/// A decoded request of the API server.
#[derive(Debug)]
pub(crate) struct ReviewRequest {
    pub(crate) uid: String,
    pub(crate) kind: &'static str,
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) object: Value,
    /// Nothing to review: not a write of a spec, or the object is being deleted.
    pub(crate) passes: bool,
}

/// Decodes a request for the path of `kind`.
pub(crate) fn parse(kind: &'static str, body: &[u8]) -> Result<ReviewRequest, ProtocolError> {
    let envelope: Envelope = serde_json::from_slice(body).map_err(ProtocolError::Unreadable)?;
    let known = envelope.api_version == "admission.k8s.io/v1" && envelope.kind == "AdmissionReview";
    let asked = envelope.request.filter(|_| known).ok_or(ProtocolError::NotAReview)?;
    let writes = matches!(asked.operation.as_str(), "CREATE" | "UPDATE") && asked.sub_resource.is_empty();
    let mut object = asked.object;
    let text = |at: &str| object.pointer(at).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned);
    let deleting = asked.operation == "UPDATE" && text("/metadata/deletionTimestamp").is_some();
    let name = text("/metadata/name").or_else(|| text("/metadata/generateName")).unwrap_or(asked.name);
    let namespace = text("/metadata/namespace");
    if namespace.is_none()
        && !asked.namespace.is_empty()
        && let Some(meta) = object.get_mut("metadata").and_then(Value::as_object_mut)
    {
        // The rules read the namespace from the object.
        meta.insert("namespace".to_owned(), Value::String(asked.namespace.clone()));
    }
    let namespace = namespace.unwrap_or(asked.namespace);
    Ok(ReviewRequest { uid: asked.uid, kind, name, namespace, object, passes: !writes || deleting })
}

impl ReviewRequest {
    /// The message when the object is not of the kind that is reviewed on the path.
    pub(crate) fn mismatch(&self) -> Option<String> {
        let text = |key: &str| self.object.get(key).and_then(Value::as_str).unwrap_or_default();
        let wanted = format!("{}/{}", kollect_api::GROUP, kollect_api::VERSION);
        if text("kind") == self.kind && text("apiVersion") == wanted {
            return None;
        }
        Some(format!(
            "this address reviews {} of {wanted}; the object is of another kind or version. Correct the paths in the \
             ValidatingWebhookConfiguration",
            self.kind
        ))
    }

    /// The object may be stored.
    pub(crate) fn allow(&self, review: &Review) -> Vec<u8> {
        let warnings: Vec<String> =
            review.warnings.iter().take(MAX_WARNINGS).map(|w| format!("{}: {}", w.field, w.message)).collect();
        self.respond(&json!({"uid": self.uid, "allowed": true, "warnings": warnings}))
    }

    /// The object breaks rules.
    pub(crate) fn refuse(&self, violations: &[Violation]) -> Vec<u8> {
        let shown = &violations[..violations.len().min(MAX_CAUSES)];
        let mut sentences: Vec<String> = shown.iter().map(ToString::to_string).collect();
        if violations.len() > shown.len() {
            sentences.push(format!("and {} more", violations.len() - shown.len()));
        }
        let causes: Vec<Value> = shown
            .iter()
            .map(|v| json!({"reason": "FieldValueInvalid", "field": v.field, "message": v.message}))
            .collect();
        let message = format!("{} {:?} is invalid: {}", self.kind, self.name, sentences.join("; "));
        self.deny(403, "Forbidden", &message, &causes)
    }

    /// The object could not be reviewed.
    pub(crate) fn fail(&self, code: u16, message: &str) -> Vec<u8> {
        self.deny(code, if code == 403 { "Forbidden" } else { "InternalError" }, message, &[])
    }

    fn deny(&self, code: u16, reason: &str, message: &str, causes: &[Value]) -> Vec<u8> {
        let details = json!({"name": self.name, "group": kollect_api::GROUP, "kind": self.kind, "causes": causes});
        let status =
            json!({"status": "Failure", "code": code, "reason": reason, "message": message, "details": details});
        self.respond(&json!({"uid": self.uid, "allowed": false, "status": status}))
    }

    #[expect(clippy::unused_self, reason = "a response belongs to a request")]
    fn respond(&self, response: &Value) -> Vec<u8> {
        json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response})
            .to_string()
            .into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(operation: &str, object: &Value) -> Vec<u8> {
        json!({
            "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "future": {"x": 1},
            "request": {"uid": "u", "operation": operation, "namespace": "team", "object": object, "later": [1]},
        })
        .to_string()
        .into_bytes()
    }

    fn profile() -> Value {
        json!({"apiVersion": "kollect.dev/v1alpha1", "kind": "KollectProfile", "metadata": {"name": "x"}, "spec": {}})
    }

    #[test]
    fn every_kind_has_a_path_of_its_own_and_nothing_else_has() {
        for kind in KINDS {
            assert_eq!(kind_at(&path_of(kind)), Some(kind));
        }
        assert_eq!(kind_at("/validate-kollect-dev-v1alpha1-KollectProfile"), None);
        assert_eq!(kind_at("/"), None);
        assert_eq!(path_of("KollectScope"), "/validate-kollect-dev-v1alpha1-kollectscope");
    }

    #[test]
    fn unknown_members_are_tolerated_and_the_namespace_of_the_request_is_used() {
        let asked = parse("KollectProfile", &body("CREATE", &profile())).unwrap();
        assert!(!asked.passes && asked.mismatch().is_none());
        assert_eq!(asked.object["metadata"]["namespace"], "team");
    }

    #[test]
    fn a_refusal_names_every_field_and_lists_the_causes() {
        let asked = parse("KollectProfile", &body("CREATE", &profile())).unwrap();
        let broken = |field: &str| Violation {
            rule: "P1",
            field: field.to_owned(),
            value: String::new(),
            message: "must be set".to_owned(),
        };
        let body: Value = serde_json::from_slice(&asked.refuse(&[broken("spec.a"), broken("spec.b")])).unwrap();
        let response = &body["response"];
        assert_eq!(
            response["status"]["message"],
            r#"KollectProfile "x" is invalid: spec.a: must be set; spec.b: must be set"#
        );
        assert_eq!((&response["allowed"], &response["uid"]), (&json!(false), &json!("u")));
        assert_eq!(response["status"]["code"], 403);
        assert_eq!(response["status"]["details"]["causes"][1]["field"], "spec.b");
    }

    #[test]
    fn an_object_that_is_being_deleted_passes_but_only_in_an_update() {
        let mut object = profile();
        object["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        assert!(parse("KollectProfile", &body("UPDATE", &object)).unwrap().passes);
        assert!(!parse("KollectProfile", &body("CREATE", &object)).unwrap().passes);
        assert!(parse("KollectProfile", &body("DELETE", &Value::Null)).unwrap().passes);
    }

    #[test]
    fn an_object_of_another_kind_than_the_path_is_noticed() {
        let asked = parse("KollectTarget", &body("CREATE", &profile())).unwrap();
        assert!(asked.mismatch().unwrap().contains("KollectTarget"));
    }

    #[test]
    fn hostile_bodies_are_errors_and_not_crashes() {
        let nested = format!("{}{}", r#"{"apiVersion":"#, "[".repeat(100_000));
        let object = format!(r#"{{"request":{{"uid":"u","object":{}1{}}}}}"#, "[".repeat(10_000), "]".repeat(10_000));
        for bad in [&b""[..], b"\xff\xfe", b"{}", b"null", nested.as_bytes(), object.as_bytes()] {
            assert!(parse("KollectProfile", bad).is_err());
        }
    }
}

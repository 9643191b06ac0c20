//! KollectTarget: which objects to collect with a profile.

use crate::{GroupVersionKind, schema};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector, LabelSelectorRequirement, Time};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Which objects to collect.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "kollect.dev",
    version = "v1alpha1",
    kind = "KollectTarget",
    plural = "kollecttargets",
    singular = "kollecttarget",
    shortname = "ktgt",
    category = "kollect",
    namespaced,
    status = "KollectTargetStatus",
    derive = "PartialEq",
    derive = "Default",
    doc = "KollectTarget collects objects of the kind of its KollectProfile. Every KollectInventory of the same namespace exports what it collects.",
    printcolumn(name = "Profile", type_ = "string", json_path = ".spec.profileRef"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.reason"),
    printcolumn(name = "Collected", type_ = "integer", json_path = ".status.collectedCount"),
    printcolumn(name = "Updated", type_ = "date", json_path = ".status.collectedCountUpdatedAt"),
    printcolumn(name = "Failures", type_ = "integer", json_path = ".status.extractionFailures", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct KollectTargetSpec {
    /// Name of the KollectProfile, in the same namespace.
    #[schemars(schema_with = "schema::name")]
    pub profile_ref: String,
    /// Namespaces to collect from, by label. Default: every namespace the operator can see.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::label_selector")]
    pub namespace_selector: Option<LabelSelector>,
    /// Namespaces to collect from, by name, at most 4096; `namespaceSelector` must select them too. Default: the
    /// operator's list, else every namespace.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::words_set")]
    pub included_namespaces: Vec<String>,
    /// Namespaces never to collect from, by name, at most 4096, in addition to the operator's list.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::words_set")]
    pub excluded_namespaces: Vec<String>,
    /// Namespaces never to collect from, by label. An empty selector excludes all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::label_selector")]
    pub namespace_exclude_selector: Option<LabelSelector>,
    /// Rules of which at least one must match an object; at most 256. When set, `labelSelector` and `names` are ignored.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), extend("x-kubernetes-list-type" = "atomic"))]
    pub resource_rules: Vec<ResourceRule>,
    /// Objects to collect, by label. Ignored when `resourceRules` is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::label_selector")]
    pub label_selector: Option<LabelSelector>,
    /// Objects to collect, by exact name; `labelSelector` must select them too. Ignored when
    /// `resourceRules` is set.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// Stops collecting and drops what was collected.
    #[serde(default, skip_serializing_if = "crate::is_false")]
    pub suspend: bool,
    /// `All` collects everything except what is labelled `kollect.dev/watch: disabled`; `OptIn` collects
    /// only objects and namespaces labelled `kollect.dev/watch: enabled`.
    #[serde(default)]
    pub watch_mode: WatchMode,
}

/// Whether objects are collected unless they opt out, or only if they opt in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum WatchMode {
    #[default]
    All,
    OptIn,
}

/// A rule that objects can match; all its parts must hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResourceRule {
    /// The kind the rule is for. Must be the kind of the profile.
    pub gvk: GroupVersionKind,
    /// Narrows the namespaces of the target, by label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::label_selector")]
    pub namespace_selector: Option<LabelSelector>,
    /// Labels the object must have.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub match_labels: BTreeMap<String, String>,
    /// Label requirements the object must meet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::requirements")]
    pub match_expressions: Vec<LabelSelectorRequirement>,
    /// A CEL expression over `object` that must be true, e.g. `object.spec.replicas > 1`. No `cel:` prefix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub match_policy: Option<String>,
}

/// Status of the target.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KollectTargetStatus {
    /// `Ready`, `Synced`, `SinkReachable` and `Degraded`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
    /// The spec generation this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Reason of the `Ready` condition, or of `Degraded` when set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Number of objects whose extraction fails now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extraction_failures: Option<i64>,
    /// The newest extraction error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_extraction_error: Option<String>,
    /// Number of objects collected. Absent until it was first counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collected_count: Option<i64>,
    /// When `collectedCount` last changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collected_count_updated_at: Option<Time>,
    /// The namespaces that the spec selects.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub matched_namespaces: Vec<String>,
    /// The namespaces that the spec selects and the KollectScope permits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub effective_namespaces: Vec<String>,
    /// Number of `resourceRules`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active_resource_rules: Option<i64>,
}

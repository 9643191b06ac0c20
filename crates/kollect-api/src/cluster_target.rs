//! KollectClusterTarget: which objects of the whole cluster to collect with a profile.

use crate::{KollectTargetSpec, NamespacedReference, ResourceRule, schema};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector, Time};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which objects to collect.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "kollect.dev",
    version = "v1alpha1",
    kind = "KollectClusterTarget",
    plural = "kollectclustertargets",
    singular = "kollectclustertarget",
    shortname = "kctgt",
    category = "kollect",
    status = "KollectClusterTargetStatus",
    derive = "PartialEq",
    derive = "Default",
    doc = "KollectClusterTarget collects objects of the kind of its KollectProfile in every namespace it selects. KollectClusterInventories export what it collects.",
    printcolumn(name = "Profile", type_ = "string", json_path = ".spec.profileRef.name"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.reason"),
    printcolumn(name = "Collected", type_ = "integer", json_path = ".status.collectedCount"),
    printcolumn(name = "Updated", type_ = "date", json_path = ".status.collectedCountUpdatedAt"),
    printcolumn(name = "Failures", type_ = "integer", json_path = ".status.extractionFailures", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = schema::rules::cluster_target()))]
pub struct KollectClusterTargetSpec {
    /// The KollectProfile to use, by name and namespace.
    pub profile_ref: NamespacedReference,
    /// Namespaces to collect from, by label. Needed, with at least one label or expression;
    /// `matchExpressions: [{key: kubernetes.io/metadata.name, operator: Exists}]` selects all.
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
    /// Rules of which at least one must match an object; at most 256. Default: every object.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), extend("x-kubernetes-list-type" = "atomic"))]
    pub resource_rules: Vec<ResourceRule>,
    /// Stops collecting and drops what was collected.
    #[serde(default, skip_serializing_if = "crate::is_false")]
    pub suspend: bool,
}

impl KollectClusterTargetSpec {
    /// The settings as a target of one namespace.
    pub fn as_target(&self) -> KollectTargetSpec {
        KollectTargetSpec {
            profile_ref: self.profile_ref.name.clone(),
            namespace_selector: self.namespace_selector.clone(),
            included_namespaces: self.included_namespaces.clone(),
            excluded_namespaces: self.excluded_namespaces.clone(),
            namespace_exclude_selector: self.namespace_exclude_selector.clone(),
            resource_rules: self.resource_rules.clone(),
            suspend: self.suspend,
            ..KollectTargetSpec::default()
        }
    }
}

/// Status of the cluster target.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KollectClusterTargetStatus {
    /// `Ready`, `Synced` and `Degraded`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
    /// The spec generation this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Reason of the `Ready` condition, or of `Degraded` when set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Number of objects whose extraction fails at the moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extraction_failures: Option<i64>,
    /// Newest extraction error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_extraction_error: Option<String>,
    /// Number of rows. Absent: not counted yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collected_count: Option<i64>,
    /// When `collectedCount` last changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collected_count_updated_at: Option<Time>,
    /// Namespaces that the spec selects.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub matched_namespaces: Vec<String>,
    /// Namespaces that are collected from, after the KollectClusterScope.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub effective_namespaces: Vec<String>,
    /// Number of `resourceRules`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active_resource_rules: Option<i64>,
}

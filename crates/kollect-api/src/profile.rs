//! KollectProfile: which kind to collect and which values to keep of each object.

use crate::{GroupVersionKind, schema};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What to collect and what to keep of it.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "kollect.dev",
    version = "v1alpha1",
    kind = "KollectProfile",
    plural = "kollectprofiles",
    singular = "kollectprofile",
    shortname = "kprof",
    category = "kollect",
    namespaced,
    status = "KollectProfileStatus",
    derive = "PartialEq",
    derive = "Default",
    doc = "KollectProfile selects which resource kind to collect and which values to keep of each object. KollectTargets of the same namespace use it by name.",
    printcolumn(name = "Kind", type_ = "string", json_path = ".spec.targetGVK.kind"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.reason"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = schema::rules::profile()))]
pub struct KollectProfileSpec {
    /// The resource kind to collect.
    #[serde(rename = "targetGVK")]
    pub target_gvk: GroupVersionKind,
    /// The values to keep of each object, at most 512.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 512), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub attributes: Vec<Attribute>,
    /// Keeps a pruned copy of the whole object besides the attributes. Default: attributes only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub export: Option<ExportSettings>,
    /// Prometheus series summed over numeric attributes, at most 128. Default: one series per numeric attribute.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub metrics: Vec<ProfileMetric>,
}

/// One value to keep of each object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Attribute {
    /// Key of the value in the exported row. Unique within the profile.
    #[schemars(schema_with = "schema::word")]
    pub name: String,
    /// Where the value is: a JSONPath such as `$.spec.replicas`, CEL after the prefix `cel:`
    /// (variable `object`) such as `cel:object.spec.containers.map(c, c.image)`, or a field of a Helm
    /// release Secret such as `helm:release.chartVersion`. At most 8192 characters.
    #[schemars(schema_with = "schema::attribute_path")]
    pub path: String,
    /// A note for readers, e.g. `string` or `int`. Values are never converted.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub type_: Option<String>,
    /// `true`: a missing value is left out of the row, also when the path fails on an object.
    /// `false` (default): a missing value is `null`, and a failing path fails the object.
    #[serde(default, skip_serializing_if = "crate::is_false")]
    pub optional: bool,
}

/// How much of the object to keep.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExportSettings {
    /// `Attributes` keeps the attributes only; `Resource` also keeps a pruned copy of the object.
    #[serde(default)]
    pub mode: ExportMode,
    /// Attribute that holds the copy in `Resource` mode, at most 253 characters. Must not be the name of another
    /// attribute. Default: `resource`.
    #[serde(rename = "as", default = "resource_key")]
    #[schemars(schema_with = "schema::text_key")]
    pub as_: String,
    /// The sections of the object that the copy has.
    #[serde(default)]
    pub include: ExportInclude,
    /// Drops `metadata.name`, `metadata.namespace` and `metadata.uid` from the copy, since the row has
    /// them. Default: true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dedupe_identity: Option<bool>,
    /// What to leave out of the copy, and which keys to redact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prune: Option<PruneSettings>,
}

fn resource_key() -> String {
    "resource".to_owned()
}

impl Default for ExportSettings {
    fn default() -> Self {
        Self {
            mode: ExportMode::default(),
            as_: resource_key(),
            include: ExportInclude::default(),
            dedupe_identity: None,
            prune: None,
        }
    }
}

/// Whether a copy of the object is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum ExportMode {
    #[default]
    Attributes,
    Resource,
}

/// Sections of an object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum ExportInclude {
    MetadataOnly,
    SpecOnly,
    StatusOnly,
    #[default]
    SpecAndStatus,
    All,
}

/// What is left out of the copy of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PruneSettings {
    /// Leaves out managed fields, resource version, generation and the annotations of kubectl and
    /// Argo CD. Default: true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub defaults: Option<bool>,
    /// Places to leave out, as JSON pointers (RFC 6901), e.g. `/metadata/labels/app.kubernetes.io~1version`.
    /// At most 256 of at most 1024 characters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::json_pointers")]
    pub json_pointers: Vec<String>,
    /// Places to leave out, as dotted names with `["quoted"]` names and `[index]`. Paths with `*` or a
    /// filter have no effect.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub json_paths: Vec<String>,
    /// Key names whose values are redacted at any depth of every attribute, ignoring case, in addition to
    /// the built-in ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scrub_keys: Vec<String>,
    /// Accepted, without effect.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cel: Vec<String>,
}

/// A Prometheus series over an attribute.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProfileMetric {
    /// Name of the series. Unique within the profile.
    #[schemars(schema_with = "schema::word")]
    pub name: String,
    /// Name of the attribute whose numeric values are summed.
    #[schemars(schema_with = "schema::word")]
    pub path: String,
    /// Names of up to 5 attributes that become labels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::metric_labels")]
    pub labels: Vec<String>,
}

/// Status of the profile.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KollectProfileStatus {
    /// `Ready`: whether every attribute path compiles.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
    /// The spec generation this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Reason of the `Ready` condition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

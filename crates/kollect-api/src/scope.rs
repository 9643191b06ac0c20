//! KollectScope: the ceiling for what a namespace may collect and where it may export.

use crate::{GoDuration, GroupVersionKind, SinkFamily, schema};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the namespace may do.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "kollect.dev",
    version = "v1alpha1",
    kind = "KollectScope",
    plural = "kollectscopes",
    singular = "kollectscope",
    shortname = "kscope",
    category = "kollect",
    namespaced,
    status = "KollectScopeStatus",
    derive = "PartialEq",
    derive = "Default",
    doc = "KollectScope limits what the KollectTargets of its namespace may collect and where its KollectInventories may export. Several scopes in one namespace are enforced together: what one of them forbids is forbidden.",
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.reason"),
    printcolumn(name = "Min Interval", type_ = "string", json_path = ".spec.minExportInterval", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct KollectScopeSpec {
    /// Kinds that may be collected, ignoring case; at most 1024. Default: any.
    #[serde(rename = "allowedGVKs", default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1024), extend("x-kubernetes-list-type" = "atomic"))]
    pub allowed_gvks: Vec<GroupVersionKind>,
    /// Namespaces that may be collected from, at most 4096. Default: any; of core Secrets, the scope's own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::words_set")]
    pub allowed_namespaces: Vec<String>,
    /// Namespaces that must not be collected from, at most 4096. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::words_set")]
    pub denied_namespaces: Vec<String>,
    /// Least time between two exports to one sink, e.g. `1m`, at most `24h`. Shorter intervals are raised to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_export_interval: Option<GoDuration>,
    /// KollectSnapshotSinks that inventories may export to, by name. Default: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::words_set")]
    pub snapshot_sink_refs: Vec<String>,
    /// KollectDatabaseSinks that inventories may export to, by name. Default: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::words_set")]
    pub database_sink_refs: Vec<String>,
    /// KollectEventSinks that inventories may export to, by name. Default: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::words_set")]
    pub event_sink_refs: Vec<String>,
    /// Sinks of every kind that inventories may export to, by name, in addition to the three lists above.
    /// Prefer those. Default: any, unless one of the lists above is set.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::words_set")]
    pub sink_refs: Vec<String>,
    /// Whether targets of this namespace may collect the data of Secrets, where their profile has the annotation
    /// `kollect.dev/allow-secret-extraction: "true"`. Every scope must have `Allow`. Default: they may not, unless the
    /// operator runs with `--secret-extraction=any`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_extraction: Option<SecretExtraction>,
}

impl KollectScopeSpec {
    /// The allow-list of one family, without the legacy list for all families.
    pub fn allowed_sinks(&self, family: SinkFamily) -> &[String] {
        match family {
            SinkFamily::Snapshot => &self.snapshot_sink_refs,
            SinkFamily::Database => &self.database_sink_refs,
            SinkFamily::Event => &self.event_sink_refs,
        }
    }
}

/// Whether data of Secrets may be collected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SecretExtraction {
    /// Profiles that opt in may read it.
    Allow,
    /// No profile may, also with `--secret-extraction=any`.
    Deny,
}

/// Status of the scope.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KollectScopeStatus {
    /// `Ready`: whether this scope is enforced.
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

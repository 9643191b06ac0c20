//! KollectClusterScope: the ceiling for what the cluster-scoped kinds may collect and where they may export.

use crate::{GoDuration, GroupVersionKind, KollectScopeStatus, SecretExtraction, SinkFamily, schema};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the cluster-scoped kinds may do.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "kollect.dev",
    version = "v1alpha1",
    kind = "KollectClusterScope",
    plural = "kollectclusterscopes",
    singular = "kollectclusterscope",
    shortname = "kcscope",
    category = "kollect",
    status = "KollectScopeStatus",
    derive = "PartialEq",
    derive = "Default",
    doc = "KollectClusterScope limits what KollectClusterTargets may collect and where KollectClusterInventories may export. Several are enforced together: what one of them forbids is forbidden.",
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.reason"),
    printcolumn(name = "Min Interval", type_ = "string", json_path = ".spec.minExportInterval", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct KollectClusterScopeSpec {
    /// Kinds that may be collected, ignoring case; at most 1024. Default: any.
    #[serde(rename = "allowedGVKs", default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1024), extend("x-kubernetes-list-type" = "atomic"))]
    pub allowed_gvks: Vec<GroupVersionKind>,
    /// Namespaces that may be collected from, at most 4096. Default: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::words_set")]
    pub allowed_namespaces: Vec<String>,
    /// Namespaces that must not be collected from, at most 4096. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::words_set")]
    pub denied_namespaces: Vec<String>,
    /// Namespaces from which cluster kinds may use profiles and sinks, at most 4096. Default: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::words_set")]
    pub allowed_static_ref_namespaces: Vec<String>,
    /// Least time between two exports of a cluster inventory to one sink, e.g. `1m`, at most `24h`. Shorter
    /// intervals are raised to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_export_interval: Option<GoDuration>,
    /// KollectSnapshotSinks that cluster inventories may export to, by name. Default: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::words_set")]
    pub snapshot_sink_refs: Vec<String>,
    /// KollectDatabaseSinks that cluster inventories may export to, by name. Default: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::words_set")]
    pub database_sink_refs: Vec<String>,
    /// KollectEventSinks that cluster inventories may export to, by name. Default: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::words_set")]
    pub event_sink_refs: Vec<String>,
    /// Sinks of every kind that cluster inventories may export to, by name, in addition to the three lists
    /// above. Prefer those. Default: any, unless one of the lists above is set.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::words_set")]
    pub sink_refs: Vec<String>,
    /// Whether cluster targets may collect the data of Secrets, where their profile has the annotation
    /// `kollect.dev/allow-secret-extraction: "true"`. Every scope must have `Allow`. Default: they may not, unless the
    /// operator runs with `--secret-extraction=any`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_extraction: Option<SecretExtraction>,
}

impl KollectClusterScopeSpec {
    /// The allow-list of one family, without the legacy list for all families.
    pub fn allowed_sinks(&self, family: SinkFamily) -> &[String] {
        match family {
            SinkFamily::Snapshot => &self.snapshot_sink_refs,
            SinkFamily::Database => &self.database_sink_refs,
            SinkFamily::Event => &self.event_sink_refs,
        }
    }
}

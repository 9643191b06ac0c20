//! KollectInventory: what a namespace exports, and where to.

use crate::{GoDuration, SinkFamily, SinkRef, schema};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector, Time};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What to export and where to.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "kollect.dev",
    version = "v1alpha1",
    kind = "KollectInventory",
    plural = "kollectinventories",
    singular = "kollectinventory",
    shortname = "kinv",
    category = "kollect",
    namespaced,
    status = "KollectInventoryStatus",
    derive = "PartialEq",
    derive = "Default",
    doc = "KollectInventory keeps its sinks equal to what the KollectTargets of its namespace collect.",
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.reason"),
    printcolumn(name = "Rows", type_ = "integer", json_path = ".status.itemCount"),
    printcolumn(name = "Sinks", type_ = "string", json_path = ".status.sinksSummary"),
    printcolumn(name = "Last Export", type_ = "date", json_path = ".status.lastExportTime"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct KollectInventorySpec {
    /// KollectSnapshotSinks of the same namespace to export to. At most 20 sinks in all three lists together.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20), extend("x-kubernetes-list-type" = "atomic"))]
    pub snapshot_sink_refs: Vec<SinkRef>,
    /// KollectDatabaseSinks of the same namespace to export to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20), extend("x-kubernetes-list-type" = "atomic"))]
    pub database_sink_refs: Vec<SinkRef>,
    /// KollectEventSinks of the same namespace to export to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20), extend("x-kubernetes-list-type" = "atomic"))]
    pub event_sink_refs: Vec<SinkRef>,
    /// KollectTargets of the same namespace to export, by name, at most 4096. Default: all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::words_set")]
    pub target_refs: Vec<String>,
    /// KollectTargets of the same namespace to export, by label; with `targetRefs`, both must hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::label_selector")]
    pub target_selector: Option<LabelSelector>,
    /// Least time between two exports to one sink, e.g. `30s`, at most `24h`; `0s` = no spacing. A
    /// change after a quiet time is exported at once. The value of a sink, or of its entry in the lists
    /// above, goes first. Default: `30s` for snapshot sinks, `1s` for database and event sinks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub export_min_interval: Option<GoDuration>,
    /// Largest document written to a sink, in bytes. Applies to sinks that write whole documents.
    /// Default and upper bound: the operator's `--max-export-bytes` (1572864).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::at_least_one_64")]
    pub max_export_bytes: Option<i64>,
    /// What happens to a document larger than `maxExportBytes`: `Auto` splits it into parts,
    /// `Disabled` refuses it.
    #[serde(default)]
    pub partitioning: Partitioning,
    /// What happens to exported rows and files when the inventory, or one of its sink references, is
    /// removed: `Delete` removes them, `Retain` leaves them.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
    /// Stops exporting. What was exported stays.
    #[serde(default, skip_serializing_if = "crate::is_false")]
    pub suspend: bool,
    /// Accepted for compatibility, without effect: the operator's flags govern the read API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_endpoint: Option<HttpEndpoint>,
}

impl KollectInventorySpec {
    /// The references to sinks of one family.
    pub fn sink_refs(&self, family: SinkFamily) -> &[SinkRef] {
        match family {
            SinkFamily::Snapshot => &self.snapshot_sink_refs,
            SinkFamily::Database => &self.database_sink_refs,
            SinkFamily::Event => &self.event_sink_refs,
        }
    }
}

/// Whether a large document may be split.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Partitioning {
    #[default]
    Auto,
    Disabled,
}

/// What happens to exported data that is no longer wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum DeletionPolicy {
    #[default]
    Delete,
    Retain,
}

/// Read API settings of one inventory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HttpEndpoint {
    /// Without effect. Default: false.
    #[serde(default, skip_serializing_if = "crate::is_false")]
    pub enabled: bool,
    /// Without effect. From 1 to 65535.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::port")]
    pub port: Option<i32>,
}

/// Status of the inventory.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KollectInventoryStatus {
    /// `Ready`, `Synced`, `SinkReachable`, `Degraded` and `ExportShardWarning`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
    /// The spec generation this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Reason of the `Ready` condition, or of `Degraded` when set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Number of rows to export.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item_count: Option<i64>,
    /// Sinks in sync of all sinks, e.g. `2/3`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sinks_summary: Option<String>,
    /// Newest successful export to any sink.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_export_time: Option<Time>,
    /// One entry per sink.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 60), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub sink_exports: Vec<SinkExportStatus>,
}

/// Status of the export to one sink.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SinkExportStatus {
    /// `<family>/<sink name>`, e.g. `snapshot/git`.
    pub name: String,
    /// Namespace of the sink, when it is not the inventory's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Where the sink writes, without credentials, e.g. repository and branch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination: Option<String>,
    /// Newest successful export to this sink.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_export_time: Option<Time>,
    /// Fingerprint of the content of that export, lower-case hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_checksum: Option<String>,
    /// `Synced`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
}

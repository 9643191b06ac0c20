//! KollectClusterInventory: what the cluster exports, and where to.

use crate::{
    DeletionPolicy, GoDuration, NamespacedReference, Partitioning, SinkExportStatus, SinkFamily, SinkRef, schema,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector, Time};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What to export and where to.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "kollect.dev",
    version = "v1alpha1",
    kind = "KollectClusterInventory",
    plural = "kollectclusterinventories",
    singular = "kollectclusterinventory",
    shortname = "kcinv",
    category = "kollect",
    status = "KollectClusterInventoryStatus",
    derive = "PartialEq",
    derive = "Default",
    doc = "KollectClusterInventory keeps its sinks equal to what KollectClusterTargets collect in a set of namespaces.",
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.reason"),
    printcolumn(name = "Rows", type_ = "integer", json_path = ".status.itemCount"),
    printcolumn(name = "Targets", type_ = "integer", json_path = ".status.targetCount"),
    printcolumn(name = "Sinks", type_ = "string", json_path = ".status.sinksSummary"),
    printcolumn(name = "Last Export", type_ = "date", json_path = ".status.lastExportTime"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = schema::rules::cluster_inventory()))]
pub struct KollectClusterInventorySpec {
    /// Accepted for compatibility, without effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile_ref: Option<NamespacedReference>,
    /// KollectClusterTargets to export, by name, at most 4096. Default: those of `targetSelector`, else all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::names")]
    pub target_refs: Vec<String>,
    /// KollectClusterTargets to export, by label. Ignored when `targetRefs` is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::label_selector")]
    pub target_selector: Option<LabelSelector>,
    /// Namespaces whose rows are exported, by label. This or `namespaces` is needed; with both, a namespace
    /// must be in both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::label_selector")]
    pub namespace_selector: Option<LabelSelector>,
    /// Namespaces whose rows are exported, by name, at most 4096, e.g. `team-a`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::namespaces")]
    pub namespaces: Vec<String>,
    /// KollectSnapshotSinks to export to. At most 20 sinks in all three lists together.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20), extend("x-kubernetes-list-type" = "atomic"))]
    pub snapshot_sink_refs: Vec<SinkRef>,
    /// KollectDatabaseSinks to export to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20), extend("x-kubernetes-list-type" = "atomic"))]
    pub database_sink_refs: Vec<SinkRef>,
    /// KollectEventSinks to export to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20), extend("x-kubernetes-list-type" = "atomic"))]
    pub event_sink_refs: Vec<SinkRef>,
    /// Namespace of the sinks whose reference names none. Default: `kollect-system`.
    #[serde(default = "sink_namespace")]
    #[schemars(schema_with = "schema::dns_label")]
    pub sink_namespace: String,
    /// Least time between two exports to one sink, e.g. `30s`, at most `24h`; `0s` = no spacing. A
    /// change after a quiet time is exported at once. The value of a sink, or of its entry in the lists
    /// above, goes first. Default: `30s` for snapshot sinks, `1s` for database and event sinks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub export_min_interval: Option<GoDuration>,
    /// `keepAll` exports one row per target and object; `byResourceUID` one row per object, that of the last
    /// target in order of names.
    #[serde(default)]
    pub dedupe: Dedupe,
    /// What happens to a document larger than `maxExportBytes` of its sink reference: `Auto` splits it into
    /// parts, `Disabled` refuses it.
    #[serde(default)]
    pub partitioning: Partitioning,
    /// What happens to exported rows and files when the inventory, or one of its sink references, is
    /// removed: `Delete` removes them, `Retain` leaves them.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
    /// Stops exporting. What was exported stays.
    #[serde(default, skip_serializing_if = "crate::is_false")]
    pub suspend: bool,
}

fn sink_namespace() -> String {
    "kollect-system".to_owned()
}

impl Default for KollectClusterInventorySpec {
    fn default() -> Self {
        Self {
            profile_ref: None,
            target_refs: Vec::new(),
            target_selector: None,
            namespace_selector: None,
            namespaces: Vec::new(),
            snapshot_sink_refs: Vec::new(),
            database_sink_refs: Vec::new(),
            event_sink_refs: Vec::new(),
            sink_namespace: sink_namespace(),
            export_min_interval: None,
            dedupe: Dedupe::default(),
            partitioning: Partitioning::default(),
            deletion_policy: DeletionPolicy::default(),
            suspend: false,
        }
    }
}

impl KollectClusterInventorySpec {
    /// The references to sinks of one family.
    pub fn sink_refs(&self, family: SinkFamily) -> &[SinkRef] {
        match family {
            SinkFamily::Snapshot => &self.snapshot_sink_refs,
            SinkFamily::Database => &self.database_sink_refs,
            SinkFamily::Event => &self.event_sink_refs,
        }
    }

    /// The namespace in which a referenced sink lives.
    pub fn namespace_of<'a>(&'a self, reference: &'a SinkRef) -> &'a str {
        let own = reference.namespace.as_deref().filter(|namespace| !namespace.trim().is_empty());
        own.unwrap_or(&self.sink_namespace)
    }
}

/// How rows of one object from several targets are merged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Dedupe {
    #[default]
    #[serde(rename = "keepAll")]
    KeepAll,
    #[serde(rename = "byResourceUID")]
    ByResourceUid,
}

/// Status of the cluster inventory.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KollectClusterInventoryStatus {
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
    /// Number of cluster targets that are exported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_count: Option<i64>,
    /// Number of namespaces with rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_shard_count: Option<i64>,
    /// The namespaces with rows, by name; at most 1000 are listed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1000), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["namespace"]))]
    pub namespace_shards: Vec<NamespaceShard>,
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

/// The rows of one namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NamespaceShard {
    /// The namespace.
    pub namespace: String,
    /// Number of rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item_count: Option<i64>,
    /// Number of cluster targets with rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_count: Option<i64>,
    /// Fingerprint of the rows, lower-case hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksum: Option<String>,
}

//! KollectConnectionTest: one recorded attempt to reach a sink.

use crate::schema;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The sink to reach.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "kollect.dev",
    version = "v1alpha1",
    kind = "KollectConnectionTest",
    plural = "kollectconnectiontests",
    singular = "kollectconnectiontest",
    shortname = "kconntest",
    category = "kollect",
    namespaced,
    status = "KollectConnectionTestStatus",
    derive = "PartialEq",
    derive = "Default",
    doc = "KollectConnectionTest tries once to reach a sink of its namespace, records the outcome and deletes itself some time later.",
    printcolumn(name = "Sink", type_ = "string", json_path = ".spec.sinkRef"),
    printcolumn(
        name = "Verified",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"ConnectionVerified\")].status"
    ),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.reason"),
    printcolumn(name = "Latency", type_ = "integer", json_path = ".status.latencyMs", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct KollectConnectionTestSpec {
    /// The sink, by exactly one of the three fields.
    pub sink_ref: ConnectionTestSinkRef,
    /// Accepted for compatibility, without effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::name")]
    pub profile_ref: Option<String>,
    /// Makes the sink the owner of this object, so that it goes with the sink. Default: true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner_sink: Option<bool>,
    /// Seconds after the end of the test until this object deletes itself; 0 = at once. Default: 300.
    #[serde(default = "five_minutes")]
    #[schemars(schema_with = "schema::seconds")]
    pub ttl_seconds_after_finished: i32,
}

const fn five_minutes() -> i32 {
    300
}

impl Default for KollectConnectionTestSpec {
    fn default() -> Self {
        Self {
            sink_ref: ConnectionTestSinkRef::default(),
            profile_ref: None,
            owner_sink: None,
            ttl_seconds_after_finished: five_minutes(),
        }
    }
}

/// The sink to test.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = schema::rules::one_sink()))]
pub struct ConnectionTestSinkRef {
    /// Name of a KollectSnapshotSink of the same namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::member_name")]
    pub snapshot_sink_ref: Option<String>,
    /// Name of a KollectDatabaseSink of the same namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::member_name")]
    pub database_sink_ref: Option<String>,
    /// Name of a KollectEventSink of the same namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::member_name")]
    pub event_sink_ref: Option<String>,
}

/// Status of the test.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KollectConnectionTestStatus {
    /// `ConnectionVerified` and `Ready`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
    /// The spec generation that was tested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Reason of the `Ready` condition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How long the attempt took, in milliseconds. Absent: it did not start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<i64>,
    /// Whether the test ended, with or without success.
    #[serde(default, skip_serializing_if = "crate::is_false")]
    pub completed: bool,
    /// When it ended; the time to live counts from here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<Time>,
}

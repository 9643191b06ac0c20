//! KollectEventSink: destinations that receive each change.

use crate::{FamilySinkStatus, SecretReference, SinkCommon, schema};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A message broker to export to.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "kollect.dev",
    version = "v1alpha1",
    kind = "KollectEventSink",
    plural = "kollecteventsinks",
    singular = "kollecteventsink",
    shortname = "kevt",
    category = "kollect",
    namespaced,
    status = "FamilySinkStatus",
    derive = "PartialEq",
    derive = "Default",
    doc = "KollectEventSink is a message broker that KollectInventories of its namespace publish changes to.",
    printcolumn(name = "Type", type_ = "string", json_path = ".spec.type"),
    printcolumn(name = "Events", type_ = "string", json_path = ".spec.events"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.reason"),
    printcolumn(name = "Cluster", type_ = "string", json_path = ".spec.cluster", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = schema::rules::event_sink()))]
pub struct KollectEventSinkSpec {
    /// The backend. The block of the same name must be set, the other must not.
    #[serde(rename = "type")]
    pub type_: EventSinkType,
    /// What is published: `Changes` (default) sends one CloudEvent per changed row and a tombstone for each
    /// deleted one; `Snapshot` sends the whole inventory as one message per export.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events: Option<EventContent>,
    #[serde(flatten)]
    pub common: SinkCommon,
    /// Settings of `type: nats`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nats: Option<NatsSettings>,
    /// Settings of `type: kafka`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kafka: Option<KafkaSettings>,
}

/// A message broker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum EventSinkType {
    #[default]
    Nats,
    Kafka,
}

impl EventSinkType {
    /// The word used in specs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Nats => "nats",
            Self::Kafka => "kafka",
        }
    }
}

/// What is published.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum EventContent {
    #[default]
    Changes,
    Snapshot,
}

/// Settings of NATS JetStream.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NatsSettings {
    /// URL of the server, e.g. `nats://nats.example:4222`. Default: `spec.endpoint`; one of the two is needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Subject to publish to, e.g. `kollect.inventory`.
    #[schemars(schema_with = "schema::word")]
    pub subject: String,
    /// JetStream stream that holds the subject; dots become `_`. Default: `kollect_events`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<String>,
    /// Secret with `token`, or `username` and `password`. Default: `spec.secretRef`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretReference>,
}

/// Settings of Apache Kafka.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KafkaSettings {
    /// Addresses to start from, e.g. `kafka-0.example:9092`. At least one is needed.
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub brokers: Vec<String>,
    /// Topic to publish to; it must exist.
    #[schemars(schema_with = "schema::word")]
    pub topic: String,
    /// Secret with `username` and `password` (or `token`) for SASL. Default: `spec.secretRef`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretReference>,
}

//! References from one object to another.

use crate::{GoDuration, schema};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use std::borrow::Cow;
use std::fmt;

/// A Secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretReference {
    /// Name of the Secret, at most 253 characters.
    #[schemars(schema_with = "schema::word")]
    pub name: String,
    /// Namespace of the Secret. Default: the namespace of the object that holds this reference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// A reference to an object by name and namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = schema::rules::namespaced_reference()))]
pub struct NamespacedReference {
    /// Name of the object, e.g. `deployments`.
    #[schemars(schema_with = "schema::dns_subdomain")]
    pub name: String,
    /// Namespace of the object, e.g. `team-a`. Required.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::dns_label")]
    pub namespace: Option<String>,
}

/// The three kinds of sinks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SinkFamily {
    /// `KollectSnapshotSink`
    Snapshot,
    /// `KollectDatabaseSink`
    Database,
    /// `KollectEventSink`
    Event,
}

impl SinkFamily {
    /// All families, in the order in which statuses list them.
    pub const ALL: [Self; 3] = [Self::Snapshot, Self::Database, Self::Event];

    /// `snapshot`, `database` or `event`, as in `status.sinkExports[].name`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Snapshot => "snapshot",
            Self::Database => "database",
            Self::Event => "event",
        }
    }

    /// The kind that belongs to the family.
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Snapshot => "KollectSnapshotSink",
            Self::Database => "KollectDatabaseSink",
            Self::Event => "KollectEventSink",
        }
    }

    /// The field of an inventory and of a scope that names sinks of the family.
    pub const fn refs_field(self) -> &'static str {
        match self {
            Self::Snapshot => "snapshotSinkRefs",
            Self::Database => "databaseSinkRefs",
            Self::Event => "eventSinkRefs",
        }
    }
}

impl fmt::Display for SinkFamily {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A sink an inventory exports to, written as its bare name or as an object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SinkRef {
    /// Name of the sink. Empty when the entry is neither a string nor an object with a name.
    pub name: String,
    /// Namespace of the sink; cluster inventories only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Least time between two exports to this sink.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub export_min_interval: Option<GoDuration>,
    /// Largest document written to this sink, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_export_bytes: Option<i64>,
}

impl SinkRef {
    /// A reference by name.
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }
}

/// Not blank and without a `/`: entries have no type, so no rule can see them.
const NAME_PATTERN: &str = "^[^/]*[^/[:space:]][^/]*$";

/// The object form. The schema types its fields, so only the entry itself can be of another type.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ObjectForm {
    name: Option<String>,
    namespace: Option<String>,
    export_min_interval: Option<GoDuration>,
    max_export_bytes: Option<i64>,
}

impl<'de> Deserialize<'de> for SinkRef {
    /// An entry of another type becomes a reference without a name: a violation of that inventory alone, while the
    /// list of inventories still decodes.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match Value::deserialize(deserializer)? {
            Value::String(name) => Self::named(name),
            object @ Value::Object(_) => {
                let form: ObjectForm = serde_json::from_value(object).unwrap_or_default();
                Self {
                    name: form.name.unwrap_or_default(),
                    namespace: form.namespace,
                    export_min_interval: form.export_min_interval,
                    max_export_bytes: form.max_export_bytes,
                }
            }
            _ => Self::default(),
        })
    }
}

impl JsonSchema for SinkRef {
    fn schema_name() -> Cow<'static, str> {
        "SinkRef".into()
    }

    fn inline_schema() -> bool {
        true
    }

    /// No `type`: the entry may be a string or an object, which structural schemas allow only with
    /// `x-kubernetes-preserve-unknown-fields`.
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A sink: its name as a plain string, or an object with `name` and settings for this inventory alone.",
            "x-kubernetes-preserve-unknown-fields": true,
            // These three bind the string form only.
            "minLength": 1,
            "maxLength": schema::MAX_NAME,
            "pattern": NAME_PATTERN,
            "required": ["name"],
            "properties": {
                "name": {
                    "type": "string",
                    "minLength": 1,
                    "maxLength": schema::MAX_NAME,
                    "pattern": NAME_PATTERN,
                    "description": "Name of the sink. Required."
                },
                "namespace": {
                    "type": "string",
                    "maxLength": schema::MAX_NAME,
                    "description": "Namespace of the sink. Only for cluster inventories; a namespaced inventory uses sinks of its own namespace."
                },
                "exportMinInterval": {
                    "type": "string",
                    "maxLength": 64,
                    "pattern": schema::DURATION_PATTERN,
                    "description": "Least time between two exports to this sink, e.g. `30s`. Takes precedence over the interval of the sink and of the inventory. `0s` = no spacing; at most `24h`."
                },
                "maxExportBytes": {
                    "type": "integer",
                    "format": "int64",
                    "minimum": 1,
                    "description": "Largest document written to this sink, in bytes. Takes precedence over the value of the inventory."
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn strings_and_objects_mix_and_are_written_as_objects() {
        let refs: Vec<SinkRef> =
            serde_json::from_value(json!(["git", {"name": "pg", "exportMinInterval": "5s"}, 7, {"no": 1}])).unwrap();
        assert_eq!(refs[0], SinkRef::named("git"));
        assert_eq!(refs[1].export_min_interval, Some(GoDuration::new("5s")));
        assert_eq!((refs[2].name.as_str(), refs[3].name.as_str()), ("", ""));
        assert_eq!(
            serde_json::to_value(&refs[..2]).unwrap(),
            json!([{"name": "git"}, {"name": "pg", "exportMinInterval": "5s"}])
        );
    }
}

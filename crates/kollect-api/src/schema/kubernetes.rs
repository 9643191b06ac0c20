//! Hand-written schemas of Kubernetes types whose own schema lacks the list and map markers.

use schemars::{Schema, SchemaGenerator, json_schema};

/// `matchExpressions` entries.
fn requirement() -> Schema {
    json_schema!({
        "type": "object",
        "required": ["key", "operator"],
        "properties": {
            "key": {"type": "string", "description": "Label key."},
            "operator": {"type": "string", "enum": ["In", "NotIn", "Exists", "DoesNotExist"], "description": "`In`, `NotIn`, `Exists` or `DoesNotExist`."},
            "values": {
                "type": "array",
                "items": {"type": "string"},
                "x-kubernetes-list-type": "atomic",
                "description": "Label values. Not empty for `In` and `NotIn`, empty for `Exists` and `DoesNotExist`."
            }
        }
    })
}

/// A list of label selector requirements.
pub(crate) fn requirements(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "array", "items": requirement()})
}

/// Base64-encoded bytes.
pub(crate) fn bytes(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "format": "byte", "nullable": true})
}

/// A standard label selector.
pub(crate) fn label_selector(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "nullable": true,
        "x-kubernetes-map-type": "atomic",
        "properties": {
            "matchLabels": {
                "type": "object",
                "additionalProperties": {"type": "string"},
                "description": "Labels that must all be present with these values."
            },
            "matchExpressions": {
                "type": "array",
                "items": requirement(),
                "x-kubernetes-list-type": "atomic",
                "description": "Requirements that must all hold."
            }
        }
    })
}

/// Standard conditions, one per type.
pub(crate) fn conditions(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
        "items": {
            "type": "object",
            "required": ["lastTransitionTime", "message", "reason", "status", "type"],
            "properties": {
                "type": {"type": "string", "maxLength": 316, "description": "What is judged, e.g. `Ready`."},
                "status": {"type": "string", "enum": ["True", "False", "Unknown"], "description": "The verdict."},
                "reason": {"type": "string", "minLength": 1, "maxLength": 1024, "description": "Why, as one CamelCase word."},
                "message": {"type": "string", "maxLength": 32768, "description": "Why, as a sentence."},
                "lastTransitionTime": {"type": "string", "format": "date-time", "description": "When the status last changed."},
                "observedGeneration": {"type": "integer", "format": "int64", "minimum": 0, "description": "The spec generation that was judged."}
            }
        }
    })
}

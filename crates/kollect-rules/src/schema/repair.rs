//! The nearest object that fits the schema, so that the rules of a kind can check the rest of a broken one.

use super::node::SchemaNode;
use serde_json::{Map, Value, json};

/// Most characters of a text where the schema has no limit.
const MAX_TEXT: usize = 256 << 10;

/// A copy that fits: without unknown and mistyped members, and with empty required ones.
pub(crate) fn repaired(node: &SchemaNode, value: &Value) -> Value {
    match value {
        Value::Object(fields) if matches!(node.type_.as_deref(), Some("object") | None) => object(node, fields),
        Value::Array(items) if node.type_.as_deref() == Some("array") => {
            let Some(item) = &node.items else { return value.clone() };
            items.iter().map(|value| if fits(item, value) { repaired(item, value) } else { empty(item) }).collect()
        }
        Value::String(text) if too_long(node, text).is_some() => empty(node),
        _ if fits(node, value) => value.clone(),
        _ => empty(node),
    }
}

fn object(node: &SchemaNode, fields: &Map<String, Value>) -> Value {
    let mut copy = Map::new();
    for (name, value) in fields {
        let known = node.properties.get(name).or(node.additional.as_deref());
        if let Some(known) = known
            && fits(known, value)
        {
            copy.insert(name.clone(), repaired(known, value));
        }
    }
    for name in &node.required {
        if let Some(known) = node.properties.get(name)
            && !copy.contains_key(name)
        {
            copy.insert(name.clone(), empty(known));
        }
    }
    Value::Object(copy)
}

/// Whether the value itself, without what is below it, can be decoded.
pub(super) fn fits(node: &SchemaNode, value: &Value) -> bool {
    let typed = match node.type_.as_deref() {
        None => !value.is_null(),
        Some("string") => value.is_string(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("number") => value.is_number(),
        Some("boolean") => value.is_boolean(),
        Some("array") => value.is_array(),
        Some("object") => value.is_object(),
        Some(_) => true,
    };
    let listed = node.values.is_empty() || value.as_str().is_none_or(|text| node.values.iter().any(|v| v == text));
    typed && listed
}

/// The limit that a text is longer than.
pub(super) fn too_long(node: &SchemaNode, text: &str) -> Option<usize> {
    let most = node.max_length.unwrap_or(if node.format_bytes { usize::MAX } else { MAX_TEXT });
    (text.len() > most && text.chars().count() > most).then_some(most)
}

fn empty(node: &SchemaNode) -> Value {
    match node.type_.as_deref() {
        Some("integer" | "number") => json!(0),
        Some("boolean") => json!(false),
        Some("array") => json!([]),
        Some("object") => object(node, &Map::new()),
        None => json!({"name": ""}),
        _ => json!(node.values.first().map_or("", String::as_str)),
    }
}

//! A schema of a CRD, decoded for checking.

use regex::Regex;
use serde_json::Value;
use std::collections::BTreeMap;

/// One node of a schema, with its patterns compiled.
#[derive(Debug, Default)]
pub(crate) struct SchemaNode {
    pub(super) type_: Option<String>,
    pub(super) properties: BTreeMap<String, SchemaNode>,
    pub(super) required: Vec<String>,
    pub(super) additional: Option<Box<SchemaNode>>,
    pub(super) items: Option<Box<SchemaNode>>,
    pub(super) values: Vec<String>,
    pub(super) open: bool,
    pub(super) format_bytes: bool,
    pub(super) minimum: Option<f64>,
    pub(super) maximum: Option<f64>,
    pub(super) max_items: Option<usize>,
    pub(super) min_items: Option<usize>,
    pub(super) max_properties: Option<usize>,
    pub(super) max_length: Option<usize>,
    pub(super) min_length: Option<usize>,
    pub(super) pattern: Option<(String, Regex)>,
    pub(super) is_set: bool,
    pub(super) map_key: Option<String>,
}

fn count(schema: &Value, key: &str) -> Option<usize> {
    schema[key].as_u64().and_then(|n| usize::try_from(n).ok())
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

impl SchemaNode {
    pub(super) fn new(schema: &Value) -> Self {
        let child = |key: &str| schema[key].is_object().then(|| Box::new(Self::new(&schema[key])));
        let properties = schema["properties"].as_object().into_iter().flatten();
        Self {
            type_: schema["type"].as_str().map(str::to_owned),
            properties: properties.map(|(name, schema)| (name.clone(), Self::new(schema))).collect(),
            required: texts(&schema["required"]),
            additional: child("additionalProperties"),
            items: child("items"),
            values: texts(&schema["enum"]),
            open: schema["x-kubernetes-preserve-unknown-fields"] == true || schema["additionalProperties"] == true,
            format_bytes: schema["format"] == "byte",
            minimum: schema["minimum"].as_f64(),
            maximum: schema["maximum"].as_f64(),
            max_items: count(schema, "maxItems"),
            min_items: count(schema, "minItems"),
            max_properties: count(schema, "maxProperties"),
            max_length: count(schema, "maxLength"),
            min_length: count(schema, "minLength"),
            pattern: schema["pattern"].as_str().and_then(|text| Some((text.to_owned(), Regex::new(text).ok()?))),
            is_set: schema["x-kubernetes-list-type"] == "set",
            map_key: schema["x-kubernetes-list-map-keys"][0].as_str().map(str::to_owned),
        }
    }
}

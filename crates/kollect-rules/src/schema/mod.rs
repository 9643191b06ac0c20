//! The shape of objects: types, required and unknown fields, enums, bounds, as the installed CRDs say it.
//!
//! Separate because it is not written by hand: the schemas of the CRDs are read, so that what is checked offline is
//! what an API server checks. Their CEL rules are not evaluated; the rules of the kinds cover the same ground.

mod repair;
mod walk;

pub(crate) use repair::repaired;

use crate::doc::{Layer, RuleDoc};
use crate::violation::Violation;
use regex::Regex;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{LazyLock, OnceLock};

pub(crate) static SCHEMA: RuleDoc = RuleDoc {
    id: "schema",
    kind: "all",
    layer: Layer::CrdAndWebhook,
    refused_when: "a field is unknown, missing, of another type, not one of its values or outside of its bounds; a list repeats a key; metadata is malformed; the object is nested too deeply or holds a text of more than 256 KiB",
    message: "does not fit the schema",
};

pub(crate) static RULES: &[&RuleDoc] = &[&SCHEMA];

/// Deepest nesting of an object; the schemas need a third of it.
const MAX_DEPTH: usize = 64;
/// Longest text where the schema names no limit.
const MAX_TEXT: usize = 256 << 10;

/// A finding of the schema.
#[derive(Debug)]
pub(crate) struct Misfit {
    pub(crate) violation: Violation,
    /// The value still has the right type, so that the rules of the kind can judge it as well.
    pub(crate) soft: bool,
}

/// One node of a schema, ready to be asked.
#[derive(Debug, Default)]
pub(crate) struct Node {
    pub(crate) type_: Option<String>,
    pub(crate) properties: BTreeMap<String, Node>,
    pub(crate) required: Vec<String>,
    pub(crate) additional: Option<Box<Node>>,
    pub(crate) items: Option<Box<Node>>,
    pub(crate) values: Vec<String>,
    pub(crate) open: bool,
    format_bytes: bool,
    minimum: Option<f64>,
    maximum: Option<f64>,
    max_items: Option<usize>,
    min_items: Option<usize>,
    max_properties: Option<usize>,
    max_length: Option<usize>,
    min_length: Option<usize>,
    pattern: Option<(String, Regex)>,
    is_set: bool,
    map_key: Option<String>,
}

fn count(schema: &Value, key: &str) -> Option<usize> {
    schema[key].as_u64().and_then(|n| usize::try_from(n).ok())
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

impl Node {
    fn new(schema: &Value) -> Self {
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

/// A kind and its schema, once that was asked for.
type Spec = (&'static str, OnceLock<Option<Node>>);

/// Made kind by kind, because most programs meet few of them and each takes a while.
static SPECS: LazyLock<Vec<Spec>> =
    LazyLock::new(|| kollect_api::kinds().map(|kind| (kind, OnceLock::new())).collect());

/// The schema of the spec of a kind.
pub(crate) fn spec_of(kind: &str) -> Option<&'static Node> {
    let (_, spec) = SPECS.iter().find(|(name, _)| *name == kind)?;
    spec.get_or_init(|| {
        let schema = kollect_api::crd_of(kind)?.spec.versions.into_iter().next()?.schema?.open_api_v3_schema?;
        let schema = serde_json::to_value(schema).ok()?;
        Some(Node::new(&schema["properties"]["spec"]))
    })
    .as_ref()
}

/// Everything that does not fit; `None` when the object is so odd that nothing more can be said about it.
pub(crate) fn check(object: &Value, spec: &Node, misfits: &mut Vec<Misfit>) -> bool {
    if is_deep(object) {
        let why = format!("the object is nested more than {MAX_DEPTH} levels deep");
        walk::hard(misfits, "", "", why);
        return false;
    }
    walk::top(object, misfits);
    match &object["spec"] {
        Value::Null => {
            walk::hard(misfits, "spec", "", "Required value: the object has no spec".to_owned());
            false
        }
        value @ Value::Object(_) => {
            walk::walk(spec, value, "spec", &mut vec![], misfits);
            true
        }
        other => {
            walk::hard(misfits, "spec", "", format!("must be of type object, not {}", walk::kind_of(other)));
            false
        }
    }
}

/// Without recursion, because the depth is the question.
fn is_deep(object: &Value) -> bool {
    let mut open = vec![(object, 1)];
    while let Some((value, depth)) = open.pop() {
        if depth > MAX_DEPTH {
            return true;
        }
        match value {
            Value::Array(items) => open.extend(items.iter().map(|item| (item, depth + 1))),
            Value::Object(fields) => open.extend(fields.values().map(|field| (field, depth + 1))),
            _ => {}
        }
    }
    false
}

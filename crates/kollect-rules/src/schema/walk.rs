//! Compares a value with its schema; every misfit has a path.

use super::misfit::{Misfit, SCHEMA};
use super::node::SchemaNode;
use super::repair::{fits, too_long};
use crate::names::{is_dns_subdomain, nearest};
use crate::violation::{TWICE, Violation, shown};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// The members that an object may have.
const TOP: [&str; 5] = ["apiVersion", "kind", "metadata", "spec", "status"];

fn push(misfits: &mut Vec<Misfit>, field: &str, value: &str, message: String, soft: bool) {
    let (field, value) = (field.to_owned(), shown(value));
    misfits.push(Misfit { violation: Violation { rule: SCHEMA.id, field, value, message }, soft });
}

pub(super) fn hard(misfits: &mut Vec<Misfit>, field: &str, value: &str, message: String) {
    push(misfits, field, value, message, false);
}

fn soft(misfits: &mut Vec<Misfit>, field: &str, value: &str, message: String) {
    push(misfits, field, value, message, true);
}

/// The word for the type of a value.
pub(super) fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// Checks the members beside the spec.
pub(super) fn top(object: &Value, misfits: &mut Vec<Misfit>) {
    for name in object.as_object().into_iter().flat_map(Map::keys).filter(|name| !TOP.contains(&name.as_str())) {
        unknown(name, "", nearest(name, TOP.into_iter()).map(str::to_owned), misfits);
    }
    let metadata = &object["metadata"];
    let name = metadata["name"].as_str().unwrap_or_default();
    if name.is_empty() && metadata["generateName"].as_str().unwrap_or_default().is_empty() {
        hard(misfits, "metadata.name", "", "Required value: the object needs a name".to_owned());
    } else if !name.is_empty() && !is_dns_subdomain(name) {
        let why =
            "must consist of lower-case letters, digits, \"-\" and \".\", and begin and end with a letter or digit";
        hard(misfits, "metadata.name", name, why.to_owned());
    }
    for map in ["annotations", "labels"] {
        for (key, value) in metadata[map].as_object().into_iter().flatten() {
            if !value.is_string() {
                let why = format!("must be of type string, not {}; write it in quotes", kind_of(value));
                hard(misfits, &format!("metadata.{map}[{}]", shown(key)), "", why);
            }
        }
    }
}

fn unknown(name: &str, path: &str, meant: Option<String>, misfits: &mut Vec<Misfit>) {
    let name = shown(name);
    let field = if path.is_empty() { name } else { format!("{path}.{name}") };
    let hint = meant.map_or_else(|| "remove it".to_owned(), |meant| format!("did you mean {meant}?"));
    hard(misfits, &field, "", format!("unknown field \"{field}\"; {hint}"));
}

/// `outer`: the nodes above with their paths, for members that were put one level too deep.
pub(super) fn walk<'n>(
    node: &'n SchemaNode,
    value: &Value,
    path: &str,
    outer: &mut Vec<(&'n SchemaNode, String)>,
    misfits: &mut Vec<Misfit>,
) {
    if !fits(node, value) {
        return mistyped(node, value, path, misfits);
    }
    match value {
        Value::Object(fields) => object(node, fields, path, outer, misfits),
        Value::Array(items) => array(node, items, path, outer, misfits),
        Value::String(text) => string(node, text, path, misfits),
        Value::Number(number) => {
            let (number, text) = (number.as_f64().unwrap_or_default(), number.to_string());
            if let Some(least) = node.minimum.filter(|least| number < *least) {
                soft(misfits, path, &text, format!("should be greater than or equal to {least}"));
            }
            if let Some(most) = node.maximum.filter(|most| number > *most) {
                soft(misfits, path, &text, format!("should be less than or equal to {most}"));
            }
        }
        _ => {}
    }
}

fn mistyped(node: &SchemaNode, value: &Value, path: &str, misfits: &mut Vec<Misfit>) {
    if let (Value::String(text), false) = (value, node.values.is_empty()) {
        let known: Vec<String> = node.values.iter().map(|value| format!("\"{value}\"")).collect();
        let hint = nearest(text, node.values.iter().map(String::as_str));
        let hint = hint.map(|meant| format!("; did you mean \"{meant}\"?")).unwrap_or_default();
        let why = format!("Unsupported value: supported values: {}{hint}", known.join(", "));
        return hard(misfits, path, text, why);
    }
    let wanted = node.type_.as_deref().unwrap_or("string or object");
    hard(misfits, path, "", format!("must be of type {wanted}, not {}", kind_of(value)));
}

fn object<'n>(
    node: &'n SchemaNode,
    fields: &Map<String, Value>,
    path: &str,
    outer: &mut Vec<(&'n SchemaNode, String)>,
    misfits: &mut Vec<Misfit>,
) {
    // Null counts as absent, as in an API server.
    let present = |name: &String| fields.get(name).is_some_and(|value| !value.is_null());
    for name in node.required.iter().filter(|name| !present(name)) {
        hard(misfits, &format!("{path}.{name}"), "", "Required value: it is required; add it".to_owned());
    }
    if let Some(most) = node.max_properties.filter(|most| fields.len() > *most) {
        soft(misfits, path, "", format!("Too many: must have at most {most} items"));
    }
    outer.push((node, path.to_owned()));
    for (name, value) in fields {
        if let Some(known) = node.properties.get(name) {
            if !value.is_null() {
                walk(known, value, &format!("{path}.{name}"), outer, misfits);
            }
        } else if let Some(known) = &node.additional {
            walk(known, value, &format!("{path}[{}]", shown(name)), outer, misfits);
        } else if !node.open {
            unknown(name, path, meant(node, name, path, outer), misfits);
        }
    }
    outer.pop();
}

/// A similar name here, or the same name further up.
fn meant(node: &SchemaNode, name: &str, path: &str, outer: &[(&SchemaNode, String)]) -> Option<String> {
    let here = nearest(name, node.properties.keys().map(String::as_str)).map(|near| format!("{path}.{near}"));
    let above = || {
        let holder = outer.iter().rev().find(|(node, _)| node.properties.contains_key(name));
        holder.map(|(_, path)| format!("{path}.{name}"))
    };
    here.or_else(above)
}

fn array<'n>(
    node: &'n SchemaNode,
    items: &[Value],
    path: &str,
    outer: &mut Vec<(&'n SchemaNode, String)>,
    misfits: &mut Vec<Misfit>,
) {
    if let Some(most) = node.max_items.filter(|most| items.len() > *most) {
        soft(misfits, path, "", format!("Too many: {}: must have at most {most} items", items.len()));
    }
    if let Some(least) = node.min_items.filter(|least| items.len() < *least) {
        soft(misfits, path, "", format!("must have at least {least} items"));
    }
    let mut seen = BTreeSet::new();
    for (i, item) in items.iter().enumerate() {
        let at = format!("{path}[{i}]");
        if node.is_set && !seen.insert(item.to_string()) {
            soft(misfits, &at, item.as_str().unwrap_or_default(), format!("Duplicate value: {TWICE}"));
        }
        if let Some(key) = &node.map_key
            && let Some(text) = item[key].as_str()
            && !seen.insert(text.to_owned())
        {
            soft(misfits, &format!("{at}.{key}"), text, format!("Duplicate value: {TWICE}"));
        }
        if let Some(of) = &node.items {
            walk(of, item, &at, outer, misfits);
        }
    }
}

fn string(node: &SchemaNode, text: &str, path: &str, misfits: &mut Vec<Misfit>) {
    if let Some(most) = too_long(node, text) {
        return hard(misfits, path, text, format!("Too long: may not be more than {most} characters"));
    }
    if let Some(least) = node.min_length.filter(|least| text.chars().count() < *least) {
        return soft(misfits, path, text, format!("should be at least {least} chars long: must not be empty"));
    }
    if let Some((pattern, _)) = node.pattern.as_ref().filter(|(_, compiled)| !compiled.is_match(text)) {
        soft(misfits, path, text, format!("should match '{pattern}'"));
    }
}

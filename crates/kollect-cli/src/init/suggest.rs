//! Suggests attributes of a profile from one object. Pure.
//!
//! Only paths are suggested, never values. The data of Secrets is suggested only with the user's consent.

use kollect_api::Attribute;
use serde_json::Value;
use std::collections::BTreeSet;

/// Most suggestions for one kind.
pub(super) const MOST: usize = 40;
/// Fields deeper than this are details.
const DEEPEST: usize = 6;

/// The default attributes.
pub(super) fn defaults(namespaced: bool) -> Vec<Attribute> {
    let mut found = vec![
        attribute("name", "$.metadata.name", false),
        attribute("creationTimestamp", "$.metadata.creationTimestamp", false),
        attribute("labels", "$.metadata.labels", true),
    ];
    if namespaced {
        found.push(attribute("namespace", "$.metadata.namespace", false));
    }
    found
}

fn attribute(name: &str, path: &str, optional: bool) -> Attribute {
    Attribute { name: name.to_owned(), path: path.to_owned(), type_: None, optional }
}

/// Paths of an object's values, the defaults first: images of containers, then single values of spec and status.
pub(super) fn suggestions(object: &Value, namespaced: bool, secret_data: bool) -> Vec<Attribute> {
    let mut found = defaults(namespaced);
    let mut taken: BTreeSet<String> = found.iter().map(|attribute| attribute.name.clone()).collect();
    let mut leaves = Vec::new();
    images(object, &mut Vec::new(), &mut leaves);
    for section in ["spec", "status"] {
        walk(&object[section], &mut vec![section.to_owned()], &mut leaves);
    }
    let is_secret = object["kind"] == "Secret" && object["apiVersion"] == "v1";
    others(object, !is_secret || secret_data, &mut leaves);
    for (steps, path) in leaves {
        if found.len() == MOST {
            break;
        }
        if let Some(name) = name_of(&steps, &taken) {
            taken.insert(name.clone());
            found.push(Attribute { name, path, type_: None, optional: true });
        }
    }
    found
}

/// Kinds without a spec keep their values at the top: type, immutable, roleRef …
fn others(object: &Value, data: bool, leaves: &mut Vec<(Vec<String>, String)>) {
    for (key, value) in object.as_object().into_iter().flatten() {
        let wanted = match key.as_str() {
            "apiVersion" | "kind" | "metadata" | "spec" | "status" | "stringData" | "binaryData" => false,
            "data" => data,
            _ => true,
        };
        if wanted {
            walk(value, &mut vec![key.clone()], leaves);
        }
    }
}

fn walk(value: &Value, steps: &mut Vec<String>, leaves: &mut Vec<(Vec<String>, String)>) {
    match value {
        Value::Object(fields) if steps.len() < DEEPEST => {
            for (key, value) in fields {
                steps.push(key.clone());
                walk(value, steps, leaves);
                steps.pop();
            }
        }
        Value::String(_) | Value::Number(_) | Value::Bool(_) => leaves.push((steps.clone(), path(steps))),
        _ => {}
    }
}

/// `containers[*].image` wherever there is such a list.
fn images(value: &Value, steps: &mut Vec<String>, leaves: &mut Vec<(Vec<String>, String)>) {
    let Value::Object(fields) = value else { return };
    for (key, value) in fields {
        steps.push(key.clone());
        let has_images = |items: &Vec<Value>| items.iter().any(|item| item["image"].is_string());
        match value {
            Value::Array(items) if key.to_ascii_lowercase().ends_with("containers") && has_images(items) => {
                let name = if key == "containers" { "images".to_owned() } else { format!("{key}Images") };
                leaves.push((vec![name], format!("{}[*].image", path(steps))));
            }
            Value::Object(_) if steps.len() < DEEPEST => images(value, steps, leaves),
            _ => {}
        }
        steps.pop();
    }
}

fn path(steps: &[String]) -> String {
    let mut path = "$".to_owned();
    for step in steps {
        let simple = step.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
            && step.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        if simple {
            path.push('.');
            path.push_str(step);
        } else {
            path.extend(["['", &step.replace('\\', "\\\\").replace('\'', "\\'"), "']"]);
        }
    }
    path
}

/// The last step, with as many steps before it as make the name new.
fn name_of(steps: &[String], taken: &BTreeSet<String>) -> Option<String> {
    (1..=steps.len())
        .map(|count| camel(&steps[steps.len() - count..]))
        .find(|name| !name.is_empty() && !taken.contains(name))
}

fn camel(steps: &[String]) -> String {
    let mut name = String::new();
    for step in steps {
        for part in step.split(|c: char| !c.is_ascii_alphanumeric()).filter(|part| !part.is_empty()) {
            let mut chars = part.chars();
            if name.is_empty() {
                name.push_str(part);
            } else if let Some(first) = chars.next() {
                name.push(first.to_ascii_uppercase());
                name.push_str(chars.as_str());
            }
        }
    }
    name
}

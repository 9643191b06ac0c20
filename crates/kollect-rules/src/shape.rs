//! Warns of attribute paths that the schema of a kind rules out.
//!
//! Warnings only: a schema may permit unknown fields, and no path into those is reported.

use crate::findings::Findings;
use crate::profile::{PW4, PW6, compile};
use crate::{Warning, names::nearest};
use kollect_api::KollectProfile;
use kollect_extract::{MaskStep, places_of_several_matches};
use kollect_model::Gvk;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Most `$ref`s in a chain.
const MAX_REFS: usize = 16;

/// Most schemas that one kind is made of; a Pod has about 120.
const MAX_SCHEMAS: usize = 1024;

/// Path of the OpenAPI v3 document of a kind's group and version on an API server.
pub fn openapi_path(gvk: &Gvk) -> String {
    let root = if gvk.group.is_empty() { "api" } else { "apis" };
    format!("/openapi/v3/{root}/{}", gvk.api_version())
}

/// The schema of a kind and all schemas that it refers to, from the OpenAPI v3 document of the kind's group and
/// version. `None` when the document does not have the kind.
pub fn kind_schema(openapi: &str, gvk: &Gvk) -> Option<Value> {
    #[derive(Deserialize)]
    struct Document<'a> {
        #[serde(borrow)]
        components: Components<'a>,
    }
    #[derive(Deserialize)]
    struct Components<'a> {
        #[serde(borrow)]
        schemas: BTreeMap<Cow<'a, str>, &'a RawValue>,
    }
    #[derive(Deserialize)]
    struct Named {
        #[serde(rename = "x-kubernetes-group-version-kind")]
        kinds: Vec<BTreeMap<String, String>>,
    }
    let Document { components: Components { schemas } } = serde_json::from_str(openapi).ok()?;
    let is_meant = |raw: &&RawValue| {
        let quick = raw.get().contains("x-kubernetes-group-version-kind");
        quick
            && serde_json::from_str::<Named>(raw.get()).is_ok_and(|named| {
                let part = |of: &BTreeMap<String, String>, key: &str| of.get(key).cloned().unwrap_or_default();
                named
                    .kinds
                    .iter()
                    .any(|of| Gvk::new(&part(of, "group"), &part(of, "version"), &part(of, "kind")) == *gvk)
            })
    };
    let (root, _) = schemas.iter().find(|(_, raw)| is_meant(raw))?;
    // The document of a group is large; the kind refers to a small part of it.
    let mut kept = Map::new();
    let mut open = vec![root.to_string()];
    while let Some(name) = open.pop() {
        if kept.contains_key(&name) || kept.len() >= MAX_SCHEMAS {
            continue;
        }
        let Some(raw) = schemas.get(name.as_str()) else { continue };
        let schema: Value = serde_json::from_str(raw.get()).ok()?;
        references(&schema, &mut open);
        kept.insert(name, schema);
    }
    Some(json!({"$ref": format!("{SCHEMAS}{root}"), "components": {"schemas": kept}}))
}

const SCHEMAS: &str = "#/components/schemas/";

fn references(schema: &Value, found: &mut Vec<String>) {
    match schema {
        Value::Object(members) => {
            if let Some(name) = members.get("$ref").and_then(Value::as_str).and_then(|r| r.strip_prefix(SCHEMAS)) {
                found.push(name.to_owned());
            }
            members.values().for_each(|value| references(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

/// Attribute paths to fields that objects of the profile's kind never have.
///
/// `schema` is the OpenAPI v3 schema of the kind. References like `#/components/schemas/…` are followed within it.
pub fn shape_warnings(profile: &KollectProfile, schema: &Value) -> Vec<Warning> {
    let gvk = Gvk::from(&profile.spec.target_gvk);
    let mut found = Findings::default();
    for (i, attribute) in profile.spec.attributes.iter().enumerate() {
        if attribute.path.trim_start().starts_with("helm:") {
            continue;
        }
        let Ok(mask) = compile(&gvk, &attribute.path) else { continue };
        for path in mask.paths() {
            if let Err(why) = lead(schema, &path.steps) {
                found.warn_of(&PW4, format!("spec.attributes[{i}].path"), why);
            }
        }
        let places = places_of_several_matches(&attribute.path);
        let is_list = |steps: &Vec<MaskStep>| matches!(lead(schema, steps), Ok(Some(node)) if node["type"] == "array");
        if places.iter().any(is_list) {
            found.warn(&PW6, format!("spec.attributes[{i}].path"));
        }
    }
    found.warnings
}

/// The schema at the end of the steps; `None` where any field is permitted; an error names the unknown field.
fn lead<'v>(root: &'v Value, steps: &[MaskStep]) -> Result<Option<&'v Value>, String> {
    let Some(mut node) = resolved(root, root) else { return Ok(None) };
    let mut walked = "$".to_owned();
    for step in steps {
        if node["x-kubernetes-preserve-unknown-fields"] == true || node["x-kubernetes-int-or-string"] == true {
            return Ok(None);
        }
        let next = match (step, node["type"].as_str()) {
            (MaskStep::Field(name), Some("object") | None) => {
                let properties = node["properties"].as_object();
                match properties.and_then(|known| known.get(&**name)) {
                    Some(known) => known,
                    None if node["additionalProperties"].is_object() => &node["additionalProperties"],
                    None => {
                        // Without properties any field is permitted.
                        let Some(known) = properties.filter(|known| !known.is_empty()) else { return Ok(None) };
                        let hint = nearest(name, known.keys().map(String::as_str));
                        let hint = hint.map(|near| format!("; did you mean {near}?")).unwrap_or_default();
                        return Err(format!("{walked} has no {name}{hint}"));
                    }
                }
            }
            (MaskStep::Any, Some("array")) => &node["items"],
            (MaskStep::Any, Some("object") | None) if node["additionalProperties"].is_object() => {
                &node["additionalProperties"]
            }
            (MaskStep::Any, Some("object") | None) => return Ok(None),
            (MaskStep::Field(name), Some("array")) => {
                return Err(format!("{walked} is a list; write {walked}[*].{name}"));
            }
            (_, Some(kind)) => return Err(format!("{walked} is of type {kind} and has nothing below it")),
        };
        match step {
            MaskStep::Field(name) => walked.extend([".", name]),
            MaskStep::Any => walked.push_str("[*]"),
        }
        let Some(below) = resolved(root, next) else { return Ok(None) };
        node = below;
    }
    Ok(Some(node))
}

/// The schema after following references; `None` when one is dangling.
fn resolved<'v>(root: &'v Value, mut node: &'v Value) -> Option<&'v Value> {
    for _ in 0..MAX_REFS {
        let reference = node["$ref"].as_str().or_else(|| match node["allOf"].as_array().map(Vec::as_slice) {
            Some([one]) => one["$ref"].as_str(),
            _ => None,
        });
        let Some(reference) = reference else { return node.is_object().then_some(node) };
        node = root.pointer(reference.strip_prefix('#')?)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn warnings(path: &str) -> Vec<String> {
        let schema = json!({
            "type": "object",
            "properties": {
                "metadata": {"type": "object"},
                "spec": {"allOf": [{"$ref": "#/components/schemas/Spec"}]},
                "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": {"a": {}}},
            },
            "components": {"schemas": {"Spec": {"type": "object", "properties": {
                "replicas": {"type": "integer"},
                "labels": {"type": "object", "additionalProperties": {"type": "string"}},
                "containers": {"type": "array", "items": {"type": "object", "properties": {"image": {"type": "string"}, "args": {"type": "array", "items": {"type": "string"}}}}},
            }}}}
        });
        let spec = json!({"targetGVK": {"version": "v1", "kind": "X"}, "attributes": [{"name": "a", "path": path}]});
        let profile = KollectProfile::new("p", serde_json::from_value(spec).unwrap());
        shape_warnings(&profile, &schema).into_iter().map(|w| w.message).collect()
    }

    #[test]
    fn a_kind_is_found_with_what_it_is_made_of_and_nothing_else() {
        let openapi = json!({"openapi": "3.0.0", "components": {"schemas": {
            "io.x.Other": {"x-kubernetes-group-version-kind": [{"group": "apps", "version": "v1", "kind": "Other"}]},
            "io.x.Deployment": {
                "type": "object", "properties": {"spec": {"default": {}, "allOf": [{"$ref": "#/components/schemas/io.x.Spec"}]}},
                "x-kubernetes-group-version-kind": [{"group": "apps", "version": "v1", "kind": "Deployment"}],
            },
            "io.x.Spec": {"type": "object", "properties": {
                "replicas": {"type": "integer"}, "self": {"$ref": "#/components/schemas/io.x.Spec"},
                "gone": {"$ref": "#/components/schemas/io.x.Gone"}}},
        }}})
        .to_string();
        let schema = kind_schema(&openapi, &Gvk::new("apps", "v1", "Deployment")).unwrap();
        let kept: Vec<_> = schema["components"]["schemas"].as_object().unwrap().keys().collect();
        assert_eq!(kept, ["io.x.Deployment", "io.x.Spec"]);
        let spec = json!({"targetGVK": {"group": "apps", "version": "v1", "kind": "Deployment"}, "attributes": [
            {"name": "a", "path": "$.spec.replica"}, {"name": "b", "path": "$.spec.self.self.replicas"},
            {"name": "c", "path": "$.spec.gone.anything"}]});
        let profile = KollectProfile::new("p", serde_json::from_value(spec).unwrap());
        let found = shape_warnings(&profile, &schema);
        assert_eq!(
            found.iter().map(|w| (w.rule, w.field.as_str())).collect::<Vec<_>>(),
            [("PW4", "spec.attributes[0].path")]
        );
        assert_eq!(kind_schema(&openapi, &Gvk::new("", "v1", "Deployment")), None);
        assert_eq!(kind_schema("no JSON", &Gvk::new("", "v1", "Pod")), None);
    }

    #[test]
    fn a_path_over_a_list_that_yields_lists_is_warned_of() {
        for path in
            ["$.spec.containers[*].args", "$.spec.containers[?(@.image==\"a\")].args", "$.spec.containers[0:2].args"]
        {
            let found = warnings(path);
            assert!(matches!(&found[..], [one] if one.contains("list of lists")), "{path}: {found:?}");
        }
        for path in [
            "$.spec.containers[0].args",
            "$.spec.containers[*].args[0]",
            "$.spec.containers[?(@.args)].image",
            "$.spec.containers",
            "$.spec.labels.*",
            "cel:object.spec.containers.map(c, c.args).flatten()",
        ] {
            assert_eq!(warnings(path), Vec::<String>::new(), "{path}");
        }
    }

    #[test]
    fn only_paths_that_cannot_lead_anywhere_are_doubted() {
        for path in [
            "$.spec.replicas",
            "$.spec.containers[*].image",
            "$.spec.containers[0].image",
            "$.spec.labels.any",
            "$.metadata.annotations.x",
            "$.status.whatever.below",
            "$..image",
            "cel:object.spec.containers.map(c, c.image)",
            "cel:size(object.spec.labels)",
        ] {
            assert_eq!(warnings(path), [""; 0], "{path}");
        }
        for (path, word) in [
            ("$.spec.replica", "did you mean replicas?"),
            ("$.sepc.replicas", "did you mean spec?"),
            ("$.spec.containers.image", "[*].image"),
            ("$.spec.replicas.max", "integer"),
            ("cel:object.spec.containers.map(c, c.img)", "has no img"),
        ] {
            let texts = warnings(path);
            assert!(texts.iter().any(|text| text.contains(word)), "{path}: {texts:?}");
        }
    }
}

//! Paths that can never lead anywhere, as far as the schema of a kind tells.
//!
//! Separate because it needs what a cluster serves. It only warns: schemas leave things open, and a path into what is
//! open is never doubted.

use crate::profile::{PW4, compile};
use crate::violation::Findings;
use crate::{Warning, names::nearest};
use kollect_api::KollectProfile;
use kollect_extract::MaskStep;
use kollect_model::Gvk;
use serde_json::Value;

/// Most references that are followed in a row.
const MAX_REFS: usize = 16;

/// Attribute paths that lead where objects of the profile's kind never have anything.
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
            if let Some(why) = dead_end(schema, &path.steps) {
                found.warn_of(&PW4, format!("spec.attributes[{i}].path"), why);
            }
        }
    }
    found.warnings
}

/// Why the steps lead nowhere; `None` when they may lead somewhere.
fn dead_end(root: &Value, steps: &[MaskStep]) -> Option<String> {
    let mut node = resolved(root, root)?;
    let mut walked = "$".to_owned();
    for step in steps {
        if node["x-kubernetes-preserve-unknown-fields"] == true || node["x-kubernetes-int-or-string"] == true {
            return None;
        }
        let next = match (step, node["type"].as_str()) {
            (MaskStep::Field(name), Some("object") | None) => {
                let properties = node["properties"].as_object();
                match properties.and_then(|known| known.get(&**name)) {
                    Some(known) => known,
                    None if node["additionalProperties"].is_object() => &node["additionalProperties"],
                    None => {
                        // Nothing listed means that anything may be there.
                        let known = properties.filter(|known| !known.is_empty())?;
                        let hint = nearest(name, known.keys().map(String::as_str));
                        let hint = hint.map(|near| format!("; did you mean {near}?")).unwrap_or_default();
                        return Some(format!("{walked} has no {name}{hint}"));
                    }
                }
            }
            (MaskStep::Any, Some("array")) => &node["items"],
            (MaskStep::Any, Some("object") | None) if node["additionalProperties"].is_object() => {
                &node["additionalProperties"]
            }
            (MaskStep::Any, Some("object") | None) => return None,
            (MaskStep::Field(name), Some("array")) => {
                return Some(format!("{walked} is a list; write {walked}[*].{name}"));
            }
            (_, Some(kind)) => return Some(format!("{walked} is of type {kind} and has nothing below it")),
        };
        match step {
            MaskStep::Field(name) => walked.extend([".", name]),
            MaskStep::Any => walked.push_str("[*]"),
        }
        node = resolved(root, next)?;
    }
    None
}

/// The schema behind references; `None` when it is not there.
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
                "containers": {"type": "array", "items": {"type": "object", "properties": {"image": {"type": "string"}}}},
            }}}}
        });
        let spec = json!({"targetGVK": {"version": "v1", "kind": "X"}, "attributes": [{"name": "a", "path": path}]});
        let profile = KollectProfile::new("p", serde_json::from_value(spec).unwrap());
        shape_warnings(&profile, &schema).into_iter().map(|w| w.message).collect()
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
            let said = warnings(path);
            assert!(said.iter().any(|text| text.contains(word)), "{path}: {said:?}");
        }
    }
}

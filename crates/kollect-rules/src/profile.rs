//! What a KollectProfile may say.

use crate::violation::{Findings, Violation};
use kollect_api::names::{TRUE, annotation};
use kollect_api::{ExportMode, KollectProfile};
use kollect_extract::{AttributeSource, Extractor, ProfileSource};
use kollect_model::Gvk;
use std::collections::BTreeSet;

const MAX_METRIC_LABELS: usize = 5;

/// Checks a profile, including that every attribute path compiles.
pub fn check_profile(profile: &KollectProfile) -> Vec<Violation> {
    let spec = &profile.spec;
    let gvk = Gvk::from(&spec.target_gvk);
    let mut found = Findings::default();
    found.required("spec.targetGVK.version", &spec.target_gvk.version);
    found.required("spec.targetGVK.kind", &spec.target_gvk.kind);
    let names = check_attributes(&mut found, profile, &gvk);
    check_export(&mut found, profile, &gvk, &names);
    check_metrics(&mut found, profile, &names);
    found.0
}

fn opted_in(profile: &KollectProfile, annotation: &str) -> bool {
    profile.metadata.annotations.as_ref().and_then(|all| all.get(annotation)).is_some_and(|value| value == TRUE)
}

fn check_attributes<'a>(found: &mut Findings, profile: &'a KollectProfile, gvk: &Gvk) -> BTreeSet<&'a str> {
    let mut names = BTreeSet::new();
    let secret_data = gvk.is_core_secret() && !opted_in(profile, annotation::ALLOW_SECRET_EXTRACTION);
    for (i, attribute) in profile.spec.attributes.iter().enumerate() {
        let at = format!("spec.attributes[{i}]");
        if found.required(&format!("{at}.name"), &attribute.name) && !names.insert(attribute.name.as_str()) {
            found.add(format!("{at}.name"), &attribute.name, "is listed twice");
        }
        let path = format!("{at}.path");
        if !found.required(&path, &attribute.path) {
            continue;
        }
        if secret_data && reads_secret_data(&attribute.path) {
            let why = format!("reads the data of Secrets; allow it with the annotation {}", opt_in(true));
            found.add(path, &attribute.path, why);
        } else if let Some(why) = compile_error(gvk, &attribute.path) {
            found.add(path, &attribute.path, why);
        }
    }
    names
}

fn opt_in(extraction: bool) -> String {
    let key = if extraction { annotation::ALLOW_SECRET_EXTRACTION } else { annotation::ALLOW_FULL_RESOURCE_EXPORT };
    format!("{key}: \"{TRUE}\"")
}

/// Whether a path names the data of a Secret. What it reads is hidden at run time as well; this only says so early.
fn reads_secret_data(path: &str) -> bool {
    path.split(|c: char| !c.is_ascii_alphanumeric())
        .any(|word| word.eq_ignore_ascii_case("data") || word.eq_ignore_ascii_case("stringData"))
        || path.trim().starts_with("helm:release.config")
}

/// Each path is compiled alone, so that every bad one is named.
fn compile_error(gvk: &Gvk, path: &str) -> Option<String> {
    let attributes = [AttributeSource { name: "a".to_owned(), path: path.to_owned(), optional: false }];
    let source = ProfileSource {
        gvk,
        attributes: &attributes,
        scrub_keys: &[],
        allow_secret_extraction: true,
        resource_mode: false,
    };
    let error = Extractor::compile(&source).err()?.into_iter().next()?;
    Some(match error.offset {
        Some(offset) => format!("{} (at byte {offset})", error.message),
        None => error.message,
    })
}

fn check_export(found: &mut Findings, profile: &KollectProfile, gvk: &Gvk, names: &BTreeSet<&str>) {
    let Some(export) = &profile.spec.export else { return };
    if export.mode == ExportMode::Resource {
        if names.contains(export.as_.as_str()) {
            found.add("spec.export.as", &export.as_, "is the name of an attribute; choose another");
        }
        if gvk.is_core_secret() && !opted_in(profile, annotation::ALLOW_FULL_RESOURCE_EXPORT) {
            let why = format!("copies Secrets; allow it with the annotation {}", opt_in(false));
            found.add("spec.export.mode", "Resource", why);
        }
    } else if profile.spec.attributes.is_empty() {
        found.add("spec.attributes", "", "must not be empty when export.mode is not Resource");
    }
    for (i, pointer) in export.prune.iter().flat_map(|prune| &prune.json_pointers).enumerate() {
        if !is_pointer(pointer) {
            let why = "is not a JSON pointer; it starts with / and writes ~ as ~0 and / as ~1";
            found.add(format!("spec.export.prune.jsonPointers[{i}]"), pointer, why);
        }
    }
}

fn is_pointer(text: &str) -> bool {
    text.starts_with('/') && text.split('~').skip(1).all(|after| after.starts_with(['0', '1']))
}

fn check_metrics(found: &mut Findings, profile: &KollectProfile, attributes: &BTreeSet<&str>) {
    let mut names = BTreeSet::new();
    for (i, metric) in profile.spec.metrics.iter().enumerate() {
        let at = format!("spec.metrics[{i}]");
        if found.required(&format!("{at}.name"), &metric.name) && !names.insert(&metric.name) {
            found.add(format!("{at}.name"), &metric.name, "is listed twice");
        }
        let path = format!("{at}.path");
        if found.required(&path, &metric.path) && !attributes.contains(metric.path.as_str()) {
            found.add(path, &metric.path, "is not the name of an attribute");
        }
        if metric.labels.len() > MAX_METRIC_LABELS {
            found.add(format!("{at}.labels"), "", format!("has more than {MAX_METRIC_LABELS} entries"));
        }
        for (j, label) in metric.labels.iter().enumerate() {
            if !attributes.contains(label.as_str()) {
                found.add(format!("{at}.labels[{j}]"), label, "is not the name of an attribute");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use std::collections::BTreeMap;

    fn fields(kind: &str, annotations: &[&str], mut spec: Value) -> Vec<String> {
        spec["targetGVK"] = json!({"version": "v1", "kind": kind});
        let mut profile = KollectProfile::new("p", serde_json::from_value(spec).unwrap());
        let marks: BTreeMap<String, String> =
            annotations.iter().map(|key| ((*key).to_owned(), TRUE.to_owned())).collect();
        profile.metadata.annotations = Some(marks);
        check_profile(&profile).into_iter().map(|v| v.field).collect()
    }

    fn attribute(path: &str) -> Value {
        json!({"attributes": [{"name": "a", "path": path}]})
    }

    #[test]
    fn sound_profiles_pass() {
        for spec in [json!({}), attribute("$.data.mode"), attribute("cel:size(object.data)")] {
            assert_eq!(fields("ConfigMap", &[], spec.clone()), [""; 0], "{spec}");
        }
        let metric = json!({
            "attributes": [{"name": "a", "path": "$.x"}, {"name": "b", "path": "$.y"}],
            "metrics": [{"name": "m", "path": "a", "labels": ["b"]}]
        });
        assert_eq!(fields("ConfigMap", &[], metric), [""; 0]);
    }

    #[test]
    fn each_broken_rule_is_named_with_its_field() {
        let attributes = json!([{"name": "a", "path": "$.x"}]);
        for (spec, field) in [
            (json!({"attributes": [{"name": " ", "path": "$.x"}]}), "spec.attributes[0].name"),
            (
                json!({"attributes": [{"name": "a", "path": "$.x"}, {"name": "a", "path": "$.y"}]}),
                "spec.attributes[1].name",
            ),
            (attribute(" "), "spec.attributes[0].path"),
            (attribute("cel:object.("), "spec.attributes[0].path"),
            (attribute("object.metadata.name"), "spec.attributes[0].path"),
            (attribute("$.a[?("), "spec.attributes[0].path"),
            (json!({"attributes": attributes, "metrics": [{"name": "", "path": "a"}]}), "spec.metrics[0].name"),
            (json!({"attributes": attributes, "metrics": [{"name": "m", "path": "b"}]}), "spec.metrics[0].path"),
            (
                json!({"attributes": attributes, "metrics": [{"name": "m", "path": "a", "labels": ["b"]}]}),
                "spec.metrics[0].labels[0]",
            ),
            (json!({"export": {}}), "spec.attributes"),
            (json!({"attributes": attributes, "export": {"mode": "Resource", "as": "a"}}), "spec.export.as"),
            (
                json!({"export": {"mode": "Resource", "prune": {"jsonPointers": ["/a~1b", "/a~2"]}}}),
                "spec.export.prune.jsonPointers[1]",
            ),
        ] {
            assert_eq!(fields("ConfigMap", &[], spec.clone()), [field], "{spec}");
        }
        assert_eq!(fields("", &[], json!({})), ["spec.targetGVK.kind"]);
    }

    #[test]
    fn secret_data_needs_its_opt_in() {
        let (extraction, export) = (annotation::ALLOW_SECRET_EXTRACTION, annotation::ALLOW_FULL_RESOURCE_EXPORT);
        let denied = ["spec.attributes[0].path"];
        for path in ["$.data.password", "$['data']['x']", "cel:object.Data.x", "$.stringData"] {
            assert_eq!(fields("Secret", &[], attribute(path)), denied, "{path}");
        }
        assert_eq!(fields("Secret", &[export], attribute("$.data.x")), denied);
        assert_eq!(fields("Secret", &[extraction], attribute("$.data.x")), [""; 0]);
        assert_eq!(fields("Secret", &[], attribute("$.metadata.name")), [""; 0]);
        let resource = json!({"export": {"mode": "Resource"}});
        assert_eq!(fields("Secret", &[extraction], resource.clone()), ["spec.export.mode"]);
        assert_eq!(fields("Secret", &[export], resource), [""; 0]);
    }
}

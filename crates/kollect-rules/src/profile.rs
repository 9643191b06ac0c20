//! The rules of KollectProfile.

use crate::findings::Findings;
use crate::rule::rules;
use crate::violation::{TWICE, Violation};
use kollect_api::names::{TRUE, annotation};
use kollect_api::{ExportMode, KollectProfile, PruneSettings};
use kollect_extract::{AttributeSource, Extractor, FieldMask, MaskStep, ProfileSource, ResourceSource};
use kollect_model::Gvk;
use std::collections::BTreeSet;

rules! { "KollectProfile";
    P1, CrdAndWebhook, "targetGVK.version or targetGVK.kind is empty", "must not be empty or blank";
    P2, CrdAndWebhook, "an attribute has no name or the name of another", "must not be empty or blank, nor listed twice";
    P3, CrdAndWebhook, "an attribute has no path", "must not be empty or blank";
    P4, CrdAndWebhook, "a path does not compile: bad CEL after `cel:`, CEL without that prefix, bad JSONPath, a `helm:release.` field that is empty or never exported", "the path does not compile";
    P5, CrdAndWebhook, "a metric has no name, the name of another, or no path", "must not be empty or blank, nor listed twice";
    P6, CrdAndWebhook, "the path of a metric is not the name of an attribute", "is not the name of an attribute of this profile";
    P7, CrdAndWebhook, "a metric has more than 5 labels, or a label that is not the name of an attribute", "is not the name of an attribute of this profile";
    P8, Webhook, "the profile collects core Secrets, a path can read their data in whatever notation, and the annotation kollect.dev/allow-secret-extraction is not \"true\"", "can read the data of Secrets; read single fields of metadata, or allow it with the annotation kollect.dev/allow-secret-extraction: \"true\"";
    P9, CrdAndWebhook, "export is set, its mode is not Resource, and there are no attributes", "must not be empty when export.mode is not Resource; add attributes, or set export.mode: Resource";
    P10, CrdAndWebhook, "the mode is Resource and export.as is the name of an attribute", "is the name of an attribute; choose another key for the copy of the object";
    P11, CrdAndWebhook, "an entry of export.prune.jsonPointers is no JSON pointer", "is not a JSON pointer; it starts with / and writes ~ as ~0 and / as ~1";
    P12, Webhook, "the mode is Resource, the profile collects core Secrets, and the annotation kollect.dev/allow-full-resource-export is not \"true\"", "would copy Secrets; allow it with the annotation kollect.dev/allow-full-resource-export: \"true\" (values stay redacted)";
    P13, Webhook, "the settings of export do not compile, e.g. export.prune.cel", "the export settings do not compile";
    PW1, Warning, "a JSONPath has a filter `[?(…)]`", "a JSONPath filter is evaluated, but other tools treat it differently; prefer CEL, e.g. cel:object.spec.list.filter(x, x.name == \"a\")";
    PW2, Warning, "export.prune.cel has entries", "prune.cel is not enforced and has no effect in this mode; use prune.jsonPointers";
    PW3, Warning, "an entry of export.prune.jsonPaths has a filter or `*`", "a path with a filter or * is not pruned; write names and indexes only, or use prune.jsonPointers";
    PW4, Warning, "a path leads to a place that objects of the kind never have (only where the schema of the kind is known)", "objects of this kind never have this place";
    PW5, Warning, "a name in brackets of a JSONPath has a dot without a backslash", "a dot separates names, also in brackets and quotes; to have it in a name, write \\. before it";
    PW6, Warning, "a JSONPath that can match several places leads to lists (only where the schema of the kind is known)", "one match gives the value itself and several give a list of the values, so this gives a list or a list of lists; have one shape with CEL, e.g. cel:object.spec.servers.map(s, s.hosts).flatten()";
}

const MAX_METRIC_LABELS: usize = 5;

/// Checks a profile, including that every attribute path compiles.
pub fn check_profile(profile: &KollectProfile) -> Vec<Violation> {
    let mut found = Findings::default();
    check_fields(&mut found, profile);
    found.violations
}

pub(crate) fn check_fields(found: &mut Findings, profile: &KollectProfile) {
    let spec = &profile.spec;
    let gvk = Gvk::from(&spec.target_gvk);
    found.required(&P1, "spec.targetGVK.version", &spec.target_gvk.version);
    found.required(&P1, "spec.targetGVK.kind", &spec.target_gvk.kind);
    let names = check_attributes(found, profile, &gvk);
    check_export(found, profile, &gvk, &names);
    check_metrics(found, profile, &names);
    warn(found, profile);
}

fn opted_in(profile: &KollectProfile, annotation: &str) -> bool {
    profile.metadata.annotations.as_ref().and_then(|all| all.get(annotation)).is_some_and(|value| value == TRUE)
}

fn check_attributes<'a>(found: &mut Findings, profile: &'a KollectProfile, gvk: &Gvk) -> BTreeSet<&'a str> {
    let mut names = BTreeSet::new();
    let secret_data = gvk.is_core_secret() && !opted_in(profile, annotation::ALLOW_SECRET_EXTRACTION);
    for (i, attribute) in profile.spec.attributes.iter().enumerate() {
        let at = format!("spec.attributes[{i}]");
        if found.required(&P2, &format!("{at}.name"), &attribute.name) && !names.insert(attribute.name.as_str()) {
            found.text(&P2, format!("{at}.name"), &attribute.name, TWICE);
        }
        let path = format!("{at}.path");
        if !found.required(&P3, &path, &attribute.path) {
            continue;
        }
        let text = attribute.path.trim();
        if secret_data && text.starts_with("helm:release.config") {
            found.add(&P8, path, &attribute.path);
            continue;
        }
        match compile(gvk, &attribute.path) {
            Ok(mask) if secret_data && !text.starts_with("helm:") && reads_secret_data(&mask) => {
                found.add(&P8, path, &attribute.path);
            }
            Ok(_) => {}
            Err(why) => {
                let language = if text.starts_with("cel:") { "CEL" } else { "JSONPath" };
                let language = if text.starts_with("helm:") { "Helm" } else { language };
                found.text(&P4, path, &attribute.path, format!("the {language} path does not compile: {why}"));
            }
        }
    }
    names
}

/// A name in brackets that contains dots, such as `['app.kubernetes.io/name']`.
fn name_cut_by_dots(path: &str) -> Option<&str> {
    let path = path.trim_start();
    if path.starts_with("cel:") || path.starts_with("helm:") {
        return None;
    }
    let names = path.split("['").skip(1).filter_map(|rest| rest.split_once("']")).map(|(name, _)| name);
    let is_cut = |name: &&str| name.match_indices('.').any(|(at, _)| !name[..at].ends_with('\\'));
    names.into_iter().find(is_cut)
}

/// Whether a path can read the data of a Secret. Extraction redacts it anyway; this reports it at admission.
fn reads_secret_data(mask: &FieldMask) -> bool {
    mask.paths().iter().any(|path| match path.steps.first() {
        None => path.whole,
        Some(MaskStep::Any) => true,
        Some(MaskStep::Field(name)) => name.eq_ignore_ascii_case("data") || name.eq_ignore_ascii_case("stringData"),
    })
}

/// What one path reads. Each is compiled alone, so that every invalid path is reported.
pub(crate) fn compile(gvk: &Gvk, path: &str) -> Result<FieldMask, String> {
    let attributes = [AttributeSource { name: "a".to_owned(), path: path.to_owned(), optional: false }];
    let extractor = Extractor::compile(&source(gvk, &attributes, None)).map_err(|errors| first(&errors))?;
    let mask = extractor.reads().next().map(|(_, mask)| mask);
    mask.ok_or_else(|| "nothing can be read".to_owned())
}

fn source<'a>(
    gvk: &'a Gvk,
    attributes: &'a [AttributeSource],
    resource: Option<ResourceSource<'a>>,
) -> ProfileSource<'a> {
    ProfileSource { gvk, attributes, scrub_keys: &[], allow_secret_extraction: true, resource }
}

fn first(errors: &[kollect_extract::CompileError]) -> String {
    errors.first().map_or_else(String::new, |error| match error.offset {
        Some(offset) => format!("{} (at byte {offset})", error.message),
        None => error.message.clone(),
    })
}

fn check_export(found: &mut Findings, profile: &KollectProfile, gvk: &Gvk, names: &BTreeSet<&str>) {
    let Some(export) = &profile.spec.export else { return };
    let before = found.violations.len();
    for (i, pointer) in export.prune.iter().flat_map(|prune| &prune.json_pointers).enumerate() {
        if !is_pointer(pointer) {
            found.add(&P11, format!("spec.export.prune.jsonPointers[{i}]"), pointer);
        }
    }
    if export.mode != ExportMode::Resource {
        if profile.spec.attributes.is_empty() {
            found.add(&P9, "spec.attributes", "");
        }
        return;
    }
    if names.contains(export.as_.as_str()) {
        found.add(&P10, "spec.export.as", &export.as_);
    }
    if gvk.is_core_secret() && !opted_in(profile, annotation::ALLOW_FULL_RESOURCE_EXPORT) {
        found.add(&P12, "spec.export.mode", "Resource");
    }
    let resource = ResourceSource { settings: export, allow_secrets: true };
    if found.violations.len() == before
        && let Err(errors) = Extractor::compile(&source(gvk, &[], Some(resource)))
    {
        found.add_detail(&P13, "spec.export", "", first(&errors));
    }
}

fn is_pointer(text: &str) -> bool {
    text.starts_with('/') && text.split('~').skip(1).all(|after| after.starts_with(['0', '1']))
}

fn check_metrics(found: &mut Findings, profile: &KollectProfile, attributes: &BTreeSet<&str>) {
    let mut names = BTreeSet::new();
    for (i, metric) in profile.spec.metrics.iter().enumerate() {
        let at = format!("spec.metrics[{i}]");
        if found.required(&P5, &format!("{at}.name"), &metric.name) && !names.insert(&metric.name) {
            found.text(&P5, format!("{at}.name"), &metric.name, TWICE);
        }
        let path = format!("{at}.path");
        if found.required(&P5, &path, &metric.path) && !attributes.contains(metric.path.as_str()) {
            found.add(&P6, path, &metric.path);
        }
        if metric.labels.len() > MAX_METRIC_LABELS {
            found.text(&P7, format!("{at}.labels"), "", format!("must have at most {MAX_METRIC_LABELS} items"));
        }
        for (j, label) in metric.labels.iter().enumerate() {
            if found.required(&P7, &format!("{at}.labels[{j}]"), label) && !attributes.contains(label.as_str()) {
                found.add(&P7, format!("{at}.labels[{j}]"), label);
            }
        }
    }
}

fn warn(found: &mut Findings, profile: &KollectProfile) {
    for (i, attribute) in profile.spec.attributes.iter().enumerate() {
        if !attribute.path.trim_start().starts_with("cel:") && attribute.path.contains("[?(") {
            found.warn(&PW1, format!("spec.attributes[{i}].path"));
        }
        if let Some(name) = name_cut_by_dots(&attribute.path) {
            let escaped = name.replace('.', "\\.");
            found.warn_of(&PW5, format!("spec.attributes[{i}].path"), format_args!("['{escaped}']"));
        }
    }
    let Some(prune) = profile.spec.export.as_ref().and_then(|export| export.prune.as_ref()) else { return };
    let PruneSettings { cel, json_paths, .. } = prune;
    for i in 0..cel.len() {
        found.warn(&PW2, format!("spec.export.prune.cel[{i}]"));
    }
    for (i, _) in json_paths.iter().enumerate().filter(|(_, path)| path.contains(['*', '?'])) {
        found.warn(&PW3, format!("spec.export.prune.jsonPaths[{i}]"));
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

//! Applies the rules to each object alone. It adds no rule about specs, and reports documents that are no objects.

use super::finding::{Mark, ValidateFinding};
use crate::documents::{ObjectSet, SetObject};
use crate::eval::compile_offset;
use kollect_api::{GROUP, KollectProfile, KollectProfileSpec, VERSION, all_crds};
use kollect_extract::Predicate;
use kollect_rules::{ReviewFacts, RuleSettings, needs, review};
use serde_json::Value;

/// Syntax and rules, in no particular order.
pub(super) fn check(set: &ObjectSet, settings: &RuleSettings) -> Vec<ValidateFinding> {
    let mut findings = Vec::new();
    for (index, source) in set.sources.iter().enumerate() {
        findings.extend(source.errors.iter().map(|error| ValidateFinding::syntax(set, index, error)));
    }
    for object in set.objects() {
        check_object(set, &object, settings, &mut findings);
    }
    findings
}

fn check_object(set: &ObjectSet, object: &SetObject<'_>, settings: &RuleSettings, findings: &mut Vec<ValidateFinding>) {
    let mut add = |field: &str, message: String| {
        findings.push(ValidateFinding::about(set, object, "object", field, Mark::Value).with_message(message));
    };
    if !object.value.is_object() {
        return add("", "is not a Kubernetes object; it has fields such as apiVersion, kind and metadata".to_owned());
    }
    for field in ["apiVersion", "kind"] {
        if object.text(&format!("/{field}")).is_empty() {
            return add(field, format!("{field} is missing, so that the kind of this object is unknown"));
        }
    }
    if !object.is_kollect() {
        return;
    }
    if object.name().is_empty() {
        add("metadata.name", "metadata.name is missing; every object needs a name".to_owned());
    }
    let need = needs(object.value);
    let profile = need.profile.as_ref().and_then(|(namespace, name)| set.profile(namespace, name));
    let scopes = need.scope_of.as_ref().map(|namespace| set.scopes_of(namespace)).unwrap_or_default();
    let cluster_scopes = if need.cluster_scope { set.cluster_scopes() } else { Vec::new() };
    let facts =
        ReviewFacts { profile: profile.as_ref(), scopes: &scopes, cluster_scopes: &cluster_scopes, schema: None };
    let Some(review) = review(object.value, settings, &facts) else {
        let known: Vec<_> = all_crds().into_iter().map(|crd| crd.spec.names.kind).collect();
        let field = if known.iter().any(|kind| kind == object.kind()) { "apiVersion" } else { "kind" };
        return add(field, format!("is no kind of {GROUP}/{VERSION}; those are {}", known.join(", ")));
    };
    for violation in &review.violations {
        let mark = mark_of(object, violation.rule, &violation.field, &violation.message);
        findings.push(
            ValidateFinding::about(set, object, violation.rule, &violation.field, mark)
                .with_message(violation.message.as_str()),
        );
    }
    for warning in &review.warnings {
        findings.push(
            ValidateFinding::about(set, object, warning.rule, &warning.field, Mark::Value)
                .with_message(warning.message.as_str())
                .warning(),
        );
    }
}

/// The place inside a path or condition where its compiler stopped, or the name of an unknown field.
fn mark_of(object: &SetObject<'_>, rule: &str, field: &str, message: &str) -> Mark {
    if rule == "schema" && message.contains("unknown") {
        return Mark::Key;
    }
    let member = field.rsplit('.').next().unwrap_or_default();
    let offset = text_at(object, field).and_then(|text| match (object.kind(), member) {
        ("KollectProfile", "path") => compile_offset(&kind_of(object), text),
        (_, "matchPolicy") => Predicate::compile(text).err().and_then(|error| error.offset),
        _ => None,
    });
    offset.map_or(Mark::Value, Mark::Inside)
}

/// A profile of the same kind of objects; its other parts may not decode.
fn kind_of(profile: &SetObject<'_>) -> KollectProfile {
    let mut empty = KollectProfile::new("empty", KollectProfileSpec::default());
    let gvk = &profile.value["spec"]["targetGVK"];
    empty.spec.target_gvk = serde_json::from_value(gvk.clone()).unwrap_or_default();
    empty
}

/// The text at a path of names and numbers, such as `spec.attributes[3].path`.
fn text_at<'a>(object: &SetObject<'a>, field: &str) -> Option<&'a str> {
    let mut steps = field.split(['.', '[']).map(|step| step.trim_end_matches(']')).filter(|step| !step.is_empty());
    steps
        .try_fold(object.value, |value, step| match value {
            Value::Array(items) => items.get(step.parse::<usize>().ok()?),
            value => value.get(step),
        })?
        .as_str()
}

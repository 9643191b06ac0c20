//! What a KollectTarget may say.

use crate::Selector;
use crate::violation::{Findings, Violation};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kollect_api::{KollectTarget, ResourceRule};
use kollect_extract::Predicate;
use kollect_model::Gvk;

/// Checks a target. `profile_gvk` is the kind of its profile.
pub fn check_target(target: &KollectTarget, profile_gvk: &Gvk) -> Vec<Violation> {
    let spec = &target.spec;
    let mut found = Findings::default();
    found.name("spec.profileRef", &spec.profile_ref);
    found.distinct("spec.includedNamespaces", &spec.included_namespaces);
    found.distinct("spec.excludedNamespaces", &spec.excluded_namespaces);
    for (field, selector) in [
        ("spec.namespaceSelector", &spec.namespace_selector),
        ("spec.namespaceExcludeSelector", &spec.namespace_exclude_selector),
        ("spec.labelSelector", &spec.label_selector),
    ] {
        check_selector(&mut found, field, selector.as_ref());
    }
    for (i, rule) in spec.resource_rules.iter().enumerate() {
        check_rule(&mut found, &format!("spec.resourceRules[{i}]"), rule, profile_gvk);
    }
    found.0
}

fn check_selector(found: &mut Findings, field: &str, selector: Option<&LabelSelector>) {
    if let Some(Err(why)) = selector.map(Selector::check) {
        found.add(field, "", why);
    }
}

fn check_rule(found: &mut Findings, at: &str, rule: &ResourceRule, profile_gvk: &Gvk) {
    let complete = [("version", &rule.gvk.version), ("kind", &rule.gvk.kind)]
        .into_iter()
        .all(|(part, text)| found.required(&format!("{at}.gvk.{part}"), text));
    let gvk = Gvk::from(&rule.gvk);
    if complete && !gvk.matches_ignoring_case(profile_gvk) {
        let why =
            format!("can never match, because the profile collects {profile_gvk}; use a target with its own profile");
        found.add(format!("{at}.gvk"), &gvk.to_string(), why);
    }
    check_selector(found, &format!("{at}.namespaceSelector"), rule.namespace_selector.as_ref());
    let labels = LabelSelector {
        match_labels: Some(rule.match_labels.clone()),
        match_expressions: Some(rule.match_expressions.clone()),
    };
    check_selector(found, at, Some(&labels));
    let policy = rule.match_policy.as_deref().filter(|policy| !policy.trim().is_empty());
    if let Some(policy) = policy
        && let Err(error) = Predicate::compile(policy, profile_gvk)
    {
        found.add(format!("{at}.matchPolicy"), policy, error.message);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn fields(mut spec: Value) -> Vec<String> {
        if spec.get("profileRef").is_none() {
            spec["profileRef"] = json!("p");
        }
        let target = KollectTarget::new("t", serde_json::from_value(spec).unwrap());
        check_target(&target, &Gvk::new("apps", "v1", "Deployment")).into_iter().map(|v| v.field).collect()
    }

    fn rule(more: &Value) -> Value {
        let mut rule = json!({"gvk": {"group": "apps", "version": "v1", "kind": "Deployment"}});
        for (key, value) in more.as_object().unwrap() {
            rule[key] = value.clone();
        }
        json!({"resourceRules": [rule]})
    }

    #[test]
    fn a_sound_target_passes() {
        assert_eq!(fields(json!({})), [""; 0]);
        assert_eq!(
            fields(rule(&json!({"matchPolicy": "object.spec.replicas > 1", "matchLabels": {"a": "b"}}))),
            [""; 0]
        );
        assert_eq!(fields(rule(&json!({"matchPolicy": "  "}))), [""; 0]);
    }

    #[test]
    fn each_broken_rule_is_named_with_its_field() {
        let invalid = json!({"matchExpressions": [{"key": "a", "operator": "Is"}]});
        for (spec, field) in [
            (json!({"profileRef": " "}), "spec.profileRef"),
            (json!({"profileRef": "other/p"}), "spec.profileRef"),
            (json!({"includedNamespaces": ["a", ""]}), "spec.includedNamespaces[1]"),
            (json!({"excludedNamespaces": ["a", "a"]}), "spec.excludedNamespaces[1]"),
            (json!({"namespaceSelector": invalid}), "spec.namespaceSelector"),
            (json!({"namespaceExcludeSelector": invalid}), "spec.namespaceExcludeSelector"),
            (json!({"labelSelector": invalid}), "spec.labelSelector"),
            (rule(&json!({"gvk": {"version": "", "kind": "Deployment"}})), "spec.resourceRules[0].gvk.version"),
            (rule(&json!({"gvk": {"version": "v1", "kind": "Secret"}})), "spec.resourceRules[0].gvk"),
            (rule(&json!({"matchPolicy": "object.spec.("})), "spec.resourceRules[0].matchPolicy"),
            (rule(&json!({"matchExpressions": [{"key": "a", "operator": "In"}]})), "spec.resourceRules[0]"),
        ] {
            assert_eq!(fields(spec.clone()), [field], "{spec}");
        }
    }
}

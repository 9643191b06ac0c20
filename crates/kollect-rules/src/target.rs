//! The rules of KollectTarget, and those that both kinds of targets share.

use crate::ceiling::Ceiling;
use crate::findings::Findings;
use crate::namespaces::Confinement;
use crate::review_facts::{ReviewFacts, RuleSettings};
use crate::rule::{RuleDoc, rules};
use crate::secrets::{SecretExtractionPolicy, collects_secret_data, is_core_secret, secret_extraction_allowed};
use crate::violation::Violation;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kollect_api::{KollectTarget, ResourceRule};
use kollect_extract::Predicate;
use kollect_model::Gvk;

rules! { "KollectTarget";
    T1, CrdAndWebhook, "profileRef is blank or contains `/`", "must be the name of a KollectProfile of the same namespace";
    T2, CrdAndWebhook, "an entry of includedNamespaces or excludedNamespaces is empty or repeated", "must not be empty or blank, nor listed twice";
    T3, CrdAndWebhook, "the gvk of a rule has no version or no kind", "must not be empty or blank";
    T4, Webhook, "matchPolicy does not compile as CEL", "is not valid CEL";
    T5, Crd, "watchMode is neither All nor OptIn", "Unsupported value: supported values: \"All\", \"OptIn\"";
    T6, Webhook, "the namespace's KollectScope does not allow the kind of a rule, or of the profile when there are no rules", "the kind must not be collected here";
    T7, Webhook, "the namespace's KollectScope denies an entry of includedNamespaces, or allows other namespaces only", "the namespace must not be collected from here";
    T8, Webhook, "the gvk of a rule is not that of the profile, so that the rule can never match (also in KollectClusterTarget)", "can never match; use a target with a profile of its own";
    T9, Webhook, "a label selector is not valid", "is not a valid label selector";
    TW1, Warning, "the operator runs in tenant mode, includedNamespaces names another namespace, and the target's namespace has no KollectScope", "without a KollectScope the target reaches its own namespace only, because the operator runs in tenant mode; create a KollectScope that allows this one";
    TW2, Warning, "the profile has the annotation kollect.dev/allow-secret-extraction: \"true\" for core Secrets, and the owner of the data does not agree to it", "the target will be Degraded/SecretExtractionDenied and collect nothing";
    TW3, Warning, "the profile collects core Secrets, includedNamespaces names another namespace, and no KollectScope of the target's namespace has allowedNamespaces", "a target of Secrets reaches its own namespace only, unless a KollectScope there names others; add this one to allowedNamespaces of a KollectScope";
}

/// The rules that both kinds of targets share, with the identifiers of one kind.
pub(crate) struct Ids {
    pub(crate) list: &'static RuleDoc,
    pub(crate) gvk: &'static RuleDoc,
    pub(crate) policy: &'static RuleDoc,
    pub(crate) selector: &'static RuleDoc,
    pub(crate) other_kind: &'static RuleDoc,
    pub(crate) kind_denied: &'static RuleDoc,
    pub(crate) namespace_denied: &'static RuleDoc,
}

static IDS: Ids =
    Ids { list: &T2, gvk: &T3, policy: &T4, selector: &T9, other_kind: &T8, kind_denied: &T6, namespace_denied: &T7 };

/// Checks a target. `profile_gvk` is the kind of its profile.
pub fn check_target(target: &KollectTarget, profile_gvk: &Gvk) -> Vec<Violation> {
    let mut found = Findings::default();
    check_fields(&mut found, target, Some(profile_gvk));
    found.violations
}

fn check_fields(found: &mut Findings, target: &KollectTarget, profile_gvk: Option<&Gvk>) {
    let spec = &target.spec;
    found.name(&T1, "spec.profileRef", &spec.profile_ref);
    check_selector(found, &IDS, "spec.namespaceSelector", spec.namespace_selector.as_ref());
    found.distinct(&T2, "spec.includedNamespaces", &spec.included_namespaces);
    found.distinct(&T2, "spec.excludedNamespaces", &spec.excluded_namespaces);
    check_selector(found, &IDS, "spec.namespaceExcludeSelector", spec.namespace_exclude_selector.as_ref());
    check_rules(found, &IDS, &spec.resource_rules, profile_gvk);
    check_selector(found, &IDS, "spec.labelSelector", spec.label_selector.as_ref());
}

/// Checks a target and the limits that its scopes set.
pub(crate) fn review(found: &mut Findings, target: &KollectTarget, settings: &RuleSettings, facts: &ReviewFacts<'_>) {
    let profile = facts.profile.map(|profile| Gvk::from(&profile.spec.target_gvk));
    check_fields(found, target, profile.as_ref());
    let included = &target.spec.included_namespaces;
    let ceiling = Ceiling::of_namespace(facts.scopes);
    check_scope(found, &IDS, &ceiling, profile.as_ref(), &target.spec.resource_rules, included);
    let policy = settings.secret_extraction;
    if let Some(profile) = facts.profile.filter(|profile| collects_secret_data(profile))
        && let Err(why) = secret_extraction_allowed(policy, &ceiling, "KollectScope in its namespace")
    {
        found.warn_of(&TW2, "spec.profileRef", format_args!("{}: {why}", profile.spec.target_gvk.kind));
    }
    let secrets = profile.as_ref().is_some_and(is_core_secret) && policy != SecretExtractionPolicy::Any;
    let own = target.metadata.namespace.as_deref().unwrap_or("default");
    let rule = match Confinement::of(own, &ceiling, secrets, settings.tenant_mode) {
        None => return,
        Some(Confinement::TenantMode(_)) => &TW1,
        Some(Confinement::Secrets(_)) => &TW3,
    };
    for i in (0..included.len()).filter(|i| included[*i] != own) {
        found.warn(rule, format!("spec.includedNamespaces[{i}]"));
    }
}

pub(crate) fn check_selector(found: &mut Findings, ids: &Ids, field: &str, selector: Option<&LabelSelector>) {
    found.selector(ids.selector, field, selector);
}

pub(crate) fn check_rules(found: &mut Findings, ids: &Ids, rules: &[ResourceRule], profile_gvk: Option<&Gvk>) {
    for (i, rule) in rules.iter().enumerate() {
        check_rule(found, ids, &format!("spec.resourceRules[{i}]"), rule, profile_gvk);
    }
}

fn check_rule(found: &mut Findings, ids: &Ids, at: &str, rule: &ResourceRule, profile_gvk: Option<&Gvk>) {
    let parts = [("version", &rule.gvk.version), ("kind", &rule.gvk.kind)];
    let complete = parts
        .into_iter()
        .fold(true, |all, (part, text)| found.required(ids.gvk, &format!("{at}.gvk.{part}"), text) && all);
    let gvk = Gvk::from(&rule.gvk);
    if let Some(profile_gvk) = profile_gvk.filter(|of| complete && !gvk.matches_ignoring_case(of)) {
        let why = format!("the profile collects {profile_gvk}");
        found.add_detail(ids.other_kind, format!("{at}.gvk"), &gvk.to_string(), why);
    }
    check_selector(found, ids, &format!("{at}.namespaceSelector"), rule.namespace_selector.as_ref());
    let labels = LabelSelector {
        match_labels: Some(rule.match_labels.clone()),
        match_expressions: Some(rule.match_expressions.clone()),
    };
    check_selector(found, ids, at, Some(&labels));
    let policy = rule.match_policy.as_deref().filter(|policy| !policy.trim().is_empty());
    if let Some(policy) = policy {
        if policy.trim_start().starts_with("cel:") {
            found.add_detail(
                ids.policy,
                format!("{at}.matchPolicy"),
                policy,
                "CEL is written here without the prefix cel:",
            );
        } else if let Err(error) = Predicate::compile(policy) {
            found.add_detail(ids.policy, format!("{at}.matchPolicy"), policy, error.message);
        }
    }
}

/// Checks kinds and named namespaces against the scopes.
pub(crate) fn check_scope(
    found: &mut Findings,
    ids: &Ids,
    ceiling: &Ceiling<'_>,
    profile: Option<&Gvk>,
    rules: &[ResourceRule],
    included: &[String],
) {
    if let Some(gvk) = profile.filter(|_| rules.is_empty())
        && let Err(why) = ceiling.gvk_allowed(gvk)
    {
        found.add_detail(ids.kind_denied, "spec.profileRef", "", why);
    }
    for (i, rule) in rules.iter().enumerate() {
        let gvk = Gvk::from(&rule.gvk);
        if let Err(why) = ceiling.gvk_allowed(&gvk) {
            found.add_detail(ids.kind_denied, format!("spec.resourceRules[{i}].gvk"), &gvk.to_string(), why);
        }
    }
    for (i, name) in included.iter().enumerate() {
        if let Err(why) = ceiling.namespace_allowed(name) {
            found.add_detail(
                ids.namespace_denied,
                format!("spec.includedNamespaces[{i}]"),
                name,
                format!("{name} {why}"),
            );
        }
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
            (json!({"namespaceSelector": invalid}), "spec.namespaceSelector.matchExpressions[0].operator"),
            (
                json!({"namespaceExcludeSelector": invalid}),
                "spec.namespaceExcludeSelector.matchExpressions[0].operator",
            ),
            (json!({"labelSelector": invalid}), "spec.labelSelector.matchExpressions[0].operator"),
            (rule(&json!({"gvk": {"version": "", "kind": "Deployment"}})), "spec.resourceRules[0].gvk.version"),
            (rule(&json!({"gvk": {"version": "v1", "kind": "Secret"}})), "spec.resourceRules[0].gvk"),
            (rule(&json!({"matchPolicy": "object.spec.("})), "spec.resourceRules[0].matchPolicy"),
            (
                rule(&json!({"matchExpressions": [{"key": "a", "operator": "In"}]})),
                "spec.resourceRules[0].matchExpressions[0].values",
            ),
        ] {
            assert_eq!(fields(spec.clone()), [field], "{spec}");
        }
    }
}

//! The rules of KollectClusterTarget.

use crate::ceiling::Ceiling;
use crate::findings::Findings;
use crate::names::{is_dns_label, is_dns_subdomain};
use crate::review_facts::{ReviewFacts, RuleSettings};
use crate::rule::{RuleDoc, rules};
use crate::secrets::{collects_secret_data, secret_extraction_allowed};
use crate::target::{Ids, check_rules, check_scope, check_selector};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kollect_api::{KollectClusterTarget, NamespacedReference};
use kollect_model::Gvk;

rules! { "KollectClusterTarget";
    CT1, Webhook, "the operator runs in tenant mode", "is not supported in tenant mode; use KollectTarget in each namespace";
    CT2, CrdAndWebhook, "profileRef.name is blank, contains `/` or is no DNS-1123 subdomain", "must be the name of a KollectProfile: lower-case letters, digits, \"-\" and \".\" (DNS-1123)";
    CT3, CrdAndWebhook, "profileRef.namespace is missing or no DNS-1123 label", "must name the namespace of the KollectProfile: lower-case letters, digits and \"-\" (DNS-1123)";
    CT4, CrdAndWebhook, "namespaceSelector is missing or empty", "is required, with at least one label or expression; matchExpressions: [{key: kubernetes.io/metadata.name, operator: Exists}] selects all namespaces";
    CT5, CrdAndWebhook, "the rules T2, T3 and T4 of KollectTarget are broken", "is not valid";
    CT6, Webhook, "the KollectClusterScope does not allow the kind of a rule, or of the profile when there are no rules", "the kind must not be collected by cluster targets";
    CT7, Webhook, "the KollectClusterScope denies an entry of includedNamespaces, or allows other namespaces only", "the namespace must not be collected from by cluster targets";
    CT8, Webhook, "profileRef.namespace is not in allowedStaticRefNamespaces of the KollectClusterScope", "profiles of this namespace must not be used by cluster kinds";
    CT9, Webhook, "a label selector is not valid", "is not a valid label selector";
    CTW1, Warning, "the profile has the annotation kollect.dev/allow-secret-extraction: \"true\" for core Secrets, and the owner of the data does not agree to it", "the target will be Degraded/SecretExtractionDenied and collect nothing";
}

static IDS: Ids = Ids {
    list: &CT5,
    gvk: &CT5,
    policy: &CT5,
    selector: &CT9,
    other_kind: &crate::target::T8,
    kind_denied: &CT6,
    namespace_denied: &CT7,
};

fn check_fields(found: &mut Findings, target: &KollectClusterTarget, profile_gvk: Option<&Gvk>) {
    let spec = &target.spec;
    check_profile_ref(found, &CT2, &CT3, &spec.profile_ref);
    if spec.namespace_selector.as_ref().is_none_or(is_empty) {
        found.add(&CT4, "spec.namespaceSelector", "");
    }
    check_selector(found, &IDS, "spec.namespaceSelector", spec.namespace_selector.as_ref());
    found.distinct(IDS.list, "spec.includedNamespaces", &spec.included_namespaces);
    found.distinct(IDS.list, "spec.excludedNamespaces", &spec.excluded_namespaces);
    check_selector(found, &IDS, "spec.namespaceExcludeSelector", spec.namespace_exclude_selector.as_ref());
    check_rules(found, &IDS, &spec.resource_rules, profile_gvk);
}

/// Checks a cluster target and the limits that its scopes set.
pub(crate) fn review(
    found: &mut Findings,
    target: &KollectClusterTarget,
    settings: &RuleSettings,
    facts: &ReviewFacts<'_>,
) {
    if settings.tenant_mode {
        found.add(&CT1, "spec", "");
    }
    let profile = facts.profile.map(|profile| Gvk::from(&profile.spec.target_gvk));
    check_fields(found, target, profile.as_ref());
    let ceiling = Ceiling::of_cluster(facts.cluster_scopes);
    let spec = &target.spec;
    check_scope(found, &IDS, &ceiling, profile.as_ref(), &spec.resource_rules, &spec.included_namespaces);
    if let Some(namespace) = &spec.profile_ref.namespace
        && let Err(why) = ceiling.static_ref_allowed(namespace)
    {
        found.add_detail(&CT8, "spec.profileRef.namespace", namespace, format!("{namespace} {why}"));
    }
    if let Some(profile) = facts.profile.filter(|profile| collects_secret_data(profile))
        && let Err(why) = secret_extraction_allowed(settings.secret_extraction, &ceiling, "KollectClusterScope")
    {
        found.warn_of(&CTW1, "spec.profileRef", format_args!("{}: {why}", profile.spec.target_gvk.kind));
    }
}

/// Whether a selector has no requirements.
pub(crate) fn is_empty(selector: &LabelSelector) -> bool {
    selector.match_labels.as_ref().is_none_or(std::collections::BTreeMap::is_empty)
        && selector.match_expressions.as_ref().is_none_or(Vec::is_empty)
}

/// A profile by name and namespace.
pub(crate) fn check_profile_ref(
    found: &mut Findings,
    name: &'static RuleDoc,
    namespace: &'static RuleDoc,
    reference: &NamespacedReference,
) {
    if !is_dns_subdomain(&reference.name) {
        found.add(name, "spec.profileRef.name", &reference.name);
    }
    let of = reference.namespace.as_deref().unwrap_or_default();
    if !is_dns_label(of) {
        found.add(namespace, "spec.profileRef.namespace", of);
    }
}

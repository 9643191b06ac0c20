//! The rules of KollectClusterInventory.

use crate::MAX_INTERVAL;
use crate::ceiling::Ceiling;
use crate::cluster_target::{check_profile_ref, is_empty};
use crate::findings::Findings;
use crate::names::is_dns_label;
use crate::review_facts::{ReviewFacts, RuleSettings};
use crate::rule::rules;
use crate::sink_refs::{RefIds, check_counts, check_floor, check_keys, check_refs};
use crate::violation::TWICE;
use kollect_api::{KollectClusterInventory, SinkFamily};
use serde_json::Value;
use std::collections::BTreeSet;

rules! { "KollectClusterInventory";
    CI1, Webhook, "the operator runs in tenant mode", "is not supported in tenant mode; use KollectInventory in each namespace";
    CI2, CrdAndWebhook, "profileRef is set, and its name or namespace is not valid", "must be the name and the namespace of a KollectProfile (DNS-1123)";
    CI3, CrdAndWebhook, "an entry of targetRefs is blank or contains `/`", "must be the name of a KollectClusterTarget";
    CI4, CrdAndWebhook, "an entry of namespaces is blank, padded, repeated or no DNS-1123 label", "must be the name of a namespace: lower-case letters, digits and \"-\" (DNS-1123)";
    CI5, CrdAndWebhook, "neither namespaces nor a namespaceSelector with a label or expression is set", "namespaceSelector or namespaces is required; matchExpressions: [{key: kubernetes.io/metadata.name, operator: Exists}] selects all namespaces";
    CI6, CrdAndWebhook, "the rules I1, I2 or I8 of KollectInventory are broken, or the namespace of a reference is no DNS-1123 label", "is not a valid reference to a sink";
    CI7, CrdAndWebhook, "sinkNamespace contains `/` or is no DNS-1123 label", "must be the name of a namespace (DNS-1123), without \"/\"";
    CI8, CrdAndWebhook, "an interval is no duration between 0s and 24h, or a maxExportBytes not between 1 and the operator's --max-export-bytes", "is out of range";
    CI9, Crd, "dedupe is neither keepAll nor byResourceUID", "Unsupported value: supported values: \"keepAll\", \"byResourceUID\"";
    CI10, Webhook, "an interval that is written down is shorter than the minExportInterval of the KollectScope of sinkNamespace", "is shorter than the scope permits";
    CI11, Webhook, "the namespace of the profile or of a sink is not in allowedStaticRefNamespaces of the KollectClusterScope", "profiles and sinks of this namespace must not be used by cluster kinds";
    CI12, Webhook, "a sink is not in its list of the KollectClusterScope", "the sink must not be exported to by cluster inventories";
    CI13, Webhook, "a label selector is not valid", "is not a valid label selector";
    CI14, Webhook, "an interval that is written down is shorter than the minExportInterval of the KollectClusterScope", "is shorter than the scope permits";
}

static IDS: RefIds = RefIds { count: &CI6, name: &CI6, interval: &CI8, bytes: &CI8, keys: &CI6 };

fn check_fields(found: &mut Findings, inventory: &KollectClusterInventory, max_export_bytes: i64) {
    let spec = &inventory.spec;
    if let Some(profile) = &spec.profile_ref {
        check_profile_ref(found, &CI2, &CI2, profile);
    }
    for (i, name) in spec.target_refs.iter().enumerate() {
        found.name(&CI3, &format!("spec.targetRefs[{i}]"), name);
    }
    check_namespaces(found, &spec.namespaces);
    if spec.namespaces.is_empty() && spec.namespace_selector.as_ref().is_none_or(is_empty) {
        found.add(&CI5, "spec.namespaceSelector", "");
    }
    for (field, selector) in
        [("spec.targetSelector", &spec.target_selector), ("spec.namespaceSelector", &spec.namespace_selector)]
    {
        found.selector(&CI13, field, selector.as_ref());
    }
    let lists = SinkFamily::ALL.map(|family| (family, spec.sink_refs(family)));
    if check_counts(found, &IDS, &lists) {
        for (family, refs) in &lists {
            check_refs(found, &IDS, *family, refs, max_export_bytes);
            for (i, reference) in refs.iter().enumerate() {
                if let Some(namespace) = reference.namespace.as_deref().filter(|text| !is_dns_label(text)) {
                    let at = format!("spec.{}[{i}].namespace", family.refs_field());
                    found.text(&CI6, at, namespace, CI4.message);
                }
            }
        }
    }
    if !is_dns_label(&spec.sink_namespace) && !spec.sink_namespace.trim().is_empty() {
        found.add(&CI7, "spec.sinkNamespace", &spec.sink_namespace);
    }
    found.interval(&CI8, "spec.exportMinInterval", spec.export_min_interval.as_ref(), MAX_INTERVAL);
}

fn check_namespaces(found: &mut Findings, namespaces: &[String]) {
    let mut seen = BTreeSet::new();
    for (i, name) in namespaces.iter().enumerate() {
        let at = format!("spec.namespaces[{i}]");
        if !is_dns_label(name) {
            found.add(&CI4, at, name);
        } else if !seen.insert(name) {
            found.text(&CI4, at, name, TWICE);
        }
    }
}

/// Checks a cluster inventory and the limits that its scopes set.
pub(crate) fn review(
    found: &mut Findings,
    inventory: &KollectClusterInventory,
    raw: &Value,
    settings: &RuleSettings,
    facts: &ReviewFacts<'_>,
) {
    if settings.tenant_mode {
        found.add(&CI1, "spec", "");
    }
    check_keys(found, &IDS, raw);
    check_fields(found, inventory, settings.max_export_bytes);
    let spec = &inventory.spec;
    let lists = SinkFamily::ALL.map(|family| (family, spec.sink_refs(family)));
    let own = spec.export_min_interval.as_ref();
    check_floor(found, &CI10, &Ceiling::of_namespace(facts.scopes), own, &lists);
    let ceiling = Ceiling::of_cluster(facts.cluster_scopes);
    check_floor(found, &CI14, &ceiling, own, &lists);
    check_static_refs(found, inventory, &ceiling);
}

fn check_static_refs(found: &mut Findings, inventory: &KollectClusterInventory, ceiling: &Ceiling<'_>) {
    let spec = &inventory.spec;
    let mut namespace = |field: String, name: &str| {
        if let Err(why) = ceiling.static_ref_allowed(name) {
            found.add_detail(&CI11, field, name, format!("{name} {why}"));
        }
    };
    if let Some(of) = spec.profile_ref.as_ref().and_then(|profile| profile.namespace.as_deref()) {
        namespace("spec.profileRef.namespace".to_owned(), of);
    }
    let mut shared = false;
    for family in SinkFamily::ALL {
        for (i, reference) in spec.sink_refs(family).iter().enumerate() {
            match reference.namespace.as_deref().filter(|text| !text.trim().is_empty()) {
                Some(own) => namespace(format!("spec.{}[{i}].namespace", family.refs_field()), own),
                None => shared = true,
            }
        }
    }
    if shared {
        namespace("spec.sinkNamespace".to_owned(), &spec.sink_namespace);
    }
    for family in SinkFamily::ALL {
        for (i, reference) in spec.sink_refs(family).iter().enumerate() {
            if let Err(why) = ceiling.sink_allowed(family, &reference.name) {
                found.add_detail(&CI12, format!("spec.{}[{i}].name", family.refs_field()), &reference.name, why);
            }
        }
    }
}

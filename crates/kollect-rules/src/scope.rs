//! The rules of KollectScope and KollectClusterScope.

use crate::MAX_INTERVAL;
use crate::findings::Findings;
use crate::rule::rules;
use kollect_api::{GoDuration, GroupVersionKind, KollectClusterScope, KollectScope, SinkFamily};

rules! { "KollectScope, KollectClusterScope";
    S1, CrdAndWebhook, "an entry of allowedGVKs has no version or no kind", "must not be empty or blank";
    S2, CrdAndWebhook, "an entry of allowedNamespaces or deniedNamespaces is empty or repeated", "must not be empty or blank, nor listed twice";
    S3, CrdAndWebhook, "minExportInterval is no duration between 0s and 24h", "is not a duration; write a number with a unit, such as 30s";
    S4, CrdAndWebhook, "an entry of snapshotSinkRefs, databaseSinkRefs, eventSinkRefs or sinkRefs is empty or repeated", "must not be empty or blank, nor listed twice";
    SW1, Warning, "sinkRefs is set", "sinkRefs is the old list for all kinds of sinks; name them in snapshotSinkRefs, databaseSinkRefs and eventSinkRefs instead";
}

struct Lists<'a> {
    gvks: &'a [GroupVersionKind],
    allowed: &'a [String],
    denied: &'a [String],
    interval: Option<&'a GoDuration>,
    sinks: [(SinkFamily, &'a [String]); 3],
    legacy: &'a [String],
}

pub(crate) fn check_fields(found: &mut Findings, scope: &KollectScope) {
    let spec = &scope.spec;
    let lists = Lists {
        gvks: &spec.allowed_gvks,
        allowed: &spec.allowed_namespaces,
        denied: &spec.denied_namespaces,
        interval: spec.min_export_interval.as_ref(),
        sinks: SinkFamily::ALL.map(|family| (family, spec.allowed_sinks(family))),
        legacy: &spec.sink_refs,
    };
    check(found, &lists);
}

pub(crate) fn check_cluster_scope(found: &mut Findings, scope: &KollectClusterScope) {
    let spec = &scope.spec;
    let lists = Lists {
        gvks: &spec.allowed_gvks,
        allowed: &spec.allowed_namespaces,
        denied: &spec.denied_namespaces,
        interval: spec.min_export_interval.as_ref(),
        sinks: SinkFamily::ALL.map(|family| (family, spec.allowed_sinks(family))),
        legacy: &spec.sink_refs,
    };
    check(found, &lists);
}

fn check(found: &mut Findings, lists: &Lists<'_>) {
    for (i, gvk) in lists.gvks.iter().enumerate() {
        found.required(&S1, &format!("spec.allowedGVKs[{i}].version"), &gvk.version);
        found.required(&S1, &format!("spec.allowedGVKs[{i}].kind"), &gvk.kind);
    }
    found.distinct(&S2, "spec.allowedNamespaces", lists.allowed);
    found.distinct(&S2, "spec.deniedNamespaces", lists.denied);
    found.interval(&S3, "spec.minExportInterval", lists.interval, MAX_INTERVAL);
    for (family, names) in lists.sinks {
        found.distinct(&S4, &format!("spec.{}", family.refs_field()), names);
    }
    found.distinct(&S4, "spec.sinkRefs", lists.legacy);
    if !lists.legacy.is_empty() {
        found.warn(&SW1, "spec.sinkRefs");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_malformed_scope_of_either_kind_names_its_fields() {
        let spec = json!({
            "allowedGVKs": [{"version": "", "kind": "Pod"}], "deniedNamespaces": ["a", "", "a"],
            "minExportInterval": "25h", "sinkRefs": ["x", "x"]
        });
        let expected = [
            "spec.allowedGVKs[0].version",
            "spec.deniedNamespaces[1]",
            "spec.deniedNamespaces[2]",
            "spec.minExportInterval",
            "spec.sinkRefs[1]",
        ];
        let scope = KollectScope::new("s", serde_json::from_value(spec.clone()).unwrap());
        let mut found = Findings::default();
        check_fields(&mut found, &scope);
        let fields: Vec<_> = found.violations.into_iter().map(|v| v.field).collect();
        assert_eq!(fields, expected);
        let scope = KollectClusterScope::new("s", serde_json::from_value(spec).unwrap());
        let mut found = Findings::default();
        check_cluster_scope(&mut found, &scope);
        let fields: Vec<_> = found.violations.into_iter().map(|v| v.field).collect();
        assert_eq!(fields, expected);
    }
}

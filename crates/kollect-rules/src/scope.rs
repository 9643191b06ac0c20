//! What a KollectScope permits, besides namespaces.

use crate::MAX_INTERVAL;
use crate::violation::{Findings, Violation};
use kollect_api::{KollectScope, SinkFamily};
use kollect_model::Gvk;

/// The scope that is enforced among those of one namespace: the one with the lowest name.
pub fn enforced_scope<'a>(scopes: impl IntoIterator<Item = &'a KollectScope>) -> Option<&'a KollectScope> {
    scopes.into_iter().min_by(|a, b| a.metadata.name.cmp(&b.metadata.name))
}

fn name_of(scope: &KollectScope) -> &str {
    scope.metadata.name.as_deref().unwrap_or_default()
}

/// Whether a kind may be collected, or why not.
pub fn gvk_allowed(scope: &KollectScope, gvk: &Gvk) -> Result<(), String> {
    let allowed = &scope.spec.allowed_gvks;
    if allowed.is_empty() || allowed.iter().any(|entry| Gvk::from(entry).matches_ignoring_case(gvk)) {
        return Ok(());
    }
    Err(format!("{gvk} is not in allowedGVKs of KollectScope {}", name_of(scope)))
}

/// Whether inventories may export to a sink, or why not.
pub fn sink_allowed(scope: &KollectScope, family: SinkFamily, name: &str) -> Result<(), String> {
    let (own, legacy) = (scope.spec.allowed_sinks(family), &scope.spec.sink_refs);
    if (own.is_empty() && legacy.is_empty()) || own.iter().chain(legacy).any(|entry| entry == name) {
        return Ok(());
    }
    let field = if own.is_empty() { "sinkRefs" } else { family.refs_field() };
    Err(format!("{} {name} is not in {field} of KollectScope {}", family.kind(), name_of(scope)))
}

/// Checks a scope.
pub fn check_scope(scope: &KollectScope) -> Vec<Violation> {
    let spec = &scope.spec;
    let mut found = Findings::default();
    for (i, gvk) in spec.allowed_gvks.iter().enumerate() {
        found.required(&format!("spec.allowedGVKs[{i}].version"), &gvk.version);
        found.required(&format!("spec.allowedGVKs[{i}].kind"), &gvk.kind);
    }
    found.distinct("spec.allowedNamespaces", &spec.allowed_namespaces);
    found.distinct("spec.deniedNamespaces", &spec.denied_namespaces);
    found.interval("spec.minExportInterval", spec.min_export_interval.as_ref(), MAX_INTERVAL);
    for family in SinkFamily::ALL {
        found.distinct(&format!("spec.{}", family.refs_field()), spec.allowed_sinks(family));
    }
    found.distinct("spec.sinkRefs", &spec.sink_refs);
    found.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use kollect_api::KollectScopeSpec;
    use serde_json::{Value, json};

    fn scope(name: &str, spec: Value) -> KollectScope {
        KollectScope::new(name, serde_json::from_value::<KollectScopeSpec>(spec).unwrap())
    }

    #[test]
    fn the_lowest_name_is_enforced() {
        let (a, b) = (scope("alpha", json!({})), scope("beta", json!({})));
        assert_eq!(enforced_scope([&b, &a]).unwrap().metadata.name.as_deref(), Some("alpha"));
        assert!(enforced_scope([]).is_none());
    }

    #[test]
    fn kinds_are_compared_ignoring_case() {
        let scope = scope("s", json!({"allowedGVKs": [{"group": "Apps", "version": "v1", "kind": "deployment"}]}));
        assert_eq!(gvk_allowed(&scope, &Gvk::new("apps", "v1", "Deployment")), Ok(()));
        let why = gvk_allowed(&scope, &Gvk::new("", "v1", "Secret")).unwrap_err();
        assert!(why.contains("v1/Secret") && why.contains("KollectScope s"), "{why}");
    }

    #[test]
    fn sink_lists_are_united_with_the_list_for_all_families() {
        use SinkFamily::{Database, Snapshot};
        for (spec, family, name, allowed) in [
            (json!({}), Snapshot, "git", true),
            (json!({"snapshotSinkRefs": ["git"]}), Snapshot, "git", true),
            (json!({"snapshotSinkRefs": ["git"]}), Snapshot, "s3", false),
            (json!({"snapshotSinkRefs": ["git"]}), Database, "pg", true),
            (json!({"sinkRefs": ["pg"]}), Database, "pg", true),
            (json!({"sinkRefs": ["pg"]}), Snapshot, "git", false),
            (json!({"snapshotSinkRefs": ["git"], "sinkRefs": ["s3"]}), Snapshot, "s3", true),
        ] {
            assert_eq!(sink_allowed(&scope("s", spec.clone()), family, name).is_ok(), allowed, "{spec} {name}");
        }
    }

    #[test]
    fn a_malformed_scope_names_its_fields() {
        let bad = scope(
            "s",
            json!({
                "allowedGVKs": [{"version": "", "kind": "Pod"}], "deniedNamespaces": ["a", "", "a"],
                "minExportInterval": "25h", "sinkRefs": ["x", "x"]
            }),
        );
        let fields: Vec<_> = check_scope(&bad).into_iter().map(|v| v.field).collect();
        assert_eq!(
            fields,
            [
                "spec.allowedGVKs[0].version",
                "spec.deniedNamespaces[1]",
                "spec.deniedNamespaces[2]",
                "spec.minExportInterval",
                "spec.sinkRefs[1]",
            ]
        );
    }
}

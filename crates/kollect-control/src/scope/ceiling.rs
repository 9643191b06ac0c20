//! What a KollectClusterScope permits.

use kollect_api::{KollectClusterScope, SinkFamily};
use kollect_model::Gvk;

fn name_of(scope: &KollectClusterScope) -> &str {
    scope.metadata.name.as_deref().unwrap_or_default()
}

/// Whether cluster targets may collect from a namespace.
pub fn namespace_allowed(scope: &KollectClusterScope, namespace: &str) -> bool {
    let lists = |list: &[String]| list.iter().any(|entry| entry == namespace);
    let allowed = &scope.spec.allowed_namespaces;
    !lists(&scope.spec.denied_namespaces) && (allowed.is_empty() || lists(allowed))
}

/// Whether cluster kinds may use profiles and sinks of a namespace, or why not.
pub fn static_reference_allowed(scope: &KollectClusterScope, namespace: &str) -> Result<(), String> {
    let allowed = &scope.spec.allowed_static_ref_namespaces;
    if allowed.is_empty() || allowed.iter().any(|entry| entry == namespace) {
        return Ok(());
    }
    Err(format!("namespace {namespace} is not in allowedStaticRefNamespaces of KollectClusterScope {}", name_of(scope)))
}

/// Whether cluster targets may collect a kind, or why not.
pub fn cluster_gvk_allowed(scope: &KollectClusterScope, gvk: &Gvk) -> Result<(), String> {
    let allowed = &scope.spec.allowed_gvks;
    if allowed.is_empty() || allowed.iter().any(|entry| Gvk::from(entry).matches_ignoring_case(gvk)) {
        return Ok(());
    }
    Err(format!("{gvk} is not in allowedGVKs of KollectClusterScope {}", name_of(scope)))
}

/// Whether cluster inventories may export to a sink, or why not.
pub fn cluster_sink_allowed(scope: &KollectClusterScope, family: SinkFamily, name: &str) -> Result<(), String> {
    let (own, legacy) = (scope.spec.allowed_sinks(family), &scope.spec.sink_refs);
    if (own.is_empty() && legacy.is_empty()) || own.iter().chain(legacy).any(|entry| entry == name) {
        return Ok(());
    }
    let field = if own.is_empty() { "sinkRefs" } else { family.refs_field() };
    Err(format!("{} {name} is not in {field} of KollectClusterScope {}", family.kind(), name_of(scope)))
}

//! What a scope permits: kinds, namespaces, sinks, intervals.
//!
//! Separate so that the scope of a namespace and the scope of the cluster are asked the same questions.

use kollect_api::{GoDuration, GroupVersionKind, KollectClusterScope, KollectScope, SinkFamily};
use kollect_model::Gvk;

/// A scope of either kind, as the ceiling for what it governs.
#[derive(Clone, Copy, Debug)]
pub struct Ceiling<'a> {
    kind: &'static str,
    name: &'a str,
    gvks: &'a [GroupVersionKind],
    allowed_namespaces: &'a [String],
    denied_namespaces: &'a [String],
    static_ref_namespaces: &'a [String],
    floor: Option<&'a GoDuration>,
    sinks: [(SinkFamily, &'a [String]); 3],
    legacy_sinks: &'a [String],
}

impl<'a> From<&'a KollectScope> for Ceiling<'a> {
    fn from(scope: &'a KollectScope) -> Self {
        let spec = &scope.spec;
        Self {
            kind: "KollectScope",
            name: scope.metadata.name.as_deref().unwrap_or_default(),
            gvks: &spec.allowed_gvks,
            allowed_namespaces: &spec.allowed_namespaces,
            denied_namespaces: &spec.denied_namespaces,
            static_ref_namespaces: &[],
            floor: spec.min_export_interval.as_ref(),
            sinks: SinkFamily::ALL.map(|family| (family, spec.allowed_sinks(family))),
            legacy_sinks: &spec.sink_refs,
        }
    }
}

impl<'a> From<&'a KollectClusterScope> for Ceiling<'a> {
    fn from(scope: &'a KollectClusterScope) -> Self {
        let spec = &scope.spec;
        Self {
            kind: "KollectClusterScope",
            name: scope.metadata.name.as_deref().unwrap_or_default(),
            gvks: &spec.allowed_gvks,
            allowed_namespaces: &spec.allowed_namespaces,
            denied_namespaces: &spec.denied_namespaces,
            static_ref_namespaces: &spec.allowed_static_ref_namespaces,
            floor: spec.min_export_interval.as_ref(),
            sinks: SinkFamily::ALL.map(|family| (family, spec.allowed_sinks(family))),
            legacy_sinks: &spec.sink_refs,
        }
    }
}

fn lists(list: &[String], name: &str) -> bool {
    list.iter().any(|entry| entry == name)
}

impl Ceiling<'_> {
    /// `KollectScope team-a`.
    fn title(&self) -> String {
        format!("{} {}", self.kind, self.name)
    }

    /// Whether a namespace may be collected from, or why not.
    pub fn namespace_allowed(&self, namespace: &str) -> Result<(), String> {
        if lists(self.denied_namespaces, namespace) {
            return Err(format!("is in deniedNamespaces of {}", self.title()));
        }
        if !self.allowed_namespaces.is_empty() && !lists(self.allowed_namespaces, namespace) {
            return Err(format!("is not in allowedNamespaces of {}", self.title()));
        }
        Ok(())
    }

    /// Whether cluster kinds may use profiles and sinks of a namespace, or why not.
    pub fn static_ref_allowed(&self, namespace: &str) -> Result<(), String> {
        if self.static_ref_namespaces.is_empty() || lists(self.static_ref_namespaces, namespace) {
            return Ok(());
        }
        Err(format!("is not in allowedStaticRefNamespaces of {}", self.title()))
    }

    /// Whether an interval keeps to the least one, or why not.
    pub(crate) fn interval_allowed(&self, interval: &GoDuration) -> Result<(), String> {
        let (Some(floor), Ok(interval)) = (self.floor, interval.to_duration()) else { return Ok(()) };
        if floor.to_duration().is_ok_and(|floor| interval < floor) {
            return Err(format!("use {floor} or more, the minExportInterval of {}", self.title()));
        }
        Ok(())
    }
}

/// Whether a kind may be collected, or why not.
pub fn gvk_allowed<'a>(scope: impl Into<Ceiling<'a>>, gvk: &Gvk) -> Result<(), String> {
    let scope = scope.into();
    if scope.gvks.is_empty() || scope.gvks.iter().any(|entry| Gvk::from(entry).matches_ignoring_case(gvk)) {
        return Ok(());
    }
    Err(format!("{gvk} is not in allowedGVKs of {}", scope.title()))
}

/// Whether inventories may export to a sink, or why not.
pub fn sink_allowed<'a>(scope: impl Into<Ceiling<'a>>, family: SinkFamily, name: &str) -> Result<(), String> {
    let scope = scope.into();
    let own = scope.sinks.iter().find(|(of, _)| *of == family).map_or(&[][..], |(_, names)| names);
    let legacy = scope.legacy_sinks;
    if (own.is_empty() && legacy.is_empty()) || lists(own, name) || lists(legacy, name) {
        return Ok(());
    }
    let field = if own.is_empty() { "sinkRefs" } else { family.refs_field() };
    Err(format!("{} {name} is not in {field} of {}", family.kind(), scope.title()))
}

/// The scope that is enforced among those of one namespace: the one with the lowest name.
pub fn enforced_scope<'a>(scopes: impl IntoIterator<Item = &'a KollectScope>) -> Option<&'a KollectScope> {
    scopes.into_iter().min_by(|a, b| a.metadata.name.cmp(&b.metadata.name))
}

/// The cluster scope that is enforced: the one with the lowest name.
pub fn enforced_cluster_scope<'a>(
    scopes: impl IntoIterator<Item = &'a KollectClusterScope>,
) -> Option<&'a KollectClusterScope> {
    scopes.into_iter().min_by(|a, b| a.metadata.name.cmp(&b.metadata.name))
}

/// The longer of two least intervals, for bindings that two scopes govern. One that is no duration does not count.
pub fn highest_floor<'a>(a: Option<&'a GoDuration>, b: Option<&'a GoDuration>) -> Option<&'a GoDuration> {
    let value = |floor: Option<&GoDuration>| floor.and_then(|floor| floor.to_duration().ok());
    match (value(a), value(b)) {
        (Some(first), Some(second)) if second > first => b,
        (None, Some(_)) => b,
        _ => a,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kollect_api::KollectScopeSpec;
    use serde_json::{Value, json};

    fn scope(name: &str, spec: Value) -> KollectScope {
        KollectScope::new(name, serde_json::from_value::<KollectScopeSpec>(spec).unwrap())
    }

    fn cluster_scope(name: &str, spec: Value) -> KollectClusterScope {
        KollectClusterScope::new(name, serde_json::from_value(spec).unwrap())
    }

    #[test]
    fn the_lowest_name_is_enforced() {
        let (a, b) = (scope("alpha", json!({})), scope("beta", json!({})));
        assert_eq!(enforced_scope([&b, &a]).unwrap().metadata.name.as_deref(), Some("alpha"));
        assert!(enforced_scope([]).is_none());
        let (a, b) = (cluster_scope("alpha", json!({})), cluster_scope("beta", json!({})));
        assert_eq!(enforced_cluster_scope([&b, &a]).unwrap().metadata.name.as_deref(), Some("alpha"));
    }

    #[test]
    fn kinds_are_compared_ignoring_case() {
        let spec = json!({"allowedGVKs": [{"group": "Apps", "version": "v1", "kind": "deployment"}]});
        let (scope, cluster) = (scope("s", spec.clone()), cluster_scope("c", spec));
        assert_eq!(gvk_allowed(&scope, &Gvk::new("apps", "v1", "Deployment")), Ok(()));
        assert_eq!(gvk_allowed(&cluster, &Gvk::new("apps", "v1", "Deployment")), Ok(()));
        let why = gvk_allowed(&scope, &Gvk::new("", "v1", "Secret")).unwrap_err();
        assert!(why.contains("v1/Secret") && why.contains("KollectScope s"), "{why}");
        let why = gvk_allowed(&cluster, &Gvk::new("", "v1", "Secret")).unwrap_err();
        assert!(why.contains("KollectClusterScope c"), "{why}");
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
            assert_eq!(sink_allowed(&cluster_scope("s", spec.clone()), family, name).is_ok(), allowed, "{spec} {name}");
        }
    }

    #[test]
    fn only_a_cluster_scope_limits_where_profiles_and_sinks_are_taken_from() {
        let limited = cluster_scope("c", json!({"allowedStaticRefNamespaces": ["platform"]}));
        assert_eq!(Ceiling::from(&limited).static_ref_allowed("platform"), Ok(()));
        assert!(Ceiling::from(&limited).static_ref_allowed("team-a").is_err());
        assert_eq!(Ceiling::from(&cluster_scope("c", json!({}))).static_ref_allowed("team-a"), Ok(()));
        assert_eq!(Ceiling::from(&scope("s", json!({}))).static_ref_allowed("team-a"), Ok(()));
    }

    #[test]
    fn of_two_floors_the_longer_one_counts() {
        let text = |text: &str| (!text.is_empty()).then(|| GoDuration::new(text));
        for (a, b, expected) in [
            ("", "", ""),
            ("1m", "", "1m"),
            ("", "1m", "1m"),
            ("1m", "30s", "1m"),
            ("30s", "1m", "1m"),
            ("nonsense", "1m", "1m"),
            ("1m", "nonsense", "1m"),
        ] {
            let (a, b) = (text(a), text(b));
            assert_eq!(highest_floor(a.as_ref(), b.as_ref()), text(expected).as_ref(), "{a:?} {b:?}");
        }
    }
}

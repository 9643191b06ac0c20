//! The ceiling that the scopes of a namespace, or of the cluster, set for kinds, namespaces, sinks, intervals, data of Secrets.
//!
//! All scopes are enforced together: what one of them forbids is forbidden, so a second scope can never loosen the first.

use kollect_api::{GoDuration, GroupVersionKind, KollectClusterScope, KollectScope, SecretExtraction, SinkFamily};
use kollect_model::Gvk;

/// The limits of one scope object.
#[derive(Clone, Copy, Debug)]
struct Limits<'a> {
    kind: &'static str,
    name: &'a str,
    gvks: &'a [GroupVersionKind],
    allowed_namespaces: &'a [String],
    denied_namespaces: &'a [String],
    static_ref_namespaces: &'a [String],
    floor: Option<&'a GoDuration>,
    sinks: [(SinkFamily, &'a [String]); 3],
    legacy_sinks: &'a [String],
    secret_extraction: Option<SecretExtraction>,
}

impl<'a> From<&'a KollectScope> for Limits<'a> {
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
            secret_extraction: spec.secret_extraction,
        }
    }
}

impl<'a> From<&'a KollectClusterScope> for Limits<'a> {
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
            secret_extraction: spec.secret_extraction,
        }
    }
}

fn lists(list: &[String], name: &str) -> bool {
    list.iter().any(|entry| entry == name)
}

impl Limits<'_> {
    /// `KollectScope team-a`.
    fn title(&self) -> String {
        format!("{} {}", self.kind, self.name)
    }

    fn namespace_allowed(&self, namespace: &str) -> Result<(), String> {
        if lists(self.denied_namespaces, namespace) {
            return Err(format!("is in deniedNamespaces of {}", self.title()));
        }
        if !self.allowed_namespaces.is_empty() && !lists(self.allowed_namespaces, namespace) {
            return Err(format!("is not in allowedNamespaces of {}", self.title()));
        }
        Ok(())
    }

    fn static_ref_allowed(&self, namespace: &str) -> Result<(), String> {
        if self.static_ref_namespaces.is_empty() || lists(self.static_ref_namespaces, namespace) {
            return Ok(());
        }
        Err(format!("is not in allowedStaticRefNamespaces of {}", self.title()))
    }

    fn interval_allowed(&self, interval: &GoDuration) -> Result<(), String> {
        let (Some(floor), Ok(interval)) = (self.floor, interval.to_duration()) else { return Ok(()) };
        if floor.to_duration().is_ok_and(|floor| interval < floor) {
            return Err(format!("use {floor} or more, the minExportInterval of {}", self.title()));
        }
        Ok(())
    }

    fn gvk_allowed(&self, gvk: &Gvk) -> Result<(), String> {
        if self.gvks.is_empty() || self.gvks.iter().any(|entry| Gvk::from(entry).matches_ignoring_case(gvk)) {
            return Ok(());
        }
        Err(format!("{gvk} is not in allowedGVKs of {}", self.title()))
    }

    fn sink_allowed(&self, family: SinkFamily, name: &str) -> Result<(), String> {
        let own = self.sinks.iter().find(|(of, _)| *of == family).map_or(&[][..], |(_, names)| names);
        let legacy = self.legacy_sinks;
        if (own.is_empty() && legacy.is_empty()) || lists(own, name) || lists(legacy, name) {
            return Ok(());
        }
        let field = if own.is_empty() { "sinkRefs" } else { family.refs_field() };
        Err(format!("{} {name} is not in {field} of {}", family.kind(), self.title()))
    }
}

/// The limits of all scopes that apply to an object. Without a scope everything but data of Secrets is permitted.
#[derive(Clone, Debug, Default)]
pub struct Ceiling<'a> {
    scopes: Vec<Limits<'a>>,
}

impl<'a> Ceiling<'a> {
    /// The ceiling of a namespace, made of all its scopes.
    pub fn of_namespace(scopes: impl IntoIterator<Item = &'a KollectScope>) -> Self {
        Self { scopes: scopes.into_iter().map(Limits::from).collect() }
    }

    /// The ceiling of the cluster kinds, made of all cluster scopes.
    pub fn of_cluster(scopes: impl IntoIterator<Item = &'a KollectClusterScope>) -> Self {
        Self { scopes: scopes.into_iter().map(Limits::from).collect() }
    }

    /// Whether there is no scope.
    pub fn is_empty(&self) -> bool {
        self.scopes.is_empty()
    }

    /// Whether a scope sets `allowedNamespaces`.
    pub fn names_namespaces(&self) -> bool {
        self.scopes.iter().any(|scope| !scope.allowed_namespaces.is_empty())
    }

    /// The longest minimum interval; values that are no duration are ignored.
    pub fn floor(&self) -> Option<&'a GoDuration> {
        self.scopes.iter().fold(None, |floor, scope| highest_floor(floor, scope.floor))
    }

    /// Whether a namespace may be collected from, or why not.
    pub fn namespace_allowed(&self, namespace: &str) -> Result<(), String> {
        self.scopes.iter().try_for_each(|scope| scope.namespace_allowed(namespace))
    }

    /// Whether cluster kinds may use profiles and sinks of a namespace, or why not.
    pub fn static_ref_allowed(&self, namespace: &str) -> Result<(), String> {
        self.scopes.iter().try_for_each(|scope| scope.static_ref_allowed(namespace))
    }

    /// Whether a kind may be collected, or why not.
    pub fn gvk_allowed(&self, gvk: &Gvk) -> Result<(), String> {
        self.scopes.iter().try_for_each(|scope| scope.gvk_allowed(gvk))
    }

    /// Whether inventories may export to a sink, or why not.
    pub fn sink_allowed(&self, family: SinkFamily, name: &str) -> Result<(), String> {
        self.scopes.iter().try_for_each(|scope| scope.sink_allowed(family, name))
    }

    /// Whether an interval is not below the minimum, or why not.
    pub(crate) fn interval_allowed(&self, interval: &GoDuration) -> Result<(), String> {
        self.scopes.iter().try_for_each(|scope| scope.interval_allowed(interval))
    }

    /// The first scope that does not agree to extraction of Secret data, as `KollectScope team-a`.
    pub(crate) fn without_secret_extraction(&self, forbidden_only: bool) -> Option<String> {
        let refuses = |scope: &&Limits<'_>| match scope.secret_extraction {
            Some(SecretExtraction::Allow) => false,
            Some(SecretExtraction::Deny) => true,
            None => !forbidden_only,
        };
        self.scopes.iter().find(refuses).map(Limits::title)
    }
}

/// The longer of two minimum intervals, for bindings under two scopes; values that are no duration are ignored.
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

    fn near(scope: &KollectScope) -> Ceiling<'_> {
        Ceiling::of_namespace([scope])
    }

    fn wide(scope: &KollectClusterScope) -> Ceiling<'_> {
        Ceiling::of_cluster([scope])
    }

    #[test]
    fn no_second_scope_loosens_the_first_whatever_its_name() {
        let strict = json!({
            "allowedGVKs": [{"version": "v1", "kind": "Pod"}], "allowedNamespaces": ["shop", "pay"],
            "snapshotSinkRefs": ["git"], "minExportInterval": "1m", "deniedNamespaces": ["pay"]
        });
        let loose = json!({"allowedGVKs": [], "secretExtraction": "Allow", "minExportInterval": "0s"});
        let other = json!({"allowedNamespaces": ["pay", "ops"], "sinkRefs": ["s3"]});
        let (secret, pod) = (Gvk::new("", "v1", "Secret"), Gvk::new("", "v1", "Pod"));
        for names in [["a", "m", "z"], ["z", "m", "a"], ["m", "z", "a"]] {
            let specs = [strict.clone(), loose.clone(), other.clone()];
            let scopes: Vec<_> = names.iter().zip(&specs).map(|(name, spec)| scope(name, spec.clone())).collect();
            let clusters: Vec<_> =
                names.iter().zip(&specs).map(|(name, spec)| cluster_scope(name, spec.clone())).collect();
            for ceiling in [Ceiling::of_namespace(&scopes), Ceiling::of_cluster(&clusters)] {
                assert!(ceiling.gvk_allowed(&pod).is_ok() && ceiling.gvk_allowed(&secret).is_err());
                for namespace in ["shop", "pay", "ops", "kube-system"] {
                    assert!(ceiling.namespace_allowed(namespace).is_err(), "{namespace}: not allowed by every scope");
                }
                assert!(ceiling.sink_allowed(SinkFamily::Snapshot, "git").is_err(), "the third scope lacks it");
                assert!(ceiling.sink_allowed(SinkFamily::Snapshot, "s3").is_err(), "the first scope lacks it");
                assert!(ceiling.interval_allowed(&GoDuration::new("30s")).is_err());
                assert_eq!(ceiling.floor(), Some(&GoDuration::new("1m")));
                assert!(ceiling.without_secret_extraction(false).is_some());
            }
        }
    }

    #[test]
    fn kinds_are_compared_ignoring_case() {
        let spec = json!({"allowedGVKs": [{"group": "Apps", "version": "v1", "kind": "deployment"}]});
        let (scope, cluster) = (scope("s", spec.clone()), cluster_scope("c", spec));
        assert_eq!(near(&scope).gvk_allowed(&Gvk::new("apps", "v1", "Deployment")), Ok(()));
        assert_eq!(wide(&cluster).gvk_allowed(&Gvk::new("apps", "v1", "Deployment")), Ok(()));
        let why = near(&scope).gvk_allowed(&Gvk::new("", "v1", "Secret")).unwrap_err();
        assert!(why.contains("v1/Secret") && why.contains("KollectScope s"), "{why}");
        let why = wide(&cluster).gvk_allowed(&Gvk::new("", "v1", "Secret")).unwrap_err();
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
            assert_eq!(near(&scope("s", spec.clone())).sink_allowed(family, name).is_ok(), allowed, "{spec} {name}");
            assert_eq!(
                wide(&cluster_scope("s", spec.clone())).sink_allowed(family, name).is_ok(),
                allowed,
                "{spec} {name}"
            );
        }
    }

    #[test]
    fn only_a_cluster_scope_limits_where_profiles_and_sinks_are_taken_from() {
        let limited = cluster_scope("c", json!({"allowedStaticRefNamespaces": ["platform"]}));
        assert_eq!(wide(&limited).static_ref_allowed("platform"), Ok(()));
        assert!(wide(&limited).static_ref_allowed("team-a").is_err());
        assert_eq!(wide(&cluster_scope("c", json!({}))).static_ref_allowed("team-a"), Ok(()));
        assert_eq!(near(&scope("s", json!({}))).static_ref_allowed("team-a"), Ok(()));
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

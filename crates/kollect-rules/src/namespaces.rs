//! Resolves the namespaces of a target.
//!
//! An empty result means that nothing is collected, never everything: tenant isolation depends on it.

use crate::{Ceiling, Selector};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kollect_api::names::label::NAMESPACE_NAME;
use kollect_api::{KollectClusterTargetSpec, KollectTargetSpec, ResourceRule, WatchMode};
use std::collections::BTreeMap;

/// The namespace settings of a target of either kind.
#[derive(Clone, Copy, Debug)]
pub struct NamespaceSelection<'a> {
    included: &'a [String],
    excluded: &'a [String],
    selector: Option<&'a LabelSelector>,
    exclude_selector: Option<&'a LabelSelector>,
    rules: &'a [ResourceRule],
    opt_in: bool,
    /// A scope narrows it without a denial, whatever it selects.
    silent: bool,
}

impl<'a> From<&'a KollectTargetSpec> for NamespaceSelection<'a> {
    fn from(spec: &'a KollectTargetSpec) -> Self {
        Self {
            included: &spec.included_namespaces,
            excluded: &spec.excluded_namespaces,
            selector: spec.namespace_selector.as_ref(),
            exclude_selector: spec.namespace_exclude_selector.as_ref(),
            rules: &spec.resource_rules,
            opt_in: spec.watch_mode == WatchMode::OptIn,
            silent: false,
        }
    }
}

impl<'a> From<&'a KollectClusterTargetSpec> for NamespaceSelection<'a> {
    fn from(spec: &'a KollectClusterTargetSpec) -> Self {
        Self {
            included: &spec.included_namespaces,
            excluded: &spec.excluded_namespaces,
            selector: spec.namespace_selector.as_ref(),
            exclude_selector: spec.namespace_exclude_selector.as_ref(),
            rules: &spec.resource_rules,
            opt_in: false,
            silent: true,
        }
    }
}

/// Input for the namespaces of a target of either kind.
#[derive(Clone, Copy, Debug)]
pub struct NamespaceIntent<'a> {
    /// The settings of the target: `(&target.spec).into()`.
    pub target: NamespaceSelection<'a>,
    /// Every namespace that exists, with its labels.
    pub known: &'a [(&'a str, &'a BTreeMap<String, String>)],
    /// Those of them whose labels may not be read; only the name label counts.
    pub unread: &'a [&'a str],
    /// The operator's list for targets without `includedNamespaces`.
    pub default_included: &'a [String],
    /// The operator's list in addition to `excludedNamespaces`.
    pub default_excluded: &'a [String],
    /// The ceiling of the target's namespace; for cluster targets that of the cluster scopes.
    pub ceiling: &'a Ceiling<'a>,
    /// Whether the target is limited to its own namespace, whatever it selects.
    pub confinement: Option<Confinement<'a>>,
}

/// Why a target is limited to this namespace, its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confinement<'a> {
    /// In tenant mode only a scope permits a target to collect from other namespaces.
    TenantMode(&'a str),
    /// Secrets of other namespaces are collected only where a scope lists these namespaces: a scope without
    /// `allowedNamespaces` does not permit the Secrets of other teams.
    Secrets(&'a str),
}

impl<'a> Confinement<'a> {
    /// Whether a target in namespace `own` is confined to it. `secrets`: it collects core Secrets, and the operator's
    /// policy leaves the permission to scopes.
    pub fn of(own: &'a str, ceiling: &Ceiling<'_>, secrets: bool, tenant_mode: bool) -> Option<Self> {
        if secrets && !ceiling.names_namespaces() {
            return Some(Self::Secrets(own));
        }
        (tenant_mode && ceiling.is_empty()).then_some(Self::TenantMode(own))
    }

    fn allows(&self, namespace: &str) -> Result<(), String> {
        let (Self::TenantMode(own) | Self::Secrets(own)) = *self;
        if namespace == own {
            return Ok(());
        }
        Err(match self {
            Self::TenantMode(_) => {
                "is outside of the target's own namespace, which is all that it reaches without a KollectScope"
            }
            Self::Secrets(_) => {
                "is outside of the target's own namespace, and no KollectScope there names it in allowedNamespaces, \
                 as Secrets of other namespaces need"
            }
        }
        .to_owned())
    }
}

/// The namespaces of a target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResolvedNamespaces {
    /// Selected namespaces, sorted.
    pub matched: Vec<String>,
    /// Selected and permitted namespaces, sorted: those that are collected. Empty = none.
    pub effective: Vec<String>,
    /// Why the target as a whole is denied. `effective` is empty then.
    pub violation: Option<String>,
    /// Permitted namespaces whose selection depends on labels that may not be read, sorted. Unless it is empty,
    /// `effective` may be incomplete.
    pub undecided: Vec<String>,
}

/// Resolves the namespaces of a target.
pub fn resolve_namespaces(intent: &NamespaceIntent<'_>) -> ResolvedNamespaces {
    let matched = matched(intent);
    let effective: Vec<String> = matched.iter().filter(|name| permitted(intent, name).is_ok()).cloned().collect();
    let undecided = undecided(intent);
    let violation = violation(intent, &matched, &effective, undecided.is_empty());
    let effective = if violation.is_some() { Vec::new() } else { effective };
    ResolvedNamespaces { matched, effective, violation, undecided }
}

/// Whether the lists of names include a namespace.
fn listed(intent: &NamespaceIntent<'_>, name: &str) -> bool {
    let included = match intent.target.included {
        [] => intent.default_included,
        own => own,
    };
    let lists = |list: &[String]| list.iter().any(|entry| entry == name);
    (included.is_empty() || lists(included)) && !lists(intent.target.excluded) && !lists(intent.default_excluded)
}

fn undecided(intent: &NamespaceIntent<'_>) -> Vec<String> {
    if intent.unread.is_empty() {
        return Vec::new();
    }
    let target = intent.target;
    let selector = target.selector.map(Selector::new);
    let excluding = target.exclude_selector.map(Selector::new);
    let rules: Vec<Selector> =
        target.rules.iter().filter_map(|rule| rule.namespace_selector.as_ref()).map(Selector::new).collect();
    let open = |labels: &BTreeMap<String, String>| {
        let known_match = |selector: &Selector| selector.matches_knowing(NAMESPACE_NAME, labels);
        let selected = selector.as_ref().map_or(Some(true), known_match);
        let excluded = excluding.as_ref().map_or(Some(false), known_match);
        let opt_in = target.opt_in.then_some(None);
        let within = rules.iter().map(known_match).chain(opt_in);
        selected != Some(false)
            && excluded != Some(true)
            && [selected, excluded].into_iter().chain(within).any(|verdict| verdict.is_none())
    };
    let candidates = intent
        .known
        .iter()
        .filter(|(name, _)| intent.unread.contains(name) && listed(intent, name) && permitted(intent, name).is_ok());
    let mut names: Vec<String> =
        candidates.filter(|(_, labels)| open(labels)).map(|(name, _)| (*name).to_owned()).collect();
    names.sort_unstable();
    names
}

fn matched(intent: &NamespaceIntent<'_>) -> Vec<String> {
    let target = intent.target;
    let selector = target.selector.map(Selector::new);
    let excluding = target.exclude_selector.map(Selector::new);
    let mut matched: Vec<String> = intent
        .known
        .iter()
        .filter(|(name, labels)| {
            listed(intent, name)
                && selector.as_ref().is_none_or(|selector| selector.matches(labels))
                && !excluding.as_ref().is_some_and(|selector| selector.matches(labels))
        })
        .map(|(name, _)| (*name).to_owned())
        .collect();
    matched.sort_unstable();
    matched.dedup();
    matched
}

/// Whether the target may reach a namespace, or why not.
fn permitted(intent: &NamespaceIntent<'_>, name: &str) -> Result<(), String> {
    intent.confinement.map_or(Ok(()), |confinement| confinement.allows(name))?;
    intent.ceiling.namespace_allowed(name)
}

/// A target is denied as a whole when it names a forbidden namespace or nothing of its selection is permitted.
fn violation(intent: &NamespaceIntent<'_>, matched: &[String], effective: &[String], decided: bool) -> Option<String> {
    if intent.target.silent {
        return None;
    }
    for name in intent.target.included {
        if let Err(why) = permitted(intent, name) {
            return Some(format!("includedNamespaces: {name} {why}"));
        }
    }
    // A selection by label or by default is narrowed without a denial, unless nothing is left.
    if effective.is_empty()
        && decided
        && let Some(name) = matched.first()
        && let Err(why) = permitted(intent, name)
    {
        let others = matched.len() - 1;
        return Some(match others {
            0 => format!("the only selected namespace {name} {why}"),
            n => format!("none of the selected namespaces is permitted: {name} {why}, and {n} more"),
        });
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use kollect_api::{KollectClusterScope, KollectScope, KollectScopeSpec};
    use serde_json::{Value, json};

    struct Case {
        target: Value,
        include: &'static str,
        exclude: &'static str,
        scope: Value,
        confinement: Option<Confinement<'static>>,
        matched: &'static str,
        /// `denied` = the target as a whole.
        effective: &'static str,
    }

    fn case(target: Value, matched: &'static str, effective: &'static str) -> Case {
        Case { target, include: "", exclude: "", scope: Value::Null, confinement: None, matched, effective }
    }

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    fn resolve(case: &Case) -> ResolvedNamespaces {
        let mut target = case.target.clone();
        target["profileRef"] = json!("p");
        let target: KollectTargetSpec = serde_json::from_value(target).unwrap();
        let scope: Option<KollectScopeSpec> = serde_json::from_value(case.scope.clone()).unwrap();
        let scope = scope.map(|spec| KollectScope::new("s", spec));
        let team = |name: &str| BTreeMap::from([("team".to_owned(), name.to_owned())]);
        let (a, ops, none) = (team("a"), team("ops"), BTreeMap::new());
        resolve_namespaces(&NamespaceIntent {
            target: (&target).into(),
            known: &[("shop", &a), ("pay", &a), ("infra", &ops), ("kube-system", &none)],
            unread: &[],
            default_included: &words(case.include),
            default_excluded: &words(case.exclude),
            ceiling: &Ceiling::of_namespace(scope.as_ref()),
            confinement: case.confinement,
        })
    }

    fn check(case: &Case) {
        let got = resolve(case);
        assert_eq!(got.matched, words(case.matched), "matched of {}", case.target);
        if case.effective == "denied" {
            assert!(got.violation.is_some() && got.effective.is_empty(), "{} {}", case.target, case.scope);
        } else {
            assert_eq!((got.effective, got.violation), (words(case.effective), None), "{} {}", case.target, case.scope);
        }
    }

    #[test]
    fn a_target_without_a_scope_reaches_what_it_selects() {
        let team_a = json!({"matchLabels": {"team": "a"}});
        check(&case(json!({"namespaceSelector": team_a}), "pay shop", "pay shop"));
        check(&Case { exclude: "kube-system", ..case(json!({}), "infra pay shop", "infra pay shop") });
        check(&case(json!({"includedNamespaces": ["shop", "infra"], "namespaceSelector": team_a}), "shop", "shop"));
        check(&Case { include: "pay", ..case(json!({"includedNamespaces": ["shop"]}), "shop", "shop") });
        check(&Case { include: "pay", ..case(json!({}), "pay", "pay") });
        check(&case(json!({"namespaceSelector": {}}), "infra kube-system pay shop", "infra kube-system pay shop"));
    }

    #[test]
    fn an_empty_selection_collects_nothing() {
        let team_a = json!({"matchLabels": {"team": "a"}});
        check(&case(json!({"namespaceSelector": team_a, "namespaceExcludeSelector": team_a}), "", ""));
        check(&case(json!({"includedNamespaces": ["ghost"]}), "", ""));
        check(&case(json!({"namespaceSelector": team_a, "excludedNamespaces": ["pay", "shop"]}), "", ""));
        check(&case(json!({"namespaceSelector": {"matchExpressions": [{"key": "team", "operator": "In"}]}}), "", ""));
        let scope = json!({"allowedNamespaces": ["shop"]});
        check(&Case { scope, ..case(json!({"namespaceSelector": {"matchLabels": {"team": "none"}}}), "", "") });
    }

    #[test]
    fn a_scope_narrows_a_selection_and_denies_one_that_is_wholly_outside() {
        let team_a = json!({"namespaceSelector": {"matchLabels": {"team": "a"}}});
        let everything = "infra kube-system pay shop";
        for (target, scope, matched, effective) in [
            (team_a.clone(), json!({"allowedNamespaces": ["shop"]}), "pay shop", "shop"),
            (team_a.clone(), json!({"deniedNamespaces": ["pay", "shop"]}), "pay shop", "denied"),
            (
                team_a.clone(),
                json!({"allowedNamespaces": ["shop"], "deniedNamespaces": ["shop"]}),
                "pay shop",
                "denied",
            ),
            (team_a, json!({"allowedNamespaces": ["infra"]}), "pay shop", "denied"),
            (json!({}), json!({"allowedNamespaces": ["shop", "ghost"]}), everything, "shop"),
            (json!({}), json!({"deniedNamespaces": ["kube-system"]}), everything, "infra pay shop"),
            (
                json!({"includedNamespaces": ["shop", "pay"]}),
                json!({"deniedNamespaces": ["pay"]}),
                "pay shop",
                "denied",
            ),
            (json!({"includedNamespaces": ["shop"]}), json!({"allowedNamespaces": ["shop"]}), "shop", "shop"),
            (json!({"includedNamespaces": ["ghost"]}), json!({"allowedNamespaces": ["shop"]}), "", "denied"),
        ] {
            check(&Case { scope, ..case(target, matched, effective) });
        }
    }

    /// Labels of `shop` and `pay` are unknown.
    fn resolve_unread(target: &Value, confinement: Option<Confinement<'_>>) -> ResolvedNamespaces {
        let mut spec = target.clone();
        spec["profileRef"] = json!("p");
        let target: KollectTargetSpec = serde_json::from_value(spec).unwrap();
        let named = |name: &str| BTreeMap::from([(NAMESPACE_NAME.to_owned(), name.to_owned())]);
        let (shop, pay) = (named("shop"), named("pay"));
        let infra = BTreeMap::from([("team".to_owned(), "ops".to_owned())]);
        resolve_namespaces(&NamespaceIntent {
            target: (&target).into(),
            known: &[("shop", &shop), ("pay", &pay), ("infra", &infra)],
            unread: &["shop", "pay"],
            default_included: &[],
            default_excluded: &[],
            ceiling: &Ceiling::default(),
            confinement,
        })
    }

    #[test]
    fn what_depends_on_labels_that_may_not_be_read_is_undecided_and_nothing_else_is() {
        let team_a = json!({"matchLabels": {"team": "a"}});
        let by_name = json!({"matchLabels": {"kubernetes.io/metadata.name": "shop"}});
        let of_shop = json!({"matchLabels": {"kubernetes.io/metadata.name": "shop", "team": "a"}});
        let rule = json!({"gvk": {"version": "v1", "kind": "Pod"}, "namespaceSelector": team_a});
        for (target, confinement, expected) in [
            (json!({}), None, ""),
            (json!({"namespaceSelector": by_name}), None, ""),
            (json!({"namespaceSelector": team_a}), None, "pay shop"),
            (json!({"namespaceSelector": team_a}), Some(Confinement::TenantMode("shop")), "shop"),
            (json!({"namespaceSelector": of_shop}), None, "shop"),
            (json!({"namespaceSelector": team_a, "includedNamespaces": ["infra", "pay"]}), None, "pay"),
            (json!({"namespaceSelector": team_a, "excludedNamespaces": ["shop", "pay"]}), None, ""),
            (json!({"namespaceSelector": team_a, "namespaceExcludeSelector": by_name}), None, "pay"),
            (json!({"namespaceExcludeSelector": team_a}), None, "pay shop"),
            (json!({"resourceRules": [rule]}), None, "pay shop"),
            (json!({"resourceRules": [rule], "namespaceSelector": by_name}), None, "shop"),
            // A namespace may have opted in for all its objects.
            (json!({"watchMode": "OptIn", "namespaceSelector": by_name}), None, "shop"),
        ] {
            let resolved = resolve_unread(&target, confinement);
            assert_eq!(resolved.undecided, words(expected), "{target} {confinement:?}");
        }
    }

    #[test]
    fn a_target_is_not_denied_for_what_it_selects_while_that_is_undecided() {
        let ops = json!({"namespaceSelector": {"matchLabels": {"team": "ops"}}});
        let resolved = resolve_unread(&ops, Some(Confinement::TenantMode("shop")));
        assert_eq!((resolved.matched, resolved.violation), (words("infra"), None));
        assert_eq!(resolved.undecided, ["shop"]);
        assert!(
            resolve_unread(&json!({"includedNamespaces": ["infra"]}), Some(Confinement::TenantMode("shop")))
                .violation
                .is_some()
        );
    }

    #[test]
    fn a_confined_target_reaches_its_own_namespace_only() {
        let confinement = Some(Confinement::TenantMode("shop"));
        let everything = "infra kube-system pay shop";
        check(&Case { confinement, ..case(json!({}), everything, "shop") });
        check(&Case { confinement, ..case(json!({"includedNamespaces": ["pay"]}), "pay", "denied") });
        check(&Case {
            confinement,
            ..case(json!({"namespaceSelector": {"matchLabels": {"team": "ops"}}}), "infra", "denied")
        });
    }

    #[test]
    fn secrets_of_other_namespaces_are_reached_only_where_a_scope_names_them() {
        let scope = |spec: Value| KollectScope::new("s", serde_json::from_value::<KollectScopeSpec>(spec).unwrap());
        let (open, naming) =
            (scope(json!({"secretExtraction": "Allow"})), scope(json!({"allowedNamespaces": ["pay"]})));
        let secrets = Some(Confinement::Secrets("shop"));
        for (scopes, collects_secrets, tenant_mode, expected) in [
            (vec![], true, false, secrets),
            (vec![], true, true, secrets),
            (vec![&open], true, false, secrets),
            (vec![&open, &open], true, true, secrets),
            (vec![&open, &naming], true, false, None),
            (vec![&naming], true, true, None),
            (vec![], false, true, Some(Confinement::TenantMode("shop"))),
            (vec![&open], false, true, None),
            (vec![], false, false, None),
        ] {
            let ceiling = Ceiling::of_namespace(scopes.iter().copied());
            assert_eq!(Confinement::of("shop", &ceiling, collects_secrets, tenant_mode), expected, "{scopes:?}");
        }
        let everything = "infra kube-system pay shop";
        check(&Case { confinement: secrets, ..case(json!({}), everything, "shop") });
        check(&Case { confinement: secrets, ..case(json!({"includedNamespaces": ["pay"]}), "pay", "denied") });
    }

    #[test]
    fn a_cluster_target_is_narrowed_by_the_cluster_scope_and_never_denied() {
        let team = |name: &str| BTreeMap::from([("team".to_owned(), name.to_owned())]);
        let (a, ops) = (team("a"), team("ops"));
        let team_a = json!({"matchLabels": {"team": "a"}});
        for (included, allowed, denied, matched, effective) in [
            ("", "", "", "pay shop", "pay shop"),
            ("", "shop", "", "pay shop", "shop"),
            ("", "", "pay", "pay shop", "shop"),
            ("", "", "pay shop", "pay shop", ""),
            ("pay", "shop", "", "pay", ""),
            ("shop infra", "shop infra", "", "shop", "shop"),
        ] {
            let spec = json!({
                "profileRef": {"name": "p", "namespace": "n"}, "namespaceSelector": team_a,
                "includedNamespaces": words(included)
            });
            let target: KollectClusterTargetSpec = serde_json::from_value(spec).unwrap();
            let ceiling = json!({"allowedNamespaces": words(allowed), "deniedNamespaces": words(denied)});
            let ceiling = KollectClusterScope::new("s", serde_json::from_value(ceiling).unwrap());
            let resolved = resolve_namespaces(&NamespaceIntent {
                target: (&target).into(),
                known: &[("shop", &a), ("pay", &a), ("infra", &ops)],
                unread: &[],
                default_included: &[],
                default_excluded: &[],
                ceiling: &Ceiling::of_cluster([&ceiling]),
                confinement: None,
            });
            let got = (resolved.matched, resolved.effective, resolved.violation);
            assert_eq!(got, (words(matched), words(effective), None), "{included} {allowed} {denied}");
        }
    }
}

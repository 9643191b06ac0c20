//! Whether a target wants an object.
//!
//! Called for every object and every target. The object is decoded only when a rule needs more than its metadata.

use crate::namespaces::facts::NamespaceMeta;
pub use crate::object_head::{ObjectHead, UnreadableHead};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kollect_api::{KollectTargetSpec, ResourceRule, WatchMode};
use kollect_extract::{CompileError, ExtractError, FieldMask, Predicate, RedactedObject};
use kollect_rules::{Selector, WatchDecision, watch_decision};
use std::collections::{BTreeMap, BTreeSet};

/// An object that is decoded on first access.
pub struct LazyObject<'a> {
    decode: Option<Box<dyn FnOnce() -> Option<RedactedObject> + 'a>>,
    value: Option<RedactedObject>,
}

impl<'a> LazyObject<'a> {
    /// Decodes with `decode` when needed.
    pub fn new(decode: impl FnOnce() -> Option<RedactedObject> + 'a) -> Self {
        Self { decode: Some(Box::new(decode)), value: None }
    }

    /// The object; `None` when it cannot be decoded.
    pub fn get(&mut self) -> Option<&RedactedObject> {
        if let Some(decode) = self.decode.take() {
            self.value = decode();
        }
        self.value.as_ref()
    }
}

/// One resource rule; all its parts must hold.
#[derive(Debug, Default)]
pub struct Rule {
    /// On the labels of the object's namespace.
    pub namespace_selector: Option<Selector>,
    /// On the object's labels.
    pub labels: Option<Selector>,
    /// On the object.
    pub policy: Option<Predicate>,
}

impl Rule {
    fn of(rule: &ResourceRule) -> Result<Self, CompileError> {
        let labels = LabelSelector {
            match_labels: Some(rule.match_labels.clone()),
            match_expressions: Some(rule.match_expressions.clone()),
        };
        let policy = rule.match_policy.as_deref().filter(|text| !text.trim().is_empty());
        Ok(Self {
            namespace_selector: rule.namespace_selector.as_ref().map(Selector::new),
            labels: Some(Selector::new(&labels)),
            policy: policy.map(Predicate::compile).transpose()?,
        })
    }
}

/// Which objects of the wanted namespaces a target wants.
#[derive(Debug, Default)]
pub struct Matching {
    /// When there are any, one must match; names and labels below do not count then.
    pub rules: Vec<Rule>,
    /// Exact names; empty = all.
    pub names: BTreeSet<Box<str>>,
    /// On the object's labels.
    pub labels: Option<Selector>,
    /// Collect only what opted in.
    pub opt_in: bool,
    /// Objects that no target gets, whatever its selectors match.
    pub withheld: Option<Withheld>,
}

/// The operator's own Secrets: those it names, and every token of a ServiceAccount in its namespace.
#[derive(Debug)]
pub struct Withheld {
    namespace: Box<str>,
    names: BTreeSet<Box<str>>,
    /// True for Secrets that are not a token: a Secret that cannot be read is withheld.
    no_token: Predicate,
}

const NO_TOKEN: &str = r#"!has(object.type) || object.type != "kubernetes.io/service-account-token""#;

impl Withheld {
    fn holds_back(&self, head: &ObjectHead<'_>, object: &mut LazyObject<'_>) -> bool {
        *head.namespace == *self.namespace
            && (self.names.contains(&*head.name)
                || !object.get().is_some_and(|object| self.no_token.eval(object) == Ok(true)))
    }
}

impl Matching {
    /// Compiles the selectors of a target. Admission checks that the rules are for its kind.
    pub fn of(spec: &KollectTargetSpec) -> Result<Self, CompileError> {
        let rules: Result<Vec<Rule>, CompileError> = spec.resource_rules.iter().map(Rule::of).collect();
        Ok(Self {
            rules: rules?,
            names: spec.names.iter().map(|name| name.as_str().into()).collect(),
            labels: spec.label_selector.as_ref().map(Selector::new),
            opt_in: spec.watch_mode == WatchMode::OptIn,
            withheld: None,
        })
    }

    /// Never matches the operator's own Secrets: `names` in `namespace`, and the tokens of ServiceAccounts there.
    pub fn without_own_secrets(mut self, namespace: &str, names: &[String]) -> Result<Self, CompileError> {
        let names = names.iter().map(|name| name.as_str().into()).collect();
        self.withheld = Some(Withheld { namespace: namespace.into(), names, no_token: Predicate::compile(NO_TOKEN)? });
        Ok(self)
    }

    /// Whether the target wants this object of a namespace that it wants; an error when a policy meets a limit before
    /// any rule has matched.
    ///
    /// Policies spend from the budget that [`kollect_extract::Scratch::begin`] gave on this thread.
    pub fn matches(
        &self,
        head: &ObjectHead<'_>,
        namespace: Option<&NamespaceMeta>,
        object: &mut LazyObject<'_>,
    ) -> Result<bool, ExtractError> {
        let selected = if self.rules.is_empty() {
            (self.names.is_empty() || self.names.contains(&*head.name)) && selects(self.labels.as_ref(), &head.labels)
        } else {
            // The watch labels are cheaper than a policy, so they are checked first.
            true
        };
        let held_back = |object: &mut LazyObject<'_>| {
            self.withheld.as_ref().is_some_and(|withheld| withheld.holds_back(head, object))
        };
        if !selected || !self.watched(head, namespace) || held_back(object) {
            return Ok(false);
        }
        if self.rules.is_empty() { Ok(true) } else { self.any_rule(head, namespace, object) }
    }

    fn watched(&self, head: &ObjectHead<'_>, namespace: Option<&NamespaceMeta>) -> bool {
        let none = BTreeMap::new();
        let (labels, annotations) = namespace.map_or((&none, &none), |meta| (&meta.labels, &meta.annotations));
        watch_decision(&head.labels, labels, annotations, self.opt_in) == WatchDecision::Collect
    }

    fn any_rule(
        &self,
        head: &ObjectHead<'_>,
        namespace: Option<&NamespaceMeta>,
        object: &mut LazyObject<'_>,
    ) -> Result<bool, ExtractError> {
        let none = BTreeMap::new();
        for rule in &self.rules {
            let selected = selects(rule.namespace_selector.as_ref(), namespace.map_or(&none, |meta| &meta.labels))
                && selects(rule.labels.as_ref(), &head.labels);
            let holds =
                |policy: &Predicate, object: &mut LazyObject<'_>| object.get().map_or(Ok(false), |o| policy.eval(o));
            if selected && rule.policy.as_ref().map_or(Ok(true), |policy| holds(policy, object))? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What the policies read of an object.
    pub fn masks(&self) -> impl Iterator<Item = &FieldMask> {
        let policies = self.rules.iter().filter_map(|rule| rule.policy.as_ref());
        policies.chain(self.withheld.as_ref().map(|withheld| &withheld.no_token)).map(Predicate::mask)
    }

    /// Whether a change of a namespace from `old` to `new` can change what matches in it.
    pub fn is_affected_by(&self, old: &NamespaceMeta, new: &NamespaceMeta) -> bool {
        let selects_namespaces = self.rules.iter().any(|rule| rule.namespace_selector.is_some());
        (selects_namespaces && old.labels != new.labels) || watch_keys(old) != watch_keys(new)
    }
}

fn watch_keys(meta: &NamespaceMeta) -> (Option<&String>, Option<&String>) {
    (meta.labels.get(kollect_rules::WATCH_LABEL), meta.annotations.get(kollect_rules::NAMESPACE_WATCH_ANNOTATION))
}

fn selects(selector: Option<&Selector>, labels: &BTreeMap<String, String>) -> bool {
    selector.is_none_or(|selector| selector.matches(labels))
}

#[cfg(test)]
mod tests {
    use super::*;
    use kollect_model::Gvk;
    use serde_json::{Value, json};

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn wants(spec: &Value, namespace: &[(&str, &str)]) -> bool {
        let mut full = json!({"profileRef": "p"});
        full.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        let spec: KollectTargetSpec = serde_json::from_value(full).unwrap();
        let matching = Matching::of(&spec).unwrap();
        let object = json!({
            "metadata": {"name": "web", "namespace": "shop", "uid": "u", "labels": {"app": "web", "tier": "front"}},
            "spec": {"replicas": 3},
        });
        let text = object.to_string();
        let head = ObjectHead::read(&text).unwrap();
        let meta = NamespaceMeta { labels: map(namespace), ..NamespaceMeta::default() };
        matching
            .matches(
                &head,
                Some(&meta),
                &mut LazyObject::new(|| RedactedObject::of(&Gvk::new("apps", "v1", "Deployment"), &object).ok()),
            )
            .unwrap()
    }

    fn rule(parts: &Value) -> Value {
        let mut rule = json!({"gvk": {"group": "apps", "version": "v1", "kind": "Deployment"}});
        rule.as_object_mut().unwrap().extend(parts.as_object().unwrap().clone());
        rule
    }

    #[test]
    fn rules_replace_names_and_labels_and_one_of_them_is_enough() {
        let web = json!({"matchLabels": {"app": "web"}});
        let api = json!({"matchLabels": {"app": "api"}});
        let many = json!({"matchPolicy": "object.spec.replicas > 2"});
        let few = json!({"matchPolicy": "object.spec.replicas < 2"});
        let broken = json!({"matchPolicy": "object.spec.nothing > 2"});
        let prod = json!({"namespaceSelector": {"matchLabels": {"env": "prod"}}, "matchLabels": {"app": "web"}});
        let expression = json!({"matchExpressions": [{"key": "tier", "operator": "In", "values": ["front", "back"]}]});
        // (spec of the target, labels of the namespace, wanted)
        let table = [
            (json!({}), &[][..], true),
            (json!({"names": ["web", "other"]}), &[], true),
            (json!({"names": ["other"]}), &[], false),
            (json!({"names": ["web"], "labelSelector": web}), &[], true),
            (json!({"names": ["web"], "labelSelector": api}), &[], false),
            (json!({"names": ["other"], "resourceRules": [rule(&web)]}), &[], true),
            (json!({"resourceRules": [rule(&api)]}), &[], false),
            (json!({"resourceRules": [rule(&api), rule(&web)]}), &[], true),
            (json!({"resourceRules": [rule(&many)]}), &[], true),
            (json!({"resourceRules": [rule(&few)]}), &[], false),
            (json!({"resourceRules": [rule(&broken)]}), &[], false),
            (json!({"resourceRules": [rule(&prod)]}), &[], false),
            (json!({"resourceRules": [rule(&prod)]}), &[("env", "prod")], true),
            (json!({"resourceRules": [rule(&expression)]}), &[], true),
            (json!({"watchMode": "OptIn"}), &[], false),
            (json!({"watchMode": "OptIn"}), &[("kollect.dev/watch", "enabled")], true),
            (json!({}), &[("kollect.dev/watch", "disabled")], false),
        ];
        for (spec, namespace, expected) in table {
            assert_eq!(wants(&spec, namespace), expected, "{spec} in {namespace:?}");
        }
    }

    #[test]
    fn the_operators_own_secrets_are_never_matched() {
        let spec: KollectTargetSpec = serde_json::from_value(json!({"profileRef": "p"})).unwrap();
        let matching = Matching::of(&spec).unwrap();
        let matching = matching.without_own_secrets("kollect-system", &["cert".to_owned()]).unwrap();
        let token = "kubernetes.io/service-account-token";
        for (namespace, name, secret_type, wanted) in [
            ("kollect-system", "cert", json!("kubernetes.io/tls"), false),
            ("kollect-system", "manager-token", json!(token), false),
            ("kollect-system", "git", json!("Opaque"), true),
            ("kollect-system", "git", json!(null), true),
            ("team-a", "cert", json!("kubernetes.io/tls"), true),
            ("team-a", "robot", json!(token), true),
        ] {
            let head = ObjectHead { name: name.into(), namespace: namespace.into(), ..ObjectHead::default() };
            let raw = json!({"type": secret_type});
            let mut object = LazyObject::new(|| RedactedObject::of(&Gvk::new("", "v1", "Secret"), &raw).ok());
            assert_eq!(matching.matches(&head, None, &mut object), Ok(wanted), "{namespace}/{name} {secret_type}");
        }
        let head = ObjectHead { name: "x".into(), namespace: "kollect-system".into(), ..ObjectHead::default() };
        assert_eq!(
            matching.matches(&head, None, &mut LazyObject::new(|| None)),
            Ok(false),
            "what cannot be read is withheld"
        );
        assert_eq!(matching.masks().count(), 1, "its type is decoded");
    }

    #[test]
    fn an_object_is_decoded_only_for_a_policy() {
        let matching = Matching { names: BTreeSet::from(["a".into()]), ..Matching::default() };
        let head = ObjectHead { name: "a".into(), ..ObjectHead::default() };
        let mut untouched = LazyObject::new(|| panic!("decoded without need"));
        assert_eq!(matching.matches(&head, None, &mut untouched), Ok(true));
    }

    #[test]
    fn only_changes_that_can_matter_cause_a_reevaluation() {
        let plain = Matching::default();
        let meta = |labels: &[(&str, &str)]| NamespaceMeta { labels: map(labels), ..NamespaceMeta::default() };
        assert!(!plain.is_affected_by(&meta(&[]), &meta(&[("env", "prod")])));
        assert!(plain.is_affected_by(&meta(&[]), &meta(&[("kollect.dev/watch", "disabled")])));
        let rule = Rule { namespace_selector: Some(Selector::new(&LabelSelector::default())), ..Rule::default() };
        let by_namespace = Matching { rules: vec![rule], ..Matching::default() };
        assert!(by_namespace.is_affected_by(&meta(&[]), &meta(&[("env", "prod")])));
    }
}

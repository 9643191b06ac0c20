//! Whether a target wants an object.
//!
//! Separate and pure, because it is asked for every object and every target. It must not extract anything; the object is
//! decoded only when a rule needs more than its metadata.

use crate::namespaces::NamespaceMeta;
use kollect_extract::{FieldMask, Predicate};
use kollect_rules::{Selector, WatchDecision, watch_decision};
use serde::Deserialize;
use serde_json::Value;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

/// What the selectors read of an object.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Head<'a> {
    /// Name.
    #[serde(borrow)]
    pub name: Cow<'a, str>,
    /// Namespace; empty for cluster-scoped objects.
    #[serde(borrow)]
    pub namespace: Cow<'a, str>,
    /// UID.
    #[serde(borrow)]
    pub uid: Cow<'a, str>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
}

impl<'a> Head<'a> {
    /// Reads the metadata of an object.
    pub fn read(raw: &'a str) -> Result<Self, serde_json::Error> {
        #[derive(Deserialize)]
        struct Object<'a> {
            #[serde(borrow)]
            metadata: Head<'a>,
        }
        serde_json::from_str::<Object<'a>>(raw).map(|object| object.metadata)
    }
}

/// An object that is decoded when somebody looks at it, once.
pub struct Lazy<'a> {
    decode: Option<Box<dyn FnOnce() -> Option<Value> + 'a>>,
    value: Option<Value>,
}

impl<'a> Lazy<'a> {
    /// Decodes with `decode` when needed.
    pub fn new(decode: impl FnOnce() -> Option<Value> + 'a) -> Self {
        Self { decode: Some(Box::new(decode)), value: None }
    }

    /// The object; `None` when it cannot be decoded.
    pub fn get(&mut self) -> Option<&Value> {
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
}

impl Matching {
    /// Whether the target wants this object of a namespace that it wants.
    pub fn matches(&self, head: &Head<'_>, namespace: Option<&NamespaceMeta>, object: &mut Lazy<'_>) -> bool {
        let selected = if self.rules.is_empty() {
            (self.names.is_empty() || self.names.contains(&*head.name)) && selects(self.labels.as_ref(), &head.labels)
        } else {
            // The watch labels are cheaper than a policy, so they are asked first.
            true
        };
        selected && self.watched(head, namespace) && (self.rules.is_empty() || self.any_rule(head, namespace, object))
    }

    fn watched(&self, head: &Head<'_>, namespace: Option<&NamespaceMeta>) -> bool {
        let none = BTreeMap::new();
        let (labels, annotations) = namespace.map_or((&none, &none), |meta| (&meta.labels, &meta.annotations));
        watch_decision(&head.labels, labels, annotations, self.opt_in) == WatchDecision::Collect
    }

    fn any_rule(&self, head: &Head<'_>, namespace: Option<&NamespaceMeta>, object: &mut Lazy<'_>) -> bool {
        self.rules.iter().any(|rule| {
            let none = BTreeMap::new();
            selects(rule.namespace_selector.as_ref(), namespace.map_or(&none, |meta| &meta.labels))
                && selects(rule.labels.as_ref(), &head.labels)
                && rule.policy.as_ref().is_none_or(|policy| object.get().is_some_and(|object| policy.eval(object)))
        })
    }

    /// What the policies read of an object.
    pub fn masks(&self) -> impl Iterator<Item = &FieldMask> {
        self.rules.iter().filter_map(|rule| rule.policy.as_ref()).map(Predicate::mask)
    }

    /// Whether a change of a namespace from `old` to `new` can change what matches in it.
    pub fn cares(&self, old: &NamespaceMeta, new: &NamespaceMeta) -> bool {
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

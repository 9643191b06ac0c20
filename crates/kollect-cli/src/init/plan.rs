//! The choices of `kollect init`, and the two objects made of them. The same for questions and for flags.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kollect_api::names::{TRUE, annotation};
use kollect_api::{Attribute, GroupVersionKind, KollectProfile, KollectProfileSpec, KollectTarget, KollectTargetSpec};
use kollect_model::Gvk;
use std::collections::BTreeMap;

/// Where the two objects belong when they are applied.
pub(super) const NAMESPACE: &str = "kollect-system";

/// Which namespaces are collected from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum NamespaceChoice {
    /// All of them; the only choice for kinds without namespaces.
    #[default]
    All,
    /// These.
    Names(Vec<String>),
    /// Those with these labels.
    Labels(BTreeMap<String, String>),
}

/// Which objects are collected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ObjectChoice {
    /// All of them.
    #[default]
    None,
    /// Those with these labels.
    Labels(BTreeMap<String, String>),
    /// Those with these names.
    Names(Vec<String>),
}

/// Everything that was chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InitPlan {
    /// Name of both objects.
    pub name: String,
    /// The kind to collect.
    pub gvk: Gvk,
    /// From where.
    pub scope: NamespaceChoice,
    /// Which of them.
    pub filter: ObjectChoice,
    /// What of them.
    pub attributes: Vec<Attribute>,
    /// The profile may read the data of Secrets.
    pub secret_data: bool,
}

fn selector(labels: BTreeMap<String, String>) -> LabelSelector {
    LabelSelector { match_labels: Some(labels), match_expressions: None }
}

impl InitPlan {
    /// The profile.
    pub fn profile(&self) -> KollectProfile {
        let Gvk { group, version, kind } = &self.gvk;
        let target_gvk =
            GroupVersionKind { group: group.to_string(), version: version.to_string(), kind: kind.to_string() };
        let spec = KollectProfileSpec { target_gvk, attributes: self.attributes.clone(), ..Default::default() };
        let mut profile = KollectProfile::new(&self.name, spec);
        profile.metadata.namespace = Some(NAMESPACE.to_owned());
        if self.secret_data {
            let opt_in = (annotation::ALLOW_SECRET_EXTRACTION.to_owned(), TRUE.to_owned());
            profile.metadata.annotations = Some(BTreeMap::from([opt_in]));
        }
        profile
    }

    /// The target.
    pub fn target(&self) -> KollectTarget {
        let mut spec = KollectTargetSpec { profile_ref: self.name.clone(), ..Default::default() };
        match self.scope.clone() {
            NamespaceChoice::All => {}
            NamespaceChoice::Names(names) => spec.included_namespaces = names,
            NamespaceChoice::Labels(wanted) => spec.namespace_selector = Some(selector(wanted)),
        }
        match self.filter.clone() {
            ObjectChoice::None => {}
            ObjectChoice::Labels(wanted) => spec.label_selector = Some(selector(wanted)),
            ObjectChoice::Names(names) => spec.names = names,
        }
        let mut target = KollectTarget::new(&self.name, spec);
        target.metadata.namespace = Some(NAMESPACE.to_owned());
        target
    }
}

/// A name for objects, made of what people type.
pub(super) fn name_from(text: &str) -> String {
    let mut name = String::new();
    for c in text.chars().map(|c| c.to_ascii_lowercase()) {
        match c {
            'a'..='z' | '0'..='9' => name.push(c),
            _ if !name.is_empty() && !name.ends_with('-') => name.push('-'),
            _ => {}
        }
    }
    name.truncate(63);
    name.trim_matches('-').to_owned()
}

/// `a=b,c=d` as labels.
pub(super) fn parse_labels(text: &str) -> Result<BTreeMap<String, String>, String> {
    let pairs = text.split(',').map(str::trim).filter(|pair| !pair.is_empty());
    let found: Result<BTreeMap<_, _>, String> = pairs
        .map(|pair| match pair.split_once('=') {
            Some((key, value)) if !key.trim().is_empty() => Ok((key.trim().to_owned(), value.trim().to_owned())),
            _ => Err(format!("{pair:?} is no label; write key=value")),
        })
        .collect();
    let found = found?;
    if found.is_empty() { Err("no label is given; write key=value".to_owned()) } else { Ok(found) }
}

/// `name=path` as attribute.
pub(super) fn parse_attribute(text: &str) -> Result<Attribute, String> {
    match text.split_once('=') {
        Some((name, path)) if !name.trim().is_empty() && !path.trim().is_empty() => {
            Ok(Attribute { name: name.trim().to_owned(), path: path.trim().to_owned(), type_: None, optional: true })
        }
        _ => Err(format!("{text:?} is no attribute; write name=path, for example replicas=$.spec.replicas")),
    }
}

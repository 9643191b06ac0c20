//! What has to be known of a set of manifests before a row can be made: namespaces, and which kinds live in them.
//!
//! Separate because a Namespace may come after the objects in it.

use super::cluster_kinds::built_in;
use super::error::ManifestError;
use super::input::Inputs;
use super::object::Peek;
use crate::namespaces::{NamespaceFacts, NamespaceMeta};
use kollect_api::names::label::NAMESPACE_NAME;
use kollect_model::Gvk;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// What a first reading found out.
#[derive(Debug, Default)]
pub struct Survey {
    /// Every namespace that is there or named, with what is known of it.
    pub namespaces: Arc<NamespaceFacts>,
    /// Kinds, by group and kind, that their CustomResourceDefinition or their objects say to be in namespaces or not.
    kinds: HashMap<(Arc<str>, Arc<str>), bool>,
}

impl Survey {
    /// Whether objects of the kind live in namespaces.
    pub fn is_namespaced(&self, gvk: &Gvk) -> bool {
        let group: &str = if &*gvk.group == "core" { "" } else { &gvk.group };
        built_in(group, &gvk.kind)
            .or_else(|| self.kinds.get(&(gvk.group.clone(), gvk.kind.clone())).copied())
            .unwrap_or(false)
    }
}

#[derive(Deserialize)]
struct Definition {
    group: String,
    names: Names,
    scope: String,
}

#[derive(Deserialize)]
struct Names {
    kind: String,
}

#[derive(Default)]
struct Findings {
    spoken: BTreeMap<Arc<str>, NamespaceMeta>,
    named: BTreeSet<Box<str>>,
    defined: HashMap<(Arc<str>, Arc<str>), bool>,
    inhabited: HashSet<(Box<str>, Box<str>)>,
}

/// Reads all manifests once. `home` is the namespace of objects that name none.
pub fn survey(inputs: &Inputs, home: &str, cancel: &CancellationToken) -> Result<Survey, ManifestError> {
    let mut found = Findings::default();
    inputs.each(&mut |object| {
        if let Some(peek) = Peek::read(object) {
            found.look(&peek);
        }
        !cancel.is_cancelled()
    })?;
    Ok(found.finish(home))
}

impl Findings {
    fn look(&mut self, peek: &Peek<'_>) {
        match (&*peek.api_version, &*peek.kind) {
            ("v1", "Namespace") => {
                let meta = NamespaceMeta {
                    labels: peek.labels(),
                    annotations: peek.annotations(),
                    ..NamespaceMeta::default()
                };
                self.spoken.insert((&*peek.metadata.name).into(), meta);
            }
            (version, "CustomResourceDefinition") if version.starts_with("apiextensions.k8s.io/") => {
                let definition = peek.spec.and_then(|spec| serde_json::from_str::<Definition>(spec.get()).ok());
                if let Some(definition) = definition {
                    let kind = (definition.group.into(), definition.names.kind.into());
                    self.defined.insert(kind, definition.scope == "Namespaced");
                }
            }
            _ => {}
        }
        let namespace = peek.namespace();
        if namespace.is_empty() {
            return;
        }
        if !self.named.contains(namespace) {
            self.named.insert(namespace.into());
        }
        let group = peek.api_version.split_once('/').map_or("", |(group, _)| group);
        if built_in(group, &peek.kind).is_none() {
            self.inhabited.insert((group.into(), (&*peek.kind).into()));
        }
    }

    fn finish(self, home: &str) -> Survey {
        let mut facts = NamespaceFacts::new();
        // Of a namespace that has no object of its own here, only the name is known.
        for name in self.named.iter().map(AsRef::as_ref).chain([home, crate::feed::CLUSTER_SCOPED_HOME]) {
            facts.entry(name.into()).or_default();
        }
        for (name, meta) in self.spoken {
            facts.insert(name, Arc::new(meta));
        }
        for (name, meta) in &mut facts {
            let meta = Arc::make_mut(meta);
            meta.labels.entry(NAMESPACE_NAME.to_owned()).or_insert_with(|| name.to_string());
        }
        let mut kinds = self.defined;
        for (group, kind) in self.inhabited {
            kinds.entry((group.into(), kind.into())).or_insert(true);
        }
        Survey { namespaces: Arc::new(facts), kinds }
    }
}

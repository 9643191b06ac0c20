//! What has to be known of a set of manifests before a row can be made: namespaces, which kinds live in them, and which
//! uids tell objects apart.

use super::cluster_kinds::built_in;
use super::error::ManifestError;
use super::input::{Inputs, Item};
use super::object::{Peek, identity_of};
use super::summary::{BadInput, Named};
use crate::head::Head;
use crate::identity::derived_uid;
use crate::namespaces::{NamespaceFacts, NamespaceMeta};
use kollect_api::names::label::NAMESPACE_NAME;
use kollect_manifest::{LineColumn, ManifestItem};
use kollect_model::{Gvk, Uid};
use serde::Deserialize;
use std::collections::hash_map::Entry;
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
    /// Uids that several objects of one kind have.
    shared: HashSet<Uid>,
    /// Namespaces with labels that cannot be read.
    pub(super) faults: Named<BadInput>,
}

impl Survey {
    /// Whether objects of the kind live in namespaces.
    pub fn is_namespaced(&self, gvk: &Gvk) -> bool {
        let group: &str = if &*gvk.group == "core" { "" } else { &gvk.group };
        built_in(group, &gvk.kind)
            .or_else(|| self.kinds.get(&(gvk.group.clone(), gvk.kind.clone())).copied())
            .unwrap_or(false)
    }

    /// Whether several objects of the kind have this uid.
    pub(super) fn is_shared(&self, gvk: &Gvk, uid: &str) -> bool {
        !self.shared.is_empty() && !uid.is_empty() && self.shared.contains(&of_kind(gvk, uid))
    }
}

/// A uid among those of its kind: the same object may be there in two versions.
fn of_kind(gvk: &Gvk, uid: &str) -> Uid {
    derived_uid(gvk, "", uid)
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
    /// Who has each uid.
    owners: HashMap<Uid, [u8; 16]>,
    shared: HashSet<Uid>,
    faults: Named<BadInput>,
}

/// Reads all manifests once. `home` is the namespace of objects that name none.
pub fn survey(inputs: &Inputs, home: &str, cancel: &CancellationToken) -> Result<Survey, ManifestError> {
    let mut found = Findings::default();
    inputs.each(&mut |item| {
        if let Item { file, found: ManifestItem::Object { json, place } } = item
            && let Ok(peek) = Peek::read(json)
        {
            found.take(&peek, json, home, (file, place));
        }
        !cancel.is_cancelled()
    })?;
    Ok(found.finish(home))
}

impl Findings {
    fn take(&mut self, peek: &Peek<'_>, json: &str, home: &str, at: (&Arc<str>, LineColumn)) {
        match (&*peek.api_version, &*peek.kind) {
            ("v1", "Namespace") => self.namespace(json, at),
            (version, "CustomResourceDefinition") if version.starts_with("apiextensions.k8s.io/") => {
                let definition = peek.spec.and_then(|spec| serde_json::from_str::<Definition>(spec.get()).ok());
                if let Some(definition) = definition {
                    let kind = (definition.group.into(), definition.names.kind.into());
                    self.defined.insert(kind, definition.scope == "Namespaced");
                }
            }
            _ => {}
        }
        let head = match Head::read(json) {
            Ok(head) => head,
            Err(bad) => bad.head,
        };
        if !head.uid.is_empty() {
            self.note_uid(peek, &head, home);
        }
        let namespace: &str = &head.namespace;
        if namespace.is_empty() {
            return;
        }
        if !self.named.contains(namespace) {
            self.named.insert(namespace.into());
        }
        let group = peek.group();
        if built_in(group, &peek.kind).is_none() {
            self.inhabited.insert((group.into(), (&*peek.kind).into()));
        }
    }

    fn namespace(&mut self, json: &str, (file, place): (&Arc<str>, LineColumn)) {
        // One without a name is no namespace, and fails by name where it is collected.
        let Some((name, mut meta, wrong)) = NamespaceMeta::read(json) else { return };
        // Files say how things were when they were written; nothing is being deleted there.
        meta.terminating = false;
        if let Some(why) = wrong {
            let why = format!("Namespace {name}: {why}; it does not count");
            self.faults.add(BadInput { place: format!("{file}:{place}"), why });
        }
        self.spoken.insert(name, meta);
    }

    fn note_uid(&mut self, peek: &Peek<'_>, head: &Head<'_>, home: &str) {
        let gvk = peek.gvk();
        let uid = of_kind(&gvk, &head.uid);
        let object = identity_of(&gvk, head, home);
        match self.owners.entry(uid) {
            Entry::Vacant(free) => _ = free.insert(object),
            Entry::Occupied(owner) if *owner.get() == object => {}
            Entry::Occupied(owner) => _ = self.shared.insert(owner.key().clone()),
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
        Survey { namespaces: Arc::new(facts), kinds, shared: self.shared, faults: self.faults }
    }
}

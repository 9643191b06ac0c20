//! The first reading of manifests: namespaces, which kinds are namespaced, and which uids several objects share.

use super::cluster_kinds::built_in;
use super::error::ManifestError;
use super::input::{InputItem, Inputs};
use super::object::{ManifestHeader, identity_of};
use super::summary::{BadInput, CappedList};
use crate::identity::derived_uid;
use crate::namespaces::facts::{NamespaceFacts, NamespaceMeta};
use crate::object_head::ObjectHead;
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
    /// Every namespace that has a manifest or is named by an object.
    pub namespaces: Arc<NamespaceFacts>,
    /// Whether a kind is namespaced, by group and kind: from its CustomResourceDefinition or from its objects.
    kinds: HashMap<(Arc<str>, Arc<str>), bool>,
    /// Uids that several objects of one kind have.
    shared: HashSet<Uid>,
    /// Namespaces with labels that cannot be read.
    pub(super) faults: CappedList<BadInput>,
}

impl Survey {
    /// Whether the kind is namespaced.
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

/// A uid within its kind: one object may be present in two API versions.
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
struct SurveyFindings {
    objects: BTreeMap<Arc<str>, NamespaceMeta>,
    named: BTreeSet<Box<str>>,
    definitions: HashMap<(Arc<str>, Arc<str>), bool>,
    namespaced: HashSet<(Box<str>, Box<str>)>,
    /// The object that first had each uid.
    owners: HashMap<Uid, [u8; 16]>,
    shared: HashSet<Uid>,
    faults: CappedList<BadInput>,
}

/// Reads all manifests once. `default_namespace` is that of objects that name none.
pub fn survey(inputs: &Inputs, default_namespace: &str, cancel: &CancellationToken) -> Result<Survey, ManifestError> {
    let mut found = SurveyFindings::default();
    inputs.each(&mut |item| {
        if let InputItem { file, found: ManifestItem::Object { json, place } } = item
            && let Ok(header) = ManifestHeader::read(json)
        {
            found.take(&header, json, default_namespace, (file, place));
        }
        !cancel.is_cancelled()
    })?;
    Ok(found.finish(default_namespace))
}

impl SurveyFindings {
    fn take(&mut self, header: &ManifestHeader<'_>, json: &str, default_namespace: &str, at: (&Arc<str>, LineColumn)) {
        match (&*header.api_version, &*header.kind) {
            ("v1", "Namespace") => self.namespace(json, at),
            (version, "CustomResourceDefinition") if version.starts_with("apiextensions.k8s.io/") => {
                let definition = header.spec.and_then(|spec| serde_json::from_str::<Definition>(spec.get()).ok());
                if let Some(definition) = definition {
                    let kind = (definition.group.into(), definition.names.kind.into());
                    self.definitions.insert(kind, definition.scope == "Namespaced");
                }
            }
            _ => {}
        }
        let head = match ObjectHead::read(json) {
            Ok(head) => head,
            Err(bad) => bad.head,
        };
        if !head.uid.is_empty() {
            self.note_uid(header, &head, default_namespace);
        }
        let namespace: &str = &head.namespace;
        if namespace.is_empty() {
            return;
        }
        if !self.named.contains(namespace) {
            self.named.insert(namespace.into());
        }
        let group = header.group();
        if built_in(group, &header.kind).is_none() {
            self.namespaced.insert((group.into(), (&*header.kind).into()));
        }
    }

    fn namespace(&mut self, json: &str, (file, place): (&Arc<str>, LineColumn)) {
        // One without a name fails where it is collected.
        let Some((name, mut meta, wrong)) = NamespaceMeta::read(json) else { return };
        // A deletion timestamp in a file is of the past.
        meta.terminating = false;
        if let Some(why) = wrong {
            let why = format!("Namespace {name}: {why}; it does not count");
            self.faults.add(BadInput { place: format!("{file}:{place}"), why });
        }
        self.objects.insert(name, meta);
    }

    fn note_uid(&mut self, header: &ManifestHeader<'_>, head: &ObjectHead<'_>, default_namespace: &str) {
        let gvk = header.gvk();
        let uid = of_kind(&gvk, &head.uid);
        let object = identity_of(&gvk, head, default_namespace);
        match self.owners.entry(uid) {
            Entry::Vacant(free) => _ = free.insert(object),
            Entry::Occupied(owner) if *owner.get() == object => {}
            Entry::Occupied(owner) => _ = self.shared.insert(owner.key().clone()),
        }
    }

    fn finish(self, default_namespace: &str) -> Survey {
        let mut facts = NamespaceFacts::new();
        // Of a namespace without a manifest of its own, only the name is known.
        for name in self
            .named
            .iter()
            .map(AsRef::as_ref)
            .chain([default_namespace, crate::targets::target_table::CLUSTER_SCOPED_NAMESPACE])
        {
            facts.entry(name.into()).or_default();
        }
        for (name, meta) in self.objects {
            facts.insert(name, Arc::new(meta));
        }
        for (name, meta) in &mut facts {
            let meta = Arc::make_mut(meta);
            meta.labels.entry(NAMESPACE_NAME.to_owned()).or_insert_with(|| name.to_string());
        }
        let mut kinds = self.definitions;
        for (group, kind) in self.namespaced {
            kinds.entry((group.into(), kind.into())).or_insert(true);
        }
        Survey { namespaces: Arc::new(facts), kinds, shared: self.shared, faults: self.faults }
    }
}

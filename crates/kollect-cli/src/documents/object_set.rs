//! The objects of some texts, and lookup among them. It checks nothing.

use crate::source_map::SourceText;
use kollect_api::{GROUP, KollectClusterScope, KollectProfile, KollectScope};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Some texts and the objects in them.
#[derive(Debug)]
pub struct ObjectSet {
    /// The texts.
    pub sources: Vec<SourceText>,
    objects: Vec<Place>,
}

/// The place of an object.
#[derive(Clone, Debug)]
struct Place {
    source: usize,
    document: usize,
    /// Its number in the List that the document is.
    member: Option<usize>,
    prefix: String,
}

/// One object of a set.
#[derive(Clone, Copy, Debug)]
pub struct SetObject<'a> {
    /// Index of its text.
    pub source: usize,
    /// Index of its document.
    pub document: usize,
    /// What comes before its fields in the document: `items[3].` for a member of a List.
    pub prefix: &'a str,
    /// Its content.
    pub value: &'a Value,
}

impl<'a> SetObject<'a> {
    /// Text of a field such as `/metadata/name`; empty when it has none.
    pub fn text(&self, pointer: &str) -> &'a str {
        self.value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }

    /// `kind`.
    pub fn kind(&self) -> &'a str {
        self.text("/kind")
    }

    /// `metadata.name`.
    pub fn name(&self) -> &'a str {
        self.text("/metadata/name")
    }

    /// `metadata.namespace`; empty when it is chosen only when the object is applied.
    pub fn namespace(&self) -> &'a str {
        self.text("/metadata/namespace")
    }

    /// Whether it belongs to the group `kollect.dev`, whatever its version.
    pub fn is_kollect(&self) -> bool {
        self.text("/apiVersion").split('/').next() == Some(GROUP)
    }

    /// An unset namespace may become any.
    pub fn is_in(&self, namespace: &str) -> bool {
        self.namespace() == namespace || self.namespace().is_empty() || namespace.is_empty()
    }
}

impl ObjectSet {
    /// Finds the objects of some texts; members of Lists count one by one.
    pub fn new(sources: Vec<SourceText>) -> Self {
        let mut objects = Vec::new();
        for (source, text) in sources.iter().enumerate() {
            for (document, read) in text.documents.iter().enumerate() {
                let is_list = read.value["kind"].as_str().is_some_and(|kind| kind.ends_with("List"));
                let members = read.value.get("items").and_then(Value::as_array).filter(|_| is_list);
                let Some(members) = members else {
                    objects.push(Place { source, document, member: None, prefix: String::new() });
                    continue;
                };
                for i in 0..members.len() {
                    objects.push(Place { source, document, member: Some(i), prefix: format!("items[{i}].") });
                }
            }
        }
        Self { sources, objects }
    }

    /// All objects, in the order of the texts.
    pub fn objects(&self) -> impl Iterator<Item = SetObject<'_>> {
        self.objects.iter().map(|place| {
            let document = &self.sources[place.source].documents[place.document].value;
            let value = place.member.map_or(document, |member| &document["items"][member]);
            SetObject { source: place.source, document: place.document, prefix: &place.prefix, value }
        })
    }

    /// The objects of one Kollect kind.
    pub fn of_kind<'a>(&'a self, kind: &str) -> impl Iterator<Item = SetObject<'a>> {
        self.objects().filter(move |object| object.is_kollect() && object.kind() == kind)
    }

    /// The object of a Kollect kind with this name; of several the last, as when they are applied in order.
    pub fn find<'a>(&'a self, kind: &str, namespace: &str, name: &str) -> Option<SetObject<'a>> {
        let named = || self.of_kind(kind).filter(|object| object.name() == name);
        let exact = named().filter(|object| object.namespace() == namespace).last();
        exact.or_else(|| named().filter(|object| object.is_in(namespace)).last())
    }

    /// The profile with this name.
    pub fn profile(&self, namespace: &str, name: &str) -> Option<KollectProfile> {
        decoded(&self.find("KollectProfile", namespace, name)?)
    }

    /// The scopes that limit a namespace, all together.
    pub fn scopes_of(&self, namespace: &str) -> Vec<KollectScope> {
        let all = self.of_kind("KollectScope").filter(|object| object.is_in(namespace));
        all.filter_map(|object| decoded(&object)).collect()
    }

    /// The scopes that limit the cluster kinds, all together.
    pub fn cluster_scopes(&self) -> Vec<KollectClusterScope> {
        self.of_kind("KollectClusterScope").filter_map(|object| decoded(&object)).collect()
    }
}

/// An object that does not decode has findings of its own; it limits nothing meanwhile.
fn decoded<T: DeserializeOwned>(object: &SetObject<'_>) -> Option<T> {
    serde_json::from_value(object.value.clone()).ok()
}

//! One object of a manifest: what the intake asks of it, and what is put in where it is missing.
//!
//! Separate because an object that was never in a cluster has no uid, and often no namespace. Only such objects are
//! decoded here; the others pass as they are.

use kollect_model::{Digest, Gvk, Uid};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// What can be said of an object without decoding it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Peek<'a> {
    #[serde(borrow, rename = "apiVersion")]
    pub(super) api_version: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) kind: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) metadata: Meta<'a>,
    #[serde(borrow)]
    pub(super) spec: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) items: Option<&'a RawValue>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Meta<'a> {
    #[serde(borrow)]
    pub(super) name: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) namespace: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) uid: Option<Cow<'a, str>>,
    #[serde(borrow)]
    labels: Option<&'a RawValue>,
    #[serde(borrow)]
    annotations: Option<&'a RawValue>,
}

impl<'a> Peek<'a> {
    /// Reads an object; `None` when it is not a Kubernetes object.
    pub(super) fn read(raw: &'a str) -> Option<Self> {
        let peek: Self = serde_json::from_str(raw).ok()?;
        (!peek.kind.is_empty()).then_some(peek)
    }

    /// A list of objects.
    pub(super) fn is_list(&self) -> bool {
        self.items.is_some() && self.kind.ends_with("List")
    }

    pub(super) fn gvk(&self) -> Gvk {
        let (group, version) = self.api_version.split_once('/').unwrap_or(("", &self.api_version));
        Gvk::new(group, version, &self.kind)
    }

    pub(super) fn namespace(&self) -> &str {
        self.metadata.namespace.as_deref().unwrap_or_default()
    }

    pub(super) fn labels(&self) -> BTreeMap<String, String> {
        texts(self.metadata.labels)
    }

    pub(super) fn annotations(&self) -> BTreeMap<String, String> {
        texts(self.metadata.annotations)
    }
}

fn texts(raw: Option<&RawValue>) -> BTreeMap<String, String> {
    raw.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default()
}

/// The object as the intake wants it: with a uid, and in a namespace exactly if its kind lives in namespaces.
pub(super) fn complete<'a>(raw: &'a str, peek: &Peek<'_>, namespaced: bool, home: &str) -> Cow<'a, str> {
    let namespace = peek.namespace();
    let misplaced = namespace.is_empty() == namespaced;
    let no_uid = peek.metadata.uid.as_deref().unwrap_or_default().is_empty();
    if !misplaced && !no_uid {
        return Cow::Borrowed(raw);
    }
    let Ok(mut object) = serde_json::from_str::<Value>(raw) else { return Cow::Borrowed(raw) };
    let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else { return Cow::Borrowed(raw) };
    let namespace = match (namespaced, namespace) {
        (false, _) => "",
        (true, "") => home,
        (true, given) => given,
    };
    if namespaced {
        metadata.insert("namespace".into(), namespace.into());
    } else {
        metadata.remove("namespace");
    }
    if no_uid {
        metadata.insert("uid".into(), derived_uid(&peek.gvk(), namespace, &peek.metadata.name).to_string().into());
    }
    Cow::Owned(object.to_string())
}

/// A uid that is the same whenever the same object is read: a UUID made of a hash.
fn derived_uid(gvk: &Gvk, namespace: &str, name: &str) -> Uid {
    let identity = [&*gvk.group, &*gvk.version, &*gvk.kind, namespace, name].join("\0");
    let mut bytes = Digest::of(identity.as_bytes()).0;
    bytes[6] = (bytes[6] & 0x0f) | 0x80;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    Uid::Uuid(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn completed(raw: &str, namespaced: bool) -> Value {
        let peek = Peek::read(raw).unwrap();
        serde_json::from_str(&complete(raw, &peek, namespaced, "shop")).unwrap()
    }

    #[test]
    fn what_is_missing_is_put_in_and_the_rest_is_not_touched() {
        let whole = r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a","namespace":"x","uid":"u"}}"#;
        let peek = Peek::read(whole).unwrap();
        assert!(matches!(complete(whole, &peek, true, "shop"), Cow::Borrowed(_)));

        let bare = r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":{"n":"1"}}"#;
        let object = completed(bare, true);
        assert_eq!((&object["metadata"]["namespace"], &object["data"]["n"]), (&"shop".into(), &"1".into()));
        let uid = object["metadata"]["uid"].as_str().unwrap().to_owned();
        assert_eq!((uid.len(), &uid[14..15]), (36, "8"), "{uid}");
        assert_eq!(completed(bare, true)["metadata"]["uid"], uid.as_str(), "the same object has the same uid");
        let other = completed(&bare.replace("\"a\"", "\"b\""), true);
        assert_ne!(other["metadata"]["uid"], uid.as_str());

        let node = r#"{"apiVersion":"v1","kind":"Node","metadata":{"name":"n","namespace":"odd","uid":"u"}}"#;
        assert!(completed(node, false)["metadata"].get("namespace").is_none());
    }

    #[test]
    fn what_is_no_object_is_not_read() {
        for raw in ["1", "[]", "{}", r#"{"kind":5}"#, r#"{"replicas":1}"#] {
            assert!(Peek::read(raw).is_none(), "{raw}");
        }
    }
}

//! One object of a manifest: what the survey and the targets ask of it, and what is put in where it is missing.
//!
//! An object that was never in a cluster has no uid, and often no namespace. Only such objects are decoded here.

use super::summary::NoObject;
use crate::head::{Head, text_of};
use crate::identity::{derived_uid, identity};
use kollect_model::Gvk;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// What tells an object.
#[derive(Debug)]
pub(super) struct Peek<'a> {
    pub(super) api_version: String,
    pub(super) kind: String,
    pub(super) spec: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Raw<'a> {
    #[serde(borrow)]
    api_version: Option<&'a RawValue>,
    #[serde(borrow)]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    spec: Option<&'a RawValue>,
}

impl<'a> Peek<'a> {
    /// Reads an object, or says why it is not a Kubernetes object.
    pub(super) fn read(raw: &'a str) -> Result<Self, NoObject> {
        if !raw.starts_with('{') {
            return Err(NoObject::NoMap);
        }
        let peek: Raw<'_> = serde_json::from_str(raw).map_err(|_| NoObject::NoMap)?;
        let text = |raw| text_of(raw).ok().filter(|text| !text.is_empty());
        let kind = text(peek.kind).ok_or(NoObject::NoKind)?;
        let api_version = text(peek.api_version).ok_or(NoObject::NoApiVersion)?;
        Ok(Self { api_version, kind, spec: peek.spec })
    }

    pub(super) fn group(&self) -> &str {
        self.api_version.split_once('/').map_or("", |(group, _)| group)
    }

    pub(super) fn gvk(&self) -> Gvk {
        let (group, version) = self.api_version.split_once('/').unwrap_or(("", &self.api_version));
        Gvk::new(group, version, &self.kind)
    }
}

/// Identity of an object whose kind may or may not live in namespaces.
pub(super) fn identity_of(gvk: &Gvk, head: &Head<'_>, home: &str) -> [u8; 16] {
    identity(gvk, if head.namespace.is_empty() { home } else { &head.namespace }, &head.name)
}

/// The object as the intake wants it: with a uid, and in a namespace exactly if its kind lives in namespaces.
/// `head` takes over the same; where a uid does not tell objects apart (`shared_uid`), it gets the derived one.
pub(super) fn complete<'a>(
    raw: &'a str,
    head: &mut Head<'_>,
    gvk: &Gvk,
    namespaced: bool,
    home: &str,
    shared_uid: bool,
) -> Cow<'a, str> {
    let misplaced = head.namespace.is_empty() == namespaced;
    if misplaced {
        head.namespace = Cow::Owned(if namespaced { home.to_owned() } else { String::new() });
    }
    let no_uid = head.uid.is_empty();
    if no_uid || shared_uid {
        head.uid = Cow::Owned(derived_uid(gvk, &head.namespace, &head.name).to_string());
    }
    if !misplaced && !no_uid {
        return Cow::Borrowed(raw);
    }
    let Ok(mut object) = serde_json::from_str::<Value>(raw) else { return Cow::Borrowed(raw) };
    let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else { return Cow::Borrowed(raw) };
    if namespaced {
        metadata.insert("namespace".into(), (&*head.namespace).into());
    } else {
        metadata.remove("namespace");
    }
    if no_uid {
        metadata.insert("uid".into(), (&*head.uid).into());
    }
    Cow::Owned(object.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn completed(raw: &str, namespaced: bool) -> Value {
        let gvk = Peek::read(raw).unwrap().gvk();
        let mut head = Head::read(raw).unwrap();
        serde_json::from_str(&complete(raw, &mut head, &gvk, namespaced, "shop", false)).unwrap()
    }

    #[test]
    fn what_is_missing_is_put_in_and_the_rest_is_not_touched() {
        let whole = r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a","namespace":"x","uid":"u"}}"#;
        let gvk = Peek::read(whole).unwrap().gvk();
        let mut head = Head::read(whole).unwrap();
        assert!(matches!(complete(whole, &mut head, &gvk, true, "shop", false), Cow::Borrowed(_)));
        assert_eq!(head.uid, "u");
        assert!(matches!(complete(whole, &mut head, &gvk, true, "shop", true), Cow::Borrowed(_)));
        assert_ne!(head.uid, "u", "a uid that others have tells nothing");

        let bare = r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a","uid":null},"data":{"n":"1"}}"#;
        let object = completed(bare, true);
        assert_eq!((&object["metadata"]["namespace"], &object["data"]["n"]), (&"shop".into(), &"1".into()));
        let uid = object["metadata"]["uid"].as_str().unwrap().to_owned();
        assert_eq!(completed(bare, true)["metadata"]["uid"], uid.as_str(), "the same object has the same uid");
        let other = completed(&bare.replace("\"a\"", "\"b\""), true);
        assert_ne!(other["metadata"]["uid"], uid.as_str());

        let node = r#"{"apiVersion":"v1","kind":"Node","metadata":{"name":"n","namespace":"odd","uid":"u"}}"#;
        assert!(completed(node, false)["metadata"].get("namespace").is_none());
    }

    #[test]
    fn what_is_no_object_is_not_read_and_says_why() {
        for (raw, why) in [
            ("1", NoObject::NoMap),
            ("[]", NoObject::NoMap),
            ("{}", NoObject::NoKind),
            (r#"{"kind":5}"#, NoObject::NoKind),
            (r#"{"kind":"A"}"#, NoObject::NoApiVersion),
            (r#"{"kind":"A","apiVersion":null}"#, NoObject::NoApiVersion),
            (r#"{"replicas":1}"#, NoObject::NoKind),
        ] {
            assert_eq!(Peek::read(raw).unwrap_err(), why, "{raw}");
        }
    }
}

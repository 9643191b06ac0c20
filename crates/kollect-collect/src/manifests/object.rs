//! One object of a manifest: its header, and the uid and namespace that are added where they are missing.
//!
//! An object that was never in a cluster has no uid, and often no namespace. Only such objects are decoded here.

use super::summary::NonObjectReason;
use crate::identity::{derived_uid, identity};
use crate::object_head::{ObjectHead, text_of};
use kollect_model::Gvk;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// The fields that identify a kind, and the raw spec.
#[derive(Debug)]
pub(super) struct ManifestHeader<'a> {
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

impl<'a> ManifestHeader<'a> {
    /// Reads an object; the error is why it is not a Kubernetes object.
    pub(super) fn read(raw: &'a str) -> Result<Self, NonObjectReason> {
        if !raw.starts_with('{') {
            return Err(NonObjectReason::NoMap);
        }
        let header: Raw<'_> = serde_json::from_str(raw).map_err(|_| NonObjectReason::NoMap)?;
        let text = |raw| text_of(raw).ok().filter(|text| !text.is_empty());
        let kind = text(header.kind).ok_or(NonObjectReason::NoKind)?;
        let api_version = text(header.api_version).ok_or(NonObjectReason::NoApiVersion)?;
        Ok(Self { api_version, kind, spec: header.spec })
    }

    pub(super) fn group(&self) -> &str {
        self.api_version.split_once('/').map_or("", |(group, _)| group)
    }

    pub(super) fn gvk(&self) -> Gvk {
        let (group, version) = self.api_version.split_once('/').unwrap_or(("", &self.api_version));
        Gvk::new(group, version, &self.kind)
    }
}

/// Identity of an object whose scope is not known yet.
pub(super) fn identity_of(gvk: &Gvk, head: &ObjectHead<'_>, default_namespace: &str) -> [u8; 16] {
    identity(gvk, if head.namespace.is_empty() { default_namespace } else { &head.namespace }, &head.name)
}

/// The object as intake requires it: with a uid, and with a namespace exactly if its kind is namespaced. `head` is changed
/// alike; where several objects share a uid (`shared_uid`), it gets the derived one.
pub(super) fn complete_object<'a>(
    raw: &'a str,
    head: &mut ObjectHead<'_>,
    gvk: &Gvk,
    namespaced: bool,
    default_namespace: &str,
    shared_uid: bool,
) -> Cow<'a, str> {
    let misplaced = head.namespace.is_empty() == namespaced;
    if misplaced {
        head.namespace = Cow::Owned(if namespaced { default_namespace.to_owned() } else { String::new() });
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
        let gvk = ManifestHeader::read(raw).unwrap().gvk();
        let mut head = ObjectHead::read(raw).unwrap();
        serde_json::from_str(&complete_object(raw, &mut head, &gvk, namespaced, "shop", false)).unwrap()
    }

    #[test]
    fn what_is_missing_is_put_in_and_the_rest_is_not_touched() {
        let whole = r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a","namespace":"x","uid":"u"}}"#;
        let gvk = ManifestHeader::read(whole).unwrap().gvk();
        let mut head = ObjectHead::read(whole).unwrap();
        assert!(matches!(complete_object(whole, &mut head, &gvk, true, "shop", false), Cow::Borrowed(_)));
        assert_eq!(head.uid, "u");
        assert!(matches!(complete_object(whole, &mut head, &gvk, true, "shop", true), Cow::Borrowed(_)));
        assert_ne!(head.uid, "u", "a shared uid is replaced");

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
    fn what_is_no_object_is_refused_with_a_reason() {
        for (raw, why) in [
            ("1", NonObjectReason::NoMap),
            ("[]", NonObjectReason::NoMap),
            ("{}", NonObjectReason::NoKind),
            (r#"{"kind":5}"#, NonObjectReason::NoKind),
            (r#"{"kind":"A"}"#, NonObjectReason::NoApiVersion),
            (r#"{"kind":"A","apiVersion":null}"#, NonObjectReason::NoApiVersion),
            (r#"{"replicas":1}"#, NonObjectReason::NoKind),
        ] {
            assert_eq!(ManifestHeader::read(raw).unwrap_err(), why, "{raw}");
        }
    }
}

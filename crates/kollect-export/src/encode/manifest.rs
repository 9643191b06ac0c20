//! The copy of a whole object that a row holds, as a manifest of its own.

use kollect_model::{Row, write_value};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// The attribute that is taken when none, or more than one, has the form of a copy: the usual `export.as`.
const USUAL_KEY: &str = "resource";

/// A row without a copy of its object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the row holds no copy of its object; layout.content: manifest needs a profile with export.mode: Resource")]
pub struct NoCopy;

#[derive(Default, Deserialize)]
#[serde(default)]
struct Head<'a> {
    #[serde(borrow, rename = "apiVersion")]
    api_version: Cow<'a, str>,
    #[serde(borrow)]
    kind: Cow<'a, str>,
}

/// Name and text of the one attribute that is a copy of the row's object: an object with an API version and the row's
/// kind. Nothing when none is one, or several are.
pub fn copy_of(row: &Row) -> Option<(String, &RawValue)> {
    let attributes: BTreeMap<Cow<'_, str>, &RawValue> = serde_json::from_str(row.attributes.get()).ok()?;
    let mut copies = attributes.into_iter().filter(|(_, value)| {
        value.get().starts_with('{')
            && serde_json::from_str::<Head<'_>>(value.get())
                .is_ok_and(|head| !head.api_version.is_empty() && head.kind.eq_ignore_ascii_case(&row.object.gvk.kind))
    });
    let only = copies.next().filter(|_| copies.next().is_none())?;
    Some((only.0.into_owned(), only.1))
}

/// Whether [`write_manifest`] can write the row.
pub fn has_manifest(row: &Row) -> bool {
    copy_of(row).is_some() || usual(row).is_some()
}

/// Appends the copy as canonical JSON. Name and namespace, which a copy usually leaves out because the row has them,
/// are put back, so that the manifest can be applied.
pub fn write_manifest(row: &Row, out: &mut Vec<u8>) -> Result<(), NoCopy> {
    let mut manifest = match copy_of(row) {
        Some((_, text)) => serde_json::from_str(text.get()).map_err(|_| NoCopy)?,
        None => usual(row).ok_or(NoCopy)?,
    };
    let Value::Object(fields) = &mut manifest else { return Err(NoCopy) };
    let metadata = fields.entry("metadata").or_insert_with(|| Value::Object(Map::new()));
    if let Value::Object(metadata) = metadata {
        for (key, value) in [("name", &*row.object.name), ("namespace", &*row.object.namespace)] {
            if !value.is_empty() {
                metadata.entry(key).or_insert_with(|| Value::from(value));
            }
        }
    }
    // What was read from JSON has no infinite numbers.
    write_value(&manifest, out).map_err(|_| NoCopy)
}

fn usual(row: &Row) -> Option<Value> {
    let mut attributes: Map<String, Value> = serde_json::from_str(row.attributes.get()).ok()?;
    attributes.remove(USUAL_KEY).filter(Value::is_object)
}

#[cfg(test)]
mod tests {
    use super::*;
    use kollect_model::{Gvk, ObjectKey, RowId, TargetKey, Uid};
    use serde_json::json;
    use std::sync::Arc;

    fn row(attributes: &Value) -> Row {
        let id = RowId { target: Arc::new(TargetKey::namespaced("shop", "apps")), uid: Uid::parse("u") };
        let object = ObjectKey {
            gvk: Arc::new(Gvk::new("apps", "v1", "Deployment")),
            namespace: "shop".into(),
            name: "cart".into(),
        };
        Row::new(id, object, RawValue::from_string(attributes.to_string()).unwrap())
    }

    fn manifest(attributes: &Value) -> Result<Value, NoCopy> {
        let mut out = Vec::new();
        write_manifest(&row(attributes), &mut out)?;
        Ok(serde_json::from_slice(&out).unwrap())
    }

    #[test]
    fn the_one_attribute_that_is_a_copy_is_found() {
        let copy = json!({"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"replicas": 2}});
        let key = |attributes: &Value| copy_of(&row(attributes)).map(|(key, _)| key);
        assert_eq!(key(&json!({"object": copy, "team": "web"})).as_deref(), Some("object"));
        assert_eq!(key(&json!({"o": {"kind": "deployment", "apiVersion": "x"}})).as_deref(), Some("o"));
        for attributes in [
            json!({}),
            json!({"a": copy, "b": copy}),
            json!({"a": {"apiVersion": "v1", "kind": "Pod"}}),
            json!({"a": {"apiVersion": "", "kind": "Deployment"}}),
            json!({"a": {"kind": "Deployment"}, "b": "{}", "c": [copy]}),
        ] {
            assert_eq!(key(&attributes), None, "{attributes}");
        }
    }

    #[test]
    fn a_manifest_can_be_applied_again() {
        let copy = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"labels": {"a": "b"}}});
        let mut wanted = copy.clone();
        wanted["metadata"]["name"] = "cart".into();
        wanted["metadata"]["namespace"] = "shop".into();
        assert_eq!(manifest(&json!({"object": copy})).unwrap(), wanted);
        let named =
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "own", "namespace": "own"}});
        assert_eq!(manifest(&json!({"object": named, "resource": {}})).unwrap(), named);
        let bare = manifest(&json!({"resource": {"spec": {}}, "other": 1})).unwrap();
        assert_eq!(bare, json!({"spec": {}, "metadata": {"name": "cart", "namespace": "shop"}}));
        for attributes in [json!({"team": "web"}), json!({"resource": "text"})] {
            assert_eq!((manifest(&attributes), has_manifest(&row(&attributes))), (Err(NoCopy), false), "{attributes}");
        }
        assert!(has_manifest(&row(&json!({"resource": {}}))) && has_manifest(&row(&json!({"object": copy}))));
    }
}

//! Items that are read back from a sink: rows of parts that cannot be listed.
//!
//! An Item does not contain whether its target is a cluster target, so the caller passes the target.

use crate::{Gvk, ObjectKey, Row, RowId, TargetKey, Uid, write_value};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use std::sync::Arc;

/// One Item, with its attributes as the format it was read from has them.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Item<A = Box<RawValue>> {
    /// Namespace of the collecting target.
    pub target_namespace: String,
    /// Name of the collecting target.
    pub target_name: String,
    /// Namespace of the object; empty for cluster-scoped objects.
    pub namespace: String,
    /// Name of the object.
    pub name: String,
    /// API group; absent for the core group.
    #[serde(default)]
    pub group: String,
    /// API version.
    pub version: String,
    /// Kind.
    pub kind: String,
    /// UID of the object.
    pub uid: String,
    /// The extracted attributes.
    pub attributes: A,
}

/// Attributes that are not a JSON object, or hold a number that JSON cannot carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the attributes of an item are not a JSON object")]
pub struct NotAnObject;

impl Item {
    /// The row that the Item was written from. Canonical attributes stay byte for byte.
    pub fn into_row(self, target: Arc<TargetKey>) -> Result<Row, NotAnObject> {
        let json = self.attributes.get();
        if !json.starts_with('{') {
            return Err(NotAnObject);
        }
        let attributes = if is_compact(json) {
            self.attributes
        } else {
            // The text was reformatted.
            raw(&serde_json::from_str(json).map_err(|_| NotAnObject)?)?
        };
        let object = ObjectKey {
            gvk: Arc::new(Gvk::new(&self.group, &self.version, &self.kind)),
            namespace: self.namespace.into(),
            name: self.name.into(),
        };
        Ok(Row::new(RowId { target, uid: Uid::parse(&self.uid) }, object, attributes))
    }
}

impl Item<Value> {
    /// The same Item with its attributes as canonical JSON.
    pub fn into_canonical(self) -> Result<Item, NotAnObject> {
        let attributes = raw(&self.attributes)?;
        let Self { target_namespace, target_name, namespace, name, group, version, kind, uid, .. } = self;
        Ok(Item { target_namespace, target_name, namespace, name, group, version, kind, uid, attributes })
    }
}

fn raw(value: &Value) -> Result<Box<RawValue>, NotAnObject> {
    let mut json = Vec::new();
    write_value(value, &mut json).map_err(|_| NotAnObject)?;
    let json = String::from_utf8(json).map_err(|_| NotAnObject)?;
    RawValue::from_string(json).map_err(|_| NotAnObject)
}

/// Whether valid JSON has no white space between its tokens.
fn is_compact(json: &str) -> bool {
    let (mut in_string, mut escaped) = (false, false);
    for c in json.bytes() {
        if in_string {
            (in_string, escaped) = (escaped || c != b'"', !escaped && c == b'\\');
        } else if c == b'"' {
            in_string = true;
        } else if c.is_ascii_whitespace() {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::item_bytes;

    fn written(group: &str, attributes: &str) -> Row {
        let id = RowId { target: Arc::new(TargetKey::namespaced("shop", "cfg")), uid: Uid::parse("u-\"1\"") };
        let gvk = Arc::new(Gvk::new(group, "v1", "Kind"));
        let object = ObjectKey { gvk, namespace: "shop".into(), name: "<a&b>".into() };
        Row::new(id, object, RawValue::from_string(attributes.to_owned()).unwrap())
    }

    fn read(bytes: &[u8]) -> Result<Row, NotAnObject> {
        let item: Item = serde_json::from_slice(bytes).unwrap();
        item.into_row(Arc::new(TargetKey::namespaced("shop", "cfg")))
    }

    #[test]
    fn an_item_comes_back_byte_for_byte() {
        for attributes in [
            "{}",
            r#"{"a":1e+21,"b":-0,"c":100000000000000000000,"d":0.1,"e":2.2250738585072014e-308}"#,
            r#"{"s":"a b\u003cc\u2028\n \"x\" y\\","t":["\\\" "]}"#,
        ] {
            for group in ["", "apps"] {
                let row = written(group, attributes);
                let again = read(&item_bytes(&row)).unwrap();
                assert_eq!(item_bytes(&again), item_bytes(&row));
                assert_eq!((again.id, again.object, again.digest), (row.id, row.object, row.digest));
            }
        }
    }

    #[test]
    fn reformatted_attributes_become_canonical_again() {
        let text = String::from_utf8(item_bytes(&written("", r#"{"a":"x y","b":[1,2]}"#))).unwrap();
        let again = read(text.replace("[1,2]", "[ 1,\n2 ]").as_bytes()).unwrap();
        assert_eq!(again.attributes.get(), r#"{"a":"x y","b":[1,2]}"#);
    }

    #[test]
    fn what_is_not_an_item_is_not_read() {
        assert_eq!(read(&item_bytes(&written("", "[]"))).unwrap_err(), NotAnObject);
        let text = String::from_utf8(item_bytes(&written("", "{}"))).unwrap();
        assert!(serde_json::from_str::<Item>(&text.replace("uid", "id")).is_err());
        assert!(serde_json::from_str::<Item>(&text.replace("{\"target", "{\"more\":1,\"target")).is_err());
    }
}

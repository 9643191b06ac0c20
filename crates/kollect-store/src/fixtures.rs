//! Rows and tombstones for unit tests.

use kollect_model::{Cause, Deleted, Gvk, ObjectKey, Row, RowId, TargetKey, Uid};
use serde_json::value::RawValue;
use std::sync::Arc;

pub(crate) fn row(target: &str, namespace: &str, uid: &str, value: u64) -> Row {
    let id = RowId { target: Arc::new(TargetKey::namespaced("shop", target)), uid: Uid::parse(uid) };
    let object = ObjectKey {
        gvk: Arc::new(Gvk::new("", "v1", "ConfigMap")),
        namespace: namespace.into(),
        name: format!("cm-{uid}").into(),
    };
    Row::new(id, object, RawValue::from_string(format!("{{\"v\":{value}}}")).unwrap())
}

pub(crate) fn dead(target: &str, uid: &str) -> Deleted {
    let id = RowId { target: Arc::new(TargetKey::namespaced("shop", target)), uid: Uid::parse(uid) };
    Deleted { id, object: None, cause: Cause::Observed }
}

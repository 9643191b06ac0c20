//! Rows as `kollect collect --format jsonl` prints them with the name of a cluster: an Item with one member more.

use kollect_model::Item;
use serde::Deserialize;
use serde_json::value::RawValue;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Printed {
    cluster: String,
    target_namespace: String,
    target_name: String,
    namespace: String,
    name: String,
    #[serde(default)]
    group: String,
    version: String,
    kind: String,
    uid: String,
    attributes: Box<RawValue>,
}

/// The cluster and the Item, if the text is such a row.
pub(super) fn read(json: &str) -> Option<(String, Item)> {
    let Printed { cluster, target_namespace, target_name, namespace, name, group, version, kind, uid, attributes } =
        serde_json::from_str(json).ok()?;
    let item = Item { target_namespace, target_name, namespace, name, group, version, kind, uid, attributes };
    Some((cluster, item))
}

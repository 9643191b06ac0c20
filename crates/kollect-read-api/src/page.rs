//! Writes a page of rows as JSON, byte for byte as the reference does. Pure.

use crate::json::append_json;
use crate::query::Query;
use crate::statuses::ExportStatus;
use kollect_model::{Row, SCHEMA_VERSION, fingerprint_items, write_item, write_string};
use serde::Serialize;
use std::sync::Arc;

/// Most parts under `incomplete`; more would hide the first ones.
const MOST_UNKNOWN: usize = 20;

/// A part of the requested view that cannot be listed now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct UnlistedPart {
    /// `namespace/name` of the target.
    pub(crate) target: String,
    /// The namespace of the objects; empty for all, or for objects outside of namespaces.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(crate) namespace: Arc<str>,
    /// Why it cannot be listed.
    pub(crate) reason: String,
}

/// The members of a page beside its rows.
#[derive(Debug, Default)]
pub(crate) struct PageFacts {
    /// RFC 3339, whole seconds.
    pub(crate) now: String,
    /// Exports of the inventory; empty without one in the query.
    pub(crate) exports: Vec<ExportStatus>,
    /// Parts without rows. An addition to the reference, which does not mark an incomplete page.
    pub(crate) unknown: Vec<UnlistedPart>,
}

/// Writes the page of `rows`, which are in canonical order.
pub(crate) fn page(query: &Query, rows: &[Arc<Row>], facts: &PageFacts) -> Vec<u8> {
    let mut total = 0;
    let mut items: Vec<&Row> = Vec::new();
    for row in rows.iter().filter(|row| query.matches(row)) {
        if total >= query.offset && items.len() < query.limit {
            items.push(row);
        }
        total += 1;
    }
    let mut out = Vec::with_capacity(256 + items.len() * 512);
    let key = |name: &str, out: &mut Vec<u8>| {
        out.push(if out.is_empty() { b'{' } else { b',' });
        write_string(name, out);
        out.push(b':');
    };
    key("schemaVersion", &mut out);
    write_string(SCHEMA_VERSION, &mut out);
    key("itemCount", &mut out);
    number(items.len(), &mut out);
    for (name, value) in [("namespace", &query.namespace), ("inventory", &query.inventory)] {
        if !value.is_empty() {
            key(name, &mut out);
            write_string(value, &mut out);
        }
    }
    key("items", &mut out);
    out.push(b'[');
    for (at, row) in items.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write_item(row, &mut out);
    }
    out.push(b']');
    key("updatedAt", &mut out);
    write_string(&facts.now, &mut out);
    if total > 0 {
        let has_more = query.offset.saturating_add(items.len()) < total;
        key("pagination", &mut out);
        out.extend_from_slice(b"{\"limit\":");
        number(query.limit, &mut out);
        out.extend_from_slice(b",\"offset\":");
        number(query.offset, &mut out);
        out.extend_from_slice(b",\"total\":");
        number(total, &mut out);
        out.extend_from_slice(if has_more { b",\"hasMore\":true}" } else { b",\"hasMore\":false}" });
    }
    if !facts.exports.is_empty() {
        key("exportStatus", &mut out);
        append_json(&facts.exports, &mut out);
    }
    if !facts.unknown.is_empty() {
        key("incomplete", &mut out);
        append_json(&facts.unknown[..facts.unknown.len().min(MOST_UNKNOWN)], &mut out);
    }
    key("checksum", &mut out);
    write_string(&fingerprint_items(items), &mut out);
    out.extend_from_slice(b"}\n");
    out
}

fn number(n: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(n.to_string().as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use kollect_model::{Gvk, ObjectKey, RowId, TargetKey, Uid};
    use serde_json::Value;
    use serde_json::value::RawValue;

    fn row(target: &str, gvk: Gvk, name: &str, uid: &str, attributes: &str) -> Arc<Row> {
        let id = RowId { target: Arc::new(TargetKey::namespaced("shop", target)), uid: Uid::parse(uid) };
        let object = ObjectKey { gvk: Arc::new(gvk), namespace: "shop".into(), name: name.into() };
        Arc::new(Row::new(id, object, RawValue::from_string(attributes.to_owned()).unwrap()))
    }

    fn rows() -> Vec<Arc<Row>> {
        vec![
            row("config", Gvk::new("", "v1", "ConfigMap"), "flags", "0d1f-09", r#"{"mode":null}"#),
            row("workloads", Gvk::new("apps", "v1", "Deployment"), "cart", "0d1f-02", r#"{"replicas":2}"#),
        ]
    }

    fn text(query: &str, facts: &PageFacts) -> String {
        let query = Query::parse(query).of_inventory("shop", "daily");
        String::from_utf8(page(&query, &rows(), facts)).unwrap()
    }

    #[test]
    fn a_page_is_written_byte_for_byte_as_in_the_contract() {
        let export = ExportStatus {
            sink_name: "audit".into(),
            sink_namespace: "shop".into(),
            status: "debounced",
            last_export_time: Some("2026-03-02T08:15:30Z".into()),
            message: None,
        };
        let facts = PageFacts { now: "2026-03-02T08:15:31Z".into(), exports: vec![export], unknown: Vec::new() };
        let checksum = fingerprint_items([&*rows()[0]]);
        assert_eq!(checksum.len(), 64);
        let wanted = r#"{"schemaVersion":"kollect.dev/v1alpha1","itemCount":1,"namespace":"shop","inventory":"daily","items":[{"targetNamespace":"shop","targetName":"config","namespace":"shop","name":"flags","version":"v1","kind":"ConfigMap","uid":"0d1f-09","attributes":{"mode":null}}],"updatedAt":"2026-03-02T08:15:31Z","pagination":{"limit":1,"offset":0,"total":2,"hasMore":true},"exportStatus":[{"sinkName":"audit","sinkNamespace":"shop","status":"debounced","lastExportTime":"2026-03-02T08:15:30Z"}],"checksum":"…"}"#;
        assert_eq!(text("limit=1", &facts), format!("{}\n", wanted.replace('…', &checksum)));
    }

    #[test]
    fn pages_together_are_all_rows_and_filters_count_before_paging() {
        let get = |query: &str| -> Value { serde_json::from_str(&text(query, &PageFacts::default())).unwrap() };
        let second = get("limit=1&offset=1");
        assert_eq!((&second["items"][0]["name"], &second["pagination"]["hasMore"]), (&"cart".into(), &false.into()));
        let beyond = get("offset=9");
        assert_eq!(beyond["items"], Value::Array(Vec::new()));
        assert_eq!((&beyond["itemCount"], &beyond["pagination"]["hasMore"]), (&0.into(), &false.into()));
        assert_eq!(beyond["checksum"], kollect_model::EMPTY_ITEMS_FINGERPRINT);
        for query in ["kind=Deployment", "group=apps", "target=workloads", "name=cart", "kind=Deployment&version=v1"] {
            let found = get(query);
            assert_eq!(
                (&found["pagination"]["total"], &found["items"][0]["name"]),
                (&1.into(), &"cart".into()),
                "{query}"
            );
        }
        let none = get("kind=Pod");
        assert_eq!((none.get("pagination"), &none["itemCount"]), (None, &0.into()));
    }

    #[test]
    fn what_cannot_be_listed_is_named_but_not_endlessly() {
        let unknown =
            UnlistedPart { target: "shop/config".into(), namespace: "pay".into(), reason: "Forbidden".into() };
        let facts = PageFacts { unknown: vec![unknown; 30], ..PageFacts::default() };
        let page: Value = serde_json::from_str(&text("", &facts)).unwrap();
        assert_eq!(page["incomplete"].as_array().unwrap().len(), MOST_UNKNOWN);
        assert_eq!(page["incomplete"][0]["reason"], "Forbidden");
    }
}

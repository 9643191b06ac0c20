//! Rows with ordinary and with hostile content.
//!
//! Sinks' own tests use them too. Everything is deterministic.

use kollect_model::{Gvk, ObjectKey, Row, RowId, TargetKey, Uid, write_value};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::sync::Arc;

/// A row of target `<namespace>/<target>` for ConfigMap number `n` of that namespace.
pub fn row(namespace: &str, target: &str, n: u32, attributes: &Value) -> anyhow::Result<Arc<Row>> {
    named_row(namespace, target, n, &format!("object-{n:05}"), attributes)
}

pub(super) fn named_row(
    namespace: &str,
    target: &str,
    n: u32,
    name: &str,
    attributes: &Value,
) -> anyhow::Result<Arc<Row>> {
    let mut canonical = Vec::new();
    write_value(attributes, &mut canonical)?;
    let id = RowId {
        target: Arc::new(TargetKey::namespaced(namespace, target)),
        uid: Uid::parse(&format!("6f3e0c1a-9b7d-4c55-8e21-{n:012x}")),
    };
    let object =
        ObjectKey { gvk: Arc::new(Gvk::new("", "v1", "ConfigMap")), namespace: namespace.into(), name: name.into() };
    Ok(Arc::new(Row::new(id, object, RawValue::from_string(String::from_utf8(canonical)?)?)))
}

/// Attribute values that break careless code, each with a name.
pub fn hostile_attributes() -> Vec<(&'static str, Value)> {
    let mut deep = json!("bottom");
    for _ in 0..60 {
        deep = json!({ "d": [deep] });
    }
    vec![
        ("quotes", json!({"a": "it's \"quoted\" \\ back\\slash"})),
        ("sql", json!({"a": "'); DROP TABLE inventory_items; --", "b": "$1 $$ ${x} {{x}} %s"})),
        ("controls", json!({"a": "tab\tnewline\nreturn\rbell\u{7}escape\u{1b}[31m del\u{7f}"})),
        ("unicode", json!({"a": "ü 日本語 🦀 \u{202e}rtl \u{2028}\u{2029} e\u{301} \u{feff}"})),
        ("html", json!({"a": "<script>&amp;</script>"})),
        (
            "numbers",
            json!({"a": u64::MAX, "b": i64::MIN, "c": 9_007_199_254_740_993_i64, "d": 1e21, "e": 1e-7, "f": -0.5}),
        ),
        ("types", json!({"a": null, "b": true, "c": [], "d": {}, "e": "", "f": [null, 1, "x", {"y": []}]})),
        ("keys", json!({"": 1, "a.b/c~d": 2, "\"": 3, "ключ": 4, "$ref": 5, "__proto__": 6})),
        ("deep", deep),
        ("long", json!({"a": "x".repeat(300_000)})),
        ("copy", json!({"a": "\\.", "b": "\\N", "c": "a\tb,c;d|e"})),
        (
            "yaml",
            json!({"a": "no", "b": "- x: !!js", "c": ": #", "d": "---\n...", "e": "0x1F", "f": "2026-01-01", "g": "~"}),
        ),
    ]
}

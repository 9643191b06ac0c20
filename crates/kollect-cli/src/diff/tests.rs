//! Tests of `kollect diff` that use private items.

use super::*;
use serde_json::{Value, json};

fn item(uid: &str, attributes: &Value) -> Value {
    json!({
        "targetNamespace": "team", "targetName": "all", "namespace": "shop", "name": format!("n-{uid}"), "group": "apps",
        "version": "v1", "kind": "Deployment", "uid": uid, "attributes": attributes,
    })
}

fn snapshot(path: &str, text: &str) -> RowSnapshot {
    let mut snapshot = RowSnapshot::default();
    snapshot.read(path, text.as_bytes()).unwrap();
    snapshot
}

fn envelope(cluster: &str, items: &[Value]) -> String {
    json!({
        "schemaVersion": "kollect.dev/v1alpha1", "checksum": "0", "itemCount": items.len(),
        "exportedAt": "2026-01-01T00:00:00Z", "cluster": cluster, "items": items,
    })
    .to_string()
}

fn yaml(value: &Value) -> String {
    serde_saphyr::to_string(value).unwrap()
}

fn paths(difference: &SnapshotDifference) -> Vec<(String, Option<Value>, Option<Value>)> {
    let all = difference.changed.iter().flat_map(|(_, _, changes)| changes.clone());
    all.map(|change| (change.path, change.before, change.after)).collect()
}

#[test]
fn every_exported_form_holds_the_same_rows() {
    let items = [item("1", &json!({"a": 1, "b": {"c": [true, null]}})), item("2", &json!({"a": "x: y"}))];
    let whole = envelope("", &items);
    let record = json!({"context": "", "targetNamespace": "team", "targetName": "all", "path": "p",
        "envelope": serde_json::from_str::<Value>(&whole).unwrap()});
    let lines: Vec<String> = items.iter().map(Value::to_string).collect();
    let list = Value::from(items.to_vec());
    let base = snapshot("x.json", &whole);
    assert_eq!(base.rows.len(), 2);
    for (path, text) in [
        ("x.json", list.to_string()),
        ("x.json", serde_json::to_string_pretty(&list).unwrap()),
        ("x.ndjson", lines.join("\n")),
        ("x.ndjson", format!("{record}\n")),
        ("x.json", Value::from(vec![record.clone()]).to_string()),
        ("x.yaml", yaml(&list)),
        ("x.yaml", format!("---\n{}", yaml(&record))),
        ("x.yaml", format!("{}---\n{}", yaml(&items[0]), yaml(&items[1]))),
        ("standard input", yaml(&list)),
    ] {
        let difference = compare(snapshot("x.json", &whole), snapshot(path, &text));
        assert!(difference.is_empty(), "{path}: {text}\n{difference:?}");
        assert_eq!(difference.unchanged, 2, "{path}: {text}");
    }
}

#[test]
fn nothing_is_an_empty_snapshot() {
    for (path, text) in [("x.json", ""), ("x.json", "null"), ("x.json", "[]"), ("x.yaml", "[]\n"), ("x.ndjson", "\n")] {
        assert_eq!(snapshot(path, text).rows.len(), 0, "{path}: {text:?}");
    }
    assert_eq!(snapshot("x.json", &envelope("c", &[])).rows.len(), 0);
}

#[test]
fn what_is_no_snapshot_is_refused_with_a_reason() {
    let future = envelope("", &[]).replace("v1alpha1", "v9");
    for (path, text, why) in [
        ("x.json", "{\"a\": 1}", "no rows"),
        ("x.json", "{\"a\": ", "JSON text ends"),
        ("x.yaml", "a: 1\n", "no rows"),
        ("x.yaml", "- a: 1\n", "line 1"),
        ("x.json", "[{\"uid\": \"1\"}]", "member 0"),
        ("x.json", future.as_str(), "schemaVersion"),
    ] {
        let error = RowSnapshot::default().read(path, text.as_bytes()).unwrap_err();
        assert!(error.0.contains(why), "{text}: {error:?}");
    }
}

#[test]
fn rows_are_added_removed_and_changed_down_to_the_value() {
    let before = [
        item("1", &json!({"image": "a", "labels": {"x.y/z": "1", "gone": 2}, "ports": [80, 443], "same": [1]})),
        item("2", &json!({})),
    ];
    let mut renamed =
        item("1", &json!({"image": "b", "labels": {"x.y/z": "2", "new": null}, "ports": [80], "same": [1]}));
    renamed["version"] = json!("v2");
    let after = [renamed, item("3", &json!({}))];
    let difference = compare(snapshot("x.json", &envelope("", &before)), snapshot("x.json", &envelope("", &after)));
    assert_eq!(difference.added.iter().map(|(key, _)| key.uid.as_str()).collect::<Vec<_>>(), ["3"]);
    assert_eq!(difference.removed.iter().map(|(key, _)| key.uid.as_str()).collect::<Vec<_>>(), ["2"]);
    let wanted: Vec<(&str, Option<Value>, Option<Value>)> = vec![
        ("version", Some(json!("v1")), Some(json!("v2"))),
        ("attributes.image", Some(json!("a")), Some(json!("b"))),
        ("attributes.labels.gone", Some(json!(2)), None),
        ("attributes.labels.new", None, Some(Value::Null)),
        ("attributes.labels[\"x.y/z\"]", Some(json!("1")), Some(json!("2"))),
        ("attributes.ports[1]", Some(json!(443)), None),
    ];
    let wanted: Vec<_> = wanted.into_iter().map(|(path, before, after)| (path.to_owned(), before, after)).collect();
    assert_eq!(paths(&difference), wanted);
}

#[test]
fn a_row_of_another_cluster_target_or_kind_is_another_row() {
    let one = item("1", &json!({}));
    let mut target = one.clone();
    target["targetName"] = json!("other");
    let mut kind = one.clone();
    kind["group"] = json!("extensions");
    for other in [target, kind] {
        let difference = compare(
            snapshot("x.json", &envelope("c", std::slice::from_ref(&one))),
            snapshot("x.json", &envelope("c", &[other])),
        );
        assert_eq!((difference.added.len(), difference.removed.len()), (1, 1));
    }
    let east = || snapshot("x.json", &envelope("east", std::slice::from_ref(&one)));
    assert!(!compare(east(), snapshot("x.json", &envelope("west", std::slice::from_ref(&one)))).is_empty());
    // A form without the name of its cluster matches any cluster.
    assert!(compare(east(), snapshot("x.json", &one.to_string())).is_empty());
}

#[test]
fn an_object_kept_as_it_is_is_a_row() {
    let object = |image: &str| json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "shop"}, "image": image});
    let difference = compare(snapshot("x.yaml", &yaml(&object("a"))), snapshot("x.json", &object("b").to_string()));
    assert_eq!(paths(&difference), [("attributes.image".to_owned(), Some(json!("a")), Some(json!("b")))]);
}

#[test]
fn repeated_rows_are_counted() {
    let rows = [item("1", &json!({"a": 1})), item("1", &json!({"a": 1})), item("1", &json!({"a": 2}))];
    let snapshot = snapshot("x.json", &Value::from(rows.to_vec()).to_string());
    assert_eq!((snapshot.rows.len(), snapshot.repeated), (1, 1));
}

//! Every notation of objects is read.

use super::{json, read, value, yaml};
use kollect_manifest::ManifestFormat;
use serde_json::json;

const A: &str = r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"}}"#;
const B: &str = r#"{"apiVersion":"v1","kind":"Secret","metadata":{"name":"b"}}"#;
const BOTH: [&str; 2] = ["ConfigMap a", "Secret b"];

#[test]
fn every_way_to_write_several_objects_is_read() {
    for text in [
        format!("{A}\n{B}\n"),
        format!("{A}{B}"),
        format!("[{A},{B}]"),
        format!(r#"{{"apiVersion":"v1","kind":"List","items":[{A},{B}]}}"#),
        format!(r#"{{"apiVersion":"v1","items":[{A},{B}],"kind":"List","metadata":{{"resourceVersion":""}}}}"#),
        format!(
            r#"{{"apiVersion":"v1","items":[{{"apiVersion":"v1","items":[{A}],"kind":"List"}},{B}],"kind":"List"}}"#
        ),
    ] {
        for format in [ManifestFormat::Json, ManifestFormat::JsonLines, ManifestFormat::Unknown, ManifestFormat::Yaml] {
            let found = read(&text, format);
            assert_eq!(found.names(), BOTH, "{format:?} {text}");
            assert_eq!(found.faults, [""; 0], "{format:?} {text}");
        }
    }
    for text in [
        format!("{A}\n---\n{B}\n"),
        format!("%YAML 1.1\n---\n{A}\n...\n# more\n---\n\n---\n{B}\n...\n"),
        format!("- {A}\n- {B}\n"),
        format!("apiVersion: v1\nitems:\n- {A}\n- {B}\nkind: List\n"),
        format!("kind: List\napiVersion: v1\nitems:\n- kind: List\n  items: [{A}]\n- {B}\n"),
        format!("{A}\r\n---\r\n{B}\r\n"),
        format!("x: &all [{A}, {B}]\napiVersion: v1\nitems: *all\nkind: List\n"),
    ] {
        let found = yaml(&text);
        assert_eq!((found.names(), found.faults), (BOTH.map(str::to_owned).to_vec(), vec![]), "{text}");
    }
}

#[test]
fn empty_texts_have_no_objects() {
    for text in ["", " \n", "# only\n", "---\n---\n", "null", "---\nnull\n...\n", "%YAML 1.2\n---\n"] {
        assert_eq!(yaml(text).objects, [], "{text:?}");
        assert_eq!(yaml(text).faults, [""; 0], "{text:?}");
    }
    assert_eq!(json("null \n").objects, []);
    assert_eq!(json(r#"{"kind":"List","apiVersion":"v1","items":null}"#).objects, []);
}

#[test]
fn the_kind_decides_what_a_list_is_in_any_position() {
    let items = r#""items":[{"metadata":{"name":"a"}},{"kind":"Bar","metadata":{"name":"b"}}]"#;
    for text in [
        format!(r#"{{"apiVersion":"x.io/v1",{items},"kind":"FooList"}}"#),
        format!(r#"{{"kind":"FooList","apiVersion":"x.io/v1",{items}}}"#),
        format!(r#"{{{items},"metadata":{{"resourceVersion":"1"}},"kind":"FooList","apiVersion":"x.io/v1"}}"#),
    ] {
        for found in [json(&text), yaml(&text), json(&format!("[{text}]")), yaml(&format!("- !!map {text}"))] {
            assert_eq!(found.names(), ["Foo a", "Bar b"], "{text}");
            assert!(found.objects.iter().all(|(object, _)| object["apiVersion"] == "x.io/v1"), "{text}");
        }
    }
    let block =
        "items:\n- metadata:\n    name: a\n- kind: Bar\n  metadata: {name: b}\nkind: FooList\napiVersion: x.io/v1\n";
    assert_eq!((yaml(block).names(), yaml(block).lines()), (vec!["Foo a".to_owned(), "Bar b".to_owned()], vec![2, 4]));
}

#[test]
fn an_object_with_items_of_its_own_is_no_list() {
    for text in [
        r#"{"apiVersion":"x/v1","kind":"Basket","metadata":{"name":"a"},"items":[{"fruit":"apple"}]}"#,
        r#"{"apiVersion":"x/v1","items":[{"fruit":"apple"}],"kind":"Basket","metadata":{"name":"a"}}"#,
        r#"{"apiVersion":"x/v1","items":[{"fruit":"apple"}],"kind":"BasketList","metadata":{"name":"a"}}"#,
        r#"{"apiVersion":"x/v1","items":"none","kind":"BasketList","metadata":{"name":"a"}}"#,
    ] {
        for found in [json(text), yaml(text), yaml(&text.replace("\":", "\": ").replace('"', "'"))] {
            assert_eq!(found.objects.len(), 1, "{text}");
            let items = &found.objects[0].0["items"];
            assert!(items[0]["fruit"] == "apple" || items == "none", "{text}");
        }
    }
    let without = json(r#"{"apiVersion":"x/v1","kind":"AllowList","spec":{"items":[1]}}"#);
    assert_eq!(without.names(), ["AllowList ?"]);
}

#[test]
fn what_is_no_object_is_handed_out_all_the_same() {
    assert_eq!(json(r#"{"items":[1,{}]} 5 [6]"#).objects.len(), 3);
    assert_eq!(yaml("just text\n---\n- 1\n- a: b\n").objects.len(), 3);
    assert_eq!(json(r#"{"kind":"List","items":[1,{}]}"#).objects.len(), 2);
}

#[test]
fn long_lists_are_taken_apart_while_they_are_read() {
    let item = |n: usize| format!(r#"{{"metadata":{{"name":"n{n}"}},"data":"{}"}}"#, "x".repeat(1000));
    let items: Vec<String> = (0..10_000).map(item).collect();
    let items = items.join(",\n");
    for text in [
        format!("{{\"kind\":\"FooList\",\"apiVersion\":\"x/v1\",\"items\":[{items}]}}"),
        format!("{{\"apiVersion\":\"x/v1\",\"items\":[{items}],\"kind\":\"FooList\"}}\n{A}"),
    ] {
        let found = json(&text);
        assert_eq!((found.objects.len() / 10_000, found.faults.len()), (1, 0));
        assert_eq!((&found.names()[9_999], found.lines()[9_999]), (&"Foo n9999".to_owned(), 10_000));
    }
    let named = format!("{{\"items\":[{items}],\"kind\":\"FooList\",\"metadata\":{{\"name\":\"mine\"}}}}");
    assert_eq!(json(&named).names(), ["FooList mine"]);
    let array = json(&format!("[{items}]"));
    assert_eq!(array.objects.len(), 10_000);
    let twice = format!("{{\"items\":[{items}],\"kind\":\"FooList\",\"kind\":\"BarList\"}}");
    assert_eq!((json(&twice).objects.len(), json(&twice).faults.len()), (0, 1));
}

#[test]
fn yaml_values_are_those_of_kubectl() {
    for (text, wanted) in [
        ("mode: 0644", json!({"mode": 420})),
        ("commit: 12e34567", json!({"commit": "12e34567"})),
        ("a: yes\nb: 'yes'\nc: \"no\"\nd: off", json!({"a": true, "b": "yes", "c": "no", "d": false})),
        ("on: 1\n2: two\n1.5: x\nno: y", json!({"true": 1, "2": "two", "1.5": "x", "false": true})),
        (
            "a: !!str 5\nb: !!int '7'\nc: !!float 1\nd: !custom x\ne: ! 5",
            json!({"a": "5", "b": 7, "c": 1, "d": "x", "e": "5"}),
        ),
        ("a: !!binary aGVs\n  bG8=", json!({"a": "hello"})),
        ("a: ~\nb:\nc: null\nd: ''", json!({"a": null, "b": null, "c": null, "d": ""})),
        ("a: 2024-01-31\nb: 1:30\nc: 1_000", json!({"a": "2024-01-31", "b": "1:30", "c": 1000})),
        ("a: |\n  x\n  y\nb: >-\n  x\n  y", json!({"a": "x\ny\n", "b": "x y"})),
        ("a: |\r\n  x\r\n  y\r\n", json!({"a": "x\ny\n"})),
        ("a: |\n  last", json!({"a": "last"})),
        ("a: \"x\\ty\\u00e9\\n\"", json!({"a": "x\tyé\n"})),
        ("a: &x {k: 1}\nb: *x", json!({"a": {"k": 1}, "b": {"k": 1}})),
        (
            "base: &base {a: 1, b: 1}\nmore: &more {b: 2, c: 2}\none:\n  <<: *base\n  b: 3\ntwo:\n  <<: [*base, *more]",
            json!({"base": {"a": 1, "b": 1}, "more": {"b": 2, "c": 2}, "one": {"a": 1, "b": 3}, "two": {"a": 1, "b": 1, "c": 2}}),
        ),
        ("'<<': 1", json!({"<<": 1})),
        ("? a\n: 1\n? b\n: 2", json!({"a": 1, "b": 2})),
        ("a:\t1", json!({"a": 1})),
        ("{a: 1, b: [x, 'y', ],}", json!({"a": 1, "b": ["x", "y"]})),
        ("a: b: c", json!(null)),
    ] {
        if wanted.is_null() {
            kollect_manifest::parse(text).unwrap_err();
        } else {
            assert_eq!(value(text), wanted, "{text}");
        }
    }
}

//! Paths against one object, and paths that must not compile.

use super::super::JsonPath;
use super::PathMatches;
use crate::mask::FieldMask;
use serde_json::{Value, json};

fn object() -> Value {
    json!({
        "kind": "List",
        "metadata": {"name": "cart", "labels": {"app.kubernetes.io/name": "x", "a-b": "y", "it's": 1}, "nothing": null},
        "items": [
            {"name": "c1", "image": "r/a:1", "n": 1, "ok": true, "ports": [{"p": 80}]},
            {"name": "c2", "image": "r/b:2", "n": 2.5, "ok": false, "ports": [{"p": 81}, {"p": 82}]},
            {"name": "c3", "n": 3},
        ],
        "map": {"b": {"v": 2}, "a": {"v": 1}},
        "empty": [],
    })
}

fn shaped(path: &str) -> Result<Value, String> {
    let object = object();
    let path = JsonPath::parse(path).map_err(|e| format!("compile: {}", e.message))?;
    let shape = |found: PathMatches<'_>| match found {
        PathMatches::Nothing => Value::Null,
        PathMatches::One(value) => value.clone(),
        PathMatches::Many(values) => values.into_iter().cloned().collect(),
    };
    let result = path.evaluate(&object).map(shape).map_err(|e| format!("{}: {}", e.class.label(), e.message));
    // The fields that the mask keeps must give the same result.
    let mut mask = FieldMask::default();
    path.reach(&mut mask);
    let kept = mask.decoded(&object);
    assert_eq!(path.evaluate(&kept).map(shape).map_err(|e| format!("{}: {}", e.class.label(), e.message)), result);
    result
}

#[test]
fn paths_match_as_kubectl_does() {
    let cases = [
        ("$.metadata.name", json!("cart")),
        ("{.metadata.name}", json!("cart")),
        ("{ $.metadata.name }", json!("cart")),
        ("{@.metadata.name}", json!("cart")),
        (".metadata.name", json!("cart")),
        ("$['metadata']['name']", json!("cart")),
        ("$.['metadata'].name", json!("cart")),
        (r"$.metadata.labels.app\.kubernetes\.io/name", json!("x")),
        (r"$.metadata.labels['app\.kubernetes\.io/name']", json!("x")),
        ("$.metadata.labels['app.kubernetes.io/name']", Value::Null),
        ("$.metadata.labels.a-b", json!("y")),
        ("$.metadata.labels.it's", json!(1)),
        ("$.metadata.nothing", Value::Null),
        ("$.metadata.nothing.more", Value::Null),
        ("$.metadata.nothing[0]", Value::Null),
        ("$.missing[*].x", Value::Null),
        ("$.metadata.nothing[*].x", Value::Null),
        ("$.metadata.nothing[1:2].x", Value::Null),
        ("$.metadata.nothing.*", Value::Null),
        ("$.metadata.nothing[?(@.x==1)].x", Value::Null),
        ("$.metadata.nothing[?(@.x)]", Value::Null),
        ("$.items[?(@.nothing)].x", Value::Null),
        ("$.items[*].image", json!(["r/a:1", "r/b:2"])),
        ("$.items[0].name", json!("c1")),
        ("$.items[-1].name", json!("c3")),
        ("$.items[1:].name", json!(["c2", "c3"])),
        ("$.items[:2].name", json!(["c1", "c2"])),
        ("$.items[::2].name", json!(["c1", "c3"])),
        ("$.items[-2:].name", json!(["c2", "c3"])),
        ("$.items[0,2].name", json!(["c1", "c3"])),
        ("$.items[0]['name','image']", json!(["c1", "r/a:1"])),
        ("$.items[0:2]['name', 'image']", json!(["c1", "c2", "r/a:1", "r/b:2"])),
        ("$.empty[*]", Value::Null),
        ("$.empty", json!([])),
        ("$.map.*.v", json!([1, 2])),
        ("$.map.*", json!([{"v": 1}, {"v": 2}])),
        ("$..p", json!([80, 81, 82])),
        ("$..ports[0].p", json!([80, 81])),
        ("$.items..p", json!([80, 81, 82])),
        (r#"$.items[?(@.name=="c2")].image"#, json!("r/b:2")),
        ("$.items[?(@.name=='c2')].image", json!("r/b:2")),
        (r#"$.items[?( @.name == "zz" )].image"#, Value::Null),
        ("$.items[?(@.n>1)].name", json!(["c2", "c3"])),
        ("$.items[?(@.n<=2.5)].name", json!(["c1", "c2"])),
        ("$.items[?(@.n!=3)].name", json!(["c1", "c2"])),
        ("$.items[?(@.ok==true)].name", json!("c1")),
        ("$.items[?(@.image)].name", json!(["c1", "c2"])),
        ("$.items[?(@.ports[0].p==80)].name", json!("c1")),
        ("$.items[?(@.name==@.name)].n", json!([1, 2.5, 3])),
        (r#"{.kind "\n\t\"é"}"#, json!("\n\t\"é")),
        ("{1}", json!(1)),
        ("$.map.a.v", json!(1)),
    ];
    for (path, expected) in cases {
        assert_eq!(shaped(path), Ok(expected), "{path}");
    }
    assert_eq!(shaped("$"), Ok(object()));
    assert_eq!(shaped("{.}"), Ok(object()));
}

#[test]
fn evaluation_errors_are_not_missing_values() {
    for path in [
        "$.items[5].image",
        "$.items[-4]",
        "$.items[2:1]",
        "$.items[0:9]",
        "$.items[::0]",
        "$.map[*]",
        "$.map[0]",
        "$.map[?(@.v)]",
        "$.items[?(@.name==1)]",
        "$.items[?(@.ok>true)]",
        "$.items[?(@.ports[*].p==81)]",
    ] {
        let error = shaped(path).unwrap_err();
        assert!(!error.starts_with("compile"), "{path}: {error}");
    }
}

#[test]
fn errors_of_bad_paths_state_the_remedy() {
    let cases = [
        ("spec.replicas", "write $.spec.replicas"),
        ("object.spec", "write cel:object.spec"),
        ("object['spec']", "write cel:object['spec']"),
        ("text {.a}", "outside of braces"),
        ("{.a} text", "outside of braces"),
        ("{.a}{.b}", "one attribute for each"),
        ("{.a}{'/'}{.b}", "one attribute for each"),
        ("$.a[0,0]", "0 is repeated"),
        ("$.a[0:2,:2]", ":2 is repeated"),
        ("$.a[:,*]", "* is repeated"),
        ("$.a['x', 'y','x']", "'x' is repeated"),
        ("{range .items[*]}{.name}{end}", "range and end are not supported"),
        ("{.a", "never closed"),
        ("$.a[0", "never closed"),
        (r#"$.a["b"]"#, "single quotes"),
        ("$.a[x]", "neither an index nor a key"),
        ("$.a[1:2:3:4]", "neither an index nor a key"),
        ("$.a[]", "neither an index nor a key"),
        ("$.a[--1]", "neither an index nor a key"),
        ("$....a", "cannot follow"),
        ("$.a.", "name is missing"),
        ("$.a.}", "name is missing"),
        ("$.a b", "needs a dot in front"),
        ("$.a|b", ""),
        ("$.a[?(@.x==1 && @.y==2)]", "one comparison"),
        ("$.a[?(@.x=1)]", "compares with =="),
        ("$.a[?(@.x==)]", "compares with nothing"),
        ("$.a[?(==1)]", "unexpected character"),
        ("$.a[?(@.x=='1']", "never closed"),
        ("$.a[?(length(@.x))]", "ends with"),
        ("{'abc}", "never closed"),
        (r"{'\q'}", "escape"),
        ("{1.2.3}", "not a number"),
        ("", "empty"),
    ];
    for (path, hint) in cases {
        match JsonPath::parse(path) {
            Err(error) => assert!(error.message.contains(hint), "{path}: {}", error.message),
            Ok(parsed) => assert!(hint.is_empty(), "{path} compiled to {parsed:?}"),
        }
    }
}

#[test]
fn hostile_paths_end_with_an_error() {
    for path in [
        format!("${}", ".a".repeat(10_000)),
        format!("$.a{}", "[?(@".repeat(900)),
        format!("$.a{}", "[".repeat(4000)),
        "[".repeat(4000),
        "$..*..*..*..*..*..*..*..*".to_owned(),
    ] {
        let large = (0..60).fold(json!(1), |inner, i| json!({"a": inner, "b": [i, i]}));
        let result = JsonPath::parse(&path).map_err(|e| e.message).map(|path| path.evaluate(&large).is_err());
        assert!(!matches!(result, Ok(false)), "{path:.40}");
    }
}

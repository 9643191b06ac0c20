//! Files of rows, byte for byte.

use super::*;
use kollect_model::{Gvk, ObjectKey, RowId, TargetKey, Uid, write_value};
use serde_json::{Value, json, value::RawValue};

fn row(target: &str, gvk: Gvk, name: &str, uid: &str, attributes: &Value) -> Arc<Row> {
    let mut bytes = Vec::new();
    write_value(attributes, &mut bytes).unwrap();
    let id = RowId { target: Arc::new(TargetKey::namespaced("shop", target)), uid: Uid::parse(uid) };
    let object = ObjectKey { gvk: Arc::new(gvk), namespace: "shop".into(), name: name.into() };
    Arc::new(Row::new(id, object, RawValue::from_string(String::from_utf8(bytes).unwrap()).unwrap()))
}

fn cart() -> Arc<Row> {
    let attributes = json!({"replicas": 2, "image": "reg.example/cart:1.4.0"});
    row("workloads", Gvk::new("apps", "v1", "Deployment"), "cart", "0d1f-02", &attributes)
}

fn text(body: &dyn Body) -> String {
    let mut out = Vec::new();
    body.write_to(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn document(rows: &[Arc<Row>], format: Format) -> String {
    text(&DocumentBody { rows: rows.into(), range: 0..rows.len(), format, head: DocumentHead::default() })
}

fn yaml(value: &Value) -> String {
    let mut json = Vec::new();
    write_value(value, &mut json).unwrap();
    let mut out = Vec::new();
    yaml::write_json(std::str::from_utf8(&json).unwrap(), yaml::YamlPosition::Root, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn a_yaml_document_is_a_sequence_of_items_with_sorted_keys() {
    let wanted = "\
- attributes:
    image: reg.example/cart:1.4.0
    replicas: 2
  group: apps
  kind: Deployment
  name: cart
  namespace: shop
  targetName: workloads
  targetNamespace: shop
  uid: 0d1f-02
  version: v1
- attributes: {}
  kind: ConfigMap
  name: \"1.0\"
  namespace: shop
  targetName: config
  targetNamespace: shop
  uid: 0d1f-09
  version: v1
";
    let rows = [cart(), row("config", Gvk::new("", "v1", "ConfigMap"), "1.0", "0d1f-09", &json!({}))];
    assert_eq!(document(&rows, Format::Yaml), wanted);
    assert_eq!(document(&[], Format::Yaml), "[]\n");
}

#[test]
fn collections_nest_in_block_style_with_sequences_level_with_their_key() {
    let value = json!({
        "args": ["--a", ["x", ["z"], []], {"k": [], "l": {"m": [1.5, null, true]}}, "two\nlines\n"],
        "empty": {}, "key: odd": "", "none": [], "text": "a\nb", "yes": 9_007_199_254_740_993_i64,
    });
    let wanted = "\
args:
- --a
- - x
  - - z
  - []
- k: []
  l:
    m:
    - 1.5
    - null
    - true
- |
  two
  lines
empty: {}
'key: odd': \"\"
none: []
text: |-
  a
  b
\"yes\": 9007199254740993
";
    assert_eq!(yaml(&value), wanted);
}

const HOSTILE: &[&str] = &[
    "",
    " ",
    "\n",
    "\n\n",
    "a\n",
    "a\n\n\n",
    " a\nb",
    "a\n b",
    "a \nb",
    "a\nb ",
    "a\n#b\n- c",
    "---\na",
    "...",
    "- a",
    "a: b",
    "a:",
    "#",
    "a #b",
    "'",
    "\"",
    "\\",
    "\t",
    "\ta\nb",
    "a\tb",
    "\r\n",
    "a\u{85}b",
    "\u{2028}",
    "\u{feff}",
    "😀",
    "ü",
    "yes",
    "null",
    "~",
    "1.0",
    "0x1",
    "1e3",
    "-0",
    "2026-03-02",
    "12:30:45",
    "{}",
    "[]",
    "!!str",
    "&a",
    "*a",
    "%YAML",
    "@",
    "`",
    "|",
    ">",
    "? a",
    "<<",
    "=",
    "key: |\n  x\n",
    "a\n\n  b\n\n",
];

#[test]
#[expect(clippy::disallowed_methods, reason = "a reader that is not ours")]
fn yaml_of_hostile_values_reads_back_as_the_same_values() {
    let long = "k".repeat(1500);
    let mut map = serde_json::Map::new();
    for text in HOSTILE {
        map.insert((*text).to_owned(), json!({"v": text, "s": [text, [text], {"k": text}], "t": 1}));
    }
    map.insert(long, json!({"a": ["b"]}));
    let value = Value::Object(map);
    let text = yaml(&value);
    let read: Value = serde_saphyr::from_str(&text).unwrap_or_else(|e| panic!("{e}\n{text}"));
    assert_eq!(read, value);
}

#[test]
fn very_deep_values_go_on_as_json() {
    let mut value = json!("<bottom>");
    for level in 0..120 {
        value = if level % 2 == 0 { json!([value]) } else { json!({"k": value}) };
    }
    let text = yaml(&value);
    assert!(text.contains(r#"{"k":[{"k":["#) && text.contains(r"\u003cbottom\u003e"), "{text}");
}

#[test]
fn a_row_alone_is_its_item_or_its_attributes() {
    let cases = [
        (Format::Yaml, Content::Attributes, "image: reg.example/cart:1.4.0\nreplicas: 2\n"),
        (Format::Json, Content::Attributes, "{\n  \"image\": \"reg.example/cart:1.4.0\",\n  \"replicas\": 2\n}\n"),
        (Format::Ndjson, Content::Attributes, "{\"image\":\"reg.example/cart:1.4.0\",\"replicas\":2}\n"),
    ];
    for (format, content, wanted) in cases {
        assert_eq!(text(&RowBody { row: cart(), content, format }), wanted);
    }
    let item = text(&RowBody { row: cart(), content: Content::Item, format: Format::Json });
    assert!(item.starts_with("{\n  \"targetNamespace\": \"shop\",\n  \"targetName\": \"workloads\",\n"));
    assert!(
        item.ends_with(
            "  \"attributes\": {\n    \"image\": \"reg.example/cart:1.4.0\",\n    \"replicas\": 2\n  }\n}\n"
        )
    );
    assert!(
        text(&RowBody { row: cart(), content: Content::Item, format: Format::Yaml })
            .starts_with("attributes:\n  image:")
    );
    let mut out = Vec::new();
    assert!(write_row(&cart(), Content::Manifest, Format::Yaml, &mut out).is_err());
    assert!(write_row(&cart(), Content::Manifest, Format::Json, &mut out).is_err());
}

#[test]
fn an_ndjson_document_has_one_item_per_line_and_no_envelope() {
    let out = document(&[cart(), cart()], Format::Ndjson);
    let line = String::from_utf8(kollect_model::item_bytes(&cart())).unwrap();
    assert_eq!(out, format!("{line}\n{line}\n"));
    assert_eq!(document(&[], Format::Ndjson), "");
}

fn items_of(bytes: &[u8], format: Format) -> Result<Vec<Arc<Row>>, decode::Unreadable> {
    let mut rows = Vec::new();
    decode::read_items(bytes, format, &mut |item| {
        let target = Arc::new(TargetKey::namespaced(&item.target_namespace, &item.target_name));
        rows.push(Arc::new(item.into_row(target).unwrap()));
    })?;
    Ok(rows)
}

fn hostile_rows() -> Vec<Arc<Row>> {
    let mut map = serde_json::Map::new();
    for text in HOSTILE {
        map.insert((*text).to_owned(), json!({"v": text, "s": [text, [text], {"k": text}], "t": 1}));
    }
    let numbers = json!([
        0,
        -1,
        1.0,
        1.5,
        1e20,
        1e21,
        -1e21,
        1e-7,
        0.1,
        2.225_073_858_507_201_4e-308,
        f64::MAX,
        u64::MAX,
        i64::MIN,
        9_007_199_254_740_993_i64,
        true,
        null,
        [],
        {},
        [[]],
        [{}]
    ]);
    let deep = (0..60).fold(json!("<bottom>"), |value, _| json!([value, "- a\n- b\n"]));
    let attributes = [json!({}), Value::Object(map), json!({"n": numbers}), json!({"d": deep})];
    let mut rows = vec![cart()];
    for (at, attributes) in attributes.iter().enumerate() {
        rows.push(row("config", Gvk::new("", "v1", "ConfigMap"), "1.0", &format!("0x{at}"), attributes));
    }
    rows.push(row("config", Gvk::new("", "v1", "ConfigMap"), "tail", "two\nlines\n\n", &json!({"z": "a\n\n"})));
    rows
}

#[test]
fn what_was_written_is_read_back_and_written_again_byte_for_byte() {
    let rows = hostile_rows();
    for format in [Format::Json, Format::Yaml, Format::Ndjson] {
        let written = document(&rows, format);
        let again = items_of(written.as_bytes(), format).unwrap();
        for (again, row) in again.iter().zip(&rows) {
            assert_eq!(again.attributes.get(), row.attributes.get(), "{format:?}");
            assert_eq!((&again.id, &again.object, again.digest), (&row.id, &row.object, row.digest), "{format:?}");
        }
        assert_eq!(document(&again, format), written);
        assert!(items_of(document(&[], format).as_bytes(), format).unwrap().is_empty());
        for row in &rows {
            let alone = text(&RowBody { row: row.clone(), content: Content::Item, format });
            let again = items_of(alone.as_bytes(), format).unwrap();
            assert_eq!(again.iter().map(|row| row.digest).collect::<Vec<_>>(), [row.digest], "{format:?}");
        }
    }
}

#[test]
fn an_edited_file_is_read_as_long_as_it_is_whole() {
    let commented = format!("# mine\n\n{}", document(&hostile_rows(), Format::Yaml));
    assert_eq!(
        items_of(commented.as_bytes(), Format::Yaml).unwrap_err().to_string(),
        "it does not begin with an item of Kollect"
    );
    let json = document(&[cart()], Format::Json);
    let mut pretty = Vec::new();
    json::write_indented(json.as_bytes(), &mut pretty);
    assert_eq!(items_of(&pretty, Format::Json).unwrap()[0].digest, cart().digest);
    let lines = document(&[cart(), cart()], Format::Ndjson);
    let cases: [(&[u8], Format, &str); 8] = [
        (b"\xff", Format::Yaml, "it is not UTF-8"),
        (b"", Format::Json, "it is neither a document nor an item of Kollect"),
        (&json.as_bytes()[..json.len() - 1], Format::Json, "it is neither a document nor an item of Kollect"),
        (br#"{"schemaVersion":"x/v9","items":[]}"#, Format::Json, "its schemaVersion is not kollect.dev/v1alpha1"),
        (
            br#"{"schemaVersion":"kollect.dev/v1alpha1","items":[{"secret":1}]}"#,
            Format::Json,
            "member 0 of its items is not an item of Kollect",
        ),
        (&lines.as_bytes()[..lines.len() - 2], Format::Ndjson, "line 2 is not an item of Kollect"),
        (b"- attributes: {}\n  kind: secret\n", Format::Yaml, "what begins in line 1 is not an item of Kollect"),
        (b"<<<<<<< HEAD\n- a\n", Format::Yaml, "it does not begin with an item of Kollect"),
    ];
    for (bytes, format, why) in cases {
        assert_eq!(items_of(bytes, format).unwrap_err().to_string(), why);
    }
}

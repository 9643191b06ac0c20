//! Manifests in YAML and JSON: nothing vanishes, and what is read once is read again as the same.

use crate::targets::Answer;
use kollect_manifest::{ManifestFormat, ManifestItem, decode, documents, json_values, located, parse, read_objects};
use serde_json::Value;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::Cursor;

pub const SEEDS: &[&str] = &[
    "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n  labels: {x: null}\ndata:\n  k: 'v'\n  l: |\n    a\n    b\n",
    "kind: List\napiVersion: v1\nitems:\n- kind: A\n  metadata: {name: a}\n- {}\n",
    "{\"apiVersion\":\"x/v1\",\"items\":[{\"metadata\":{\"name\":\"a\"}},{\"kind\":\"B\"}],\"kind\":\"FooList\"}",
    "%YAML 1.1\n---\na: &x {b: 1}\nc:\n  <<: *x\n  d: [0644, 0x1F, yes, ~, 1e3, 2024-01-01]\n...\n# c\n---\n? e\n: >-\n  f\n  g\n",
    "[{\"a\":[1,-2.5e3,true,null,\"\\u00e9\\ud83d\\ude00\\n\"]},[],{}]\n{\"b\":{\"b\":{}}}\n",
    "- - - 1\n  - \"x\\ty\"\n- !!str 5\n- !!binary aGk=\n- ! z\n",
    "{{- if .Values.on }}\nkind: X\n{{- end }}\n",
    "a: 1\r\n---\r\nb: \"\r\n  c\"\r\n",
];
pub const WORDS: &[&str] = &[
    "---\n",
    "...\n",
    "%YAML 1.2\n",
    "%TAG ! x\n",
    "&a ",
    "*a",
    "<<: ",
    "? ",
    ": ",
    "- ",
    "{",
    "}",
    "[",
    "]",
    ",",
    "\"",
    "'",
    "|\n",
    ">-\n",
    "#",
    "\n",
    "\r\n",
    "\t",
    " ",
    "  ",
    "\\u0041",
    "\\ud83d",
    "\\x",
    "!!int ",
    "!!binary ",
    "!x ",
    "~",
    "null",
    "true",
    "yes",
    "0o17",
    "-0",
    "1e999",
    ".inf",
    "items",
    "kind",
    "List",
    "FooList",
    "apiVersion",
    "metadata",
    "name",
    "\u{0}",
    "\u{feff}",
    "\u{85}",
    "\u{2028}",
    "\"items\":[",
    "\"kind\":\"FooList\"",
    "a: &b [*b]",
    "{\"a\":1,\"a\":2}",
    "@",
    "`",
    "{{ x }}",
];

const FIRST: &str = r#"{"apiVersion":"v1","kind":"First"}"#;
const LAST: &str = r#"{"apiVersion":"v1","kind":"Last"}"#;

#[derive(Default)]
struct Read {
    objects: Vec<Value>,
    faults: Vec<String>,
}

fn read(text: &[u8], format: ManifestFormat) -> Read {
    let mut all = Read::default();
    read_objects(Cursor::new(text), format, &mut |found| {
        match found {
            ManifestItem::Object { json, .. } => {
                all.objects.push(serde_json::from_str(json).expect("what is handed out is JSON"))
            }
            ManifestItem::Fault(fault) => all.faults.push(fault.what.to_string()),
        }
        true
    })
    .expect("memory can be read");
    all
}

pub fn check(input: &[u8]) -> Answer {
    let mut hasher = DefaultHasher::new();
    let mut accepted = false;
    for format in [ManifestFormat::Yaml, ManifestFormat::Json, ManifestFormat::JsonLines, ManifestFormat::Unknown] {
        let (once, twice) = (read(input, format), read(input, format));
        assert_eq!((&once.objects, &once.faults), (&twice.objects, &twice.faults));
        accepted |= once.faults.is_empty() && !once.objects.is_empty();
        (once.objects.len().min(4), once.faults.len().min(4), once.faults.first()).hash(&mut hasher);
        once.objects.iter().take(8).for_each(again);
    }
    // What follows a directive belongs to the next document.
    between(input, if input.contains(&b'%') { "\n...\n---\n" } else { "\n---\n" }, ManifestFormat::Yaml);
    between(input, "\n", ManifestFormat::JsonLines);
    in_memory(input);
    Answer { accepted, signature: hasher.finish() }
}

/// What was read, written as JSON and as YAML, is read as the same.
fn again(object: &Value) {
    // A list at the top of a file is a list of objects, and `null` says nothing.
    if object.is_array() || object.is_null() {
        return;
    }
    let json = ascii(object);
    let back = read(json.as_bytes(), ManifestFormat::Json);
    assert_eq!((back.objects.as_slice(), back.faults.len()), (std::slice::from_ref(object), 0), "{json}");
    if json.len() < 900 {
        // Longer keys are none in a flow map of YAML.
        let back = read(format!("--- {json}\n").as_bytes(), ManifestFormat::Yaml);
        assert_eq!(back.faults, [""; 0], "{json}");
        assert!(back.objects.len() == 1 && same(&back.objects[0], object), "{json}\n{:?}", back.objects);
    }
}

/// JSON in ASCII.
fn ascii(value: &Value) -> String {
    let mut out = String::new();
    for c in value.to_string().chars() {
        if (' '..='~').contains(&c) {
            out.push(c);
        } else {
            c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04x}")));
        }
    }
    out
}

/// YAML has one kind of whole numbers.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
        }
        _ => a == b,
    }
}

/// Whatever stands between two objects, both are found.
fn between(input: &[u8], separator: &str, format: ManifestFormat) {
    let text = [FIRST.as_bytes(), separator.as_bytes(), input, separator.as_bytes(), LAST.as_bytes(), b"\n"].concat();
    let found = read(&text, format);
    let kind = |object: Option<&Value>| object.and_then(|object| object["kind"].as_str().map(str::to_owned));
    assert_eq!(kind(found.objects.first()).as_deref(), Some("First"), "{format:?} {:?}", found.faults);
    assert_eq!(kind(found.objects.last()).as_deref(), Some("Last"), "{format:?} {:?}", found.faults);
}

/// The readers of texts in memory agree with each other.
fn in_memory(input: &[u8]) {
    let Ok(text) = decode(input) else { return };
    let (located, faults) = located::read(&text, ManifestFormat::Yaml);
    let plain = documents(&text, ManifestFormat::Yaml);
    assert_eq!(plain.iter().filter(|one| one.value.is_err()).count(), faults.len());
    let values: Vec<&Value> =
        plain.iter().filter_map(|one| one.value.as_ref().ok()).filter(|one| !one.is_null()).collect();
    let found: Vec<&Value> = located.iter().map(|one| &one.value).filter(|one| !one.is_null()).collect();
    assert_eq!(values, found);
    for fault in faults {
        assert!(text.get(fault.byte..).is_some(), "a fault inside a character");
    }
    for document in &located {
        assert!(text.get(document.root.span.clone()).is_some(), "a span outside of the text");
    }
    let _ = parse(&text);
    let _ = json_values(&text);
}

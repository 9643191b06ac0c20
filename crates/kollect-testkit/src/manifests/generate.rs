//! Objects with the oddities that real repositories have, in files of every form.

use super::write::{Tree, block_map};
use fastrand::Rng;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A folder of manifests.
#[derive(Debug)]
pub struct Generated {
    /// Bytes by file name.
    pub files: BTreeMap<String, Vec<u8>>,
}

/// Documents that cannot be read; the comment is for the naive reader.
const BROKEN: [&str; 8] = [
    "# broken\nkind: {{ .Values.kind }}\n",
    "# broken\nkind: Thing\nspec: [1, 2\n",
    "# broken\nkind: Thing\nkind: Thing\n",
    "# broken\nkind: Thing\n\tspec: 1\n",
    "# broken\nspec: 'open\n",
    "# broken\nspec: *nowhere\n",
    "# broken\nspec: .inf\n",
    "# broken\n? [a]\n: 1\n",
];
const STRANGE: [&str; 4] = ["replicas: 3\n", "kind: Thing\nmetadata: {name: x}\n", "plain words\n", "apiVersion: v1\n"];

/// Makes manifests of so many objects.
pub fn generate(seed: u64, objects: usize) -> Generated {
    let mut random = Rng::with_seed(seed);
    let mut files = BTreeMap::new();
    let mut made = 0;
    while made < objects {
        let count = random.usize(1..=20).min(objects - made);
        let batch: Vec<Object> = (made..made + count).map(|number| object(number, &mut random)).collect();
        made += count;
        let (extension, text) = text(&batch, &mut random);
        files.insert(format!("{:04}.{extension}", files.len()), encoded(text, &mut random));
    }
    files.insert("broken.json".to_owned(), b"{\"kind\": \"Thing\",\n \"spec\": {\"a\": 1,}}\n".to_vec());
    Generated { files }
}

struct Object {
    kind: &'static str,
    api_version: &'static str,
    fields: Vec<(String, Tree)>,
}

impl Object {
    fn tree(&self, with_kind: bool, random: &mut Rng) -> Vec<(String, Tree)> {
        let mut fields = self.fields.clone();
        if with_kind {
            fields.push(("kind".to_owned(), Tree::text(self.kind)));
            fields.push(("apiVersion".to_owned(), Tree::text(self.api_version)));
        }
        // An anchor must precede its aliases, which are in the spec.
        random.shuffle(&mut fields);
        fields
    }

    fn value(&self, with_kind: bool, random: &mut Rng) -> Value {
        Tree::Map(self.tree(with_kind, random)).value()
    }
}

fn object(number: usize, random: &mut Rng) -> Object {
    let (kind, api_version) = [("ConfigMap", "v1"), ("Thing", "example.com/v1")][random.usize(..2)];
    let mut meta = Vec::new();
    let mut put = |key: &str, value: Tree| meta.push((key.to_owned(), value));
    // Some objects come again.
    let name = if random.u8(..) < 10 { random.usize(..=number) } else { number };
    if random.u8(..) < 5 {
        put("generateName", Tree::text(format!("made-{number}-")));
    } else {
        put("name", Tree::text(format!("object-{name}")));
    }
    match random.u8(..10) {
        0..=3 => {}
        4 => put("namespace", Tree::Null),
        n => put("namespace", Tree::text(["shop", "pay"][usize::from(n % 2)])),
    }
    match random.u8(..20) {
        0..=6 => {}
        7 => put("uid", Tree::Null),
        8 => put("uid", Tree::text("00000000-0000-4000-8000-000000000000")),
        _ => put("uid", Tree::text(format!("00000000-0000-4000-8000-{number:012}"))),
    }
    match random.u8(..40) {
        0..=19 => put("labels", Tree::Map(vec![("app".to_owned(), Tree::text("web"))])),
        20..=23 => put("labels", Tree::Null),
        24..=29 => put("labels", Tree::Map(vec![("a".to_owned(), Tree::Null), ("b".to_owned(), Tree::text("c"))])),
        30 => put("labels", Tree::Map(vec![("n".to_owned(), Tree::Raw("5", json!(5)))])),
        31 => put("labels", Tree::Map(vec![("n".to_owned(), Tree::Raw("yes", json!(true)))])),
        _ => {}
    }
    let body = if kind == "ConfigMap" { ("data", data(random)) } else { ("spec", spec(random)) };
    let fields = vec![("metadata".to_owned(), Tree::Map(meta)), (body.0.to_owned(), body.1)];
    Object { kind, api_version, fields }
}

fn data(random: &mut Rng) -> Tree {
    let count = random.usize(..4);
    Tree::Map((0..count).map(|n| (format!("key-{n}.txt"), Tree::text(words(random)))).collect())
}

fn spec(random: &mut Rng) -> Tree {
    let shared = || vec![("cpu".to_owned(), Tree::text("1")), ("memory".to_owned(), Tree::text("1Gi"))];
    let keys = ["a", "b.c/d", "on", "8080", "0x1F", "with space", "é", "kind", "items", "a: b", "it's", "# no"];
    let mut fields: Vec<(String, Tree)> = Vec::new();
    if random.u8(..) < 60 {
        fields.push(("base".to_owned(), Tree::Anchor("base", Box::new(Tree::Map(shared())))));
        fields.push(("same".to_owned(), Tree::Alias("base", Box::new(Tree::Map(shared())))));
        let merged =
            vec![(String::new(), Tree::Merge("base", shared())), ("cpu".to_owned(), Tree::Raw("0b10", json!(2)))];
        fields.push(("more".to_owned(), Tree::Map(merged)));
    }
    for key in keys {
        if random.u8(..) < 90 {
            fields.push((key.to_owned(), node(random, 3)));
        }
    }
    Tree::Map(fields)
}

fn node(random: &mut Rng, depth: usize) -> Tree {
    match random.u8(..12) {
        0 if depth > 0 => Tree::List((0..random.usize(..4)).map(|_| node(random, depth - 1)).collect()),
        1 | 2 if depth > 0 => {
            Tree::Map((0..random.usize(..4)).map(|n| (format!("k{n}"), node(random, depth - 1))).collect())
        }
        3 => Tree::Null,
        4..=6 => odd(random),
        _ => Tree::text(words(random)),
    }
}

/// Plain scalars that readers of YAML disagree about.
fn odd(random: &mut Rng) -> Tree {
    let all = [
        ("0644", json!(420)),
        ("0o17", json!(15)),
        ("0x1F", json!(31)),
        ("0b101", json!(5)),
        ("1_000", json!(1000)),
        ("12e34567", json!("12e34567")),
        ("08", json!(8)),
        ("1e3", json!(1000)),
        ("1.50", json!(1.5)),
        ("-7", json!(-7)),
        ("yes", json!(true)),
        ("No", json!(false)),
        ("on", json!(true)),
        ("OFF", json!(false)),
        ("y", json!(true)),
        ("true", json!(true)),
        ("2024-01-31", json!("2024-01-31")),
        ("1.2.3", json!("1.2.3")),
        ("v1", json!("v1")),
        ("!!str 5", json!("5")),
        ("!!binary aGVsbG8=", json!("hello")),
        ("9223372036854775807", json!(i64::MAX)),
    ];
    let (raw, value) = all[random.usize(..all.len())].clone();
    Tree::Raw(raw, value)
}

fn words(random: &mut Rng) -> String {
    let all = [
        "plain words",
        "",
        "yes",
        "0644",
        "12e34567",
        "null",
        "~",
        "- dash",
        "a: b",
        "# no comment",
        "it's \"quoted\"",
        "first\nsecond",
        "first\n\nthird\n",
        "---\n...\n",
        "{{ .Values.x }}",
        "*star",
        "&and",
        " lead",
        "trail ",
        "tab\there",
        "ünï😀",
        "\u{1b}[31m",
        "%percent",
        "@at",
        "a\\b",
        "x, y ] }",
    ];
    all[random.usize(..all.len())].to_owned()
}

/// A batch in one form, with the extension of its file.
fn text(batch: &[Object], random: &mut Rng) -> (&'static str, String) {
    let values = |random: &mut Rng| batch.iter().map(|object| object.value(true, random)).collect::<Vec<_>>();
    let typed = batch.iter().all(|object| object.kind == "Thing");
    match random.u8(..10) {
        0 => {
            let list = json!({"apiVersion": "v1", "items": values(random), "kind": "List", "metadata": {}});
            ("json", if random.bool() { list.to_string() } else { format!("{list:#}") })
        }
        1 => ("json", Value::from(values(random)).to_string()),
        2 => {
            let lines: Vec<String> = values(random).iter().map(Value::to_string).collect();
            (["json", "ndjson", "jsonl"][random.usize(..3)], lines.join("\n"))
        }
        3 => ("json", values(random).iter().map(|value| format!("{value:#}")).collect::<Vec<_>>().concat()),
        4 if typed => {
            let items: Vec<Value> = batch.iter().map(|object| object.value(random.bool(), random)).collect();
            ("json", json!({"apiVersion": "example.com/v1", "items": items, "kind": "ThingList"}).to_string())
        }
        4 | 5 => {
            let mut text = String::from("apiVersion: v1\nitems:\n");
            for object in batch {
                text.push_str("- ");
                block_map(&object.tree(true, random), 2, &mut text, random);
            }
            ("yaml", text + "kind: List\n")
        }
        6 => {
            let mut text = String::new();
            for object in batch {
                text.push_str("- ");
                block_map(&object.tree(true, random), 2, &mut text, random);
            }
            ("yml", text)
        }
        _ => ("yaml", documents(batch, random)),
    }
}

fn documents(batch: &[Object], random: &mut Rng) -> String {
    let mut text = String::new();
    for object in batch {
        match random.u8(..24) {
            0 => text.extend(["---\n", BROKEN[random.usize(..BROKEN.len())]]),
            1 => text.extend(["---\n", STRANGE[random.usize(..STRANGE.len())]]),
            2 => text.push_str("---\n---\n# nothing\n"),
            3 => text.push_str("...\n%YAML 1.1\n"),
            _ => {}
        }
        text.push_str("---\n");
        block_map(&object.tree(true, random), 0, &mut text, random);
    }
    text
}

fn encoded(text: String, random: &mut Rng) -> Vec<u8> {
    let text = if random.u8(..) < 25 { text.replace('\n', "\r\n") } else { text };
    let units = || format!("\u{feff}{text}").encode_utf16().collect::<Vec<_>>();
    match random.u8(..16) {
        0 => units().into_iter().flat_map(u16::to_le_bytes).collect(),
        1 => units().into_iter().flat_map(u16::to_be_bytes).collect(),
        2 => format!("\u{feff}{text}").into_bytes(),
        _ => text.into_bytes(),
    }
}

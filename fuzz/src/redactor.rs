//! A secret at random places in the shapes in which people keep secrets: no row and no line may show it.

use crate::targets::Answer;
use kollect_api::KollectProfile;
use kollect_extract::{Extractor, Predicate, RedactedObject, Scratch};
use kollect_model::{Gvk, redact};
use serde_json::{Map, Value, json};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

/// What is planted. As random as a token, so that no rule for names or words keeps it.
const MARK: &str = "pL4nted-S3cret.x9";

const KEYS: &[&str] = &[
    "password",
    "dbPassword",
    "DB_PASSWORD_OLD",
    "PGPASSWORD",
    "api-key",
    "x.apiKey",
    "SECRET_KEY_BASE",
    "client_secret",
    "tokens",
    "refreshToken2",
    "passphrase",
    "MYSQL_PWD",
    "accessKey",
    "AZURE_CREDENTIALS",
    "privateKey",
    "signing_key",
];
const NAMES: &[&str] = &["name", "key", "Name", "header", "parameterKey"];
const VALUES: &[&str] = &["value", "default", "stringValue", "Value", "defaultValue"];
const PLAIN: &[&str] =
    &["a", "spec", "config", "items", "image", "x-y", "data", "containers", "annotations", "ü", "name"];

/// Bytes that decide; when they are used up, every decision is the first.
struct Choices<'i>(&'i [u8]);

impl Choices<'_> {
    fn next(&mut self, below: usize) -> usize {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        usize::from(*first) % below
    }

    fn pick<'t>(&mut self, of: &[&'t str]) -> &'t str {
        of[self.next(of.len())]
    }

    /// A value that holds the secret in one shape.
    fn planted(&mut self, depth: usize) -> Value {
        let key = self.pick(KEYS);
        match self.next(12) {
            0 => json!({ key: MARK, "b": 1 }),
            1 => json!({ key: [MARK, {"a": MARK}] }),
            2 => json!({ key: {"deep": {"a": [MARK]}} }),
            3 => self.pair(key, json!(MARK)),
            4 => json!({ "env": [{"name": "A", "value": "b"}, self.pair(key, json!(MARK))] }),
            5 => json!(["--mode=a", format!("--{key}={MARK}")]),
            6 => json!(["run", format!("--{key}"), MARK]),
            7 => json!({ "httpHeaders": [{"name": "Authorization", "value": format!("Bearer {MARK}")}] }),
            8 | 9 => json!({ self.pick(PLAIN): self.text() }),
            _ if depth > 0 => {
                let mut map = Map::new();
                map.insert("m".to_owned(), json!(self.next(9)));
                let inner = self.planted(depth - 1);
                map.insert(self.pick(PLAIN).to_owned(), if self.next(3) == 0 { json!([inner]) } else { inner });
                Value::Object(map)
            }
            _ => json!({ key: MARK }),
        }
    }

    fn pair(&mut self, key: &str, value: Value) -> Value {
        let (name, held) = (self.pick(NAMES), self.pick(VALUES));
        json!({ name: key, held: value })
    }

    /// A text that holds the secret, perhaps in a text in a text.
    fn text(&mut self) -> String {
        let key = self.pick(KEYS);
        let mut text = match self.next(16) {
            0 => format!("{key}={MARK}"),
            1 => format!("a=b\n{key}={MARK}\nc=d\n"),
            2 => format!("a: b\n{key}: {MARK}\nc: d\n"),
            3 => format!("a:\n  {key}: |\n    {MARK}\n    {MARK}\nc: d\n"),
            4 => json!({ "a": {key: MARK}, "b": [1] }).to_string(),
            5 => format!("host=db {key}={MARK} port=5"),
            6 => format!("amqp://user:{MARK}@host:5672/x"),
            7 => format!("curl -H 'Authorization: Bearer {MARK}' https://h"),
            8 => format!("export {key}=\"{MARK}\"; run"),
            9 => format!("run --{key} {MARK} --mode x"),
            10 => format!("env:\n- name: {key}\n  value: {MARK}\n- name: A\n  value: b\n"),
            11 => json!([{"value": MARK, "name": key}, {"name": "A"}]).to_string(),
            12 => format!("-----BEGIN PRIVATE KEY-----\n{MARK}\n-----END PRIVATE KEY-----\n"),
            13 => format!("<a><{key}>{MARK}</{key}></a>"),
            14 => format!("{key}:\n- {MARK}\n- b\nc: d\n"),
            _ => format!("Server=db;{key}={MARK};Encrypt=True"),
        };
        for _ in 0..self.next(4) {
            text = match self.next(3) {
                0 => json!({ "a": text, "b": "c" }).to_string(),
                1 => json!([text]).to_string(),
                _ => serde_json::to_string_pretty(&json!({ "a": {"b": text} })).unwrap_or_default(),
            };
        }
        text
    }
}

const WAYS: &[&str] = &[
    "$",
    "$.spec",
    "$..value",
    "$..a",
    "$..*",
    "$.spec.*",
    "cel:[object.spec]",
    "cel:object.spec.transformList(k, v, k + '=' + string(v))",
    "cel:object.spec.env.map(e, e.name + '=' + e.value)",
    "cel:object.spec.join(' ')",
    "cel:string(object.spec.a) + ''",
];

/// The input decides what is planted where.
pub fn redactor() -> impl FnMut(&[u8]) -> Answer {
    let gvk = Gvk::new("", "v1", "X");
    let attributes: Vec<Value> = WAYS
        .iter()
        .enumerate()
        .map(|(i, path)| json!({"name": format!("a{i}"), "path": path, "optional": true}))
        .collect();
    let spec = json!({
        "targetGVK": {"version": "v1", "kind": "X"}, "attributes": attributes,
        "export": {"mode": "Resource", "include": "All", "prune": {"defaults": false}},
    });
    let profile = KollectProfile::new("p", serde_json::from_value(spec).expect("the profile is right"));
    let extractor = Extractor::of_profile(&profile, &[]).expect("the paths are right");
    let filter = Predicate::compile(&format!("string(object.spec.a).contains('{MARK}')")).expect("the filter is right");
    let mut scratch = Scratch::default();
    move |input| {
        let mut choices = Choices(input);
        let object = json!({"metadata": {"name": "n"}, "spec": choices.planted(4)});
        let decoded = extractor.mask().decode(&gvk, &object.to_string()).expect("the object is JSON");
        assert_eq!(decoded, RedactedObject::of(&gvk, &object).expect("the object is JSON"), "{object}");
        assert!(!filter.eval(&decoded).unwrap_or(false), "a filter can ask for the secret of {object}");
        let row = extractor
            .extract(&decoded, &mut scratch)
            .map_or_else(|error| error.to_string(), |row| row.get().to_owned());
        assert!(!row.contains(MARK), "{row} shows the secret of {object}");
        let text = choices.text();
        let line = redact::line(&text);
        assert!(!line.contains(MARK), "{line:?} shows the secret of {text:?}");
        let noise = String::from_utf8_lossy(input);
        // Noise must end in a text that is no longer than one in which every byte is hidden.
        let clean = redact::text(&noise).map_or(0, |clean| clean.len());
        assert!(clean <= noise.len() * redact::REDACTED.len(), "{noise:?} grows to {clean} bytes");
        let mut hasher = DefaultHasher::new();
        (row.len(), line).hash(&mut hasher);
        Answer { accepted: true, signature: hasher.finish() }
    }
}

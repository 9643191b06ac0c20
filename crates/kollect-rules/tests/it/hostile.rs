//! Hostile objects.

use kollect_rules::{ReviewFacts, RuleSettings, review};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_millis(50);

fn object(kind: &str, spec: impl Into<Value>) -> Value {
    let spec: Value = spec.into();
    json!({"apiVersion": "kollect.dev/v1alpha1", "kind": kind, "metadata": {"name": "x", "namespace": "n"}, "spec": spec})
}

fn refused_quickly(name: &str, object: &Value) {
    let judge = || review(object, &RuleSettings::default(), &ReviewFacts::default()).unwrap();
    judge();
    // The best of three: other tests run beside this one.
    let took = (0..3)
        .map(|_| {
            let start = Instant::now();
            judge();
            start.elapsed()
        })
        .min()
        .unwrap();
    let found = judge().violations;
    assert!(!found.is_empty(), "{name} is accepted");
    assert!(found.iter().all(|v| v.value.len() + v.message.len() < 2048), "{name} is repeated in full");
    assert!(took < LIMIT, "{name} takes {took:?}");
}

fn profile(path: &str) -> Value {
    let attributes = json!([{"name": "a", "path": path}]);
    object("KollectProfile", json!({"targetGVK": {"version": "v1", "kind": "Pod"}, "attributes": attributes}))
}

#[test]
fn paths_that_would_recurse_deeply_are_refused_quickly() {
    refused_quickly("a chain", &profile(&format!("cel:object{}", ".a".repeat(2048))));
    refused_quickly("brackets", &profile(&format!("cel:{}object{}", "(".repeat(2000), ")".repeat(2000))));
    refused_quickly("signs", &profile(&format!("cel:{}1", "-".repeat(4000))));
    refused_quickly("a long path", &profile(&format!("$.{}", "a".repeat(1 << 20))));
    refused_quickly("nested filters", &profile(&format!("${}", "[?(@.a".repeat(600))));
}

#[test]
fn long_texts_are_refused_quickly() {
    let long = "x".repeat(1 << 20);
    refused_quickly("a template", &object("KollectSnapshotSink", json!({"type": "git", "pathTemplate": long})));
    refused_quickly("a name", &object("KollectTarget", json!({"profileRef": long})));
    refused_quickly("a duration", &object("KollectInventory", json!({"exportMinInterval": "1".repeat(1 << 20)})));
    refused_quickly("a type", &object("KollectEventSink", json!({"type": long})));
    refused_quickly("an unknown field", &object("KollectScope", json!({long: 1})));
}

#[test]
fn deep_nesting_is_refused_without_recursion() {
    let mut deep = json!(1);
    for _ in 0..10_000 {
        deep = Value::Array(vec![deep]);
    }
    for (kind, spec) in [
        ("KollectSnapshotSink", json!({"type": "git", "unknown": null})),
        ("KollectInventory", json!({"snapshotSinkRefs": null})),
        ("KollectProfile", json!({"attributes": null})),
    ] {
        let mut object = object(kind, spec);
        let key = object["spec"].as_object().unwrap().iter().find(|(_, v)| v.is_null()).unwrap().0.clone();
        object["spec"][&key] = std::mem::take(&mut deep);
        refused_quickly("nesting", &object);
        deep = object["spec"][&key].take();
    }
    // Dropped level by level, because dropping it at once would recurse.
    while let Value::Array(mut items) = deep {
        deep = items.pop().unwrap_or_default();
    }
}

/// A small generator with a fixed seed, so that a failure can be repeated.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % limit
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }

    fn value(&mut self, depth: usize) -> Value {
        match self.below(if depth == 0 { 7 } else { 10 }) {
            0 => Value::Null,
            1 => json!(self.below(2) == 0),
            2 => json!(i64::try_from(self.below(5)).unwrap() - 2),
            3 => json!(1e300),
            4 => json!(i64::MAX),
            5 | 6 => json!(self.pick(&TEXTS)),
            7 => (0..self.below(4)).map(|_| self.value(depth - 1)).collect(),
            _ => self.object(depth),
        }
    }

    fn object(&mut self, depth: usize) -> Value {
        let members = (0..self.below(6)).map(|_| (self.pick(&KEYS).to_owned(), self.value(depth.saturating_sub(1))));
        Value::Object(members.collect())
    }
}

const SECRET: &str = "hunter2-do-not-repeat";
const KINDS: [&str; 11] = [
    "KollectProfile",
    "KollectTarget",
    "KollectInventory",
    "KollectSnapshotSink",
    "KollectDatabaseSink",
    "KollectEventSink",
    "KollectConnectionTest",
    "KollectScope",
    "KollectClusterScope",
    "KollectClusterTarget",
    "KollectClusterInventory",
];
const TEXTS: [&str; 24] = [
    "",
    " ",
    "a",
    "a/b",
    "git",
    "s3",
    "postgres",
    "nats",
    "kafka",
    "v1",
    "Secret",
    "Pod",
    "cel:object.",
    "$.a[?(",
    "$.é",
    "helm:release.",
    "30s",
    "-1s",
    "{namespace}/{name}",
    "https://[::1",
    "\u{0}",
    "git@h:x",
    "Resource",
    "🦀",
];
const KEYS: [&str; 44] = [
    "name",
    "path",
    "namespace",
    "attributes",
    "targetGVK",
    "version",
    "kind",
    "group",
    "export",
    "mode",
    "as",
    "prune",
    "jsonPointers",
    "metrics",
    "labels",
    "profileRef",
    "includedNamespaces",
    "namespaceSelector",
    "matchLabels",
    "matchExpressions",
    "key",
    "operator",
    "values",
    "resourceRules",
    "gvk",
    "matchPolicy",
    "snapshotSinkRefs",
    "exportMinInterval",
    "maxExportBytes",
    "type",
    "endpoint",
    "git",
    "branch",
    "layout",
    "pathTemplate",
    "options",
    "postgres",
    "nats",
    "kafka",
    "brokers",
    "sinkRef",
    "sinkRefs",
    "allowedGVKs",
    "targetRefs",
];

#[test]
fn random_objects_never_break_a_review() {
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    for round in 0..6_000 {
        let mut object = object(KINDS[round % KINDS.len()], Value::Null);
        object["spec"] = random.object(4);
        if random.below(4) == 0 {
            object["metadata"] = random.value(3);
        }
        review(&object, &RuleSettings::default(), &ReviewFacts::default()).unwrap();
    }
}

#[test]
fn no_message_holds_what_resembles_a_credential() {
    for (kind, spec) in [
        ("KollectSnapshotSink", json!({"type": "git", "options": {"apiToken": SECRET, "password": SECRET}})),
        ("KollectSnapshotSink", json!({"type": "git", "password": SECRET, "token": {"secret": SECRET}})),
        ("KollectSnapshotSink", json!({"type": "git", "secretRef": {"name": 5, "password": SECRET}})),
        ("KollectSnapshotSink", json!({"type": "git", "endpoint": format!("https://user:{SECRET}@127.0.0.1/x")})),
        ("KollectSnapshotSink", json!({"type": "git", "git": {"auth": {"type": "token", "token": SECRET}}})),
        ("KollectSnapshotSink", json!({"type": "git", "tls": {"caBundle": {"key": SECRET}}})),
        (
            "KollectDatabaseSink",
            json!({"type": "postgres", "postgres": {"databaseRef": {"name": "s"}, "password": SECRET}}),
        ),
        (
            "KollectEventSink",
            json!({"type": "nats", "nats": {"url": format!("nats://u:{SECRET}@localhost:4222"), "subject": "s"}}),
        ),
        (
            "KollectEventSink",
            json!({"type": "kafka", "kafka": {"brokers": [format!("u:{SECRET}@10.0.0.1:9092")], "topic": "t"}}),
        ),
    ] {
        let object = object(kind, spec);
        let got = review(&object, &RuleSettings::default(), &ReviewFacts::default()).unwrap();
        assert!(!got.violations.is_empty(), "{object}");
        assert!(!format!("{got:?}").contains(SECRET), "{got:?}");
    }
}

//! Random objects with a marked text at every place that must be redacted, and a pool of profiles.

use kollect_api::KollectProfile;
use kollect_extract::{Extractor, RedactedObject, Scratch};
use kollect_model::Gvk;
use serde_json::{Map, Value, json};

/// The text at every place that must be redacted.
const MARK: &str = "h1ddenMark";

/// A small generator, so that a failure can be repeated by its seed.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[usize::try_from(self.below(of.len() as u64)).unwrap()]
    }

    fn plain(&mut self, depth: u32) -> Value {
        match self.below(if depth == 0 { 6 } else { 10 }) {
            0 => Value::Null,
            1 => json!(self.below(2) == 0),
            2 => json!(self.below(100)),
            3 => json!(self.pick(&[0.5, -1.0, 1e21, 1e-7])),
            4 | 5 => json!(self.pick(&["", "a", "r/a:1", "10m", "ü<&>", "https://h/p"])),
            6 | 7 => (0..self.below(4)).map(|_| self.plain(depth - 1)).collect(),
            _ => self.map(depth),
        }
    }

    /// An object that may hold something hidden among plain members.
    fn map(&mut self, depth: u32) -> Value {
        let mut map = Map::new();
        for _ in 0..self.below(4) {
            let key = self.pick(&["a", "b", "name", "image", "containers", "0"]);
            map.insert(key.to_owned(), self.plain(depth - 1));
        }
        if self.below(3) == 0 {
            let (key, value) = self.hidden();
            map.insert(key, value);
        }
        Value::Object(map)
    }

    fn hidden(&mut self) -> (String, Value) {
        let text = json!(MARK);
        let shaped = match self.below(3) {
            0 => json!({"a": MARK, "b": [MARK]}),
            1 => json!([MARK, {"a": MARK}]),
            _ => text.clone(),
        };
        let (key, value) = match self.below(8) {
            0 => (self.pick(&["password", "dbPasswd", "API_KEY", "clientSecret", "x-auth", "myPin"]), shaped),
            1 => ("token ", shaped),
            2 => ("headers", json!([{"name": "X-Api-Key", "value": MARK}])),
            3 => ("args", json!(["--token", MARK, format!("--password={MARK}")])),
            4 => ("tls", json!({"key": MARK, "crt": MARK})),
            5 => ("env", json!([{"name": "DB_PASSWORD", "value": MARK}, {"value": MARK, "key": "TOKEN"}])),
            6 => ("copy", json!(format!("{{\"apiVersion\":1,\"kind\":2,\"metadata\":3,\"x\":\"{MARK}\"}}"))),
            _ => ("url", json!(format!("amqp://u:{MARK}@h"))),
        };
        (key.to_owned(), value)
    }

    fn object(&mut self, kind: &str) -> Value {
        let annotations = json!({"kubectl.kubernetes.io/last-applied-configuration": MARK, "team": "t"});
        let mut object = json!({
            "apiVersion": "v1", "kind": kind, "spec": self.map(4), "status": self.map(3), "other": self.plain(3),
            "metadata": {"name": "n", "namespace": "ns", "uid": "u", "annotations": annotations, "labels": {"a": "b"}},
        });
        if kind == "Secret" {
            object["data"] =
                self.pick(&[&json!({"a": MARK, "release": MARK}), &json!(MARK), &json!([{"a": MARK}])]).clone();
            object["stringData"] = json!({"a": {"b": MARK}});
        }
        object
    }
}

/// Paths that name no redacted member.
const PATHS: &[&str] = &[
    "$",
    "$.spec",
    "$.*",
    "$.spec.containers[*]",
    "{.spec.a}",
    "$.spec['a','b']",
    "$.metadata.annotations",
    "$.metadata.annotations.kubectl\\.kubernetes\\.io/last-applied-configuration",
    "$.spec.containers[?(@.name==\"a\")]",
    "$.spec.a[0]",
    "$['data']",
    "$.data.a",
    "cel:object",
    "cel:[object]",
    "cel:{'x': object.spec, 'y': [object.?status]}",
    "cel:object.spec.containers.map(c, c)",
    "cel:has(object.data) ? object.data : {}",
    "cel:object.spec.a + object.spec.b",
    "cel:object.spec[object.metadata.name]",
    "cel:quantity(object.spec.a)",
    "cel:string(object.data)",
    "cel:object.map(k, object[k])",
    "helm:release.releaseName",
    "helm:release.chart",
];

fn profile(random: &mut Random, kind: &str) -> KollectProfile {
    let helm = |path: &&str| kind == "Secret" || !path.starts_with("helm:");
    let paths: Vec<&str> = PATHS.iter().copied().filter(|path| helm(path)).collect();
    let attributes: Vec<Value> = (0..=random.below(4))
        .map(|i| json!({"name": format!("a{i}"), "path": random.pick(&paths), "optional": random.below(2) == 0}))
        .collect();
    let mut spec = json!({"targetGVK": {"version": "v1", "kind": kind}, "attributes": attributes});
    if random.below(2) == 0 {
        spec["export"] = json!({
            "mode": "Resource", "dedupeIdentity": random.below(2) == 0,
            "include": random.pick(&["All", "All", "SpecOnly", "MetadataOnly", "SpecAndStatus", "StatusOnly"]),
            "prune": {
                "defaults": random.below(2) == 0, "scrubKeys": ["pin"],
                "jsonPointers": [random.pick(&["/spec/a", "/spec/containers/0", "/data/a", "/spec/env/0/name", "/spec/0/0"])],
                "jsonPaths": [random.pick(&["spec.b", "status.a[0]", "spec.tls", "$..x"])],
            },
        });
    } else {
        spec["export"] = json!({"prune": {"scrubKeys": ["pin"]}});
    }
    let mut profile = KollectProfile::new("p", serde_json::from_value(spec).unwrap());
    let allow = [("kollect.dev/allow-full-resource-export".to_owned(), "true".to_owned())];
    profile.metadata.annotations = Some(allow.into());
    profile
}

#[test]
fn hidden_values_never_come_out_and_nothing_is_carried_over() {
    let mut random = Random(0x5DEE_CE66_D1CE_4E5B);
    let mut used = Scratch::default();
    let (mut rows, mut errors, mut redacted) = (0, 0, 0);
    for _ in 0..600 {
        let seed = random.0;
        let kind = random.pick(&["Secret", "ConfigMap"]);
        let profile = profile(&mut random, kind);
        let extractor = Extractor::of_profile(&profile, &[]).unwrap_or_else(|e| panic!("seed {seed:#x}: {e:?}"));
        for _ in 0..4 {
            let object = random.object(kind);
            let gvk = Gvk::new("", "v1", kind);
            let masked = extractor.mask().decode(&gvk, &object.to_string()).unwrap();
            let whole = RedactedObject::of(&gvk, &object).unwrap();
            let after_others = extractor.extract(&whole, &mut used);
            let alone = extractor.extract(&whole, &mut Scratch::default());
            let masked = extractor.extract(&masked, &mut used);
            let text = |result: Result<Box<serde_json::value::RawValue>, _>| result.map(|row| row.get().to_owned());
            let (after_others, alone, masked) = (text(after_others), text(alone), text(masked));
            assert_eq!(after_others, alone, "seed {seed:#x}: {object}");
            assert_eq!(alone, masked, "seed {seed:#x}: {object}");
            redacted += usize::from(alone.as_ref().is_ok_and(|row| row.contains("redacted")));
            let shown = match alone {
                Ok(row) => {
                    rows += 1;
                    row
                }
                Err(error) => {
                    errors += 1;
                    format!("{error} {error:?}")
                }
            };
            assert!(!shown.contains(MARK), "seed {seed:#x}: {:?} shows {shown} of {object}", profile.spec);
        }
    }
    assert!(rows > 800 && errors > 200 && redacted > 300, "{rows} rows, {errors} errors, {redacted} redacted");
}

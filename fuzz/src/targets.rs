//! What is attacked, with what, and what must hold.

use crate::budget;
use crate::manifest;
use crate::paths;
use crate::redactor::redactor;
use crate::seeds::*;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kollect_api::{KollectProfile, KollectProfileSpec};
use kollect_extract::{AttributeSource, Extractor, Predicate, ProfileSource, RedactedObject, Scratch};
use kollect_model::{Gvk, write_value};
use serde_json::{Value, json};
use std::hash::{DefaultHasher, Hasher as _};
use std::io::Write as _;

pub struct Answer {
    pub accepted: bool,
    /// What the input did, in few bits.
    pub signature: u64,
}

pub struct Target {
    pub name: &'static str,
    pub seeds: &'static [&'static str],
    pub words: &'static [&'static str],
    pub prepare: fn() -> Box<dyn FnMut(&[u8]) -> Answer>,
}

pub fn all() -> Vec<Target> {
    vec![
        Target { name: "jsonpath", seeds: PATHS, words: PATH_WORDS, prepare: || Box::new(expression("")) },
        Target { name: "cel", seeds: CEL, words: CEL_WORDS, prepare: || Box::new(expression("cel:")) },
        Target { name: "helm", seeds: RELEASES, words: JSON_WORDS, prepare: || Box::new(helm()) },
        Target { name: "prune", seeds: PRUNES, words: PATH_WORDS, prepare: || Box::new(prune()) },
        Target { name: "budget", seeds: budget::EXPRESSIONS, words: CEL_WORDS, prepare: || Box::new(budget::check()) },
        Target { name: "redactor", seeds: REDACTED, words: REDACTED_WORDS, prepare: || Box::new(redactor()) },
        Target { name: "canonical", seeds: RELEASES, words: JSON_WORDS, prepare: || Box::new(canonical) },
        Target {
            name: "manifest",
            seeds: manifest::SEEDS,
            words: manifest::WORDS,
            prepare: || Box::new(manifest::check),
        },
        Target { name: "paths", seeds: paths::SEEDS, words: paths::WORDS, prepare: || Box::new(paths::prepare()) },
    ]
}

pub(crate) fn answer(accepted: bool, about: impl std::hash::Hash) -> Answer {
    let mut hasher = DefaultHasher::new();
    about.hash(&mut hasher);
    Answer { accepted, signature: hasher.finish() }
}

/// What is the same for inputs that differ in names and numbers only.
pub(crate) fn shape(text: &str) -> String {
    let mut shape: Vec<char> = text.chars().map(|c| if c.is_alphanumeric() { 'a' } else { c }).collect();
    shape.dedup();
    shape.truncate(32);
    shape.into_iter().collect()
}

/// The sentence of an error, without what it repeats of the input.
pub(crate) fn kind(error: &str) -> String {
    let mut words = error.rsplit("\": ").next().unwrap_or_default().split('"');
    words.next().unwrap_or_default().chars().take(24).collect()
}

/// Never to be seen in what comes out of a Secret.
const MARK: &str = "S3cretMark";

fn secret() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
        "metadata": {"name": "n", "namespace": "ns", "uid": "u", "labels": {"a": "b"}, "finalizers": ["x"],
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": MARK, "c": "1Gi"}},
        "data": {"a": MARK, "b": [MARK, {"c": MARK}]}, "stringData": {"d": MARK},
        "spec": {"n": 3, "f": 0.5, "big": u64::MAX, "list": [{"name": "x", "image": "r/a:1"}, {"name": "y"}, null, 7],
            "time": "2024-01-02T03:04:05Z", "empty": {}, "none": null, "t": true, "ip": "10.0.0.1", "url": "https://h:1/p?q=1"},
    })
}

pub(crate) fn extractor(gvk: &Gvk, name: &str, path: String, allow: bool) -> Result<Extractor, String> {
    let attributes = [AttributeSource { name: name.to_owned(), path, optional: false }];
    let source =
        ProfileSource { gvk, attributes: &attributes, scrub_keys: &[], allow_secret_extraction: allow, resource: None };
    Extractor::compile(&source).map_err(|errors| errors.iter().map(ToString::to_string).collect())
}

/// JSONPath and CEL: compile, evaluate over a Secret whose data must stay hidden, and over what the mask keeps of it.
fn expression(prefix: &'static str) -> impl FnMut(&[u8]) -> Answer {
    let gvk = Gvk::new("", "v1", "Secret");
    let raw = secret().to_string();
    let object = RedactedObject::of(&gvk, &secret()).expect("the object is JSON");
    let mut scratch = Scratch::default();
    move |input| {
        let text = String::from_utf8_lossy(input);
        scratch.begin();
        let _ = Predicate::compile(&text).map(|predicate| predicate.eval(&object));
        let extractor = match extractor(&gvk, "x", format!("{prefix}{text}"), false) {
            Ok(extractor) => extractor,
            Err(error) => return answer(false, kind(&error)),
        };
        let whole = extractor.extract(&object, &mut scratch).map(|row| row.get().to_owned());
        let masked = extractor.extract(&extractor.mask().decode(&gvk, &raw).expect("the object is JSON"), &mut scratch);
        assert_eq!(whole, masked.map(|row| row.get().to_owned()), "the mask changes {text:?}");
        let shown = whole.unwrap_or_else(|error| error.to_string());
        assert!(text.contains("S3cret") || !shown.contains(MARK), "a secret came out of {text:?}");
        answer(true, shape(&shown))
    }
}

/// A release as text, which is packed in one of several ways: the first byte says how.
fn helm() -> impl FnMut(&[u8]) -> Answer {
    let gvk = Gvk::new("", "v1", "Secret");
    let paths = ["releaseName", "chart", "config", "info", "chart.metadata.version", "revision", "labels.a.b"];
    let attributes: Vec<AttributeSource> = paths
        .iter()
        .map(|path| AttributeSource { name: (*path).into(), path: format!("helm:release.{path}"), optional: false })
        .collect();
    let source = ProfileSource {
        gvk: &gvk,
        attributes: &attributes,
        scrub_keys: &[],
        allow_secret_extraction: true,
        resource: None,
    };
    let extractor = Extractor::compile(&source).expect("the paths are right");
    let mut scratch = Scratch::default();
    move |input| {
        let (how, text) = input.split_first().map_or((0, input), |(first, rest)| (*first, rest));
        let mut packed = text.to_vec();
        if how & 1 == 0 {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            let times = if how & 16 == 0 { 1 } else { 1 << (how >> 5) };
            encoder.write_all(&text.repeat(times)).expect("write to memory");
            packed = encoder.finish().expect("write to memory");
            if how & 2 != 0 && !packed.is_empty() {
                let at = text.len() % packed.len();
                packed[at] ^= how;
            }
        }
        if how & 4 == 0 {
            packed = STANDARD.encode(packed).into_bytes();
        }
        let release =
            if how & 8 == 0 { STANDARD.encode(packed) } else { String::from_utf8_lossy(&packed).into_owned() };
        let object = json!({"kind": "Secret", "metadata": {"name": "n"}, "data": {"release": release}});
        let object = RedactedObject::of(&gvk, &object).expect("the object is JSON");
        match extractor.extract(&object, &mut scratch) {
            Ok(row) => answer(true, shape(row.get())),
            Err(error) => answer(false, (error.class, kind(&error.message))),
        }
    }
}

/// Lines are pointers and paths; every second profile is about Secrets.
fn prune() -> impl FnMut(&[u8]) -> Answer {
    let gvk = Gvk::new("", "v1", "Secret");
    let raw = secret().to_string();
    let object = RedactedObject::of(&gvk, &secret()).expect("the object is JSON");
    let mut scratch = Scratch::default();
    move |input| {
        let text = String::from_utf8_lossy(input);
        let (pointers, paths): (Vec<&str>, Vec<&str>) = text.lines().take(64).partition(|line| line.starts_with('/'));
        let export = json!({
            "mode": "Resource", "include": if text.len() % 3 == 0 { "SpecAndStatus" } else { "All" },
            "prune": {"defaults": text.len() % 2 == 0, "jsonPointers": pointers, "jsonPaths": paths},
        });
        let spec = json!({"targetGVK": {"version": "v1", "kind": "Secret"}, "export": export});
        let spec: KollectProfileSpec = serde_json::from_value(spec).expect("the profile is right");
        let mut profile = KollectProfile::new("p", spec);
        let allow = [("kollect.dev/allow-full-resource-export".to_owned(), "true".to_owned())];
        profile.metadata.annotations = Some(allow.into());
        let extractor = match Extractor::of_profile(&profile, &[]) {
            Ok(extractor) => extractor,
            Err(errors) => return answer(false, kind(&errors[0].message)),
        };
        let row = extractor.extract(&object, &mut scratch).expect("an object can be copied").get().to_owned();
        let kept = extractor.mask().decode(&gvk, &raw).expect("the object is JSON");
        let masked = extractor.extract(&kept, &mut scratch).expect("an object can be copied");
        assert_eq!(row, masked.get(), "the mask changes {text:?}");
        assert!(!row.contains(MARK), "a secret came out of {text:?}");
        check_canonical(row.as_bytes());
        answer(true, row)
    }
}

fn check_canonical(bytes: &[u8]) {
    let value: Value = serde_json::from_slice(bytes).expect("canonical JSON is JSON");
    let mut again = Vec::new();
    write_value(&value, &mut again).expect("numbers from JSON are finite");
    assert_eq!(String::from_utf8_lossy(&again), String::from_utf8_lossy(bytes), "not canonical");
}

/// JSON → canonical JSON → the same value, and the same bytes again; also as the attribute of a row.
fn canonical(input: &[u8]) -> Answer {
    let Ok(value) = serde_json::from_slice::<Value>(input) else { return answer(false, 0) };
    let mut out = Vec::new();
    write_value(&value, &mut out).expect("numbers from JSON are finite");
    check_canonical(&out);
    let gvk = Gvk::new("", "v1", "X");
    let object = RedactedObject::of(&gvk, &json!({"v": value})).expect("the object is JSON");
    let extractor = extractor(&gvk, "x", "$.v".to_owned(), false).expect("the path is right");
    if let Ok(row) = extractor.extract(&object, &mut Scratch::default()) {
        check_canonical(row.get().as_bytes());
    }
    answer(true, shape(&String::from_utf8_lossy(&out)))
}

//! Folders of `tests/cases`: a profile, an object and the expected row.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod hostile;
mod redaction;
mod secrets;

use kollect_api::KollectProfile;
use kollect_extract::{AttributeSource, Extractor, ProfileSource, RedactedObject, Scratch};
use kollect_model::{Gvk, write_value};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

fn read(folder: &Path, name: &str) -> Value {
    let path = folder.join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The profile as a user writes it; `scrubKeys` beside the spec are those of the operator.
fn compile(profile: &Value) -> Result<Extractor, String> {
    let mut spec = profile.clone();
    let fields = spec.as_object_mut().unwrap();
    let annotations = fields.remove("annotations");
    let keys = fields.remove("scrubKeys").unwrap_or(json!([]));
    let mut object = KollectProfile::new("p", serde_json::from_value(spec).unwrap());
    object.metadata.annotations = annotations.map(|all| serde_json::from_value(all).unwrap());
    let keys: Vec<String> = serde_json::from_value(keys).unwrap();
    Extractor::of_profile(&object, &keys)
        .map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
}

fn check(folder: &Path) {
    let name = folder.file_name().unwrap().to_string_lossy().into_owned();
    let expected = read(folder, "expected.json");
    let profile = read(folder, "profile.json");
    let kind = &profile["targetGVK"];
    let text = |key: &str| kind[key].as_str().unwrap_or_default();
    let gvk = Gvk::new(text("group"), text("version"), text("kind"));
    let extractor = match (compile(&profile), expected["compile"].as_str()) {
        (Err(error), Some(message)) => return assert!(error.contains(message), "{name}: {error}"),
        (Ok(_), Some(message)) => panic!("{name}: compiled, but expected {message:?}"),
        (result, None) => result.unwrap_or_else(|error| panic!("{name}: {error}")),
    };
    let whole = read(folder, "object.json");
    let masked = extractor.mask().decode(&gvk, &whole.to_string()).unwrap();
    let whole = RedactedObject::of(&gvk, &whole).unwrap();
    // In this order, so that values left in the scratch memory would show.
    let mut scratch = Scratch::default();
    for object in [&whole, &masked, &whole] {
        let result = extractor.extract(object, &mut scratch);
        if let Some(class) = expected["error"].as_str() {
            let error = result.unwrap_err();
            assert_eq!(Some(error.attribute.as_str()), expected["attribute"].as_str(), "{name}");
            assert_eq!(error.class.label(), class, "{name}");
            continue;
        }
        let raw = result.unwrap_or_else(|error| panic!("{name}: {error}"));
        let value: Value = serde_json::from_str(raw.get()).unwrap();
        let mut canonical = Vec::new();
        write_value(&value, &mut canonical).unwrap();
        assert_eq!(raw.get().as_bytes(), canonical, "{name}: not canonical");
        if let Some(bytes) = expected["bytes"].as_str() {
            assert_eq!(raw.get(), bytes, "{name}");
            continue;
        }
        let mut wanted = Vec::new();
        write_value(&expected["attributes"], &mut wanted).unwrap();
        assert_eq!(raw.get(), String::from_utf8(wanted).unwrap(), "{name}");
        for part in expected["contains"].as_array().into_iter().flatten() {
            assert!(raw.get().contains(part.as_str().unwrap()), "{name}: no {part} in {raw}");
        }
    }
}

#[test]
fn every_case_folder_comes_out_as_expected() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut folders: Vec<PathBuf> = std::fs::read_dir(cases).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    assert!(folders.len() >= 35, "only {} cases found", folders.len());
    for folder in &folders {
        check(folder);
    }
}

#[test]
fn an_object_of_the_deepest_json_is_extracted_or_refused_but_never_overflows() {
    let deep = |levels: usize| format!("{{\"a\":{}1{}}}", "{\"a\":".repeat(levels), "}".repeat(levels));
    let attributes: Vec<AttributeSource> =
        ["$", "$..a", "cel:object", "cel:[object]", "cel:object == object", "cel:[object] == [object]"]
            .iter()
            .map(|path| AttributeSource { name: (*path).into(), path: (*path).into(), optional: true })
            .collect();
    let source = ProfileSource {
        gvk: &Gvk::new("", "v1", "X"),
        attributes: &attributes,
        scrub_keys: &[],
        allow_secret_extraction: false,
        resource: None,
    };
    let extractor = Extractor::compile(&source).unwrap();
    let run = move || {
        let gvk = Gvk::new("", "v1", "X");
        let object = extractor.mask().decode(&gvk, &deep(120)).unwrap();
        let raw = extractor.extract(&object, &mut Scratch::default()).unwrap();
        assert!(raw.get().contains("\"cel:object == object\":true"));
        assert!(extractor.mask().decode(&gvk, &deep(200)).is_err());
    };
    std::thread::Builder::new().stack_size(2 << 20).spawn(run).unwrap().join().unwrap();
}

#[test]
fn the_secrets_of_a_kind_stay_hidden_from_predicates() {
    let secret = json!({"kind": "Secret", "metadata": {"name": "s"}, "data": {"a": "b"}});
    let matches = |expression: &str, gvk: &Gvk| {
        let object = RedactedObject::of(gvk, &secret).unwrap();
        kollect_extract::Predicate::compile(expression).unwrap().eval(&object).unwrap()
    };
    let (secrets, others) = (Gvk::new("", "v1", "Secret"), Gvk::new("", "v1", "ConfigMap"));
    assert!(!matches("has(object.data)", &secrets));
    assert!(!matches("has(object.data)", &others), "the object has the kind Secret");
    assert!(matches("object.metadata.name == 's'", &secrets));
    assert!(!matches("object.metadata.name", &others), "a text is no match");
    assert!(!matches("object.missing == 1", &others), "an error is no match");
    assert!(kollect_extract::Predicate::compile("object.").is_err());
}

//! The tree of pruned places; whole copies are cases of `tests/cases`.

use super::*;
use kollect_api::{ExportSettings, PruneSettings};
use serde_json::json;

fn source(settings: &ExportSettings) -> ResourceSource<'_> {
    ResourceSource { settings, allow_secrets: true }
}

fn settings(pointers: &[&str], paths: &[&str]) -> ExportSettings {
    let all = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    ExportSettings {
        include: ExportInclude::All,
        prune: Some(PruneSettings { json_pointers: all(pointers), json_paths: all(paths), ..PruneSettings::default() }),
        ..ExportSettings::default()
    }
}

fn copy(settings: &ExportSettings, object: &Value) -> Value {
    let keys = ScrubKeys::default();
    let resource = Resource::compile(&source(settings), &Gvk::new("", "v1", "X"), &keys).unwrap();
    let mut out = Vec::new();
    let object = RedactedObject::of(&Gvk::new("", "v1", "X"), object).unwrap();
    resource.write(&object, &keys, &mut out).unwrap();
    let mut copy: Value = serde_json::from_slice(&out).unwrap();
    copy.as_object_mut().unwrap().retain(|key, _| !matches!(key.as_str(), "apiVersion" | "kind"));
    copy
}

#[test]
fn a_number_in_a_pointer_is_a_key_or_an_index() {
    let object = json!({"list": [[1, 2], {"0": 3, "1": 4}], "map": {"0": [5, 6], "1": 7}});
    assert_eq!(
        copy(&settings(&["/list/0/1", "/list/1/1", "/map/0/0", "/map/1"], &[]), &object),
        json!({"list": [[1, null], {"0": 3}], "map": {"0": [null, 6]}})
    );
    assert_eq!(
        copy(&settings(&[], &["list[0][1]", "list[1][1]", "map[0]", "map[\"1\"]"]), &object),
        json!({"list": [[1, null], {"0": 3, "1": 4}], "map": {"0": [5, 6]}})
    );
}

#[test]
fn escapes_of_pointers_are_read_once() {
    let object = json!({"v": {"a/b": 1, "a~b": 2, "a~1b": 3, "": 4, "c": 5}});
    assert_eq!(copy(&settings(&["/v/a~1b"], &[]), &object)["v"], json!({"a~b": 2, "a~1b": 3, "": 4, "c": 5}));
    assert_eq!(copy(&settings(&["/v/a~01b", "/v/a~0b"], &[]), &object)["v"], json!({"a/b": 1, "": 4, "c": 5}));
    assert_eq!(copy(&settings(&["/v/"], &[]), &object)["v"], json!({"a/b": 1, "a~b": 2, "a~1b": 3, "c": 5}));
}

#[test]
fn only_plain_paths_prune() {
    for path in ["a", "$.a.b", "{.a}", " a[0]['x'][\"y.z\"].b ", "$['a']"] {
        assert!(is_prune_path(path), "{path}");
    }
    for path in [
        "",
        "$",
        "a.*",
        "$..a",
        "a[*]",
        "a[?(@.b)]",
        "a[-1]",
        "a[0:1]",
        "a.",
        ".",
        "a['b",
        "a[b]",
        "{.a",
        "a\\.b",
        "a[01]",
    ] {
        assert!(!is_prune_path(path), "{path}");
    }
}

#[test]
fn pointers_that_would_make_a_huge_tree_are_refused() {
    let numbers = format!("/a{}", "/0".repeat(40));
    let errors =
        Resource::compile(&source(&settings(&[&numbers], &[])), &Gvk::new("", "v1", "X"), &ScrubKeys::default());
    assert!(errors.unwrap_err()[0].message.contains("name fewer places"));
    assert_eq!(copy(&settings(&[&"/a".repeat(200)], &[]), &json!({"a": 1})), json!({"a": 1}));
}

#[test]
fn only_the_chosen_sections_are_decoded() {
    let reached = |include, pruned| {
        let mut settings = settings(&[], &[]);
        settings.include = include;
        settings.prune.get_or_insert_default().defaults = Some(pruned);
        let resource = Resource::compile(&source(&settings), &Gvk::new("", "v1", "X"), &ScrubKeys::default()).unwrap();
        let mut mask = FieldMask::default();
        resource.reach(&mut mask);
        let object = json!({"apiVersion": "v1", "kind": "X", "spec": 1, "status": 2, "data": 3, "metadata": {"annotations": 4, "managedFields": 5}});
        let mut kept = mask.decoded(&object);
        let metadata = kept.as_object_mut().unwrap().remove("metadata").unwrap();
        let keys: Vec<String> = kept.as_object().unwrap().keys().cloned().collect();
        (
            keys.join(" "),
            metadata.get("annotations").is_some(),
            metadata.get("managedFields").is_some(),
            mask.metadata_only(),
        )
    };
    assert_eq!(reached(ExportInclude::SpecOnly, true), ("spec".to_owned(), false, false, false));
    assert_eq!(reached(ExportInclude::StatusOnly, true), ("status".to_owned(), false, false, false));
    assert_eq!(reached(ExportInclude::SpecAndStatus, false), ("spec status".to_owned(), false, false, false));
    assert_eq!(reached(ExportInclude::MetadataOnly, true), (String::new(), true, false, true));
    assert_eq!(reached(ExportInclude::MetadataOnly, false), (String::new(), true, true, true));
    assert_eq!(reached(ExportInclude::All, true), ("apiVersion data kind spec status".to_owned(), true, false, false));
    assert_eq!(reached(ExportInclude::All, false), ("apiVersion data kind spec status".to_owned(), true, true, false));
}

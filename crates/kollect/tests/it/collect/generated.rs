//! Two thousand manifests with the oddities of real repositories: what is collected is what a naive reader finds.

use super::{CommandFolder, profile, target};
use kollect_testkit::manifests::{expect, generate};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;

type Objects = BTreeMap<(String, String, String), Value>;

fn collected(records: &[Value]) -> Objects {
    let text = |item: &Value, key: &str| item[key].as_str().unwrap_or_default().to_owned();
    let items = records.iter().flat_map(|record| record["envelope"]["items"].as_array().into_iter().flatten());
    items
        .map(|item| {
            ((text(item, "kind"), text(item, "namespace"), text(item, "name")), item["attributes"]["v"].clone())
        })
        .collect()
}

fn compare(seed: u64) {
    let folder = CommandFolder::new();
    folder.config(
        "c",
        &[
            profile("maps", "", "ConfigMap", &[("v", "$.data")]),
            target("maps", "maps", &[]),
            profile("things", "example.com", "Thing", &[("v", "$.spec")]),
            target("things", "things", &[]),
        ],
    );
    let generated = generate(seed, 2_000);
    fs::create_dir(folder.path("in")).unwrap();
    for (name, bytes) in &generated.files {
        fs::write(folder.path("in").join(name), bytes).unwrap();
    }
    let expected = expect(&generated.files);
    let ran = folder.run(&["--from", "in", "--output", "-", "--format", "ndjson", "-v"]).ends(1);
    let found = collected(&ran.records());
    let body = |((kind, _, _), object): (&(String, String, String), &Value)| {
        object[if kind == "ConfigMap" { "data" } else { "spec" }].clone()
    };
    for (key, object) in &expected.objects {
        let found = found.get(key).unwrap_or_else(|| panic!("seed {seed}: {key:?} is missing\n{}", ran.stderr));
        assert_eq!(*found, body((key, object)), "seed {seed}: {key:?}");
    }
    assert_eq!(found.len(), expected.objects.len(), "seed {seed}");
    assert!(expected.objects.len() > 1_500, "seed {seed}: {}", expected.objects.len());
    let failed: Vec<&str> = ran.stderr.lines().filter(|line| line.contains("failed target ")).collect();
    // The same object may fail twice, and is one failure.
    assert!(
        failed.len() <= expected.failed && failed.len() >= expected.failed_names.len(),
        "seed {seed}\n{}",
        ran.stderr
    );
    for name in &expected.failed_names {
        let named = failed.iter().any(|line| line.contains(&format!("/{name}, uid ")));
        assert!(named, "seed {seed}: {name} fails in silence\n{}", ran.stderr);
    }
    for (count, what) in [
        (expected.broken, "places could not be read"),
        (expected.repeated, "repeated"),
        (expected.strange, "that are no Kubernetes objects"),
    ] {
        assert!(
            count > 0 && ran.stderr.contains(&format!("{count} {what}")),
            "seed {seed}: {count} {what}\n{}",
            ran.stderr
        );
    }
}

#[test]
fn two_thousand_odd_manifests_are_collected_object_by_object_as_a_naive_reader_reads_them() {
    for seed in [1, 2, 3] {
        compare(seed);
    }
}

//! `kollect eval` shows what a row would hold, what it costs, and where a path is wrong.

use super::{kollect, kollect_reading, write};

const PROFILE: &str = "# A comment.
apiVersion: kollect.dev/v1alpha1
kind: KollectProfile
metadata: {name: apps, namespace: team}
spec:
  targetGVK: {group: apps, version: v1, kind: Deployment}
  attributes:
  - {name: replicas, path: $.spec.replicas}
  - {name: containers, path: '$.spec.containers[*]'}
  - {name: missing, path: 'cel:object.spec.nothing', optional: true}
";

const OBJECT: &str = r#"{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
 "spec": {"replicas": 2, "containers": [{"image": "a", "password": "hunter2"}, {"image": "b"}]}}"#;

#[test]
fn every_attribute_is_shown_with_value_type_and_cost() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "profile.yaml", PROFILE);
    let list = format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: other}}\n---\n{OBJECT}\n");
    let base = ["eval", "--profile", "profile.yaml", "--object", "-"];
    let ran = kollect_reading(dir.path(), &[&base[..], &["--format", "json"]].concat(), &list);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let shown = ran.json();
    let attributes = shown["attributes"].as_array().unwrap();
    assert_eq!((&attributes[0]["value"], &attributes[0]["type"]), (&2.into(), &"number".into()));
    assert!(attributes[0]["nanoseconds"].as_u64().unwrap() > 0);
    assert_eq!(attributes[1]["value"][1]["image"], "b");
    assert_eq!(attributes[2]["error"]["class"], "missing key");

    let ran = kollect_reading(dir.path(), &base, &list);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert!(ran.stdout.contains("replicas  number  ") && ran.stdout.contains("missing  left out"), "{}", ran.stdout);
    assert!(ran.stdout.contains("sensitive-key"), "{}", ran.stdout);
    assert!(!ran.stdout.contains("hunter2"), "values are redacted as in rows");
}

#[test]
fn a_broken_path_is_marked_at_its_place_in_the_file() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "profile.yaml", &PROFILE.replace("cel:object.spec.nothing", "cel:object.spec.("));
    let ran = kollect(dir.path(), &["eval", "--profile", "profile.yaml"]);
    assert_eq!(ran.status, 2);
    assert!(ran.stderr.contains("--> profile.yaml:10:44\n"), "{}", ran.stderr);
    assert!(ran.stdout.contains("replicas  compiles"), "{}", ran.stdout);
}

#[test]
fn single_paths_are_tried_without_a_profile() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "o.json", OBJECT);
    let ran = kollect(dir.path(), &["eval", "--path", "cel:object.spec.(", "--path", "$.spec"]);
    assert_eq!(ran.status, 2);
    assert!(ran.stderr.contains("cel:object.spec.(\n  |                 ^"), "{}", ran.stderr);
    let ran = kollect(dir.path(), &["eval", "--object", "o.json", "--path", "cel:object.spec.nothing"]);
    assert_eq!(ran.status, 1, "{}", ran.stderr);
    assert!(ran.stdout.contains("missing key"), "{}", ran.stdout);
    let ran = kollect(dir.path(), &["eval", "--object", "o.json", "--path", "cel:object.spec.replicas * 2"]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert!(ran.stdout.contains("\n    4\n"), "{}", ran.stdout);
}

#[test]
fn the_data_of_a_secret_stays_hidden() {
    let dir = tempfile::tempdir().unwrap();
    let secret = r#"{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": {"a": "aHVudGVyMg=="}}"#;
    write(dir.path(), "s.json", secret);
    let ran = kollect(dir.path(), &["eval", "--object", "s.json", "--path", "cel:object", "--path", "$.data.a"]);
    assert!(!ran.stdout.contains("aHVudGVyMg"), "{}", ran.stdout);
    assert!(!ran.stderr.contains("aHVudGVyMg"), "{}", ran.stderr);
}

#[test]
fn an_object_of_another_kind_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "profile.yaml", PROFILE);
    write(dir.path(), "o.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n");
    let ran = kollect(dir.path(), &["eval", "--profile", "profile.yaml", "--object", "o.yaml"]);
    assert_eq!((ran.status, ran.stdout.as_str()), (2, ""));
    assert!(ran.stderr.contains("Deployment") && ran.stderr.contains("ConfigMap"), "{}", ran.stderr);
}

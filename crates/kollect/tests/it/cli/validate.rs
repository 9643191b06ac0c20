//! `kollect validate` finds everything, names the place, and ends with the documented status.

use super::{kollect, kollect_reading, program, repository, write};
use serde_json::Value;

const TEN: &str = r#"apiVersion: kollect.dev/v1alpha1
kind: KollectProfile
metadata: {name: apps, namespace: team}
spec:
  targetGVK: {group: apps, version: v1, kind: Deployment}
  attributes:
  - name: images
    path: "cel:object.spec.(x"
  - name: mode
    path: object.metadata.name
  - {name: ready, paht: $.x, path: $.status.ready}
  metrics:
  - {name: m, path: gone}
---
apiVersion: kollect.dev/v1alpha1
kind: KollectTarget
metadata: {name: all, namespace: team}
spec:
  profileRef: aps
  suspend: "yes"
---
apiVersion: kollect.dev/v1alpha1
kind: [KollectTarget
---
apiVersion: kollect.dev/v1alpha1
kind: KollectTarget
metadata: {name: some, namespace: team}
spec:
  profileRef: apps
  resourceRules:
  - gvk: {group: apps, version: v1, kind: Deployment}
    matchPolicy: 'object.spec.replicas > '
---
apiVersion: kollect.dev/v1alpha1
kind: KollectInventory
metadata: {name: inv, namespace: team}
spec:
  databaseSinkRefs:
  - postgres
---
apiVersion: kollect.dev/v1alpha1
kind: KollectScope
metadata: {name: inv, namespace: team}
spec:
  minExportInterval: 5 minutes
"#;

/// Line, column and field of the ten.
const WANTED: [(u64, u64, &str); 10] = [
    (8, 28, "spec.attributes[0].path"),
    (10, 11, "spec.attributes[1].path"),
    (11, 19, "spec.attributes[2].paht"),
    (13, 21, "spec.metrics[0].path"),
    (19, 15, "spec.profileRef"),
    (20, 12, "spec.suspend"),
    (23, 7, ""),
    (32, 41, "spec.resourceRules[0].matchPolicy"),
    (39, 5, "spec.databaseSinkRefs[0]"),
    (45, 22, "spec.minExportInterval"),
];

fn places(findings: &Value) -> Vec<(u64, u64, &str)> {
    let findings = findings.as_array().expect("an array of findings");
    let number = |finding: &Value, member: &str| finding[member].as_u64().expect("a number");
    findings.iter().map(|f| (number(f, "line"), number(f, "column"), f["field"].as_str().expect("a field"))).collect()
}

#[test]
fn ten_planted_errors_are_ten_located_findings() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "ten.yaml", TEN);
    let ran = kollect(dir.path(), &["validate", "ten.yaml", "--format", "json"]);
    assert_eq!(ran.status, 2, "{}", ran.stderr);
    let findings = ran.json();
    assert_eq!(places(&findings), WANTED, "{findings:#}");
    for finding in findings.as_array().unwrap() {
        assert_eq!((&finding["severity"], &finding["file"]), (&"error".into(), &"ten.yaml".into()), "{finding}");
        assert!(!finding["rule"].as_str().unwrap().is_empty() && !finding["message"].as_str().unwrap().is_empty());
    }
    assert_eq!(findings[0]["kind"], "KollectProfile");
    assert_eq!((&findings[4]["namespace"], &findings[4]["name"]), (&"team".into(), &"all".into()));
    assert_eq!(findings[4]["document"], 2);

    let ran = kollect(dir.path(), &["validate", "ten.yaml"]);
    assert_eq!((ran.status, ran.stdout.as_str()), (2, ""));
    for (line, column, _) in WANTED {
        assert!(ran.stderr.contains(&format!("--> ten.yaml:{line}:{column}\n")), "{line}:{column} in {}", ran.stderr);
    }
    assert!(ran.stderr.contains("8 |     path: \"cel:object.spec.(x\"\n"), "{}", ran.stderr);
    assert!(ran.stderr.contains("|                            ^\n"), "{}", ran.stderr);
    assert!(ran.stderr.contains("10 errors, 0 warnings"), "{}", ran.stderr);
    assert!(!ran.stderr.contains('\u{1b}'));
    let coloured = kollect(dir.path(), &["validate", "ten.yaml", "--color", "always"]);
    assert!(coloured.stderr.contains("\u{1b}["));
}

#[test]
fn what_the_project_ships_is_sound() {
    let root = repository();
    let mut arguments = vec!["validate", "deploy", "deploy/crds", "examples/demo"];
    let collect = root.join("examples/collect").is_dir();
    if collect {
        arguments.push("examples/collect");
    }
    let ran = kollect(&root, &arguments);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert_eq!(ran.stderr, "", "no error and no warning");
    assert!(ran.stdout.starts_with("sound: "), "{}", ran.stdout);
}

const PROFILE: &str = "apiVersion: kollect.dev/v1alpha1
kind: KollectProfile
metadata: {name: p, namespace: a}
spec: {targetGVK: {version: v1, kind: ConfigMap}, attributes: [{name: name, path: $.metadata.name}]}
";

fn target(namespace: &str, profile: &str) -> String {
    format!(
        "apiVersion: kollect.dev/v1alpha1\nkind: KollectTarget\nmetadata: {{name: t, namespace: {namespace}}}\n\
         spec: {{profileRef: {profile}}}\n"
    )
}

#[test]
fn references_are_followed_across_files_and_through_lists() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "set/1.yaml", PROFILE);
    write(dir.path(), "set/2.yml", &target("a", "p"));
    write(dir.path(), "set/notes.txt", "{");
    write(dir.path(), "set/deeper/3.yaml", "{");
    let ran = kollect(dir.path(), &["validate", "--config", "set"]);
    assert_eq!((ran.status, ran.stderr.as_str()), (0, ""));
    assert_eq!(ran.stdout, "sound: 2 Kollect objects in 2 files\n");

    let alone = ["validate", "set/2.yml", "--format", "json"];
    let ran = kollect(dir.path(), &alone);
    assert_eq!((ran.status, &ran.json()[0]["rule"]), (2, &"reference".into()));
    let ran = kollect(dir.path(), &[&alone[..], &["--partial"]].concat());
    assert_eq!((ran.status, ran.stdout.as_str()), (0, "[]\n"));

    let other = format!("{PROFILE}---\n{}", target("b", "p"));
    let ran = kollect_reading(dir.path(), &["validate", "-"], &other);
    assert_eq!(ran.status, 2);
    assert!(ran.stderr.contains("<stdin>:9:") && ran.stderr.contains("in namespace a"), "{}", ran.stderr);

    let indented = |text: &str| text.replace('\n', "\n  ");
    let list =
        format!("apiVersion: v1\nkind: List\nitems:\n- {}\n- {}\n", indented(PROFILE), indented(&target("a", "q")));
    let ran = kollect_reading(dir.path(), &["validate", "-", "--format", "json"], &list);
    let findings = ran.json();
    assert_eq!(places(&findings), [(12, 22, "spec.profileRef")], "{findings:#}");
}

#[test]
fn an_object_that_is_there_twice_is_found() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "a.yaml", PROFILE);
    write(dir.path(), "b.yaml", PROFILE);
    let ran = kollect(dir.path(), &["validate", "a.yaml", "b.yaml", "--format", "json"]);
    let findings = ran.json();
    assert_eq!((ran.status, findings.as_array().unwrap().len()), (2, 1), "{findings:#}");
    assert_eq!((&findings[0]["rule"], &findings[0]["file"]), (&"duplicate".into(), &"b.yaml".into()));
    assert!(findings[0]["message"].as_str().unwrap().contains("a.yaml:3"));
}

#[test]
fn warnings_count_only_when_they_are_denied() {
    let dir = tempfile::tempdir().unwrap();
    let event = "apiVersion: kollect.dev/v1alpha1\nkind: KollectEventSink\nmetadata: {name: e, namespace: a}\n\
                 spec: {type: nats, endpoint: 'nats://nats.example:4222', nats: {subject: inventory}}\n";
    write(dir.path(), "e.yaml", event);
    let ran = kollect(dir.path(), &["validate", "e.yaml"]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert!(ran.stderr.contains("warning[") && ran.stdout.contains("1 warning"), "{}{}", ran.stderr, ran.stdout);
    let ran = kollect(dir.path(), &["validate", "e.yaml", "--deny-warnings"]);
    assert_eq!(ran.status, 1, "{}", ran.stderr);
}

#[test]
fn what_cannot_be_read_ends_with_2() {
    let dir = tempfile::tempdir().unwrap();
    for arguments in
        [&["validate"][..], &["validate", "nothing.yaml"], &["validate", "--config", "."], &["validate", "--nope"]]
    {
        let ran = kollect(dir.path(), arguments);
        assert_eq!((ran.status, ran.stdout.as_str()), (2, ""), "{arguments:?}");
        assert!(!ran.stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn colours_are_for_terminals() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "a.yaml", "kind: x\n");
    for (set, arguments) in [("", &["validate", "a.yaml"][..]), ("1", &["validate", "a.yaml", "--color", "never"])] {
        let output = program(dir.path()).args(arguments).env("NO_COLOR", set).output().unwrap();
        assert!(!output.stderr.contains(&0x1b));
    }
}

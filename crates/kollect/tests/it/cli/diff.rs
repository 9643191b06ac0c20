//! `kollect diff` compares files, directories and revisions.

use super::{kollect, kollect_reading, program, write};
use serde_json::{Value, json};
use std::path::Path;
use std::process::{Command, Stdio};

fn item(uid: &str, image: &str) -> Value {
    json!({
        "targetNamespace": "team", "targetName": "all", "namespace": "shop", "name": format!("web-{uid}"), "version": "v1",
        "kind": "Pod", "uid": uid, "attributes": {"image": image, "labels": {"app.example/x": "1"}},
    })
}

fn yaml_item(uid: &str, image: &str) -> String {
    format!(
        "attributes:\n  image: {image}\n  labels:\n    app.example/x: \"1\"\nkind: Pod\nname: web-{uid}\nnamespace: shop\n\
         targetName: all\ntargetNamespace: team\nuid: {uid}\nversion: v1\n"
    )
}

fn envelope(items: &[Value]) -> String {
    json!({"schemaVersion": "kollect.dev/v1alpha1", "checksum": "", "itemCount": items.len(),
        "exportedAt": "2026-01-01T00:00:00Z", "items": items})
    .to_string()
}

#[test]
fn changes_are_shown_down_to_the_value() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "a.json", &envelope(&[item("u1", "a"), item("u2", "a"), item("u4", "a")]));
    write(dir.path(), "b.json", &envelope(&[item("u1", "b"), item("u3", "a"), item("u4", "a")]));
    let ran = kollect(dir.path(), &["diff", "a.json", "b.json"]);
    assert_eq!((ran.status, ran.stderr.as_str()), (0, ""));
    assert_eq!(
        ran.stdout,
        "- Pod shop/web-u2 (target team/all)\n+ Pod shop/web-u3 (target team/all)\n~ Pod shop/web-u1 (target team/all)\n    \
         attributes.image: \"a\" → \"b\"\n1 added, 1 removed, 1 changed, 1 unchanged\n"
    );
    let ran = kollect(dir.path(), &["diff", "--exit-code", "--format", "json", "a.json", "b.json"]);
    assert_eq!(ran.status, 1);
    let shown = ran.json();
    assert_eq!(shown["summary"], json!({"added": 1, "removed": 1, "changed": 1, "unchanged": 1}));
    assert_eq!(shown["changed"][0]["changes"], json!([{"path": "attributes.image", "before": "a", "after": "b"}]));
    assert_eq!(shown["added"][0]["attributes"]["image"], "a");
    let ran = kollect(dir.path(), &["diff", "--exit-code", "a.json", "a.json"]);
    assert_eq!(ran.status, 0);
    let ran = kollect(dir.path(), &["diff", "--color", "always", "a.json", "b.json"]);
    assert!(ran.stdout.contains("\u{1b}[31m- Pod"), "{}", ran.stdout);
}

#[test]
fn a_tree_that_is_not_whole_is_named_by_its_index_or_manifest() {
    let dir = tempfile::tempdir().unwrap();
    let paths = ["shop/pod/web-u1.yaml", "shop/pod/web-u2.yaml"];
    for place in ["index", "parts", "elsewhere"] {
        write(dir.path(), &format!("{place}/{}", paths[0]), &yaml_item("u1", "a"));
    }
    let index = json!({"schemaVersion": "kollect.dev/v1alpha1", "itemCount": 2, "paths": paths});
    write(dir.path(), "index/inventory/team/all.json", &index.to_string());
    let manifest = json!({
        "kind": "KollectExportSetManifest", "schemaVersion": "kollect.dev/v1alpha1", "cluster": "default",
        "namespace": "team", "name": "all", "generation": 4, "partTotal": 2, "parts": [1, 2], "paths": paths,
    });
    write(dir.path(), "parts/inventory/team/all.manifest.json", &manifest.to_string());
    let other = json!({"schemaVersion": "kollect.dev/v1alpha1", "itemCount": 1, "paths": ["other/root/x.yaml"]});
    write(dir.path(), "elsewhere/index.json", &other.to_string());
    let ran = kollect(dir.path(), &["diff", "index", "parts"]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    for (name, list) in [("index", "inventory/team/all.json"), ("parts", "inventory/team/all.manifest.json")] {
        let wanted = format!(
            "warning: {name}: it is not whole; these files are missing:\n  {}: {list} lists it as part of the snapshot\n",
            paths[1]
        );
        assert!(ran.stderr.contains(&wanted), "{}", ran.stderr);
    }
    let ran = kollect(dir.path(), &["diff", "elsewhere", "elsewhere"]);
    assert_eq!((ran.status, ran.stderr.as_str()), (0, ""), "an index of another folder is ignored");
}

#[test]
fn a_tree_of_rows_equals_a_document_and_foreign_files_are_named() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "tree/shop/pod/web-u1.yaml", &yaml_item("u1", "a"));
    write(dir.path(), "tree/shop/pod/web-u2.yaml", &yaml_item("u2", "a"));
    write(dir.path(), "tree/.kollect/record.json", "{}");
    write(dir.path(), "tree/README.md", "no data");
    let ran = kollect_reading(dir.path(), &["diff", "tree", "-"], &envelope(&[item("u1", "a"), item("u2", "b")]));
    assert_eq!((ran.status, ran.stderr.as_str()), (0, ""));
    assert!(ran.stdout.contains("0 added, 0 removed, 1 changed, 1 unchanged"), "{}", ran.stdout);
    write(dir.path(), "tree/values.yaml", "a: 1\n");
    let ran = kollect(dir.path(), &["diff", "tree", "tree"]);
    assert_eq!(ran.status, 0);
    assert!(ran.stderr.contains("values.yaml") && !ran.stderr.contains("record.json"), "{}", ran.stderr);
}

fn git(repo: &Path, arguments: &[&str]) {
    let ran = Command::new("git")
        .arg("-C")
        .arg(repo)
        .args(["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "init.defaultBranch=main"])
        .args(arguments)
        .output()
        .expect("git starts");
    assert!(ran.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&ran.stderr));
}

#[test]
fn revisions_of_a_repository_are_compared() {
    let dir = tempfile::tempdir().unwrap();
    let repo = dir.path().join("repo");
    write(&repo, "inventory/web-u1.yaml", &yaml_item("u1", "a"));
    write(&repo, "other/web-u9.yaml", &yaml_item("u9", "a"));
    git(&repo, &["init", "-q"]);
    git(&repo, &["add", "."]);
    git(&repo, &["commit", "-qm", "one"]);
    write(&repo, "inventory/web-u1.yaml", &yaml_item("u1", "b"));
    write(&repo, "inventory/web-u2.yaml", &yaml_item("u2", "b"));
    git(&repo, &["add", "."]);
    git(&repo, &["commit", "-qm", "two"]);
    let compare = |before: &str, after: &str| kollect(dir.path(), &["diff", "--repo", "repo", before, after]);
    let ran = compare("git:HEAD~1", "git:main");
    assert!(ran.stdout.contains("1 added, 0 removed, 1 changed, 1 unchanged"), "{}{}", ran.stdout, ran.stderr);
    let ran = compare("git:HEAD~1:inventory", "git:HEAD:inventory/");
    assert!(ran.stdout.contains("1 added, 0 removed, 1 changed, 0 unchanged"), "{}{}", ran.stdout, ran.stderr);
    let ran = compare("git:HEAD:inventory", "repo/inventory");
    assert!(ran.stdout.contains("0 added, 0 removed, 0 changed, 2 unchanged"), "{}{}", ran.stdout, ran.stderr);
    let ran = compare("git:HEAD~1:inventory/web-u1.yaml", "git:HEAD:inventory/web-u1.yaml");
    assert!(ran.stdout.contains("1 changed, 0 unchanged"), "{}{}", ran.stdout, ran.stderr);
    for wrong in ["git:nope", "git:HEAD:nope"] {
        let ran = compare(wrong, "repo/inventory");
        assert_eq!((ran.status, ran.stdout.as_str()), (2, ""));
        assert!(ran.stderr.contains(wrong), "{}", ran.stderr);
    }
}

#[test]
fn what_holds_no_rows_ends_with_2() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "a.json", "{\"a\": 1}");
    for other in ["a.json", "nothing.json"] {
        let ran = kollect(dir.path(), &["diff", other, other]);
        assert_eq!((ran.status, ran.stdout.as_str()), (2, ""));
        assert!(ran.stderr.contains(other), "{}", ran.stderr);
    }
}

#[test]
fn a_reader_that_leaves_is_no_error() {
    let dir = tempfile::tempdir().unwrap();
    let items: Vec<Value> = (0..5_000).map(|i| item(&format!("u{i}"), "a")).collect();
    write(dir.path(), "a.json", &envelope(&[]));
    write(dir.path(), "b.json", &envelope(&items));
    let mut child = program(dir.path())
        .args(["diff", "a.json", "b.json", "--format", "json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(0), ""));
}

//! What manifests hold that cannot be read: named, never silent, and no reason to lose what is known.

use super::{CommandFolder, map, profile, rows, target};
use serde_json::json;
use std::fs;
use std::time::{Duration, Instant};

fn good(name: &str) -> String {
    map("shop", name, name).to_string()
}

/// `v` of every object that was printed.
fn printed(folder: &CommandFolder, args: &[&str], code: i32) -> (Vec<String>, String) {
    let ran = folder.run(&[args, &["--output", "-", "--format", "ndjson"]].concat()).ends(code);
    let records = ran.records();
    (records.first().map(rows).unwrap_or_default(), ran.stderr)
}

#[test]
fn one_broken_file_of_a_folder_is_named_with_line_and_column_and_all_others_are_collected() {
    let folder = CommandFolder::with_maps();
    folder.write("in/a.json", &good("one"));
    folder.write(
        "in/chart/templates/b.yaml",
        "apiVersion: v1\nkind: ConfigMap\n{{- if .Values.on }}\nx: hunter2\n{{- end }}\n",
    );
    folder.write("in/c.yaml", &format!("{}\n---\nkind: [hunter2\n---\n{}\n", good("two"), good("three")));
    folder.write("in/d.ndjson", &format!("{}\n{{\"a\": hunter2}}\n{}\n", good("four"), good("five")));
    let (found, stderr) = printed(&folder, &["--from", "in"], 1);
    assert_eq!(found, ["shop/five=five", "shop/four=four", "shop/one=one", "shop/three=three", "shop/two=two"]);
    for wanted in ["in/chart/templates/b.yaml:3:", "helm template", "in/c.yaml:", "in/d.ndjson:2:7: "] {
        assert!(stderr.contains(wanted), "{wanted}: {stderr}");
    }
    assert!(stderr.contains("3 places could not be read") && !stderr.contains("hunter2"), "{stderr}");
    let tried = folder.run(&["--from", "in", "--output", "out", "--dry-run"]).ends(1).reports("would write");
    assert!(!folder.path("out").exists(), "a dry run ends as the run would, and writes nothing: {}", tried.stderr);
    let (found, _) = printed(&folder, &["--from", "in", "--exclude", "templates", "--exclude", "[cd].*"], 1);
    assert_eq!(found.len(), 5, "brackets are no pattern");
    let (found, stderr) =
        printed(&folder, &["--from", "in", "--exclude", "templates/", "--exclude", "c.*", "--exclude", "*.ndjson"], 0);
    assert_eq!((found.len(), stderr.contains("could not be read")), (1, false));
    folder.write("in/.kollectignore", "# not ours\nchart\n/c.yaml\n*.ndjson\n");
    assert_eq!(printed(&folder, &["--from", "in"], 0).0, ["shop/one=one"]);
    fs::remove_file(folder.path("in/.kollectignore")).unwrap();
    let ran = folder.run(&["--from", "in", "--strict", "--output", "out"]).ends(2).reports("--strict");
    assert!(ran.stderr.contains("in/") && !folder.path("out").exists(), "{}", ran.stderr);
}

#[test]
fn a_row_that_was_written_stays_while_its_manifest_cannot_be_read() {
    let folder = CommandFolder::with_maps();
    let write = |one: &str| {
        folder.write("in/a.yaml", one);
        folder.write("in/b.json", &good("two"));
    };
    let held = || super::tree(&folder.path("out")).values().cloned().collect::<Vec<_>>().join("\n");
    write(&good("one"));
    folder.run(&["--from", "in", "--output", "out"]).ends(0);
    let before = held();
    assert!(before.contains("name: one") && before.contains("name: two"), "{before}");
    let labels = |labels: &str| {
        format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: one, namespace: shop, labels: {labels}}}\n")
    };
    for broken in [
        "kind: [\n".to_owned(),
        "{{ template }}\n".to_owned(),
        labels("{n: 5}"),
        labels("[]"),
        labels("{a: yes}"),
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {generateName: one-, namespace: shop}\n".to_owned(),
        "apiVersion: v1\nkind: ConfigMap\n".to_owned(),
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: 5, namespace: shop}\n".to_owned(),
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: one, namespace: shop}\nmetadata: {}\n".to_owned(),
    ] {
        write(&broken);
        folder.run(&["--from", "in", "--output", "out"]).ends(1).reports("in/a.yaml");
        assert!(held().contains("name: one") && held().contains("name: two"), "{broken}\n{}", held());
    }
    write("# gone\n");
    folder.run(&["--from", "in", "--output", "out"]).ends(0);
    assert!(!held().contains("name: one") && held().contains("name: two"), "{}", held());
}

#[test]
fn labels_that_are_null_are_none_and_every_other_label_that_is_no_text_fails_its_object() {
    let folder = CommandFolder::with_maps();
    let object = |name: &str, labels: &str| {
        format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, namespace: default, labels: {labels}}}\ndata: {{v: x}}\n---\n"
        )
    };
    folder.write(
        "in.yaml",
        &[object("a", ""), object("b", "{a: null}"), object("c", "{a: }"), object("d", "null")].concat(),
    );
    let (found, _) = printed(&folder, &["--from", "in.yaml"], 0);
    assert_eq!(found, ["default/a=x", "default/b=x", "default/c=x", "default/d=x"]);
    folder.write(
        "odd.yaml",
        &[
            object("a", "{a: 5}"),
            object("b", "{a: yes}"),
            object("c", "{a: [x]}"),
            object("d", "{a: {}}"),
            object("e", "x"),
        ]
        .concat(),
    );
    let (_, stderr) = printed(&folder, &["--from", "in.yaml", "--from", "odd.yaml"], 1);
    for (name, why) in
        [("a", "a number"), ("b", "true or false"), ("c", "a list"), ("d", "a map"), ("e", "text, not a map")]
    {
        let named = stderr
            .lines()
            .find(|line| line.contains(&format!("object default/{name}")))
            .unwrap_or_else(|| panic!("{name}: {stderr}"));
        assert!(named.contains(why) && named.contains("odd.yaml:"), "{named}");
    }
}

#[test]
fn a_label_of_a_namespace_that_cannot_be_read_does_not_hide_the_others() {
    let folder = CommandFolder::new();
    let mut selecting = target("maps", "maps", &[]);
    selecting["spec"]["namespaceSelector"] = json!({"matchLabels": {"env": "production"}});
    folder.config("c", &[profile("maps", "", "ConfigMap", &[("v", "$.data.v")]), selecting]);
    let namespace = |labels: &str| {
        folder.write(
            "in/ns.yaml",
            &format!("apiVersion: v1\nkind: Namespace\nmetadata:\n  name: shop\n  labels: {labels}\n"),
        );
    };
    folder.write("in/a.json", &good("one"));
    namespace("{env: production, team: }");
    assert_eq!(printed(&folder, &["--from", "in"], 0).0, ["shop/one=one"]);
    namespace("{env: production, team: 5}");
    let (found, stderr) = printed(&folder, &["--from", "in"], 1);
    assert_eq!(found, ["shop/one=one"]);
    assert!(stderr.contains("in/ns.yaml:1:1: Namespace shop: metadata.labels[\"team\"] is a number"), "{stderr}");
}

#[test]
fn objects_without_a_unique_uid_are_identified_by_kind_namespace_and_name() {
    let folder = CommandFolder::with_maps();
    let object = |name: &str, uid: &str, v: &str| {
        format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, namespace: shop, uid: {uid}}}\ndata: {{v: {v}}}\n---\n"
        )
    };
    let all = [
        object("a", "u1", "1x"),
        object("b", "u1", "2x"),
        object("c", "", "3x"),
        object("d", "", "4x"),
        object("e", "u2", "5x"),
    ];
    folder.write("in/a.yaml", &all.concat());
    folder.write("in/z.yaml", &[object("c", "", "6x"), object("e", "u3", "7x")].concat());
    let (found, stderr) = printed(&folder, &["--from", "in", "-v"], 0);
    assert_eq!(found, ["shop/a=1x", "shop/b=2x", "shop/c=6x", "shop/d=4x", "shop/e=7x"]);
    assert!(stderr.contains("2 repeated"), "{stderr}");
    assert!(stderr.contains("in/z.yaml:1: ConfigMap shop/c stands already in in/a.yaml:"), "{stderr}");
    let quiet = printed(&folder, &["--from", "in"], 0).1;
    assert!(quiet.contains("2 repeated") && !quiet.contains("stands already"), "{quiet}");
}

#[test]
fn objects_without_a_name_fail_one_by_one() {
    let folder = CommandFolder::with_maps();
    let bare = "apiVersion: v1\nkind: ConfigMap\nmetadata: {generateName: a-, namespace: shop}\n";
    folder.write("in.yaml", &format!("{bare}---\n{bare}---\n{}\n", good("one")));
    let (found, stderr) = printed(&folder, &["--from", "in.yaml"], 1);
    assert_eq!(found, ["shop/one=one"]);
    assert!(
        stderr.contains("in.yaml:1") && stderr.contains("in.yaml:5") && stderr.contains("generateName"),
        "{stderr}"
    );
}

#[test]
fn what_is_no_kubernetes_object_is_counted_by_reason_and_named_with_v() {
    let folder = CommandFolder::with_maps();
    folder.write("in/kustomization.yaml", "resources: [a.yaml]\n");
    folder.write("in/status.json", "[1, {\"kind\": \"Status\"}]");
    folder.write("in/a.json", &good("one"));
    let (_, stderr) = printed(&folder, &["--from", "in"], 0);
    assert!(
        stderr.contains("3 that are no Kubernetes objects (1 with not a map, 1 with no kind, 1 with no apiVersion)"),
        "{stderr}"
    );
    let (_, stderr) = printed(&folder, &["--from", "in", "-v"], 0);
    assert!(
        stderr.contains("in/kustomization.yaml:1: no kind") && stderr.contains("in/status.json:1: no apiVersion"),
        "{stderr}"
    );
}

#[test]
fn encodings_numbers_and_sorted_lists_are_read_as_kubectl_reads_them() {
    let folder = CommandFolder::new();
    let things = profile("things", "x.io", "Foo", &[("v", "$.spec")]);
    let mut cluster = target("things", "things", &[]);
    cluster["spec"]["includedNamespaces"] = json!(["default"]);
    folder.config("c", &[things, cluster]);
    let yaml = "apiVersion: x.io/v1\nkind: Foo\nmetadata: {name: a, namespace: default}\nspec: {mode: 0644, commit: 12e34567, on: yes, t: 2024-01-01}\n";
    let spec = |folder: &CommandFolder, name: &str| {
        let ran = folder.run(&["--from", name, "--output", "-", "--format", "ndjson"]).ends(0);
        ran.records()[0]["envelope"]["items"][0]["attributes"]["v"].clone()
    };
    let wanted = json!({"mode": 420, "commit": "12e34567", "true": true, "t": "2024-01-01"});
    folder.write("a.yaml", yaml);
    assert_eq!(spec(&folder, "a.yaml"), wanted);
    for (name, unit) in [("le.yaml", u16::to_le_bytes as fn(u16) -> [u8; 2]), ("be.yaml", u16::to_be_bytes)] {
        let bytes: Vec<u8> = format!("\u{feff}{yaml}").encode_utf16().flat_map(unit).collect();
        fs::write(folder.path(name), bytes).unwrap();
        assert_eq!(spec(&folder, name), wanted, "{name}");
    }
    let sorted = json!({"apiVersion": "x.io/v1", "items": [{"metadata": {"name": "a"}, "spec": 1}], "kind": "FooList"});
    folder.write("list.json", &sorted.to_string());
    assert_eq!(spec(&folder, "list.json"), json!(1));
}

#[test]
fn hostile_texts_end_in_a_located_refusal_soon() {
    let folder = CommandFolder::with_maps();
    let texts = [
        format!("{}1{}", "[".repeat(200), "]".repeat(200)),
        "- ".repeat(100_000),
        "? ".repeat(100_000),
        format!("{}1", "{a: ".repeat(100_000)),
        format!("a: &a {}\nb: [{}]\n", "x".repeat(1 << 20), vec!["*a"; 3000].join(",")),
        (0..200).map(|n| " ".repeat(n) + "a:\n").collect(),
    ];
    for (at, text) in texts.iter().enumerate() {
        let file = folder.write(&format!("in/{at}.yaml"), text);
        folder.write("in/good.json", &good("one"));
        let began = Instant::now();
        let (found, stderr) = printed(&folder, &["--from", "in"], 1);
        assert_eq!(found, ["shop/one=one"]);
        assert!(stderr.contains(&format!("in/{at}.yaml:")), "{at}: {stderr}");
        let path = file.display().to_string();
        for words in [["diff", &path, &path], ["validate", &path, "--color=never"]] {
            let output = std::process::Command::new(env!("CARGO_BIN_EXE_kollect")).args(words).output().unwrap();
            assert!(matches!(output.status.code(), Some(1 | 2)), "{words:?}: {output:?}");
        }
        assert!(began.elapsed() < Duration::from_mins(1), "{at} took {:?}", began.elapsed());
        fs::remove_file(file).unwrap();
    }
    folder.write("in/empty.yaml", &"---\n".repeat(20_000));
    assert_eq!(printed(&folder, &["--from", "in"], 0).0, ["shop/one=one"]);
}

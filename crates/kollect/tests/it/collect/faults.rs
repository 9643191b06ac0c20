//! What manifests hold that cannot be read: named, never silent, and no reason to lose what is known.

use super::{Place, map, profile, rows, target};
use serde_json::json;
use std::fs;
use std::time::{Duration, Instant};

fn good(name: &str) -> String {
    map("shop", name, name).to_string()
}

/// `v` of every object that was printed.
fn printed(place: &Place, args: &[&str], code: i32) -> (Vec<String>, String) {
    let ran = place.run(&[args, &["--output", "-", "--format", "ndjson"]].concat()).ends(code);
    let records = ran.records();
    (records.first().map(rows).unwrap_or_default(), ran.said)
}

#[test]
fn one_broken_file_of_a_folder_is_named_with_line_and_column_and_all_others_are_collected() {
    let place = Place::with_maps();
    place.write("in/a.json", &good("one"));
    place.write(
        "in/chart/templates/b.yaml",
        "apiVersion: v1\nkind: ConfigMap\n{{- if .Values.on }}\nx: hunter2\n{{- end }}\n",
    );
    place.write("in/c.yaml", &format!("{}\n---\nkind: [hunter2\n---\n{}\n", good("two"), good("three")));
    place.write("in/d.ndjson", &format!("{}\n{{\"a\": hunter2}}\n{}\n", good("four"), good("five")));
    let (found, said) = printed(&place, &["--from", "in"], 1);
    assert_eq!(found, ["shop/five=five", "shop/four=four", "shop/one=one", "shop/three=three", "shop/two=two"]);
    for wanted in ["in/chart/templates/b.yaml:3:", "helm template", "in/c.yaml:", "in/d.ndjson:2:7: "] {
        assert!(said.contains(wanted), "{wanted}: {said}");
    }
    assert!(said.contains("3 places could not be read") && !said.contains("hunter2"), "{said}");
    let tried = place.run(&["--from", "in", "--output", "out", "--dry-run"]).ends(1).says("would write");
    assert!(!place.path("out").exists(), "a dry run ends as the run would, and writes nothing: {}", tried.said);
    let (found, _) = printed(&place, &["--from", "in", "--exclude", "templates", "--exclude", "[cd].*"], 1);
    assert_eq!(found.len(), 5, "brackets are no pattern");
    let (found, said) =
        printed(&place, &["--from", "in", "--exclude", "templates/", "--exclude", "c.*", "--exclude", "*.ndjson"], 0);
    assert_eq!((found.len(), said.contains("could not be read")), (1, false));
    place.write("in/.kollectignore", "# not ours\nchart\n/c.yaml\n*.ndjson\n");
    assert_eq!(printed(&place, &["--from", "in"], 0).0, ["shop/one=one"]);
    fs::remove_file(place.path("in/.kollectignore")).unwrap();
    let ran = place.run(&["--from", "in", "--strict", "--output", "out"]).ends(2).says("--strict");
    assert!(ran.said.contains("in/") && !place.path("out").exists(), "{}", ran.said);
}

#[test]
fn a_row_that_was_written_stays_while_its_manifest_cannot_be_read() {
    let place = Place::with_maps();
    let write = |one: &str| {
        place.write("in/a.yaml", one);
        place.write("in/b.json", &good("two"));
    };
    let held = || super::tree(&place.path("out")).values().cloned().collect::<Vec<_>>().join("\n");
    write(&good("one"));
    place.run(&["--from", "in", "--output", "out"]).ends(0);
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
        place.run(&["--from", "in", "--output", "out"]).ends(1).says("in/a.yaml");
        assert!(held().contains("name: one") && held().contains("name: two"), "{broken}\n{}", held());
    }
    write("# gone\n");
    place.run(&["--from", "in", "--output", "out"]).ends(0);
    assert!(!held().contains("name: one") && held().contains("name: two"), "{}", held());
}

#[test]
fn labels_that_are_null_are_none_and_every_other_label_that_is_no_text_fails_its_object() {
    let place = Place::with_maps();
    let object = |name: &str, labels: &str| {
        format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, namespace: default, labels: {labels}}}\ndata: {{v: x}}\n---\n"
        )
    };
    place.write(
        "in.yaml",
        &[object("a", ""), object("b", "{a: null}"), object("c", "{a: }"), object("d", "null")].concat(),
    );
    let (found, _) = printed(&place, &["--from", "in.yaml"], 0);
    assert_eq!(found, ["default/a=x", "default/b=x", "default/c=x", "default/d=x"]);
    place.write(
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
    let (_, said) = printed(&place, &["--from", "in.yaml", "--from", "odd.yaml"], 1);
    for (name, why) in
        [("a", "a number"), ("b", "true or false"), ("c", "a list"), ("d", "a map"), ("e", "text, not a map")]
    {
        let named = said
            .lines()
            .find(|line| line.contains(&format!("object default/{name}")))
            .unwrap_or_else(|| panic!("{name}: {said}"));
        assert!(named.contains(why) && named.contains("odd.yaml:"), "{named}");
    }
}

#[test]
fn a_label_of_a_namespace_that_cannot_be_read_does_not_hide_the_others() {
    let place = Place::new();
    let mut selecting = target("maps", "maps", &[]);
    selecting["spec"]["namespaceSelector"] = json!({"matchLabels": {"env": "production"}});
    place.config("c", &[profile("maps", "", "ConfigMap", &[("v", "$.data.v")]), selecting]);
    let namespace = |labels: &str| {
        place.write(
            "in/ns.yaml",
            &format!("apiVersion: v1\nkind: Namespace\nmetadata:\n  name: shop\n  labels: {labels}\n"),
        );
    };
    place.write("in/a.json", &good("one"));
    namespace("{env: production, team: }");
    assert_eq!(printed(&place, &["--from", "in"], 0).0, ["shop/one=one"]);
    namespace("{env: production, team: 5}");
    let (found, said) = printed(&place, &["--from", "in"], 1);
    assert_eq!(found, ["shop/one=one"]);
    assert!(said.contains("in/ns.yaml:1:1: Namespace shop: metadata.labels[\"team\"] is a number"), "{said}");
}

#[test]
fn objects_are_told_by_kind_namespace_and_name_where_uids_do_not_tell_them() {
    let place = Place::with_maps();
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
    place.write("in/a.yaml", &all.concat());
    place.write("in/z.yaml", &[object("c", "", "6x"), object("e", "u3", "7x")].concat());
    let (found, said) = printed(&place, &["--from", "in", "-v"], 0);
    assert_eq!(found, ["shop/a=1x", "shop/b=2x", "shop/c=6x", "shop/d=4x", "shop/e=7x"]);
    assert!(said.contains("2 repeated"), "{said}");
    assert!(said.contains("in/z.yaml:1: ConfigMap shop/c stands already in in/a.yaml:"), "{said}");
    let quiet = printed(&place, &["--from", "in"], 0).1;
    assert!(quiet.contains("2 repeated") && !quiet.contains("stands already"), "{quiet}");
}

#[test]
fn objects_without_a_name_fail_one_by_one() {
    let place = Place::with_maps();
    let bare = "apiVersion: v1\nkind: ConfigMap\nmetadata: {generateName: a-, namespace: shop}\n";
    place.write("in.yaml", &format!("{bare}---\n{bare}---\n{}\n", good("one")));
    let (found, said) = printed(&place, &["--from", "in.yaml"], 1);
    assert_eq!(found, ["shop/one=one"]);
    assert!(said.contains("in.yaml:1") && said.contains("in.yaml:5") && said.contains("generateName"), "{said}");
}

#[test]
fn what_is_no_kubernetes_object_is_counted_by_reason_and_named_with_v() {
    let place = Place::with_maps();
    place.write("in/kustomization.yaml", "resources: [a.yaml]\n");
    place.write("in/status.json", "[1, {\"kind\": \"Status\"}]");
    place.write("in/a.json", &good("one"));
    let (_, said) = printed(&place, &["--from", "in"], 0);
    assert!(
        said.contains("3 that are no Kubernetes objects (1 with not a map, 1 with no kind, 1 with no apiVersion)"),
        "{said}"
    );
    let (_, said) = printed(&place, &["--from", "in", "-v"], 0);
    assert!(
        said.contains("in/kustomization.yaml:1: no kind") && said.contains("in/status.json:1: no apiVersion"),
        "{said}"
    );
}

#[test]
fn encodings_numbers_and_sorted_lists_are_read_as_kubectl_reads_them() {
    let place = Place::new();
    let things = profile("things", "x.io", "Foo", &[("v", "$.spec")]);
    let mut cluster = target("things", "things", &[]);
    cluster["spec"]["includedNamespaces"] = json!(["default"]);
    place.config("c", &[things, cluster]);
    let yaml = "apiVersion: x.io/v1\nkind: Foo\nmetadata: {name: a, namespace: default}\nspec: {mode: 0644, commit: 12e34567, on: yes, t: 2024-01-01}\n";
    let spec = |place: &Place, name: &str| {
        let ran = place.run(&["--from", name, "--output", "-", "--format", "ndjson"]).ends(0);
        ran.records()[0]["envelope"]["items"][0]["attributes"]["v"].clone()
    };
    let wanted = json!({"mode": 420, "commit": "12e34567", "true": true, "t": "2024-01-01"});
    place.write("a.yaml", yaml);
    assert_eq!(spec(&place, "a.yaml"), wanted);
    for (name, unit) in [("le.yaml", u16::to_le_bytes as fn(u16) -> [u8; 2]), ("be.yaml", u16::to_be_bytes)] {
        let bytes: Vec<u8> = format!("\u{feff}{yaml}").encode_utf16().flat_map(unit).collect();
        fs::write(place.path(name), bytes).unwrap();
        assert_eq!(spec(&place, name), wanted, "{name}");
    }
    let sorted = json!({"apiVersion": "x.io/v1", "items": [{"metadata": {"name": "a"}, "spec": 1}], "kind": "FooList"});
    place.write("list.json", &sorted.to_string());
    assert_eq!(spec(&place, "list.json"), json!(1));
}

#[test]
fn hostile_texts_end_in_a_located_refusal_soon() {
    let place = Place::with_maps();
    let texts = [
        format!("{}1{}", "[".repeat(200), "]".repeat(200)),
        "- ".repeat(100_000),
        "? ".repeat(100_000),
        format!("{}1", "{a: ".repeat(100_000)),
        format!("a: &a {}\nb: [{}]\n", "x".repeat(1 << 20), vec!["*a"; 3000].join(",")),
        (0..200).map(|n| " ".repeat(n) + "a:\n").collect(),
    ];
    for (at, text) in texts.iter().enumerate() {
        let file = place.write(&format!("in/{at}.yaml"), text);
        place.write("in/good.json", &good("one"));
        let began = Instant::now();
        let (found, said) = printed(&place, &["--from", "in"], 1);
        assert_eq!(found, ["shop/one=one"]);
        assert!(said.contains(&format!("in/{at}.yaml:")), "{at}: {said}");
        let path = file.display().to_string();
        for words in [["diff", &path, &path], ["validate", &path, "--color=never"]] {
            let output = std::process::Command::new(env!("CARGO_BIN_EXE_kollect")).args(words).output().unwrap();
            assert!(matches!(output.status.code(), Some(1 | 2)), "{words:?}: {output:?}");
        }
        assert!(began.elapsed() < Duration::from_mins(1), "{at} took {:?}", began.elapsed());
        fs::remove_file(file).unwrap();
    }
    place.write("in/empty.yaml", &"---\n".repeat(20_000));
    assert_eq!(printed(&place, &["--from", "in"], 0).0, ["shop/one=one"]);
}

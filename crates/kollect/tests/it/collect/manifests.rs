//! Objects from files in every form, and what is printed of them.

use super::{CommandFolder, map, profile, rows, target};
use serde_json::json;
use std::io::Read as _;
use std::process::Stdio;

const BOTH: [&str; 2] = ["pay/two=2", "shop/one=1"];

fn two() -> [serde_json::Value; 2] {
    [map("shop", "one", "1"), map("pay", "two", "2")]
}

#[test]
fn every_form_of_manifests_gives_the_same_rows() {
    let [one, two] = two();
    let yaml = "apiVersion: v1\nkind: ConfigMap\nmetadata: {namespace: shop, name: one, uid: uid-shop-one}\ndata: {v: '1'}\n\
                ---\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  namespace: pay\n  name: two\n  uid: uid-pay-two\ndata:\n  v: \"2\"\n";
    let list = json!({"apiVersion": "v1", "items": [one, two], "kind": "List", "metadata": {"resourceVersion": ""}});
    let listed = |text: &str| format!("apiVersion: v1\nitems:\n- {one}\n- {two}\nkind: {text}\n");
    let all = [
        ("a.yaml", yaml.to_owned()),
        ("a.yml", listed("List")),
        ("a.json", list.to_string()),
        ("b.json", serde_json::to_string_pretty(&list).unwrap()),
        ("c.json", json!([one, two]).to_string()),
        ("a.ndjson", format!("{one}\n{two}\n")),
        ("noext", list.to_string()),
        ("noext2", yaml.to_owned()),
    ];
    let folder = CommandFolder::with_maps();
    let expected = folder.run_with(&["--from", "-", "--output", "-"], &[], yaml).ends(0).records();
    assert_eq!(rows(&expected[0]), BOTH);
    for (name, text) in all {
        folder.write(name, &text);
        let records = folder.run(&["--from", name, "--output", "-"]).ends(0).records();
        assert_eq!(rows(&records[0]), BOTH, "{name}");
        assert_eq!(records[0]["envelope"]["checksum"], expected[0]["envelope"]["checksum"], "{name}");
    }
}

#[test]
fn folders_are_read_with_those_below_and_paths_may_be_repeated() {
    let folder = CommandFolder::with_maps();
    folder.write("in/a.json", &map("shop", "one", "1").to_string());
    folder.write("in/deeper/b.yaml", &map("pay", "two", "2").to_string());
    folder.write("in/.hidden.json", &map("pay", "hidden", "3").to_string());
    folder.write("in/readme.md", "{");
    folder.write("more.json", &map("pay", "three", "3").to_string());
    let ran = folder.run(&["--from", "in", "--from", "more.json", "--format", "ndjson"]).ends(0);
    assert_eq!(rows(&ran.records()[0]), ["pay/three=3", "pay/two=2", "shop/one=1"]);
    assert!(ran.stderr.contains("manifests: 3 rows of 1 target"), "{}", ran.stderr);
}

#[test]
fn what_helm_renders_gets_a_namespace_and_a_lasting_uid() {
    let folder = CommandFolder::with_maps();
    let rendered = "---\n# Source: x\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: one}\ndata: {v: '1'}\n";
    let run = |args: &[&str]| {
        let args = [&["--from", "-", "--output", "-"][..], args].concat();
        folder.run_with(&args, &[], rendered).ends(0).records().remove(0)
    };
    let (first, again) = (run(&[]), run(&[]));
    assert_eq!(rows(&first), ["default/one=1"]);
    let uid = first["envelope"]["items"][0]["uid"].as_str().unwrap();
    assert_eq!(uid.len(), 36);
    assert_eq!(again["envelope"]["items"][0]["uid"], uid);
    assert_eq!(rows(&run(&["--namespace", "shop"])), ["shop/one=1"]);
}

#[test]
fn namespaces_of_the_input_select_and_opt_out() {
    let folder = CommandFolder::new();
    let mut selecting = target("maps", "maps", &[]);
    selecting["spec"]["namespaceSelector"] = json!({"matchLabels": {"env": "prod"}});
    folder.config("c", &[profile("maps", "", "ConfigMap", &[("v", "$.data.v")]), selecting]);
    let namespace = |name: &str, labels: serde_json::Value| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}});
    // Namespaces come last, as they may.
    let objects = [
        map("a", "one", "1"),
        map("b", "two", "2"),
        map("c", "three", "3"),
        map("unknown", "four", "4"),
        namespace("a", json!({"env": "prod"})),
        namespace("b", json!({"env": "test"})),
        namespace("c", json!({"env": "prod", "kollect.dev/watch": "disabled"})),
    ];
    folder.write("in.json", &json!({"kind": "List", "apiVersion": "v1", "items": objects}).to_string());
    let ran = folder.run(&["--from", "in.json", "--output", "-"]).ends(0);
    assert_eq!(rows(&ran.records()[0]), ["a/one=1"]);
}

#[test]
fn cluster_targets_scopes_rules_and_suspension_are_honoured() {
    let folder = CommandFolder::new();
    let cluster = json!({
        "apiVersion": "kollect.dev/v1alpha1", "kind": "KollectClusterTarget", "metadata": {"name": "everywhere"},
        "spec": {
            "profileRef": {"name": "maps", "namespace": "team"},
            "namespaceSelector": {"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "Exists"}]},
            "resourceRules": [{"gvk": {"version": "v1", "kind": "ConfigMap"}, "matchPolicy": "object.data.v == '1'"}],
        },
    });
    let scope = json!({
        "apiVersion": "kollect.dev/v1alpha1", "kind": "KollectScope", "metadata": {"name": "s", "namespace": "team"},
        "spec": {"deniedNamespaces": ["pay"]},
    });
    let mut off = target("off", "maps", &[]);
    off["spec"]["suspend"] = json!(true);
    let maps = profile("maps", "", "ConfigMap", &[("v", "$.data.v")]);
    folder
        .config("c", &[maps, target("narrowed", "maps", &[]), cluster, scope, off, target("denied", "maps", &["pay"])]);
    folder.maps(&[("shop", "one", "1"), ("pay", "one", "1"), ("shop", "two", "2")]);
    let ran = folder.run(&["--from", "manifests", "--output", "-"]).ends(1);
    let ran = ran.reports("team/denied: ScopeNamespaceDenied").reports("off team/off: spec.suspend is true");
    let records = ran.records();
    let names: Vec<_> = records
        .iter()
        .map(|r| format!("{}/{}", r["targetNamespace"].as_str().unwrap(), r["targetName"].as_str().unwrap()))
        .collect();
    assert_eq!(names, ["team/narrowed", "cluster/everywhere"]);
    assert_eq!(rows(&records[0]), ["shop/one=1", "shop/two=2"]);
    assert_eq!(rows(&records[1]), ["pay/one=1", "shop/one=1"]);
}

#[test]
fn a_reader_that_goes_is_no_error() {
    let folder = CommandFolder::with_maps();
    let many: Vec<String> = (0..4_000).map(|n| map("shop", &format!("m{n}"), &"x".repeat(100)).to_string()).collect();
    folder.write("in.ndjson", &many.join("\n"));
    for format in ["jsonl", "ndjson", "table", "json", "yaml", "csv"] {
        let mut child = folder
            .command(&["--from", "in.ndjson", "--format", format])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut begin = [0; 16];
        child.stdout.take().unwrap().read_exact(&mut begin).unwrap();
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(0), "{format}: {stderr}");
        assert!(!stderr.contains("roken pipe"), "{format}: {stderr}");
    }
}

//! Exit codes, and that wrong flags and configurations are refused before anything is read.

use super::{CommandFolder, profile, target};
use serde_json::json;

const BARE: &str = "apiVersion: v1\nkind: Config\ncurrent-context: one\nclusters: [{name: c, cluster: {server: 'https://127.0.0.1:1'}}]\nusers: [{name: u, user: {token: t}}]\ncontexts: [{name: one, context: {cluster: c, user: u}}]\n";

#[test]
fn two_fine_targets_end_with_0() {
    let folder = CommandFolder::with_maps();
    folder.config("more", &[target("again", "maps", &["shop"])]);
    folder.maps(&[("shop", "one", "1")]);
    let ran = folder.run(&["--from", "manifests", "--output", "-"]).ends(0);
    assert_eq!(ran.records().len(), 2);
}

#[test]
fn an_object_that_fails_ends_with_1_and_is_named() {
    let folder = CommandFolder::new();
    let strict = profile(
        "maps",
        "",
        "ConfigMap",
        &[("v", "cel:object.data.v.size() > 1 ? object.data.v : object.nothing.at.all")],
    );
    folder.config("c", &[strict, target("maps", "maps", &[])]);
    folder.maps(&[("shop", "good", "12"), ("shop", "bad", "1")]);
    let ran = folder.run(&["--from", "manifests", "--output", "-"]).ends(1);
    assert_eq!(super::rows(&ran.records()[0]), ["shop/good=12"]);
    ran.reports("failed target team/maps, object shop/bad, uid uid-shop-bad: ");
}

#[test]
fn when_nothing_could_be_exported_it_ends_with_2() {
    let folder = CommandFolder::new();
    let scope = json!({
        "apiVersion": "kollect.dev/v1alpha1", "kind": "KollectScope", "metadata": {"name": "s", "namespace": "team"},
        "spec": {"deniedNamespaces": ["shop"]},
    });
    folder.config(
        "c",
        &[profile("maps", "", "ConfigMap", &[("v", "$.data.v")]), target("maps", "maps", &["shop"]), scope],
    );
    folder.maps(&[("shop", "one", "1")]);
    let ran = folder.run(&["--from", "manifests", "--output", "-"]).ends(2).reports("ScopeNamespaceDenied");
    assert_eq!(ran.out, "");
    let json = folder.run(&["--from", "manifests", "--format", "json"]).ends(2);
    assert_eq!(json.out, "[]\n");
}

#[test]
fn wrong_flags_end_with_2_and_name_the_remedy() {
    let folder = CommandFolder::with_maps();
    folder.maps(&[("shop", "one", "1")]);
    folder.write("kubeconfig", BARE);
    for (args, words) in [
        (
            &["--from", "manifests", "--output", "-", "--format", "xml"][..],
            "possible values: table, jsonl, ndjson, json, yaml, csv",
        ),
        (
            &["--from", "manifests", "--output", "out", "--format", "json"],
            "--format: only where rows are printed, as with --output -",
        ),
        (&["--from", "manifests", "--output", "-", "--dry-run"], "--dry-run"),
        (&["--from", "manifests", "--output", ""], "--output: name a directory, or - to print"),
        (&["--from", "manifests", "--dry-run"], "--dry-run: the configuration has no sink"),
        (&["--from", "manifests", "--csv-raw"], "--csv-raw: only with --format csv"),
        (
            &["--from", "manifests", "-o", "wide"],
            "there is no such format; there are table, jsonl, ndjson, json, yaml, csv",
        ),
        (&["--from", "manifests", "-o", "json", "--format", "yaml"], "name two formats"),
        (&["--from", "manifests", "--quiet", "--verbose"], "cannot be used with"),
        (&["--from", "manifests", "--fromat", "json"], "a similar argument exists: '--format'"),
        (&["--from", "manifests", "--context", "one", "--output", "-"], "cannot be used with"),
        (&["--from", "nowhere", "--output", "-"], "cannot read nowhere"),
        (&["--from", "config/none", "--output", "-"], "cannot read config/none"),
        (&["--output", "-"], "there is neither a kubeconfig nor an API server"),
        (
            &["--kubeconfig", "kubeconfig", "--context", "two", "--output", "-"],
            "the kubeconfig has no context \"two\"; it has one",
        ),
        (&["--kubeconfig", "kubeconfig", "--context", "x*", "--output", "-"], "no context matches x*"),
        (
            &["--from", "manifests", "--output", "out", "--path-template", "{oops}"],
            "--path-template: unknown placeholder",
        ),
    ] {
        let ran = folder.run(args).ends(2).reports(words);
        assert_eq!(ran.out, "", "{args:?}");
    }
    assert!(!folder.path("out").exists());
}

#[test]
fn an_invalid_configuration_is_refused_before_anything_is_read() {
    let folder = CommandFolder::new();
    folder.config("c", &[profile("maps", "", "ConfigMap", &[("v", "data.v")]), target("maps", "maps", &[])]);
    folder.run(&["--from", "nowhere", "--output", "-"]).ends(2).reports("c.yaml, document 1: KollectProfile");
    folder.config("c", &[profile("maps", "", "ConfigMap", &[("v", "$.data.v")]), target("maps", "other", &[])]);
    folder.run(&["--from", "nowhere", "--output", "-"]).ends(2).reports("c.yaml, document 2: ");
}

#[test]
fn manifests_of_which_nothing_can_be_read_end_with_2_and_are_named_without_their_content() {
    let folder = CommandFolder::with_maps();
    folder.write("bad.json", "{\"data\": {\"password\": \"hunter2\" oops\n");
    folder.write("bad.yaml", "a: 1\n---\nb: [hunter2\n");
    for (file, words) in [("bad.json", "bad.json:1:33: "), ("bad.yaml", "bad.yaml:3:4: ")] {
        let ran = folder.run(&["--from", file, "--output", "out"]).ends(2).reports(words);
        assert!(!ran.stderr.contains("hunter2"), "{}", ran.stderr);
    }
    assert!(!folder.path("out").exists(), "what could not be read must not be written as empty");
}

#[test]
fn an_output_that_cannot_be_written_ends_with_2() {
    let folder = CommandFolder::with_maps();
    folder.maps(&[("shop", "one", "1")]);
    folder.write("out", "a file");
    folder
        .run(&["--from", "manifests", "--output", "out"])
        .ends(2)
        .reports("--output: out is a file; name a directory");
    assert_eq!(folder.read("out"), "a file");
}

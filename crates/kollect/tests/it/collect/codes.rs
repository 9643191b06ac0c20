//! Exit codes, and that wrong flags and configurations are refused before anything is read.

use super::{Place, profile, target};
use serde_json::json;

const BARE: &str = "apiVersion: v1\nkind: Config\ncurrent-context: one\nclusters: [{name: c, cluster: {server: 'https://127.0.0.1:1'}}]\nusers: [{name: u, user: {token: t}}]\ncontexts: [{name: one, context: {cluster: c, user: u}}]\n";

#[test]
fn two_fine_targets_end_with_0() {
    let place = Place::with_maps();
    place.config("more", &[target("again", "maps", &["shop"])]);
    place.maps(&[("shop", "one", "1")]);
    let ran = place.run(&["--from", "manifests", "--output", "-"]).ends(0);
    assert_eq!(ran.records().len(), 2);
}

#[test]
fn an_object_that_fails_ends_with_1_and_is_named() {
    let place = Place::new();
    let strict = profile(
        "maps",
        "",
        "ConfigMap",
        &[("v", "cel:object.data.v.size() > 1 ? object.data.v : object.nothing.at.all")],
    );
    place.config("c", &[strict, target("maps", "maps", &[])]);
    place.maps(&[("shop", "good", "12"), ("shop", "bad", "1")]);
    let ran = place.run(&["--from", "manifests", "--output", "-"]).ends(1);
    assert_eq!(super::rows(&ran.records()[0]), ["shop/good=12"]);
    ran.says("failed target team/maps, object shop/bad, uid uid-shop-bad: ");
}

#[test]
fn when_nothing_could_be_exported_it_ends_with_2() {
    let place = Place::new();
    let scope = json!({
        "apiVersion": "kollect.dev/v1alpha1", "kind": "KollectScope", "metadata": {"name": "s", "namespace": "team"},
        "spec": {"deniedNamespaces": ["shop"]},
    });
    place.config(
        "c",
        &[profile("maps", "", "ConfigMap", &[("v", "$.data.v")]), target("maps", "maps", &["shop"]), scope],
    );
    place.maps(&[("shop", "one", "1")]);
    let ran = place.run(&["--from", "manifests", "--output", "-"]).ends(2).says("ScopeNamespaceDenied");
    assert_eq!(ran.out, "");
    let json = place.run(&["--from", "manifests", "--format", "json"]).ends(2);
    assert_eq!(json.out, "[]\n");
}

#[test]
fn wrong_flags_end_with_2_and_say_what_to_do() {
    let place = Place::with_maps();
    place.maps(&[("shop", "one", "1")]);
    place.write("kubeconfig", BARE);
    for (args, says) in [
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
        let ran = place.run(args).ends(2).says(says);
        assert_eq!(ran.out, "", "{args:?}");
    }
    assert!(!place.path("out").exists());
}

#[test]
fn an_invalid_configuration_is_refused_before_anything_is_read() {
    let place = Place::new();
    place.config("c", &[profile("maps", "", "ConfigMap", &[("v", "data.v")]), target("maps", "maps", &[])]);
    place.run(&["--from", "nowhere", "--output", "-"]).ends(2).says("c.yaml, document 1: KollectProfile");
    place.config("c", &[profile("maps", "", "ConfigMap", &[("v", "$.data.v")]), target("maps", "other", &[])]);
    place.run(&["--from", "nowhere", "--output", "-"]).ends(2).says("c.yaml, document 2: ");
}

#[test]
fn manifests_of_which_nothing_can_be_read_end_with_2_and_are_named_without_their_content() {
    let place = Place::with_maps();
    place.write("bad.json", "{\"data\": {\"password\": \"hunter2\" oops\n");
    place.write("bad.yaml", "a: 1\n---\nb: [hunter2\n");
    for (file, says) in [("bad.json", "bad.json:1:33: "), ("bad.yaml", "bad.yaml:3:4: ")] {
        let ran = place.run(&["--from", file, "--output", "out"]).ends(2).says(says);
        assert!(!ran.said.contains("hunter2"), "{}", ran.said);
    }
    assert!(!place.path("out").exists(), "what could not be read must not be written as empty");
}

#[test]
fn an_output_that_cannot_be_written_ends_with_2() {
    let place = Place::with_maps();
    place.maps(&[("shop", "one", "1")]);
    place.write("out", "a file");
    place.run(&["--from", "manifests", "--output", "out"]).ends(2).says("--output: out is a file; name a directory");
    assert_eq!(place.read("out"), "a file");
}

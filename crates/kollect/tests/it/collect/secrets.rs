//! Values of Secrets come from the directory or the environment, and go nowhere but to the sink.

use super::CommandFolder;
use serde_json::{Value, json};

const TOKEN: &str = "planted-token-value";

fn with_sink(value: &str) -> CommandFolder {
    let folder = CommandFolder::with_maps();
    folder.maps(&[("shop", "one", "1")]);
    let meta = |name: &str| json!({"name": name, "namespace": "team"});
    let sink: Value = json!({
        "apiVersion": "kollect.dev/v1alpha1", "kind": "KollectSnapshotSink", "metadata": meta("git"),
        "spec": {"type": "git", "endpoint": "http://127.0.0.1:1/x.git", "secretRef": {"name": "login"}},
    });
    let secret =
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": meta("login"), "stringData": {"token": value}});
    folder.config("sink", &[sink, secret]);
    folder
}

#[test]
fn a_value_of_the_environment_reaches_the_sink_alone() {
    let folder = with_sink("${env:SINK_TOKEN}");
    let args = ["--from", "manifests", "--log-level", "debug"];
    let ran = folder
        .run_with(&args, &[("SINK_TOKEN", TOKEN)], "")
        .ends(2)
        .reports("failed team/maps to KollectSnapshotSink git");
    assert!(!ran.stderr.contains(TOKEN) && !ran.out.contains(TOKEN), "{}", ran.stderr);
}

#[test]
fn a_variable_that_is_missing_or_empty_is_named() {
    let folder = with_sink("${env:SINK_TOKEN}");
    let words = "Secret login, key token: the environment variable SINK_TOKEN is not set or empty";
    folder.run(&["--from", "manifests"]).ends(2).reports(words);
    folder.run_with(&["--from", "manifests"], &[("SINK_TOKEN", "")], "").ends(2).reports(words);
}

#[test]
fn data_of_collected_secrets_is_never_printed() {
    let folder = CommandFolder::new();
    let attributes = [("data", "$.data"), ("type", "$.type")];
    folder.config("c", &[super::profile("s", "", "Secret", &attributes), super::target("s", "s", &[])]);
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a", "namespace": "shop"}, "type": "Opaque",
        "data": {"k": "cGxhbnRlZA=="}, "stringData": {"k2": TOKEN},
    });
    folder.write("in.json", &secret.to_string());
    for format in ["ndjson", "table", "csv", "yaml"] {
        let ran = folder.run(&["--from", "in.json", "--format", format, "--log-level", "debug"]);
        for text in [&ran.out, &ran.stderr] {
            assert!(!text.contains("cGxhbnRlZA") && !text.contains("planted"), "{format}: {text}");
        }
    }
}

//! Values of Secrets come from the directory or the environment, and go nowhere but to the sink.

use super::Place;
use serde_json::{Value, json};

const TOKEN: &str = "planted-token-value";

fn with_sink(value: &str) -> Place {
    let place = Place::with_maps();
    place.maps(&[("shop", "one", "1")]);
    let meta = |name: &str| json!({"name": name, "namespace": "team"});
    let sink: Value = json!({
        "apiVersion": "kollect.dev/v1alpha1", "kind": "KollectSnapshotSink", "metadata": meta("git"),
        "spec": {"type": "git", "endpoint": "http://127.0.0.1:1/x.git", "secretRef": {"name": "login"}},
    });
    let secret =
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": meta("login"), "stringData": {"token": value}});
    place.config("sink", &[sink, secret]);
    place
}

#[test]
fn a_value_of_the_environment_reaches_the_sink_and_nobody_else() {
    let place = with_sink("${env:SINK_TOKEN}");
    let args = ["--from", "manifests", "--log-level", "debug"];
    let ran =
        place.run_with(&args, &[("SINK_TOKEN", TOKEN)], "").ends(2).says("failed team/maps to KollectSnapshotSink git");
    assert!(!ran.said.contains(TOKEN) && !ran.out.contains(TOKEN), "{}", ran.said);
}

#[test]
fn a_variable_that_is_missing_or_empty_is_named() {
    let place = with_sink("${env:SINK_TOKEN}");
    let says = "Secret login, key token: the environment variable SINK_TOKEN is not set or empty";
    place.run(&["--from", "manifests"]).ends(2).says(says);
    place.run_with(&["--from", "manifests"], &[("SINK_TOKEN", "")], "").ends(2).says(says);
}

#[test]
fn data_of_collected_secrets_is_never_printed() {
    let place = Place::new();
    let attributes = [("data", "$.data"), ("type", "$.type")];
    place.config("c", &[super::profile("s", "", "Secret", &attributes), super::target("s", "s", &[])]);
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a", "namespace": "shop"}, "type": "Opaque",
        "data": {"k": "cGxhbnRlZA=="}, "stringData": {"k2": TOKEN},
    });
    place.write("in.json", &secret.to_string());
    for format in ["ndjson", "table", "csv", "yaml"] {
        let ran = place.run(&["--from", "in.json", "--format", format, "--log-level", "debug"]);
        for text in [&ran.out, &ran.said] {
            assert!(!text.contains("cGxhbnRlZA") && !text.contains("planted"), "{format}: {text}");
        }
    }
}

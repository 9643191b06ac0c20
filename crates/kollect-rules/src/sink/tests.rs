//! Broken sinks, one rule at a time.

use super::*;
use serde_json::{Value, json};

/// `base` with the members of `more`.
fn with(mut base: Value, more: &Value) -> Value {
    for (key, value) in more.as_object().unwrap() {
        base[key] = value.clone();
    }
    base
}

fn snapshot(spec: &Value) -> Vec<String> {
    let spec = with(json!({"type": "git", "endpoint": "https://git.example/x.git"}), spec);
    check_snapshot_sink(&serde_json::from_value(spec).unwrap()).into_iter().map(|v| v.field).collect()
}

fn postgres(spec: &Value) -> Vec<String> {
    let spec = with(json!({"type": "postgres", "postgres": {"databaseRef": {"name": "s"}, "table": "t"}}), spec);
    check_database_sink(&serde_json::from_value(spec).unwrap()).into_iter().map(|v| v.field).collect()
}

#[test]
fn sound_sinks_pass() {
    for spec in [
        json!({}),
        json!({"git": {"branch": "team/inventory-1.2"}, "layout": {"mode": "split"}}),
        json!({"type": "gitlab", "serialization": {"format": "ndjson"}}),
        json!({"type": "s3", "endpoint": "s3://b", "serialization": {"format": "csv"}, "objectStore": {}}),
        json!({"options": {"storageClass": "GLACIER"}, "pathTemplate": "", "exportMinInterval": "0"}),
    ] {
        assert_eq!(snapshot(&spec), [""; 0], "{spec}");
    }
    assert_eq!(postgres(&json!({"pathTemplate": "{namespace}/{name}"})), [""; 0]);
}

#[test]
fn each_broken_rule_of_a_snapshot_sink_is_named_with_its_field() {
    for (spec, field) in [
        (json!({"endpoint": " "}), "spec.endpoint"),
        (json!({"gitlab": {}}), "spec.gitlab"),
        (json!({"objectStore": {}}), "spec.objectStore"),
        (json!({"http": {}}), "spec.http"),
        (json!({"type": "gitlab", "git": {}}), "spec.git"),
        (json!({"type": "s3", "layout": {}}), "spec.layout"),
        (json!({"type": "gcs", "serialization": {"format": "yaml"}}), "spec.serialization.format"),
        (json!({"serialization": {"format": "parquet"}}), "spec.serialization.format"),
        (json!({"pathTemplate": "{name}"}), "spec.pathTemplate"),
        (json!({"exportMinInterval": "25h"}), "spec.exportMinInterval"),
        (json!({"secretRef": {"name": ""}}), "spec.secretRef.name"),
        (json!({"tls": {"caSecretRef": {"name": ""}}}), "spec.tls.caSecretRef.name"),
        (json!({"options": {"AWS_Secret_Key": "x"}}), "spec.options[AWS_Secret_Key]"),
        (json!({"provisioning": {"naming": {"template": "x"}}}), "spec.provisioning.naming.template"),
        (json!({"layout": {"pathTemplate": "{kind}"}}), "spec.layout.pathTemplate"),
        (json!({"layout": {"index": {"pathTemplate": "x"}}}), "spec.layout.index.pathTemplate"),
        (json!({"git": {"auth": {"secretRef": {"name": " "}}}}), "spec.git.auth.secretRef.name"),
        (
            json!({"type": "gitlab", "gitlab": {"mergeRequest": {"mode": "merge_request"}}}),
            "spec.gitlab.mergeRequest.targetBranch",
        ),
    ] {
        assert_eq!(snapshot(&spec), [field], "{spec}");
    }
    for branch in ["-x", "a..b", "x.", "x.lock", "refs/heads/x", "a b", "@", "a@{1}", "/a", "a/"] {
        assert_eq!(snapshot(&json!({"git": {"branch": branch}})), ["spec.git.branch"], "{branch}");
    }
}

#[test]
fn each_broken_rule_of_a_database_sink_is_named_with_its_field() {
    for (spec, fields) in [
        (json!({"layout": {}}), vec!["spec.layout"]),
        (json!({"postgres": null}), vec!["spec.postgres"]),
        (json!({"mongodb": {"databaseRef": {"name": "s"}, "database": "d", "collection": "c"}}), vec!["spec.mongodb"]),
        (
            json!({"postgres": {"databaseRef": {"name": ""}, "table": " "}}),
            vec!["spec.postgres.databaseRef.name", "spec.postgres.table"],
        ),
        (json!({"serialization": {"format": "yaml"}}), vec!["spec.serialization.format"]),
        (
            json!({"type": "bigquery", "postgres": null,
                "bigquery": {"project": "", "dataset": "", "table": "", "secretRef": {"name": ""}}}),
            vec![
                "spec.bigquery.project",
                "spec.bigquery.dataset",
                "spec.bigquery.table",
                "spec.bigquery.secretRef.name",
            ],
        ),
    ] {
        assert_eq!(postgres(&spec), fields, "{spec}");
    }
}

#[test]
fn an_option_that_holds_a_credential_is_not_repeated() {
    let spec = json!({"type": "git", "endpoint": "https://h/x", "options": {"apiToken": "hunter2"}});
    let found = check_snapshot_sink(&serde_json::from_value(spec).unwrap());
    assert!(!format!("{found:?}").contains("hunter2"));
}

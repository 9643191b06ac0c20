//! The CRDs and their snapshots: every change of a schema must be visible in a review.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kollect_api::{KollectInventory, KollectSnapshotSink, KollectTarget, all_crds};
use serde_json::{Value, json};
use std::path::PathBuf;

fn snapshot(plural: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/snapshots/{plural}.json"))
}

/// `UPDATE_SNAPSHOTS=1 cargo test -p kollect-api` rewrites the files.
#[test]
fn every_crd_equals_its_snapshot() {
    for crd in all_crds() {
        let plural = crd.spec.names.plural.clone();
        let text = serde_json::to_string_pretty(&crd).unwrap() + "\n";
        let path = snapshot(&plural);
        if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        let known = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(known == text, "{plural} changed; review the change and run with UPDATE_SNAPSHOTS=1");
    }
}

fn schema(crd: &CustomResourceDefinition) -> Value {
    json!(crd.spec.versions[0].schema)["openAPIV3Schema"].take()
}

fn crd(plural: &str) -> CustomResourceDefinition {
    let mut crds = all_crds();
    crds.retain(|crd| crd.spec.names.plural == plural);
    crds.remove(0)
}

/// Visits every property with its path.
fn visit(at: &str, node: &Value, each: &mut dyn FnMut(&str, &Value)) {
    each(at, node);
    if let Some(properties) = node.get("properties").and_then(Value::as_object) {
        for (name, child) in properties {
            visit(&format!("{at}.{name}"), child, each);
        }
    }
    for inner in ["items", "additionalProperties"] {
        if let Some(child) = node.get(inner).filter(|child| child.is_object()) {
            visit(&format!("{at}[]"), child, each);
        }
    }
}

#[test]
fn every_field_is_described_and_structural() {
    for crd in all_crds() {
        for root in ["spec", "status"] {
            let schema = schema(&crd);
            visit(root, &schema["properties"][root], &mut |at, node| {
                let place = format!("{} {at}: {node}", crd.spec.names.kind);
                let untyped = node.get("x-kubernetes-preserve-unknown-fields").is_some();
                assert!(node.get("type").is_some() || untyped, "no type: {place}");
                assert!(node.get("anyOf").is_none() && node.get("oneOf").is_none(), "not structural: {place}");
                assert!(at.ends_with(']') || node.get("description").is_some(), "no description: {place}");
            });
        }
    }
}

#[test]
fn only_the_known_fields_have_defaults() {
    let mut defaults = Vec::new();
    for crd in all_crds() {
        visit("spec", &schema(&crd)["properties"]["spec"], &mut |at, node| {
            if let Some(default) = node.get("default") {
                defaults.push(format!("{} {at}={default}", crd.spec.names.kind));
            }
        });
    }
    assert_eq!(
        defaults,
        [
            "KollectProfile spec.export.as=\"resource\"",
            "KollectProfile spec.export.include=\"SpecAndStatus\"",
            "KollectProfile spec.export.mode=\"Attributes\"",
            "KollectTarget spec.watchMode=\"All\"",
            "KollectInventory spec.deletionPolicy=\"Delete\"",
            "KollectInventory spec.partitioning=\"Auto\"",
            "KollectConnectionTest spec.ttlSecondsAfterFinished=300",
            "KollectClusterInventory spec.dedupe=\"keepAll\"",
            "KollectClusterInventory spec.deletionPolicy=\"Delete\"",
            "KollectClusterInventory spec.partitioning=\"Auto\"",
            "KollectClusterInventory spec.sinkNamespace=\"kollect-system\"",
        ]
    );
}

#[test]
fn sink_references_have_no_type_and_every_kind_has_a_status() {
    for plural in ["kollectinventories", "kollectclusterinventories"] {
        let inventory = schema(&crd(plural));
        for list in ["snapshotSinkRefs", "databaseSinkRefs", "eventSinkRefs"] {
            let refs = &inventory["properties"]["spec"]["properties"][list];
            assert_eq!(refs["items"].get("type"), None);
            assert_eq!(refs["items"]["x-kubernetes-preserve-unknown-fields"], json!(true));
            // A set of objects cannot be applied server-side.
            assert_eq!((&refs["x-kubernetes-list-type"], &refs["maxItems"]), (&json!("atomic"), &json!(20)));
        }
    }
    for crd in all_crds() {
        let version = &crd.spec.versions[0];
        assert!(version.subresources.as_ref().unwrap().status.is_some(), "{}", crd.spec.names.kind);
    }
}

#[test]
fn no_field_may_be_null_and_every_rule_names_its_remedy() {
    for crd in all_crds() {
        visit("", &schema(&crd), &mut |at, node| {
            let place = format!("{} {at}", crd.spec.names.kind);
            assert_eq!(node.get("nullable"), None, "{place}");
            let values = node.get("enum").and_then(Value::as_array);
            assert!(values.is_none_or(|values| !values.contains(&Value::Null)), "{place}");
            for rule in node.get("x-kubernetes-validations").and_then(Value::as_array).into_iter().flatten() {
                assert!(rule["message"].as_str().is_some_and(|text| text.len() > 10), "{place}: {rule}");
            }
        });
    }
}

#[test]
fn every_kind_is_listed_by_its_category_and_short_name() {
    let names: Vec<_> = all_crds()
        .into_iter()
        .map(|crd| {
            (crd.spec.names.categories.unwrap_or_default().join(","), crd.spec.names.short_names.unwrap().join(","))
        })
        .collect();
    let short: Vec<&str> = names.iter().map(|(_, short)| short.as_str()).collect();
    assert_eq!(
        short,
        ["kprof", "ktgt", "kinv", "ksnap", "kdb", "kevt", "kconntest", "kscope", "kcscope", "kctgt", "kcinv"]
    );
    assert!(names.iter().all(|(category, _)| category == "kollect"), "{names:?}");
}

#[test]
fn the_required_fields_are_the_documented_ones() {
    let mut required = Vec::new();
    for crd in all_crds() {
        visit("spec", &schema(&crd)["properties"]["spec"], &mut |at, node| {
            if at.contains("xpressions") {
                return;
            }
            if let Some(list) = node.get("required").and_then(Value::as_array) {
                let list: Vec<_> = list.iter().filter_map(Value::as_str).collect();
                required.push(format!("{} {at}: {}", crd.spec.names.short_names.as_ref().unwrap()[0], list.join(" ")));
            }
        });
    }
    assert_eq!(
        required,
        [
            "kprof spec: targetGVK",
            "kprof spec.attributes[]: name path",
            "kprof spec.metrics[]: name path",
            "kprof spec.targetGVK: kind version",
            "ktgt spec: profileRef",
            "ktgt spec.resourceRules[]: gvk",
            "ktgt spec.resourceRules[].gvk: kind version",
            "kinv spec.databaseSinkRefs[]: name",
            "kinv spec.eventSinkRefs[]: name",
            "kinv spec.snapshotSinkRefs[]: name",
            "ksnap spec: type",
            "ksnap spec.git.auth.secretRef: name",
            "ksnap spec.secretRef: name",
            "ksnap spec.tls.caSecretRef: name",
            "kdb spec: type",
            "kdb spec.bigquery: dataset project table",
            "kdb spec.bigquery.secretRef: name",
            "kdb spec.mongodb: collection database databaseRef",
            "kdb spec.mongodb.databaseRef: name",
            "kdb spec.postgres: databaseRef table",
            "kdb spec.postgres.databaseRef: name",
            "kdb spec.secretRef: name",
            "kdb spec.tls.caSecretRef: name",
            "kevt spec: type",
            "kevt spec.kafka: brokers topic",
            "kevt spec.kafka.secretRef: name",
            "kevt spec.nats: subject",
            "kevt spec.nats.secretRef: name",
            "kevt spec.secretRef: name",
            "kevt spec.tls.caSecretRef: name",
            "kconntest spec: sinkRef",
            "kscope spec.allowedGVKs[]: kind version",
            "kcscope spec.allowedGVKs[]: kind version",
            "kctgt spec: profileRef",
            "kctgt spec.profileRef: name",
            "kctgt spec.resourceRules[]: gvk",
            "kctgt spec.resourceRules[].gvk: kind version",
            "kcinv spec.databaseSinkRefs[]: name",
            "kcinv spec.eventSinkRefs[]: name",
            "kcinv spec.profileRef: name",
            "kcinv spec.snapshotSinkRefs[]: name",
        ]
    );
}

#[test]
fn a_manifest_is_read_and_written_back_unchanged() {
    let target = json!({
        "apiVersion": "kollect.dev/v1alpha1", "kind": "KollectTarget",
        "metadata": {"name": "t", "namespace": "shop"},
        "spec": {
            "profileRef": "p", "watchMode": "OptIn", "names": ["a"],
            "namespaceSelector": {"matchLabels": {"team": "shop"}},
            "resourceRules": [{
                "gvk": {"version": "v1", "kind": "ConfigMap"},
                "matchExpressions": [{"key": "k", "operator": "Exists"}],
                "matchPolicy": "has(object.data)"
            }]
        },
        "status": {"collectedCount": 0}
    });
    let typed: KollectTarget = serde_json::from_value(target.clone()).unwrap();
    assert_eq!(serde_json::to_value(typed).unwrap(), target);
    let sink = json!({
        "apiVersion": "kollect.dev/v1alpha1", "kind": "KollectSnapshotSink",
        "metadata": {"name": "g", "namespace": "shop"},
        "spec": {
            "type": "git", "endpoint": "https://git.example/x.git", "secretRef": {"name": "s"},
            "tls": {"caBundle": "QUJD"}, "exportMinInterval": "1m",
            "layout": {"mode": "perResource", "filename": {"maxSegmentLength": 40}},
            "serialization": {"format": "ndjson"}, "git": {"engine": "go-git", "auth": {"type": "ssh"}}
        }
    });
    let typed: KollectSnapshotSink = serde_json::from_value(sink.clone()).unwrap();
    assert_eq!(serde_json::to_value(typed).unwrap(), sink);
}

#[test]
fn a_bad_value_that_the_schema_lets_through_does_not_break_decoding() {
    let inventory: KollectInventory = serde_json::from_value(json!({
        "apiVersion": "kollect.dev/v1alpha1", "kind": "KollectInventory", "metadata": {"name": "i"},
        "spec": {"exportMinInterval": "soon", "snapshotSinkRefs": [1, "git"]}
    }))
    .unwrap();
    assert!(inventory.spec.export_min_interval.unwrap().to_duration().is_err());
    assert_eq!(inventory.spec.snapshot_sink_refs.len(), 2);
}

//! What an API server accepts of each kind by the CRDs alone. With the webhook, `webhook::cases` sends the same files.

pub(crate) mod cases;
mod fields;

use cases::{Case, Verdict};
use kollect_testkit::servers::{ApiServer, ApiServerOptions, wait_for};
use kollect_testkit::{operator, scene};
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

/// Creates the namespaces that the cases name.
pub(crate) async fn namespaces_of(client: &kube::Client, cases: &[Case]) -> anyhow::Result<()> {
    let names: BTreeSet<&str> = cases.iter().flat_map(Case::namespaces).filter(|name| !name.is_empty()).collect();
    for name in names {
        operator::apply(client, scene::namespace(name)).await?;
    }
    Ok(())
}

/// An API server that serves the kinds.
async fn server() -> anyhow::Result<(ApiServer, kube::Client)> {
    let api = ApiServer::start(ApiServerOptions::default()).await?;
    let client = api.admin().await?;
    let crds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/crds");
    operator::install_crds(&client, &crds).await?;
    // Established comes a moment before the paths are served.
    for crd in kollect_api::all_crds() {
        let path = format!("/apis/kollect.dev/v1alpha1/{}", crd.spec.names.plural);
        wait_for(&format!("{path} served"), Duration::from_secs(30), async || {
            let list = kube::core::Request::new(path.as_str()).list(&kube::api::ListParams::default())?;
            Ok(client.request::<Value>(list).await.is_ok())
        })
        .await?;
    }
    Ok((api, client))
}

#[tokio::test]
async fn without_a_webhook_the_crds_decide_every_case_as_expected() -> anyhow::Result<()> {
    let (_api, client) = server().await?;
    let cases = cases::all()?;
    namespaces_of(&client, &cases).await?;
    let mut failures = Vec::new();
    for case in &cases {
        if let Some(why) = case.judge(&case.send(&client).await?, false) {
            failures.push(format!("{}\n    {why}", case.file));
        }
    }
    let (failed, all) = (failures.len(), cases.len());
    anyhow::ensure!(failures.is_empty(), "{failed} of {all} cases fail:\n{}", failures.join("\n"));
    Ok(())
}

#[tokio::test]
async fn every_field_is_described_to_users() -> anyhow::Result<()> {
    let (_api, client) = server().await?;
    let silent = fields::undescribed(&client).await?;
    anyhow::ensure!(silent.is_empty(), "no description: {}", silent.join(", "));
    Ok(())
}

/// Applied twice, so that the second one is merged into what is stored.
#[tokio::test]
async fn accepted_objects_can_be_applied_server_side() -> anyhow::Result<()> {
    let (_api, client) = server().await?;
    let cases: Vec<Case> = cases::all()?.into_iter().filter(|case| case.verdict == Verdict::Accepted).collect();
    namespaces_of(&client, &cases).await?;
    let mut failures = Vec::new();
    for (i, mut case) in cases.into_iter().enumerate() {
        let name = format!("case-{i}");
        case.object["metadata"]["name"] = json!(name);
        for manager in ["one", "other"] {
            let params = PatchParams::apply(manager).force();
            let api = operator::api_of(&client, &case.object);
            if let Err(error) = api.patch(&name, &params, &Patch::Apply(&case.object)).await {
                failures.push(format!("{}: {error}", case.file));
            }
        }
    }
    anyhow::ensure!(failures.is_empty(), "{}", failures.join("\n"));
    Ok(())
}

fn object(kind: &str, spec: &Value) -> Value {
    let metadata = json!({"name": "large", "namespace": "default"});
    json!({"apiVersion": "kollect.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec})
}

#[tokio::test]
async fn the_largest_objects_are_accepted() -> anyhow::Result<()> {
    let (_api, client) = server().await?;
    let names: Vec<String> = (0..256).map(|i| format!("attribute-{i}")).collect();
    let long: Vec<Value> =
        names.iter().map(|name| json!({"name": name, "path": format!("$.{}", "x".repeat(8190))})).collect();
    let short: Vec<Value> = (0..512).map(|i| json!({"name": format!("attribute-{i}"), "path": "$.x"})).collect();
    let metrics: Vec<Value> = (0..128)
        .map(|i| json!({"name": format!("m{i}"), "path": "attribute-511", "labels": &names[names.len() - 5..]}))
        .collect();
    let gvk = json!({"version": "v1", "kind": "ConfigMap"});
    let namespaces: Vec<String> = (0..4096).map(|i| format!("namespace-{i}")).collect();
    let refs = json!(["git", {"name": "s3", "exportMinInterval": "1m"}, {"name": "gcs", "maxExportBytes": 1}]);
    for object in [
        object("KollectProfile", &json!({"targetGVK": gvk, "attributes": long})),
        object("KollectProfile", &json!({"targetGVK": gvk, "attributes": short, "metrics": metrics})),
        object("KollectTarget", &json!({"profileRef": "p", "includedNamespaces": namespaces})),
        object("KollectScope", &json!({"allowedNamespaces": namespaces, "deniedNamespaces": namespaces})),
        object("KollectInventory", &json!({"snapshotSinkRefs": refs, "databaseSinkRefs": ["pg"]})),
        object("KollectInventory", &json!({"snapshotSinkRefs": [{"name": "git"}], "eventSinkRefs": ["kafka", "nats"]})),
    ] {
        let answer = cases::create(&client, &object, "dryRun=All&fieldValidation=Strict").await?;
        anyhow::ensure!(answer.status == 201, "{}: {}", object["kind"], answer.message);
    }
    Ok(())
}

#[tokio::test]
async fn a_status_has_room_for_sixty_sinks() -> anyhow::Result<()> {
    let (_api, client) = server().await?;
    let sinks = |count: usize| -> Vec<Value> {
        let exports = (0..count).map(|i| json!({"name": format!("snapshot/s{i}"), "lastChecksum": "ab"}));
        exports.collect()
    };
    for kind in ["KollectInventory", "KollectClusterInventory"] {
        let mut object = object(kind, &json!({"namespaces": ["a"]}));
        if kind == "KollectInventory" {
            object["spec"] = json!({});
        } else {
            object["metadata"] = json!({"name": "large"});
        }
        operator::apply(&client, object.clone()).await?;
        let api = operator::api_of(&client, &object);
        for (count, fits) in [(60, true), (61, false)] {
            let patch = Patch::Merge(json!({"status": {"sinkExports": sinks(count)}}));
            let stored = api.patch_status("large", &PatchParams::default(), &patch).await;
            anyhow::ensure!(stored.is_ok() == fits, "{kind} with {count}: {stored:?}");
        }
    }
    Ok(())
}

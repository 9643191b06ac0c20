//! Rights that are missing and come later, and kinds that are not served yet.

use crate::cluster::{PATIENCE, TestCluster, config_map, config_maps, key, target};
use k8s_openapi::api::core::v1::ConfigMap;
use kollect_model::Gvk;
use kollect_store::PartState;
use kollect_testkit::fault_proxy::{HttpAction, HttpProxy, HttpRule};
use kollect_testkit::servers::{ApiServer, ApiServerOptions, client_from_kubeconfig, wait_for};
use kube::api::{Api, ListParams};
use serde_json::{Value, json};

const SYSTEM: &str = "kollect-system";

fn role(namespace: &str) -> [Value; 2] {
    let rule = json!({"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list", "watch"]});
    let subject = json!({"kind": "ServiceAccount", "name": "kollect", "namespace": SYSTEM});
    let metadata = json!({"name": "kollect", "namespace": namespace});
    let rbac = "rbac.authorization.k8s.io";
    [
        json!({"apiVersion": format!("{rbac}/v1"), "kind": "Role", "metadata": metadata, "rules": [rule]}),
        json!({"apiVersion": format!("{rbac}/v1"), "kind": "RoleBinding", "metadata": metadata, "subjects": [subject],
            "roleRef": {"apiGroup": rbac, "kind": "Role", "name": "kollect"}}),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_denied_namespace_stays_lost_until_the_right_is_granted_and_disturbs_no_other() -> anyhow::Result<()> {
    let server = ApiServer::start(ApiServerOptions::default()).await?;
    let token = server.service_account_token(SYSTEM, "kollect").await?;
    let cluster = TestCluster::new(&server, Some(&token)).await?;
    cluster.namespaces(&["open", "closed"]).await?;
    for object in role("open") {
        cluster.apply(object).await?;
    }
    cluster.apply(config_map("open", "one", "1")).await?;
    cluster.apply(config_map("closed", "two", "2")).await?;
    cluster.collector.set_targets(vec![config_maps("cm", &["open", "closed"])?], vec![]);
    cluster.expect_rows("cm", &[r#"open/one {"v":"1"}"#]).await?;
    cluster.expect_state("cm", "closed", |state| matches!(state, PartState::Lost(_))).await?;
    wait_for("the denial in the status", PATIENCE, async || {
        let status = cluster.collector.status(&key("cm")).unwrap_or_default();
        Ok(status.forbidden.iter().map(|(namespace, _)| &**namespace).collect::<Vec<_>>() == ["closed"])
    })
    .await?;
    for object in role("closed") {
        cluster.apply(object).await?;
    }
    cluster.expect_rows("cm", &[r#"closed/two {"v":"2"}"#, r#"open/one {"v":"1"}"#]).await?;
    assert_eq!(cluster.collector.status(&key("cm")).map(|status| status.forbidden), Some(vec![]));
    Ok(())
}

/// Cuts the watch of a namespace once the API server refuses to open it again, which does not end an open one.
async fn cut_when_denied(proxy: &HttpProxy, token: &str, namespace: &str) -> anyhow::Result<()> {
    let client = client_from_kubeconfig(&proxy.kubeconfig(token)).await?;
    let maps: Api<ConfigMap> = Api::namespaced(client, namespace);
    wait_for("the right is gone", PATIENCE, async || {
        let refused = |error| matches!(error, kube::Error::Api(status) if status.code == 403);
        Ok(maps.list(&ListParams::default()).await.is_err_and(refused))
    })
    .await?;
    let path = format!("namespaces/{namespace}/configmaps");
    proxy.forget_requests();
    let cut = proxy.add(HttpRule::new([path.as_str()], HttpAction::Reset));
    let again = || proxy.requests().iter().any(|request| request.uri.contains(&path));
    wait_for("the watch is opened again", PATIENCE, async || Ok(again())).await?;
    proxy.remove(cut);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_right_that_was_taken_away_and_given_back_resumes_the_watch_without_another_list() -> anyhow::Result<()> {
    let server = ApiServer::start(ApiServerOptions::default()).await?;
    let token = server.service_account_token(SYSTEM, "kollect").await?;
    let proxy = HttpProxy::start(&server).await?;
    let cluster = TestCluster::with(&server, &proxy.kubeconfig(&token)).await?;
    cluster.namespaces(&["a"]).await?;
    let [role, binding] = role("a");
    cluster.apply(role).await?;
    cluster.apply(binding.clone()).await?;
    for name in ["one", "two"] {
        cluster.apply(config_map("a", name, "1")).await?;
    }
    cluster.collector.set_targets(vec![config_maps("cm", &["a"])?], vec![]);
    cluster.expect_state("cm", "a", |state| *state == PartState::Synced).await?;
    assert_eq!(cluster.lists(), 1);

    cluster.delete(binding.clone()).await?;
    cut_when_denied(&proxy, &token, "a").await?;
    cluster.expect_state("cm", "a", |state| matches!(state, PartState::Lost(_))).await?;
    assert_eq!(cluster.rows("cm").len(), 2, "rows of a lost part stay");
    cluster.delete(config_map("a", "two", "")).await?;
    cluster.apply(binding).await?;
    cluster.expect_state("cm", "a", |state| *state == PartState::Synced).await?;
    cluster.expect_rows("cm", &[r#"a/one {"v":"1"}"#]).await?;
    assert_eq!(cluster.lists(), 1, "it resumes where it was");
    Ok(())
}

fn definition() -> Value {
    let schema = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "oxen.zoo.example"},
        "spec": {"group": "zoo.example", "scope": "Namespaced",
            "names": {"plural": "oxen", "singular": "ox", "kind": "Ox", "listKind": "OxList"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}}]},
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kind_that_is_not_served_blocks_no_other_and_is_collected_once_it_is() -> anyhow::Result<()> {
    let server = ApiServer::start(ApiServerOptions::default()).await?;
    let cluster = TestCluster::new(&server, None).await?;
    cluster.namespaces(&["a"]).await?;
    cluster.apply(config_map("a", "one", "1")).await?;
    let ox = target("ox", &Gvk::new("zoo.example", "v1", "Ox"), &["a"], "$.spec.name", 1)?;
    cluster.collector.set_targets(vec![ox, config_maps("cm", &["a"])?], vec![]);
    cluster.expect_rows("cm", &[r#"a/one {"v":"1"}"#]).await?;
    cluster.expect_state("ox", "a", |state| matches!(state, PartState::Lost(_))).await?;
    let status = cluster.collector.status(&key("ox")).unwrap_or_default();
    assert!(status.not_served.is_some_and(|why| why.contains("zoo.example/v1/Ox")));

    cluster.apply(definition()).await?;
    cluster.expect_state("ox", "a", |state| *state == PartState::Synced).await?;
    // The plural is irregular, so the object is made by its path.
    let object =
        json!({"apiVersion": "zoo.example/v1", "kind": "Ox", "metadata": {"name": "bo"}, "spec": {"name": "Bo"}});
    let request = http::Request::post("/apis/zoo.example/v1/namespaces/a/oxen")
        .header("content-type", "application/json")
        .body(object.to_string().into_bytes())?;
    cluster.admin.request_text(request).await?;
    cluster.expect_rows("ox", &[r#"a/bo {"v":"Bo"}"#]).await?;
    Ok(())
}

//! Kinds whose scope is not known, or changes.

use crate::cluster::{PATIENCE, TestCluster, key, target};
use kollect_model::{Gvk, ObjectKey, Row, RowId, Uid};
use kollect_store::{HeldRowState, PartState, View};
use kollect_testkit::servers::{ApiServer, ApiServerOptions, wait_for};
use serde_json::{Value, json};
use std::sync::Arc;

const KIND: (&str, &str, &str) = ("example.com", "v1", "Widget");

fn definition(scope: &str) -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.example.com"},
        "spec": {
            "group": "example.com", "scope": scope,
            "names": {"plural": "widgets", "singular": "widget", "kind": "Widget"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {
                "type": "object", "x-kubernetes-preserve-unknown-fields": true}}}],
        },
    })
}

fn widget(namespace: Option<&str>, name: &str) -> Value {
    let mut object =
        json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": name}, "spec": {"size": 1}});
    if let Some(namespace) = namespace {
        object["metadata"]["namespace"] = namespace.into();
    }
    object
}

fn widgets() -> anyhow::Result<kollect_collect::TargetSpec> {
    target("widgets", &Gvk::new(KIND.0, KIND.1, KIND.2), &["default"], "$.spec.size", 1)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_of_a_kind_that_was_not_served_since_the_start_are_unproven_whatever_its_scope() -> anyhow::Result<()> {
    let server = ApiServer::start(ApiServerOptions::default()).await?;
    let cluster = TestCluster::new(&server, None).await?;
    cluster.collector.set_targets(vec![widgets()?], vec![]);
    cluster.expect_state("widgets", "", |state| matches!(state, PartState::Lost(_))).await?;
    let (view, held) = (View::of(vec![key("widgets")]), RowId { target: key("widgets"), uid: Uid::parse("u1") });
    for namespace in ["", "default", "elsewhere"] {
        assert_eq!(cluster.store.held_row_state(&view, &held, namespace), HeldRowState::Unproven, "{namespace:?}");
    }

    // Once it is served, a complete list proves the absence.
    cluster.apply(definition("Cluster")).await?;
    cluster.expect_state("widgets", "", |state| *state == PartState::Synced).await?;
    assert!(matches!(cluster.store.held_row_state(&view, &held, ""), HeldRowState::Gone(_)));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kind_that_comes_back_with_another_scope_is_collected_again() -> anyhow::Result<()> {
    let server = ApiServer::start(ApiServerOptions::default()).await?;
    let cluster = TestCluster::new(&server, None).await?;
    cluster.apply(definition("Cluster")).await?;
    cluster.collector.set_targets(vec![widgets()?], vec![]);
    cluster.expect_state("widgets", "", |state| *state == PartState::Synced).await?;
    cluster.apply(widget(None, "one")).await?;
    cluster.expect_rows("widgets", &[r#"/one {"v":1}"#]).await?;
    cluster.delete(widget(None, "one")).await?;
    cluster.delete(definition("Cluster")).await?;
    wait_for("the definition is gone", PATIENCE, async || {
        let status = cluster.collector.status(&key("widgets"));
        Ok(status.is_some_and(|status| status.not_served.is_some()))
    })
    .await?;
    cluster.apply(definition("Namespaced")).await?;
    cluster.expect_state("widgets", "default", |state| *state == PartState::Synced).await?;
    cluster.apply(widget(Some("default"), "two")).await?;
    cluster.expect_rows("widgets", &[r#"default/two {"v":1}"#]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_of_a_cluster_scoped_kind_stay_when_the_collector_restarts_without_the_kind() -> anyhow::Result<()> {
    let server = ApiServer::start(ApiServerOptions::default()).await?;
    let cluster = TestCluster::new(&server, None).await?;
    // A row as a planner that ended had left it.
    let gvk = Arc::new(Gvk::new(KIND.0, KIND.1, KIND.2));
    cluster.store.ensure_target(&key("widgets"));
    cluster.store.set_wanted(&key("widgets"), kollect_store::WantedParts::ClusterScoped);
    let id = RowId { target: key("widgets"), uid: Uid::parse("u1") };
    let object = ObjectKey { gvk, namespace: Arc::default(), name: "one".into() };
    let attributes = serde_json::value::RawValue::from_string(r#"{"v":1}"#.to_owned())?;
    assert!(cluster.store.upsert(Row::new(id, object, attributes)));
    cluster.collector.set_targets(vec![widgets()?], vec![]);
    wait_for("discovery reports that the kind is not served", PATIENCE, async || {
        let status = cluster.collector.status(&key("widgets"));
        Ok(status.is_some_and(|status| status.not_served.is_some()))
    })
    .await?;
    assert_eq!(cluster.store.target_rows(&key("widgets")), 1);
    Ok(())
}

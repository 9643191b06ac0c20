//! Lists, watches and what interrupts them.

use crate::cluster::{PATIENCE, TestCluster, config_map, config_maps, facts, key, target};
use kollect_collect::{NamespaceWatch, PausedTarget};
use kollect_model::{Gvk, ObjectKey, Row, RowId, Uid};
use kollect_store::PartState;
use kollect_testkit::fault_proxy::{HttpAction, HttpProxy, HttpRule};
use kollect_testkit::servers::{ADMIN_TOKEN, ApiServer, ApiServerOptions, wait_for};
use serde_json::json;
use serde_json::value::RawValue;
use std::sync::Arc;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_reflect_objects_targets_and_namespaces() -> anyhow::Result<()> {
    let server = ApiServer::start(ApiServerOptions::default()).await?;
    let cluster = TestCluster::new(&server, None).await?;
    cluster.namespaces(&["a", "b"]).await?;
    for n in 0..40 {
        cluster.apply(config_map("b", &format!("many-{n}"), "x")).await?;
    }
    cluster.apply(config_map("a", "one", "1")).await?;
    cluster.apply(config_map("a", "two", "2")).await?;

    // The first list.
    cluster.collector.set_targets(vec![config_maps("cm", &["a"])?], vec![]);
    cluster.expect_rows("cm", &[r#"a/one {"v":"1"}"#, r#"a/two {"v":"2"}"#]).await?;
    cluster.expect_state("cm", "a", |state| *state == PartState::Synced).await?;

    // Changes and deletions.
    cluster.apply(config_map("a", "one", "changed")).await?;
    cluster.delete(config_map("a", "two", "")).await?;
    cluster.apply(config_map("a", "three", "3")).await?;
    cluster.expect_rows("cm", &[r#"a/one {"v":"changed"}"#, r#"a/three {"v":"3"}"#]).await?;
    assert_eq!(cluster.lists(), 1);

    // A second target joins with another profile; the first one keeps its rows.
    let by_name = target("names", &Gvk::new("", "v1", "ConfigMap"), &["a"], "$.metadata.name", 1)?;
    cluster.collector.set_targets(vec![config_maps("cm", &["a"])?, by_name.clone()], vec![]);
    cluster.expect_rows("names", &[r#"a/one {"v":"one"}"#, r#"a/three {"v":"three"}"#]).await?;
    assert_eq!(cluster.rows("cm").len(), 2);

    // A new version evaluates every object again.
    let by_kind = target("names", &Gvk::new("", "v1", "ConfigMap"), &["a"], "$.kind", 2)?;
    cluster.collector.set_targets(vec![config_maps("cm", &["a"])?, by_kind], vec![]);
    cluster.expect_rows("names", &[r#"a/one {"v":"ConfigMap"}"#, r#"a/three {"v":"ConfigMap"}"#]).await?;

    // More namespaces than are watched one by one: one watch, and only the wanted namespaces count.
    let names: Vec<String> = (0..20).map(|n| format!("missing-{n}")).collect();
    let mut many: Vec<&str> = names.iter().map(String::as_str).collect();
    many.push("a");
    cluster.collector.set_targets(vec![config_maps("cm", &many)?], vec![]);
    cluster.expect_state("cm", "missing-7", |state| *state == PartState::Synced).await?;
    cluster.expect_rows("cm", &[r#"a/one {"v":"changed"}"#, r#"a/three {"v":"3"}"#]).await?;
    many.push("b");
    let lists = cluster.lists();
    cluster.collector.set_targets(vec![config_maps("cm", &many)?], vec![]);
    cluster.expect_state("cm", "b", |state| *state == PartState::Synced).await?;
    assert_eq!((cluster.rows("cm").len(), cluster.lists()), (42, lists), "only the namespace that joined is listed");
    cluster.apply(config_map("b", "many-0", "late")).await?;
    let late = || cluster.rows("cm").contains(&r#"b/many-0 {"v":"late"}"#.to_owned());
    wait_for("a change in the joined namespace", PATIENCE, async || Ok(late())).await?;

    // Back to one namespace; then a label takes it out and in again.
    cluster.collector.set_targets(vec![config_maps("cm", &["a"])?], vec![]);
    cluster.expect_rows("cm", &[r#"a/one {"v":"changed"}"#, r#"a/three {"v":"3"}"#]).await?;
    cluster.collector.set_namespaces(&facts("a", &[]));
    cluster.collector.set_namespaces(&facts("a", &[("kollect.dev/watch", "disabled")]));
    cluster.expect_rows("cm", &[]).await?;
    cluster.collector.set_namespaces(&facts("a", &[]));
    cluster.expect_rows("cm", &[r#"a/one {"v":"changed"}"#, r#"a/three {"v":"3"}"#]).await?;

    // A target that cannot be collected keeps its rows, and loses them when it is gone.
    let paused = PausedTarget { key: key("cm"), why: "ProfileNotFound".into() };
    cluster.collector.set_targets(vec![], vec![paused]);
    cluster.expect_state("cm", "a", |state| matches!(state, PartState::Lost(_))).await?;
    assert_eq!(cluster.rows("cm").len(), 2);
    cluster.collector.set_targets(vec![], vec![]);
    wait_for("no rows", PATIENCE, async || Ok(cluster.store.rows() == 0)).await?;
    cluster.collector.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_deletes_nothing_and_a_lost_history_costs_one_list() -> anyhow::Result<()> {
    let server = ApiServer::start(ApiServerOptions::default()).await?;
    let cluster = TestCluster::new(&server, None).await?;
    cluster.namespaces(&["a"]).await?;
    cluster.apply(config_map("a", "one", "1")).await?;
    cluster.apply(config_map("a", "two", "2")).await?;
    cluster.collector.set_targets(vec![config_maps("cm", &["a"])?], vec![]);
    cluster.expect_rows("cm", &[r#"a/one {"v":"1"}"#, r#"a/two {"v":"2"}"#]).await?;

    // Rows come before the end of the first list, and a list that was cut off begins again.
    cluster.expect_state("cm", "a", |state| *state == PartState::Synced).await?;

    // A restart without compaction: the watch resumes. An API server that wrote objects of its own before it filled its
    // cache reports that the version is too old, so the test restarts it up to three times.
    let mut resumed = false;
    for _ in 0..3 {
        let lists = cluster.lists();
        server.restart().await?;
        cluster.apply(config_map("a", "one", &format!("after {lists} lists"))).await?;
        cluster.apply(config_map("a", "one", "resumed")).await?;
        cluster.expect_rows("cm", &[r#"a/one {"v":"resumed"}"#, r#"a/two {"v":"2"}"#]).await?;
        cluster.expect_state("cm", "a", |state| *state == PartState::Synced).await?;
        resumed = cluster.lists() == lists;
        if resumed {
            break;
        }
    }
    assert!(resumed, "resuming needs no list");

    // Without the history the watch lists again, once, and finds what was deleted meanwhile.
    let lists = cluster.lists();
    assert!(cluster.store.upsert(ghost()?));
    cluster.namespaces(&["other"]).await?;
    cluster.apply(config_map("other", "unseen", "1")).await?;
    server.compact().await?;
    server.restart().await?;
    cluster.expect_rows("cm", &[r#"a/one {"v":"resumed"}"#, r#"a/two {"v":"2"}"#]).await?;
    assert_eq!(cluster.lists(), lists + 1, "a lost history costs exactly one list");

    // During an outage nothing is deleted, and changes are seen soon after it.
    let other = TestCluster::new(&server, None).await?;
    server.stop();
    wait_for("the watch notices", PATIENCE, async || {
        let status = cluster.collector.status(&key("cm"));
        Ok(status.is_some_and(|status| status.list_error.is_some()))
    })
    .await?;
    assert_eq!(cluster.rows("cm").len(), 2, "an outage deletes nothing");
    assert_eq!(cluster.store.part_state(&key("cm"), "a"), PartState::Synced);
    server.restart().await?;
    other.delete(config_map("a", "two", "")).await?;
    cluster.expect_rows("cm", &[r#"a/one {"v":"resumed"}"#]).await?;
    Ok(())
}

/// A row whose object was deleted while no watch was open.
fn ghost() -> anyhow::Result<Row> {
    let id = RowId { target: key("cm"), uid: Uid::parse("6f3e0c1a-9b7d-4c55-8e21-0123456789ab") };
    let gvk = Arc::new(Gvk::new("", "v1", "ConfigMap"));
    let object = ObjectKey { gvk, namespace: "a".into(), name: "ghost".into() };
    Ok(Row::new(id, object, RawValue::from_string("{}".to_owned())?))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn namespaces_are_known_with_their_labels_as_soon_as_they_change() -> anyhow::Result<()> {
    let server = ApiServer::start(ApiServerOptions::default()).await?;
    let cluster = TestCluster::new(&server, None).await?;
    let watch = NamespaceWatch::start(cluster.admin.clone(), vec![]);
    let given = NamespaceWatch::start(cluster.admin.clone(), vec!["a".into(), "missing".into()]);
    let mut facts = watch.facts();
    facts.wait_for(Option::is_some).await?;
    cluster.namespaces(&["a"]).await?;
    let label = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "a", "labels": {"env": "prod"}}});
    cluster.apply(label).await?;
    let labelled = facts.wait_for(|facts| {
        let meta = facts.as_ref().and_then(|facts| facts.get("a"));
        meta.is_some_and(|meta| meta.labels.get("env").is_some_and(|env| env == "prod"))
    });
    tokio::time::timeout(PATIENCE, labelled).await??;
    let mut facts = given.facts();
    let facts = tokio::time::timeout(PATIENCE, facts.wait_for(Option::is_some)).await??.clone();
    let names: Vec<String> = facts.iter().flat_map(|facts| facts.keys()).map(ToString::to_string).collect();
    assert_eq!(names, ["a", "missing"], "given namespaces are the whole universe");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_api_server_that_expires_every_list_is_reported_and_retried_with_back_off() -> anyhow::Result<()> {
    let server = ApiServer::start(ApiServerOptions::default()).await?;
    let proxy = HttpProxy::start(&server).await?;
    let cluster = TestCluster::with(&server, &proxy.kubeconfig(ADMIN_TOKEN)).await?;
    cluster.namespaces(&["a"]).await?;
    cluster.apply(config_map("a", "one", "1")).await?;
    let expired = proxy.add(HttpRule::new(["/namespaces/a/configmaps"], HttpAction::Answer(410)));
    cluster.collector.set_targets(vec![config_maps("cm", &["a"])?], vec![]);
    wait_for("the status reports it", PATIENCE, async || {
        let status = cluster.collector.status(&key("cm"));
        let reported = status.and_then(|status| status.list_error).is_some_and(|why| why.contains("too old"));
        Ok(reported && cluster.errors() > 0)
    })
    .await?;
    let asked = proxy.count("list", "configmaps") + proxy.count("watch", "configmaps");
    assert!(asked < 20, "{asked} requests");
    proxy.remove(expired);
    cluster.expect_rows("cm", &[r#"a/one {"v":"1"}"#]).await?;
    wait_for("the trouble is over", PATIENCE, async || {
        let status = cluster.collector.status(&key("cm"));
        Ok(status.is_some_and(|status| status.list_error.is_none()))
    })
    .await
}

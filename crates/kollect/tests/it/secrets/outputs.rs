//! All outputs of the operator as text to search: logs, statuses, events, metrics, rows, commits.

use crate::test_cluster::{self, TestCluster};
use kollect_testkit::operator::Operator;
use kube::api::{Api, DynamicObject, ListParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::Value;
use std::collections::BTreeMap;
use std::process::Command;

/// All outputs, by name.
pub(super) async fn outputs(
    cluster: &TestCluster,
    operator: &Operator,
    team: &str,
) -> anyhow::Result<BTreeMap<&'static str, String>> {
    let mut statuses = String::new();
    for kind in
        ["Profile", "Target", "Inventory", "SnapshotSink", "DatabaseSink", "Scope"].map(|kind| format!("Kollect{kind}"))
    {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("kollect.dev", "v1alpha1", &kind));
        let api: Api<DynamicObject> = Api::all_with(cluster.client.clone(), &resource);
        for object in api.list(&ListParams::default()).await? {
            statuses += &object.data.get("status").unwrap_or(&Value::Null).to_string();
        }
    }
    let mut events = String::new();
    for event in cluster.objects("Event", "").list(&ListParams::default()).await? {
        events += &serde_json::to_string(&event)?;
    }
    Ok(BTreeMap::from([
        ("postgres", dump(cluster).await?),
        ("git", git_objects(cluster, team)?),
        ("logs", operator.logs()),
        ("statuses", statuses),
        ("events", events),
        ("metrics", operator.metrics().await?),
    ]))
}

/// Every row of every table, whatever its columns.
async fn dump(cluster: &TestCluster) -> anyhow::Result<String> {
    let database = cluster.database().await?;
    let tables = "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables \
                  WHERE schemaname NOT IN ('pg_catalog', 'information_schema')";
    let mut text = String::new();
    for table in database.query(tables, &[]).await? {
        let table: String = table.get(0);
        for row in database.query(&format!("SELECT t::text FROM {table} t"), &[]).await? {
            text.push_str(&row.get::<_, String>(0));
            text.push('\n');
        }
    }
    Ok(text)
}

/// Every commit, tree and blob, reachable or not.
fn git_objects(cluster: &TestCluster, team: &str) -> anyhow::Result<String> {
    let dir = cluster.git.repos.path(&test_cluster::repo(team));
    let output = Command::new("git")
        .args(["cat-file", "--batch-all-objects", "--batch", "--unordered"])
        .current_dir(dir)
        .output()?;
    anyhow::ensure!(output.status.success(), "git cat-file failed");
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Some text before and after a place.
pub(super) fn around(text: &str, at: usize) -> &str {
    let (mut from, mut to) = (at.saturating_sub(120), (at + 60).min(text.len()));
    while !text.is_char_boundary(from) {
        from -= 1;
    }
    while !text.is_char_boundary(to) {
        to -= 1;
    }
    &text[from..to]
}

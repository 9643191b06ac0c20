//! The API server goes away, forgets its history, or takes rights away: nothing is deleted because of that.

use crate::test_cluster::{self, Running, SOON, TestCluster, message};
use anyhow::{Context as _, ensure};
use kollect_testkit::scene;
use kollect_testkit::servers::{AuditEntry, wait_for};
use kollect_testkit::truth::git_commits;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

const TEAM: &str = "team";
const OBJECTS: usize = 20;

#[tokio::test]
async fn an_outage_of_15_s_with_compacted_history_deletes_nothing_and_costs_one_list_per_watch() -> anyhow::Result<()> {
    // Longer than this outage, so that the process itself lives through it.
    let patient = ["--leader-elect-lease-duration=180s", "--leader-elect-renew-deadline=150s"];
    outage(Duration::from_secs(15), &patient).await
}

#[tokio::test]
#[ignore = "soak"]
async fn an_outage_of_60_s_with_compacted_history_deletes_nothing_and_costs_one_list_per_watch() -> anyhow::Result<()> {
    let patient = ["--leader-elect-lease-duration=180s", "--leader-elect-renew-deadline=150s"];
    outage(Duration::from_mins(1), &patient).await
}

#[tokio::test]
#[ignore = "soak"]
async fn an_outage_of_60_s_is_survived_by_an_operator_that_gives_up_its_lease_and_is_restarted() -> anyhow::Result<()> {
    outage(Duration::from_mins(1), &[]).await
}

async fn outage(time: Duration, args: &[&str]) -> anyhow::Result<()> {
    let cluster = TestCluster::start().await?;
    cluster.grant_everywhere().await?;
    for namespace in ["first", "second"] {
        let names: Vec<String> = (0..OBJECTS / 2).map(|n| format!("map-{n}")).collect();
        cluster.namespace_with(namespace, &names.iter().map(String::as_str).collect::<Vec<_>>()).await?;
    }
    cluster.pipeline(TEAM, &["first", "second"]).await?;
    cluster.apply([cluster.git_sink(TEAM, "git")?]).await?;
    cluster.apply([scene::inventory(TEAM, "all", Some("git"), Some("pg"), "0s")]).await?;
    let mut operator = cluster.operator_with(args).await?;
    cluster.inventory_shows(TEAM, &["Ready=True/Exported"]).await?;
    cluster.files_become(TEAM, OBJECTS).await?;
    let before = cluster.rows(TEAM, "all").await?;
    let commits = commits(&cluster)?;

    cluster.api.stop();
    let begun = Instant::now();
    while begun.elapsed() < time {
        ensure!(cluster.rows(TEAM, "all").await? == before, "rows changed while the API server was away");
        ensure!(cluster.files(TEAM).len() == OBJECTS, "files changed while the API server was away");
        if operator.exited()?.is_some() {
            operator = cluster.spawn_operator(args)?;
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    let (wanted, from) = change_unseen(&cluster, &operator, &before).await?;
    let ready = Instant::now();
    wait_for("the sinks have what the cluster has", SOON, async || {
        if operator.exited()?.is_some() {
            operator = cluster.spawn_operator(args)?;
        }
        Ok(cluster.rows(TEAM, "all").await? == wanted && cluster.files(TEAM).len() == wanted.len())
    })
    .await?;
    let taken = ready.elapsed();
    eprintln!("in sync {taken:?} after the API server was ready again");
    ensure!(taken <= Duration::from_secs(15), "in sync only {taken:?} after the API server was ready again");
    cluster.inventory_shows(TEAM, &["Ready=True/Exported", "Synced=True/Exported", "!Degraded"]).await?;
    cluster.target_shows(TEAM, &["Ready=True/Collecting", "!Degraded"]).await?;
    for commit in git_commits(&cluster.git.repos, &test_cluster::repo(TEAM), "main")?.iter().skip(commits) {
        let files = commit.files.keys().filter(|path| !path.starts_with(".kollect/")).count();
        ensure!(files + 2 >= OBJECTS, "commit {} has only {files} files", commit.id);
    }
    one_list_per_watch(&cluster.requests(from)?.0)
}

fn commits(cluster: &TestCluster) -> anyhow::Result<usize> {
    Ok(git_commits(&cluster.git.repos, &test_cluster::repo(TEAM), "main")?.len())
}

/// Brings the API server back, changes things without the operator seeing it, and forgets the history; the API server's
/// own cache goes with its second restart. Returns the rows that should be, and where the audit log starts.
async fn change_unseen(
    cluster: &TestCluster,
    operator: &Running,
    before: &BTreeSet<String>,
) -> anyhow::Result<(BTreeSet<String>, u64)> {
    operator.freeze(true);
    cluster.api.restart().await?;
    cluster.delete("ConfigMap", "first", "map-0").await?;
    cluster.delete("ConfigMap", "second", "map-1").await?;
    cluster.apply([scene::config_map("second", "new", "first", 0)]).await?;
    cluster.patch("ConfigMap", "first", "map-2", json!({"data": {"value": "second"}})).await?;
    cluster.api.compact().await?;
    let from = std::fs::metadata(cluster.api.audit_log())?.len();
    cluster.api.restart().await?;
    operator.freeze(false);
    let mut wanted = before.clone();
    wanted.retain(|name| name != "first/map-0" && name != "second/map-1");
    wanted.insert("second/new".to_owned());
    Ok((wanted, from))
}

fn one_list_per_watch(requests: &[AuditEntry]) -> anyhow::Result<()> {
    let mut lists: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    let mut watched = BTreeSet::new();
    for request in requests.iter().filter(|request| request.status == 200) {
        let of = format!("{} in {:?} ({})", request.resource, request.namespace, selector(&request.uri));
        let streamed = request.verb == "watch" && request.uri.contains("sendInitialEvents=true");
        let first_page = request.verb == "list" && !request.uri.contains("continue=");
        if streamed || first_page {
            lists.entry(of.clone()).or_default().push(&request.uri);
        }
        if request.verb == "watch" {
            watched.insert(of);
        }
    }
    let collected: Vec<_> = lists.keys().filter(|of| of.starts_with("configmaps ")).collect();
    ensure!(collected.len() == 2, "expected one watch of ConfigMaps in each namespace, but relisted: {lists:#?}");
    let more: BTreeMap<_, _> = lists.iter().filter(|(_, uris)| uris.len() > 1).collect();
    ensure!(more.is_empty(), "more than one list: {more:#?}");
    let unwatched: Vec<_> = lists.keys().filter(|of| !watched.contains(*of)).collect();
    ensure!(unwatched.is_empty(), "listed, but not watched: {unwatched:#?}");
    Ok(())
}

fn selector(uri: &str) -> &str {
    uri.split(['?', '&']).find(|part| part.starts_with("fieldSelector=")).unwrap_or_default()
}

#[tokio::test]
async fn rows_of_a_namespace_whose_permission_was_taken_away_stay_across_a_restart() -> anyhow::Result<()> {
    let cluster = TestCluster::start().await?;
    cluster.namespace_with("open", &["a", "b"]).await?;
    cluster.namespace_with("closed", &["c", "d"]).await?;
    cluster.pipeline(TEAM, &["open", "closed"]).await?;
    cluster.apply([cluster.git_sink(TEAM, "git")?]).await?;
    cluster.apply([scene::inventory(TEAM, "all", Some("git"), Some("pg"), "0s")]).await?;
    cluster.grant_in("open").await?;
    cluster.grant_in("closed").await?;
    let mut operator = cluster.operator().await?;
    cluster.rows_become(TEAM, "all", &["open/a", "open/b", "closed/c", "closed/d"]).await?;
    cluster.files_become(TEAM, 4).await?;
    cluster.target_shows(TEAM, &["Ready=True/Collecting", "Synced=True/Collecting", "!Degraded"]).await?;
    operator.terminate(Duration::from_secs(8)).await?;

    cluster.revoke_in("closed").await?;
    cluster.delete("ConfigMap", "open", "a").await?;
    cluster.delete("ConfigMap", "closed", "c").await?;
    let _operator = cluster.operator().await?;
    let denied = ["Ready=True/Collecting", "Synced=True/ScopeForbidden", "Degraded=True/Forbidden"];
    let status = cluster.target_shows(TEAM, &denied).await?;
    let why = message(&status, "Degraded");
    ensure!(why.contains("closed") && why.contains("ConfigMap") && !why.contains("open,"), "{why}");
    cluster.rows_become(TEAM, "all", &["open/b", "closed/c", "closed/d"]).await?;
    cluster.files_become(TEAM, 3).await?;
    cluster.inventory_shows(TEAM, &["Ready=True/Exported", "Synced=True/Exported"]).await?;
    // What is permitted goes on, and still nothing of the other namespace is touched.
    cluster.apply([scene::config_map("open", "e", "first", 0)]).await?;
    cluster.rows_become(TEAM, "all", &["open/b", "open/e", "closed/c", "closed/d"]).await?;

    cluster.grant_in("closed").await?;
    cluster.target_shows(TEAM, &["Ready=True/Collecting", "Synced=True/Collecting", "!Degraded"]).await?;
    cluster.rows_become(TEAM, "all", &["open/b", "open/e", "closed/d"]).await?;
    cluster.files_become(TEAM, 3).await.context("after the permission came back")
}

/// `namespace/name` of every item of the document of the inventory `all` at a commit, and the whole text.
fn items(cluster: &TestCluster, commit: &str) -> anyhow::Result<(BTreeSet<String>, String)> {
    let path = format!("{commit}:inventory/{TEAM}/all.json");
    let Ok(text) = cluster.git.repos.git(&test_cluster::repo(TEAM), ["show", &path]) else {
        return Ok(Default::default());
    };
    let document: serde_json::Value = serde_json::from_str(&text)?;
    let items = document["items"].as_array().context("no items")?;
    let name = |item: &serde_json::Value| {
        format!("{}/{}", item["namespace"].as_str().unwrap_or("?"), item["name"].as_str().unwrap_or("?"))
    };
    ensure!(document["itemCount"] == items.len(), "itemCount is {}", document["itemCount"]);
    Ok((items.iter().map(name).collect(), text))
}

async fn items_become(cluster: &TestCluster, wanted: &[&str]) -> anyhow::Result<String> {
    let all: BTreeSet<String> = wanted.iter().map(|name| (*name).to_owned()).collect();
    let seen = wait_for("the items of the document", SOON, async || Ok(items(cluster, "main")?.0 == all)).await;
    let (have, text) = items(cluster, "main")?;
    seen.with_context(|| format!("the items are {have:?}"))?;
    Ok(text)
}

#[tokio::test]
async fn a_document_keeps_the_rows_of_a_namespace_whose_permission_was_taken_away() -> anyhow::Result<()> {
    let cluster = TestCluster::start().await?;
    cluster.namespace_with("open", &["a", "b"]).await?;
    cluster.namespace_with("closed", &["c", "d"]).await?;
    cluster.pipeline(TEAM, &["open", "closed"]).await?;
    let mut sink = cluster.git_sink(TEAM, "git")?;
    sink["spec"]["layout"] = json!({"mode": "document"});
    sink["spec"]["serialization"] = json!({"format": "json"});
    cluster.apply([sink]).await?;
    cluster.apply([scene::inventory(TEAM, "all", Some("git"), None, "0s")]).await?;
    cluster.grant_in("open").await?;
    // At the first export one of the namespaces may not be listed: the other one is exported alone.
    let mut operator = cluster.operator().await?;
    items_become(&cluster, &["open/a", "open/b"]).await?;
    cluster.grant_in("closed").await?;
    let before = items_become(&cluster, &["open/a", "open/b", "closed/c", "closed/d"]).await?;
    operator.terminate(Duration::from_secs(8)).await?;

    cluster.revoke_in("closed").await?;
    cluster.delete("ConfigMap", "open", "a").await?;
    cluster.delete("ConfigMap", "closed", "c").await?;
    let from = commits(&cluster)?;
    let _operator = cluster.operator().await?;
    let denied = ["Ready=True/Collecting", "Synced=True/ScopeForbidden", "Degraded=True/Forbidden"];
    cluster.target_shows(TEAM, &denied).await?;
    let after = items_become(&cluster, &["open/b", "closed/c", "closed/d"]).await?;
    for name in ["c", "d"] {
        let at = before.find(&format!("\"namespace\":\"closed\",\"name\":\"{name}\"")).context("no item")?;
        let item = &before[at..at + before[at..].find("},{").or(before[at..].find("}]")).context("no end")?];
        ensure!(after.contains(item), "{item} is not in {after}");
    }
    cluster.inventory_shows(TEAM, &["Ready=True/Exported", "Synced=True/Exported"]).await?;
    // What is permitted goes on.
    cluster.apply([scene::config_map("open", "e", "first", 0)]).await?;
    items_become(&cluster, &["open/b", "open/e", "closed/c", "closed/d"]).await?;
    for commit in git_commits(&cluster.git.repos, &test_cluster::repo(TEAM), "main")?.iter().skip(from) {
        let names = items(&cluster, &commit.id)?.0;
        ensure!(names.contains("closed/c") && names.contains("closed/d"), "commit {} has only {names:?}", commit.id);
        ensure!(commit.message.contains(&names.len().to_string()), "{}", commit.message);
    }

    cluster.grant_in("closed").await?;
    cluster.target_shows(TEAM, &["Ready=True/Collecting", "Synced=True/Collecting", "!Degraded"]).await?;
    items_become(&cluster, &["open/b", "open/e", "closed/d"]).await.context("after the permission came back")?;
    Ok(())
}

#[tokio::test]
async fn a_target_that_may_read_nothing_is_not_ready_and_recovers_by_itself() -> anyhow::Result<()> {
    let cluster = TestCluster::start().await?;
    cluster.namespace_with("first", &["a"]).await?;
    cluster.namespace_with("second", &["b"]).await?;
    cluster.pipeline(TEAM, &["first", "second"]).await?;
    let _operator = cluster.operator().await?;
    let denied = ["Ready=False/Forbidden", "Synced=False/Forbidden", "Degraded=True/Forbidden"];
    cluster.target_shows(TEAM, &denied).await?;
    // Each namespace is asked for on its own, so the answers come one after the other.
    denials_become(&cluster, &["first", "second"]).await?;
    cluster.target_shows(TEAM, &denied).await?;
    cluster.grant_in("first").await?;
    let partly = ["Ready=True/Collecting", "Synced=True/ScopeForbidden", "Degraded=True/Forbidden"];
    cluster.target_shows(TEAM, &partly).await?;
    denials_become(&cluster, &["second"]).await?;
    cluster.rows_become(TEAM, "all", &["first/a"]).await?;
    cluster.grant_in("second").await?;
    cluster.target_shows(TEAM, &["Ready=True/Collecting", "Synced=True/Collecting", "!Degraded"]).await?;
    cluster.rows_become(TEAM, "all", &["first/a", "second/b"]).await
}

/// Waits until the status of the target names the denied ones of the two namespaces.
async fn denials_become(cluster: &TestCluster, wanted: &[&str]) -> anyhow::Result<()> {
    let mut why = String::new();
    let seen = wait_for(&format!("the target reports that {wanted:?} are denied"), SOON, async || {
        why = message(&cluster.status("KollectTarget", TEAM, "maps").await?, "Degraded");
        Ok(["first", "second"].iter().all(|name| why.contains(name) == wanted.contains(name))
            && why.contains("ConfigMap"))
    })
    .await;
    seen.with_context(|| format!("it reports {why}"))
}

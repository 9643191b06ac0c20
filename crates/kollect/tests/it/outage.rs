//! The API server goes away, forgets its history, or takes rights away: nothing is deleted because of that.

use crate::stage::{self, Running, SOON, Stage, message};
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
    let stage = Stage::start().await?;
    stage.grant_everywhere().await?;
    for namespace in ["first", "second"] {
        let names: Vec<String> = (0..OBJECTS / 2).map(|n| format!("map-{n}")).collect();
        stage.namespace_with(namespace, &names.iter().map(String::as_str).collect::<Vec<_>>()).await?;
    }
    stage.pipeline(TEAM, &["first", "second"]).await?;
    stage.apply([stage.git_sink(TEAM, "git")?]).await?;
    stage.apply([scene::inventory(TEAM, "all", Some("git"), Some("pg"), "0s")]).await?;
    let mut operator = stage.operator_with(args).await?;
    stage.inventory_shows(TEAM, &["Ready=True/Exported"]).await?;
    stage.files_become(TEAM, OBJECTS).await?;
    let before = stage.rows(TEAM, "all").await?;
    let commits = commits(&stage)?;

    stage.api.stop();
    let begun = Instant::now();
    while begun.elapsed() < time {
        ensure!(stage.rows(TEAM, "all").await? == before, "rows changed while the API server was away");
        ensure!(stage.files(TEAM).len() == OBJECTS, "files changed while the API server was away");
        if operator.exited()?.is_some() {
            operator = stage.spawn_operator(args)?;
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    let (wanted, from) = change_unseen(&stage, &operator, &before).await?;
    let ready = Instant::now();
    wait_for("the sinks have what the cluster has", SOON, async || {
        if operator.exited()?.is_some() {
            operator = stage.spawn_operator(args)?;
        }
        Ok(stage.rows(TEAM, "all").await? == wanted && stage.files(TEAM).len() == wanted.len())
    })
    .await?;
    let taken = ready.elapsed();
    eprintln!("in sync {taken:?} after the API server was ready again");
    ensure!(taken <= Duration::from_secs(15), "in sync only {taken:?} after the API server was ready again");
    stage.inventory_shows(TEAM, &["Ready=True/Exported", "Synced=True/Exported", "!Degraded"]).await?;
    stage.target_shows(TEAM, &["Ready=True/Collecting", "!Degraded"]).await?;
    for commit in git_commits(&stage.git.repos, &stage::repo(TEAM), "main")?.iter().skip(commits) {
        let files = commit.files.keys().filter(|path| !path.starts_with(".kollect/")).count();
        ensure!(files + 2 >= OBJECTS, "commit {} has only {files} files", commit.id);
    }
    one_list_per_watch(&stage.requests(from)?.0)
}

fn commits(stage: &Stage) -> anyhow::Result<usize> {
    Ok(git_commits(&stage.git.repos, &stage::repo(TEAM), "main")?.len())
}

/// Brings the API server back, changes things without the operator seeing it, and forgets the history; the API server's
/// own cache goes with its second restart. Returns the rows that should be, and where the audit log starts.
async fn change_unseen(
    stage: &Stage,
    operator: &Running,
    before: &BTreeSet<String>,
) -> anyhow::Result<(BTreeSet<String>, u64)> {
    operator.freeze(true);
    stage.api.restart().await?;
    stage.delete("ConfigMap", "first", "map-0").await?;
    stage.delete("ConfigMap", "second", "map-1").await?;
    stage.apply([scene::config_map("second", "new", "first", 0)]).await?;
    stage.patch("ConfigMap", "first", "map-2", json!({"data": {"value": "second"}})).await?;
    stage.api.compact().await?;
    let from = std::fs::metadata(stage.api.audit_log())?.len();
    stage.api.restart().await?;
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
    let stage = Stage::start().await?;
    stage.namespace_with("open", &["a", "b"]).await?;
    stage.namespace_with("closed", &["c", "d"]).await?;
    stage.pipeline(TEAM, &["open", "closed"]).await?;
    stage.apply([stage.git_sink(TEAM, "git")?]).await?;
    stage.apply([scene::inventory(TEAM, "all", Some("git"), Some("pg"), "0s")]).await?;
    stage.grant_in("open").await?;
    stage.grant_in("closed").await?;
    let mut operator = stage.operator().await?;
    stage.rows_become(TEAM, "all", &["open/a", "open/b", "closed/c", "closed/d"]).await?;
    stage.files_become(TEAM, 4).await?;
    stage.target_shows(TEAM, &["Ready=True/Collecting", "Synced=True/Collecting", "!Degraded"]).await?;
    operator.terminate(Duration::from_secs(8)).await?;

    stage.revoke_in("closed").await?;
    stage.delete("ConfigMap", "open", "a").await?;
    stage.delete("ConfigMap", "closed", "c").await?;
    let _operator = stage.operator().await?;
    let denied = ["Ready=True/Collecting", "Synced=True/ScopeForbidden", "Degraded=True/Forbidden"];
    let status = stage.target_shows(TEAM, &denied).await?;
    let why = message(&status, "Degraded");
    ensure!(why.contains("closed") && why.contains("ConfigMap") && !why.contains("open,"), "{why}");
    stage.rows_become(TEAM, "all", &["open/b", "closed/c", "closed/d"]).await?;
    stage.files_become(TEAM, 3).await?;
    stage.inventory_shows(TEAM, &["Ready=True/Exported", "Synced=True/Exported"]).await?;
    // What is permitted goes on, and still nothing of the other namespace is touched.
    stage.apply([scene::config_map("open", "e", "first", 0)]).await?;
    stage.rows_become(TEAM, "all", &["open/b", "open/e", "closed/c", "closed/d"]).await?;

    stage.grant_in("closed").await?;
    stage.target_shows(TEAM, &["Ready=True/Collecting", "Synced=True/Collecting", "!Degraded"]).await?;
    stage.rows_become(TEAM, "all", &["open/b", "open/e", "closed/d"]).await?;
    stage.files_become(TEAM, 3).await.context("after the permission came back")
}

/// `namespace/name` of every item of the document of the inventory `all` at a commit, and the whole text.
fn items(stage: &Stage, commit: &str) -> anyhow::Result<(BTreeSet<String>, String)> {
    let path = format!("{commit}:inventory/{TEAM}/all.json");
    let Ok(text) = stage.git.repos.git(&stage::repo(TEAM), ["show", &path]) else { return Ok(Default::default()) };
    let document: serde_json::Value = serde_json::from_str(&text)?;
    let items = document["items"].as_array().context("no items")?;
    let name = |item: &serde_json::Value| {
        format!("{}/{}", item["namespace"].as_str().unwrap_or("?"), item["name"].as_str().unwrap_or("?"))
    };
    ensure!(document["itemCount"] == items.len(), "itemCount is {}", document["itemCount"]);
    Ok((items.iter().map(name).collect(), text))
}

async fn items_become(stage: &Stage, wanted: &[&str]) -> anyhow::Result<String> {
    let all: BTreeSet<String> = wanted.iter().map(|name| (*name).to_owned()).collect();
    let seen = wait_for("the items of the document", SOON, async || Ok(items(stage, "main")?.0 == all)).await;
    let (have, text) = items(stage, "main")?;
    seen.with_context(|| format!("the items are {have:?}"))?;
    Ok(text)
}

#[tokio::test]
async fn a_document_keeps_the_rows_of_a_namespace_whose_permission_was_taken_away() -> anyhow::Result<()> {
    let stage = Stage::start().await?;
    stage.namespace_with("open", &["a", "b"]).await?;
    stage.namespace_with("closed", &["c", "d"]).await?;
    stage.pipeline(TEAM, &["open", "closed"]).await?;
    let mut sink = stage.git_sink(TEAM, "git")?;
    sink["spec"]["layout"] = json!({"mode": "document"});
    sink["spec"]["serialization"] = json!({"format": "json"});
    stage.apply([sink]).await?;
    stage.apply([scene::inventory(TEAM, "all", Some("git"), None, "0s")]).await?;
    stage.grant_in("open").await?;
    // At the first export nobody may list one of the namespaces: the other one is exported alone.
    let mut operator = stage.operator().await?;
    items_become(&stage, &["open/a", "open/b"]).await?;
    stage.grant_in("closed").await?;
    let before = items_become(&stage, &["open/a", "open/b", "closed/c", "closed/d"]).await?;
    operator.terminate(Duration::from_secs(8)).await?;

    stage.revoke_in("closed").await?;
    stage.delete("ConfigMap", "open", "a").await?;
    stage.delete("ConfigMap", "closed", "c").await?;
    let from = commits(&stage)?;
    let _operator = stage.operator().await?;
    let denied = ["Ready=True/Collecting", "Synced=True/ScopeForbidden", "Degraded=True/Forbidden"];
    stage.target_shows(TEAM, &denied).await?;
    let after = items_become(&stage, &["open/b", "closed/c", "closed/d"]).await?;
    for name in ["c", "d"] {
        let at = before.find(&format!("\"namespace\":\"closed\",\"name\":\"{name}\"")).context("no item")?;
        let item = &before[at..at + before[at..].find("},{").or(before[at..].find("}]")).context("no end")?];
        ensure!(after.contains(item), "{item} is not in {after}");
    }
    stage.inventory_shows(TEAM, &["Ready=True/Exported", "Synced=True/Exported"]).await?;
    // What is permitted goes on.
    stage.apply([scene::config_map("open", "e", "first", 0)]).await?;
    items_become(&stage, &["open/b", "open/e", "closed/c", "closed/d"]).await?;
    for commit in git_commits(&stage.git.repos, &stage::repo(TEAM), "main")?.iter().skip(from) {
        let names = items(&stage, &commit.id)?.0;
        ensure!(names.contains("closed/c") && names.contains("closed/d"), "commit {} has only {names:?}", commit.id);
        ensure!(commit.message.contains(&names.len().to_string()), "{}", commit.message);
    }

    stage.grant_in("closed").await?;
    stage.target_shows(TEAM, &["Ready=True/Collecting", "Synced=True/Collecting", "!Degraded"]).await?;
    items_become(&stage, &["open/b", "open/e", "closed/d"]).await.context("after the permission came back")?;
    Ok(())
}

#[tokio::test]
async fn a_target_that_may_read_nothing_is_not_ready_and_recovers_by_itself() -> anyhow::Result<()> {
    let stage = Stage::start().await?;
    stage.namespace_with("first", &["a"]).await?;
    stage.namespace_with("second", &["b"]).await?;
    stage.pipeline(TEAM, &["first", "second"]).await?;
    let _operator = stage.operator().await?;
    let denied = ["Ready=False/Forbidden", "Synced=False/Forbidden", "Degraded=True/Forbidden"];
    stage.target_shows(TEAM, &denied).await?;
    // Each namespace is asked for on its own, so the answers come one after the other.
    denials_become(&stage, &["first", "second"]).await?;
    stage.target_shows(TEAM, &denied).await?;
    stage.grant_in("first").await?;
    let partly = ["Ready=True/Collecting", "Synced=True/ScopeForbidden", "Degraded=True/Forbidden"];
    stage.target_shows(TEAM, &partly).await?;
    denials_become(&stage, &["second"]).await?;
    stage.rows_become(TEAM, "all", &["first/a"]).await?;
    stage.grant_in("second").await?;
    stage.target_shows(TEAM, &["Ready=True/Collecting", "Synced=True/Collecting", "!Degraded"]).await?;
    stage.rows_become(TEAM, "all", &["first/a", "second/b"]).await
}

/// Waits until the target says which of the two namespaces are denied.
async fn denials_become(stage: &Stage, wanted: &[&str]) -> anyhow::Result<()> {
    let mut why = String::new();
    let seen = wait_for(&format!("the target says that {wanted:?} are denied"), SOON, async || {
        why = message(&stage.status("KollectTarget", TEAM, "maps").await?, "Degraded");
        Ok(["first", "second"].iter().all(|name| why.contains(name) == wanted.contains(name))
            && why.contains("ConfigMap"))
    })
    .await;
    seen.with_context(|| format!("it says {why}"))
}

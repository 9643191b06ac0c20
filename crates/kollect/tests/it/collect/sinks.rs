//! The sinks of a configuration: Git and PostgreSQL, as the operator would write them.

use super::CommandFolder;
use kollect_testkit::scene;
use kollect_testkit::servers::{GitHttp, GitHttpOptions, Postgres, PostgresOptions};
use serde_json::json;

const TOKEN: &str = "right-token";

fn inventory(folder: &CommandFolder, snapshot: &[&str], database: &[&str]) {
    let spec = json!({"snapshotSinkRefs": snapshot, "databaseSinkRefs": database});
    folder.config("inventory", &[super::kollect("KollectInventory", "daily", &spec)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn git_gets_one_commit_per_difference() {
    let credentials = Some(("x-access-token".to_owned(), TOKEN.to_owned()));
    let git = GitHttp::start(GitHttpOptions { credentials, ..GitHttpOptions::default() }).await.unwrap();
    git.repos.create("team.git").unwrap();
    let folder = CommandFolder::with_maps();
    folder.maps(&[("shop", "one", "1"), ("pay", "two", "2")]);
    inventory(&folder, &["git"], &[]);
    let mut sink = super::kollect(
        "KollectSnapshotSink",
        "git",
        &json!({"type": "git", "endpoint": git.url("team.git"), "secretRef": {"name": "login"}, "cluster": "east"}),
    );
    sink["spec"]["layout"] = json!({"mode": "perResource"});
    let meta = json!({"name": "login", "namespace": "team"});
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": meta, "stringData": {"token": "${env:T}"}});
    folder.config("sink", &[sink, secret]);
    let run = |args: &[&str]| folder.run_with(&[&["--from", "manifests"], args].concat(), &[("T", TOKEN)], "");
    let commits = || git.repos.git("team.git", ["rev-list", "--count", "main"]).unwrap_or_default().trim().to_owned();

    run(&["--dry-run"]).ends(0).reports("2 added, 0 changed, 0 removed").reports("+ east/shop/configmap/one.yaml");
    assert_eq!(commits(), "", "a dry run writes nothing");
    run(&[]).ends(0).reports("done team/daily to KollectSnapshotSink git");
    let files = git.repos.git("team.git", ["ls-tree", "-r", "--name-only", "main"]).unwrap();
    assert!(files.contains("east/pay/configmap/two.yaml\neast/shop/configmap/one.yaml"), "{files}");
    assert_eq!(commits(), "1");
    run(&[]).ends(0).reports("unchanged");
    assert_eq!(commits(), "1");
    folder.run_with(&["--from", "manifests"], &[("T", "wrong")], "").ends(2).reports("failed team/daily");
    run(&["--output", "-"]).ends(2).reports("the configuration has a sink, KollectSnapshotSink git");
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_holds_exactly_the_rows() {
    let server = Postgres::start(PostgresOptions::default()).await.unwrap();
    server.create_database("rows").await.unwrap();
    let folder = CommandFolder::with_maps();
    folder.maps(&[("shop", "one", "1"), ("pay", "two", "2")]);
    inventory(&folder, &[], &["pg"]);
    folder.config("sink", &scene::postgres_sink(&server, "team", "pg", "rows", "east"));
    let dry = || folder.run(&["--from", "manifests", "--dry-run"]);
    let database = server.admin("rows").await.unwrap();
    let tables = async || {
        let sql = "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'";
        database.query_one(sql, &[]).await.unwrap().get::<_, i64>(0)
    };
    drop(dry().ends(0).reports("2 added, 0 changed, 0 removed"));
    assert_eq!(tables().await, 0, "a dry run makes no table");
    folder.run(&["--from", "manifests"]).ends(0).reports("2 changes written");
    folder.maps(&[("shop", "one", "changed")]);
    drop(dry().ends(0).reports("0 added, 1 changed, 1 removed"));
    folder.run(&["--from", "manifests"]).ends(0).reports("2 changes written");
    folder.run(&["--from", "manifests"]).ends(0).reports("unchanged");
}

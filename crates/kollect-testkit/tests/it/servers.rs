//! Every server starts, serves, stops and comes back.

use k8s_openapi::api::core::v1::ConfigMap;
use kollect_testkit::servers::{
    ApiServer, ApiServerOptions, BareRepos, Certs, GitHttp, GitHttpOptions, Postgres, PostgresOptions, SshGit,
    client_from_kubeconfig, count_by_verb, read_audit_log,
};
use kube::api::{Api, ListParams, PostParams};
use std::sync::Arc;
use std::time::Instant;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_api_server_serves_by_rbac_audits_and_survives_a_restart() {
    let user = "system:serviceaccount:kollect-system:kollect";
    let options = ApiServerOptions { audit_users: vec![user.to_owned()], ..ApiServerOptions::default() };
    let begun = Instant::now();
    let server = ApiServer::start(options).await.unwrap();
    eprintln!("API server ready after {:?}", begun.elapsed());
    let token = server.service_account_token("kollect-system", "kollect").await.unwrap();
    let operator = client_from_kubeconfig(&server.kubeconfig_for_token(&token)).await.unwrap();
    let admin: Api<ConfigMap> = Api::default_namespaced(server.admin().await.unwrap());
    let map: ConfigMap = serde_json::from_value(serde_json::json!({"metadata": {"name": "kept"}})).unwrap();
    admin.create(&PostParams::default(), &map).await.unwrap();

    let denied = Api::<ConfigMap>::all(operator).list(&ListParams::default()).await.unwrap_err();
    assert!(matches!(denied, kube::Error::Api(status) if status.code == 403));
    let (entries, _) = read_audit_log(&server.audit_log(), 0, user).unwrap();
    assert_eq!(count_by_verb(&entries).get("list"), Some(&1), "{entries:?}");

    server.compact().await.unwrap();
    server.stop();
    assert!(admin.get("kept").await.is_err());
    server.restart().await.unwrap();
    assert_eq!(admin.get("kept").await.unwrap().metadata.name.as_deref(), Some("kept"));
    let version = admin.get("kept").await.unwrap().metadata.resource_version.unwrap();
    let watch = admin.watch(&kube::api::WatchParams::default(), &version).await;
    drop(watch);
}

#[tokio::test]
async fn postgres_starts_from_its_template_and_comes_back_with_its_data() {
    let server = Postgres::start(PostgresOptions::default()).await.unwrap();
    let begun = Instant::now();
    let second = Postgres::start(PostgresOptions::default()).await.unwrap();
    eprintln!("PostgreSQL ready after {:?}", begun.elapsed());
    assert_ne!(server.port(), second.port());
    let admin = server.admin(Postgres::DATABASE).await.unwrap();
    admin.batch_execute("CREATE TABLE t (n int); INSERT INTO t VALUES (7)").await.unwrap();
    server.stop();
    assert!(server.admin(Postgres::DATABASE).await.is_err());
    server.restart().await.unwrap();
    let admin = server.admin(Postgres::DATABASE).await.unwrap();
    assert_eq!(admin.query_one("SELECT n FROM t", &[]).await.unwrap().get::<_, i32>(0), 7);
    server.create_database("other").await.unwrap();
}

fn push(url: &str, setup: &[(&str, &str)]) -> Result<(), String> {
    let dir = tempfile::tempdir().unwrap();
    let run = |args: &[&str]| {
        let mut git = std::process::Command::new("git");
        git.current_dir(dir.path()).args(["-c", "user.name=a", "-c", "user.email=a@example.org"]).args(args);
        git.env("GIT_TERMINAL_PROMPT", "0").env_remove("GIT_SSL_CAINFO").env("GIT_CONFIG_GLOBAL", "/dev/null");
        for (key, value) in setup {
            git.env(key, value);
        }
        let output = git.output().unwrap();
        if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
    };
    run(&["init", "-q", "-b", "main"])?;
    std::fs::write(dir.path().join("big"), vec![b'x'; 3_000_000]).unwrap();
    run(&["add", "."])?;
    run(&["commit", "-q", "-m", "first"])?;
    run(&["push", "-q", url, "main"])?;
    run(&["fetch", "-q", "--depth", "1", url, "main"])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn git_is_served_over_http_and_https_and_pushes_can_be_refused() {
    let plain = GitHttp::start(GitHttpOptions::default()).await.unwrap();
    plain.repos.create("team/inv.git").unwrap();
    let url = plain.url("team/inv.git");
    tokio::task::spawn_blocking(move || push(&url, &[]).unwrap()).await.unwrap();
    assert!(plain.repos.git("team/inv.git", ["log", "--oneline", "main"]).unwrap().contains("first"));
    plain.repos.commit_behind("team/inv.git", "main", &[("a/b", "c")]).unwrap();

    plain.repos.create("shut.git").unwrap();
    plain.repos.refuse_pushes("shut.git", Some("GL-HOOK-ERR: protected")).unwrap();
    let url = plain.url("shut.git");
    let refused = tokio::task::spawn_blocking(move || push(&url, &[]).unwrap_err()).await.unwrap();
    assert!(refused.contains("GL-HOOK-ERR: protected"), "{refused}");

    let credentials = Some(("bot".to_owned(), "s3cret".to_owned()));
    let certs = Some(Arc::new(Certs::new().unwrap()));
    let https = GitHttp::start(GitHttpOptions { certs, credentials, ..GitHttpOptions::default() }).await.unwrap();
    https.repos.create("inv.git").unwrap();
    let ca = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(ca.path(), https.ca_pem().unwrap()).unwrap();
    let (open, url) = (https.url("inv.git"), https.url("inv.git").replace("//", "//bot:s3cret@"));
    let path = ca.path().display().to_string();
    tokio::task::spawn_blocking(move || {
        assert!(push(&open, &[("GIT_SSL_CAINFO", &path)]).is_err());
        push(&url, &[("GIT_SSL_CAINFO", &path)]).unwrap();
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn git_is_served_over_ssh_to_the_known_key_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let server = SshGit::start(BareRepos::new().unwrap()).await.unwrap();
    server.repos.create("inv.git").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: String| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        path.display().to_string()
    };
    let hosts = file("hosts", server.known_hosts().unwrap());
    let ssh = |key: String| format!("ssh -F none -o IdentitiesOnly=yes -o UserKnownHostsFile={hosts} -i {key}");
    let good = ssh(file("good", server.user_key().unwrap()));
    let bad = ssh(file("bad", server.unknown_user_key().unwrap()));
    let url = server.url("inv.git");
    tokio::task::spawn_blocking(move || {
        push(&url, &[("GIT_SSH_COMMAND", &good)]).unwrap();
        assert!(push(&url, &[("GIT_SSH_COMMAND", &bad)]).is_err());
    })
    .await
    .unwrap();
}

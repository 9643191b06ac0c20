//! The promises of every file sink, kept over https and over ssh.

use crate::bench::{REPO, basic};
use anyhow::Context as _;
use kollect_export::FileSink;
use kollect_net::{Guard, TlsSpec};
use kollect_sink_git::{Auth, Config, GitSink};
use kollect_testkit::conformance::{FileBackend, files};
use kollect_testkit::servers::{BareRepos, GitHttp, GitHttpOptions, SshGit};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::Mutex;

struct Http {
    repos: BareRepos,
    config: Config,
    port: u16,
    server: Mutex<Option<GitHttp>>,
    _mirrors: TempDir,
}

fn options(repos: &BareRepos, port: u16) -> GitHttpOptions {
    GitHttpOptions { tls: true, credentials: Some(("bot".into(), "right".into())), repos: Some(repos.clone()), port }
}

fn sink(config: Config) -> anyhow::Result<Arc<dyn FileSink>> {
    Ok(Arc::new(GitSink::new(config)?))
}

fn read_back(repos: &BareRepos) -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
    let mut files = BTreeMap::new();
    let folder = tempfile::tempdir()?;
    let out = folder.path().display().to_string();
    if repos.git(REPO, ["rev-parse", "--verify", "-q", "main"]).is_err() {
        return Ok(files);
    }
    repos.git(REPO, ["read-tree", "main"])?;
    repos.git(REPO, ["--work-tree", &out, "checkout-index", "-a", "-f"])?;
    for path in repos.git(REPO, ["ls-tree", "-r", "-z", "--name-only", "main"])?.split('\0').filter(|p| !p.is_empty()) {
        files.insert(path.to_owned(), std::fs::read(folder.path().join(path))?);
    }
    Ok(files)
}

fn revision(repos: &BareRepos) -> Option<String> {
    repos.git(REPO, ["rev-parse", "--verify", "-q", "main"]).ok().map(|id| id.trim().to_owned())
}

#[async_trait::async_trait]
impl FileBackend for Http {
    async fn sink(&self) -> anyhow::Result<Arc<dyn FileSink>> {
        sink(self.config.clone())
    }
    async fn sink_with_wrong_credentials(&self) -> anyhow::Result<Option<Arc<dyn FileSink>>> {
        sink(Config { auth: basic("wrong"), ..self.config.clone() }).map(Some)
    }
    async fn read_back(&self) -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
        read_back(&self.repos)
    }
    async fn revision(&self) -> anyhow::Result<Option<String>> {
        Ok(revision(&self.repos))
    }
    async fn plant(&self, path: &str, content: &str) -> anyhow::Result<()> {
        self.repos.commit_behind(REPO, "main", &[(path, content)]).map(drop)
    }
    async fn wipe(&self) -> anyhow::Result<()> {
        self.repos.recreate(REPO)
    }
    async fn stop(&self) -> anyhow::Result<()> {
        self.server.lock().await.take().context("it is running").map(drop)
    }
    async fn start(&self) -> anyhow::Result<()> {
        // The port may take a moment to be free; the certificate is another one after a restart.
        for _ in 0..50 {
            if let Ok(server) = GitHttp::start(options(&self.repos, self.port)).await {
                *self.server.lock().await = Some(server);
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        anyhow::bail!("the server does not come back")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_promise_is_kept_over_https() {
    let repos = BareRepos::new().unwrap();
    repos.create(REPO).unwrap();
    let server = GitHttp::start(options(&repos, 0)).await.unwrap();
    let mirrors = tempfile::tempdir().unwrap();
    let mut config = Config::new(server.url(REPO), mirrors.path());
    config.guard = Guard::open();
    config.auth = basic("right");
    config.stall = Duration::from_secs(30);
    // A restarted server has a new authority, so its certificate is not what this test is about.
    config.tls = TlsSpec { insecure_skip_verify: true, ..TlsSpec::default() };
    let backend = Http { repos, config, port: server.port(), server: Mutex::new(Some(server)), _mirrors: mirrors };
    files(&backend).await.unwrap();
    backend.repos.git(REPO, ["fsck", "--strict"]).unwrap();
}

struct Ssh {
    repos: BareRepos,
    server: SshGit,
    config: Config,
    _mirrors: TempDir,
}

#[async_trait::async_trait]
impl FileBackend for Ssh {
    async fn sink(&self) -> anyhow::Result<Arc<dyn FileSink>> {
        sink(self.config.clone())
    }
    async fn sink_with_wrong_credentials(&self) -> anyhow::Result<Option<Arc<dyn FileSink>>> {
        let auth = Auth::Ssh {
            user: None,
            private_key: self.server.unknown_user_key()?.into(),
            known_hosts: Some(self.server.known_hosts()?),
        };
        sink(Config { auth, ..self.config.clone() }).map(Some)
    }
    async fn read_back(&self) -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
        read_back(&self.repos)
    }
    async fn revision(&self) -> anyhow::Result<Option<String>> {
        Ok(revision(&self.repos))
    }
    async fn plant(&self, path: &str, content: &str) -> anyhow::Result<()> {
        self.repos.commit_behind(REPO, "main", &[(path, content)]).map(drop)
    }
    async fn wipe(&self) -> anyhow::Result<()> {
        self.repos.recreate(REPO)
    }
    async fn stop(&self) -> anyhow::Result<()> {
        Ok(std::fs::rename(self.repos.path(REPO), self.repos.path("away.git"))?)
    }
    async fn start(&self) -> anyhow::Result<()> {
        Ok(std::fs::rename(self.repos.path("away.git"), self.repos.path(REPO))?)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_promise_is_kept_over_ssh() {
    let repos = BareRepos::new().unwrap();
    repos.create(REPO).unwrap();
    let server = SshGit::start(repos.clone()).await.unwrap();
    let mirrors = tempfile::tempdir().unwrap();
    let mut config = Config::new(server.url(REPO), mirrors.path());
    config.guard = Guard::open();
    let known_hosts = Some(server.known_hosts().unwrap());
    config.auth = Auth::Ssh { user: None, private_key: server.user_key().unwrap().into(), known_hosts };
    let backend = Ssh { repos, server, config, _mirrors: mirrors };
    files(&backend).await.unwrap();
}

//! The conformance tests of every file sink, over http, https and ssh.

use crate::bench::{REPO, basic};
use anyhow::Context as _;
use kollect_export::FileSink;
use kollect_net::{Guard, TlsSpec};
use kollect_sink_git::{GitConfig, GitCredentials, GitSink};
use kollect_testkit::conformance::{FileBackend, ProxiedFiles, file_faults, files};
use kollect_testkit::servers::{BareRepos, Certs, GitHttp, GitHttpOptions, SshGit, wait_for};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::Mutex;

struct Http {
    options: GitHttpOptions,
    repos: BareRepos,
    config: GitConfig,
    server: Mutex<Option<GitHttp>>,
    _mirrors: TempDir,
}

impl Http {
    async fn start(certs: Option<Certs>) -> anyhow::Result<Self> {
        let repos = BareRepos::new()?;
        repos.create(REPO)?;
        let mut options = GitHttpOptions {
            certs: certs.map(Arc::new),
            credentials: Some(("bot".into(), "right".into())),
            repos: Some(repos.clone()),
            port: 0,
        };
        let server = GitHttp::start(options.clone()).await?;
        // A restarted server has the same address and the same authority.
        options.port = server.port();
        let mirrors = tempfile::tempdir()?;
        let mut config = GitConfig::new(server.url(REPO), mirrors.path());
        config.guard = Guard::open();
        config.auth = basic("right");
        config.stall = Duration::from_secs(30);
        config.tls = TlsSpec { ca_pem: server.ca_pem().map(|ca| ca.as_bytes().to_vec()), ..TlsSpec::default() };
        Ok(Self { options, repos, config, server: Mutex::new(Some(server)), _mirrors: mirrors })
    }
}

fn sink(config: GitConfig) -> anyhow::Result<Arc<dyn FileSink>> {
    Ok(Arc::new(GitSink::new(config)?))
}

fn read_back(repos: &BareRepos) -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
    let mut files = BTreeMap::new();
    if revision(repos).is_none() {
        return Ok(files);
    }
    let folder = tempfile::tempdir()?;
    repos.git(REPO, ["read-tree", "main"])?;
    repos.git(REPO, ["--work-tree", &folder.path().display().to_string(), "checkout-index", "-a", "-f"])?;
    let mut folders = vec![folder.path().to_owned()];
    while let Some(inner) = folders.pop() {
        for entry in std::fs::read_dir(inner)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder.path())?.to_str().context("a name that is not UTF-8")?;
                files.insert(name.to_owned(), std::fs::read(&path)?);
            }
        }
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
        sink(GitConfig { auth: basic("wrong"), ..self.config.clone() }).map(Some)
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
        // The port may take a moment to be free.
        let back = wait_for("the Git server is back", Duration::from_secs(5), async || {
            *self.server.lock().await = Some(GitHttp::start(self.options.clone()).await?);
            Ok(true)
        });
        // Its future is not `Send`, which the trait wants.
        tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(back))
    }
}

#[async_trait::async_trait]
impl ProxiedFiles for Http {
    fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.options.port).into()
    }
    async fn sink_at(&self, port: u16) -> anyhow::Result<Arc<dyn FileSink>> {
        sink(at_port(&self.config, self.options.port, port))
    }
}

/// The same server through another port of this machine.
fn at_port(config: &GitConfig, from: u16, to: u16) -> GitConfig {
    GitConfig { url: config.url.replace(&format!("localhost:{from}/"), &format!("localhost:{to}/")), ..config.clone() }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_promise_is_kept_over_http() {
    let backend = Http::start(None).await.unwrap();
    files(&backend).await.unwrap();
    backend.repos.git(REPO, ["fsck", "--strict"]).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_promise_is_kept_over_https_with_a_private_authority() {
    let backend = Http::start(Some(Certs::new().unwrap())).await.unwrap();
    files(&backend).await.unwrap();
    backend.repos.git(REPO, ["fsck", "--strict"]).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_landed_is_reported_behind_a_bad_network_over_http() {
    let backend = Http::start(None).await.unwrap();
    file_faults(&backend).await.unwrap();
    backend.repos.git(REPO, ["fsck", "--strict"]).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_landed_is_reported_behind_a_bad_network_over_https() {
    let backend = Http::start(Some(Certs::new().unwrap())).await.unwrap();
    file_faults(&backend).await.unwrap();
    backend.repos.git(REPO, ["fsck", "--strict"]).unwrap();
}

struct Ssh {
    repos: BareRepos,
    server: SshGit,
    config: GitConfig,
    _mirrors: TempDir,
}

impl Ssh {
    async fn start() -> anyhow::Result<Self> {
        let repos = BareRepos::new()?;
        repos.create(REPO)?;
        let server = SshGit::start(repos.clone()).await?;
        let mirrors = tempfile::tempdir()?;
        let mut config = GitConfig::new(server.url(REPO), mirrors.path());
        config.guard = Guard::open();
        config.auth = login(server.user_key()?, server.known_hosts()?);
        Ok(Self { repos, server, config, _mirrors: mirrors })
    }
}

fn login(private_key: String, known_hosts: String) -> GitCredentials {
    GitCredentials::Ssh { user: None, private_key: private_key.into(), known_hosts: Some(known_hosts) }
}

#[async_trait::async_trait]
impl FileBackend for Ssh {
    async fn sink(&self) -> anyhow::Result<Arc<dyn FileSink>> {
        sink(self.config.clone())
    }
    async fn sink_with_wrong_credentials(&self) -> anyhow::Result<Option<Arc<dyn FileSink>>> {
        let auth = login(self.server.unknown_user_key()?, self.server.known_hosts()?);
        sink(GitConfig { auth, ..self.config.clone() }).map(Some)
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

#[async_trait::async_trait]
impl ProxiedFiles for Ssh {
    fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.server.port()).into()
    }
    async fn sink_at(&self, port: u16) -> anyhow::Result<Arc<dyn FileSink>> {
        // The same host key, known under the proxy's port.
        let [own, proxied] = [self.server.port(), port].map(|port| format!("[localhost]:{port} "));
        let auth = login(self.server.user_key()?, self.server.known_hosts()?.replace(&own, &proxied));
        sink(GitConfig { auth, ..at_port(&self.config, self.server.port(), port) })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_promise_is_kept_over_ssh() {
    let backend = Ssh::start().await.unwrap();
    files(&backend).await.unwrap();
    backend.repos.git(REPO, ["fsck", "--strict"]).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_landed_is_reported_behind_a_bad_network_over_ssh() {
    let backend = Ssh::start().await.unwrap();
    file_faults(&backend).await.unwrap();
    backend.repos.git(REPO, ["fsck", "--strict"]).unwrap();
}

//! A repository on a real server, a sink for it, and short words for batches.

use kollect_export::{
    AlwaysWrite, BindingId, Cycle, Family, FileBatch, FileChange, FileSink as _, HeldFile, InventoryKey, Progress,
    ReadBack, Receipt, SinkError, SinkKey, WriteRight,
};
use kollect_model::Digest;
use kollect_net::{Guard, TlsSpec};
use kollect_sink_git::{GitConfig, GitCredentials, GitSink};
use kollect_testkit::servers::{BareRepos, GitHttp, GitHttpOptions};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

pub(crate) const REPO: &str = "team/inventory.git";

/// A server with one empty repository, and a directory for mirrors.
pub(crate) struct Bench {
    pub(crate) server: GitHttp,
    pub(crate) mirrors: TempDir,
}

impl Bench {
    pub(crate) async fn start() -> Self {
        Self::with(GitHttpOptions::default()).await
    }

    pub(crate) async fn with(options: GitHttpOptions) -> Self {
        let server = GitHttp::start(options).await.unwrap();
        if !server.repos.path(REPO).exists() {
            server.repos.create(REPO).unwrap();
        }
        Self { server, mirrors: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn repos(&self) -> &BareRepos {
        &self.server.repos
    }

    pub(crate) fn config(&self) -> GitConfig {
        let mut config = GitConfig::new(self.server.url(REPO), self.mirrors.path());
        config.guard = Guard::open();
        config.stall = Duration::from_secs(20);
        if let Some(ca) = self.server.ca_pem() {
            config.tls = TlsSpec { ca_pem: Some(ca.as_bytes().to_vec()), ..TlsSpec::default() };
        }
        config
    }

    pub(crate) fn sink(&self) -> GitSink {
        GitSink::new(self.config()).unwrap()
    }

    /// Deletes every mirror, as a restarted Pod with an empty volume would find it.
    pub(crate) fn lose_mirrors(&self) {
        for entry in std::fs::read_dir(self.mirrors.path()).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                std::fs::remove_dir_all(path).unwrap();
            }
        }
    }

    pub(crate) fn git<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> String {
        self.repos().git(REPO, args).unwrap()
    }

    pub(crate) fn commits(&self) -> usize {
        self.git(["rev-list", "--count", "main"]).trim().parse().unwrap()
    }

    pub(crate) fn show(&self, path: &str) -> Option<String> {
        self.repos().git(REPO, ["show", &format!("main:{path}")]).ok()
    }

    /// Paths of the branch without the records.
    pub(crate) fn files(&self) -> Vec<String> {
        let listed = self.git(["ls-tree", "-r", "--name-only", "main"]);
        listed.lines().filter(|path| !path.starts_with(".kollect/")).map(str::to_owned).collect()
    }
}

pub(crate) fn basic(token: &str) -> GitCredentials {
    GitCredentials::Basic { user: Some("bot".into()), token: Some(token.into()), password: None }
}

pub(crate) fn put(path: &str, content: &str) -> FileChange {
    FileChange::Put {
        path: path.into(),
        digest: Digest::of(content.as_bytes()),
        body: Arc::new(content.as_bytes().to_vec()),
    }
}

pub(crate) fn delete(path: &str) -> FileChange {
    FileChange::Delete { path: path.into() }
}

pub(crate) fn record(name: &str) -> String {
    format!(".kollect/c1/shop/{name}/repo")
}

pub(crate) fn batch(name: &str, changes: impl IntoIterator<Item = FileChange>) -> FileBatch {
    FileBatch {
        changes: changes.into_iter().collect(),
        record: record(name),
        message: format!("export {name}\n\nKollect-Inventory: {name}\n"),
        author_name: "kollect".into(),
        author_email: "kollect@kollect.dev".into(),
    }
}

/// Everything a cycle borrows.
pub(crate) struct Turn {
    pub(crate) of: BindingId,
    pub(crate) cancel: CancellationToken,
    pub(crate) progress: Progress,
    pub(crate) right: Box<dyn WriteRight>,
}

impl Turn {
    pub(crate) fn new(name: &str) -> Self {
        let of = BindingId {
            inventory: InventoryKey { namespace: "shop".into(), name: name.into() },
            sink: SinkKey { family: Family::Snapshot, namespace: "shop".into(), name: "repo".into() },
        };
        Self { of, cancel: CancellationToken::new(), progress: Progress::default(), right: Box::new(AlwaysWrite) }
    }

    pub(crate) fn cycle(&self) -> Cycle<'_> {
        Cycle { of: &self.of, number: 1, fence: 0, cancel: &self.cancel, progress: &self.progress, right: &*self.right }
    }
}

/// Applies one batch.
pub(crate) async fn apply(sink: &GitSink, batch: FileBatch) -> Result<Receipt, SinkError> {
    apply_all(sink, vec![batch]).await.pop().unwrap()
}

pub(crate) async fn apply_all(sink: &GitSink, batches: Vec<FileBatch>) -> Vec<Result<Receipt, SinkError>> {
    let turn = Turn::new("any");
    let count = batches.len();
    let outcomes = sink.apply(batches.into_iter().map(|batch| (turn.cycle(), batch)).collect()).await;
    assert_eq!(outcomes.len(), count);
    outcomes
}

/// The files that the sink reports as held.
pub(crate) async fn held(sink: &GitSink, name: &str) -> Result<BTreeMap<String, Option<Digest>>, SinkError> {
    let turn = Turn::new(name);
    let mut files = BTreeMap::new();
    let mut each = |file: HeldFile| {
        files.insert(file.path.to_string(), file.digest);
    };
    let knowledge = sink.held(&turn.cycle(), &record(name), &mut each).await?;
    assert_eq!(knowledge, ReadBack::Complete);
    Ok(files)
}

/// Content of one file as the sink reads it back.
pub(crate) async fn read(sink: &GitSink, name: &str, path: &str) -> Result<Option<String>, SinkError> {
    let turn = Turn::new(name);
    let content = sink.read(&turn.cycle(), &record(name), path).await?;
    Ok(content.map(|bytes| String::from_utf8(bytes).unwrap()))
}

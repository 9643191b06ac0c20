//! Implements the file sink contract: cycles become jobs on a blocking thread, `GitError` becomes `SinkError`.

use crate::blocking::{self, JobHandle};
use crate::branch::BranchFile;
use crate::branch_state::{BranchState, SharedBranch, shared_branch};
use crate::branch_writer::{BranchWriter, PushTarget};
use crate::config::{GitConfig, RemoteAccess};
use crate::error::GitError;
use crate::remote;
use crate::remote_url::Scheme;
use crate::transport::{self, Endpoint, HttpEndpoint, OpenConversation};
use crate::tree::BindingBatch;
use kollect_export::{
    AlwaysWrite, BindingId, Cycle, Family, FileBatch, FileSink, HeldFile, InventoryKey, Probe, Progress, ReadBack,
    Receipt, SinkError, SinkKey,
};
use kollect_net::http::{Client, ClientConfig};
use kollect_net::{GuardedDialer, Insecure, NetError};
use sha2::{Digest as _, Sha256};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OwnedMutexGuard;
use tokio_util::sync::CancellationToken;

/// Interval at which waiting for another lane of the branch counts as progress: that lane has its own deadline.
const WAIT_TICK: Duration = Duration::from_secs(1);
const PROBE: Duration = Duration::from_secs(15);
const CONNECT: Duration = Duration::from_secs(15);

/// Writes files into a branch of a Git repository.
pub struct GitSink {
    target: Arc<PushTarget>,
    branch: SharedBranch,
    key: String,
    skips_verification: bool,
}

impl std::fmt::Debug for GitSink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GitSink").field("lane", &self.key).finish_non_exhaustive()
    }
}

impl GitSink {
    /// Checks the settings. Connects to nothing.
    pub fn new(config: GitConfig) -> Result<Self, SinkError> {
        let build = || -> Result<(RemoteAccess, Option<HttpEndpoint>), GitError> {
            transport::prepare()?;
            let access = RemoteAccess::check(&config)?;
            let http = match access.url.scheme {
                Scheme::Ssh => None,
                Scheme::Http | Scheme::Https => Some(http_endpoint(&config, &access)?),
            };
            Ok((access, http))
        };
        let (access, http) = build().map_err(|failure| failure.into_sink_error("config", false))?;
        let url = access.url.to_string();
        let mirror_name = kollect_model::hex(&Sha256::digest(format!("{url}\0{}", access.branch))[..16]);
        let key = format!("{url}#{} {}", access.branch, access.auth_digest);
        let branch = shared_branch(&config.mirror_root, &mirror_name);
        let endpoint = Endpoint {
            access: Arc::new(access),
            http: http.map(Arc::new),
            dialer: GuardedDialer::new(config.guard.clone()),
            stall: config.stall,
            limits: config.limits,
        };
        let target = PushTarget {
            reference: endpoint.access.reference(),
            endpoint,
            policy: config.push_policy,
            depth: config.depth,
            mirror_root: config.mirror_root,
            mirror_name,
            cluster: config.cluster,
        };
        let skips_verification = config.tls.insecure_skip_verify;
        Ok(Self { target: Arc::new(target), branch, key, skips_verification })
    }

    /// Canonical URL and branch, without credentials: the destination that a status may show.
    pub fn destination(&self) -> String {
        let access = &self.target.endpoint.access;
        format!("{}#branch={}", access.url, access.branch)
    }

    /// Why the connection is not safe, if so.
    pub fn insecure(&self) -> Option<Insecure> {
        let access = &self.target.endpoint.access;
        let plain = access.url.scheme == Scheme::Http && !access.auth.secrets().is_empty();
        if plain { Some(Insecure::Plaintext) } else { self.skips_verification.then_some(Insecure::SkipVerify) }
    }

    /// Host and port that credentials are sent to, and the port of the scheme's encrypted form.
    pub fn server(&self) -> (String, u16, u16) {
        let url = &self.target.endpoint.access.url;
        let usual = if url.scheme == Scheme::Ssh { 22 } else { 443 };
        (url.host.clone(), url.port, usual)
    }

    /// Runs `work` on a blocking thread while it holds the lock of the branch.
    async fn with_branch_lock<T: Send + 'static>(
        &self,
        cycles: &[Cycle<'_>],
        work: impl FnOnce(&mut BranchWriter<'_>) -> T + Send + 'static,
    ) -> Result<T, GitError> {
        let mut state = self.lock_branch(cycles).await?;
        let target = self.target.clone();
        blocking::run(cycles, move |job: Arc<JobHandle>| {
            // The guard moves into the job: when this future is dropped, the job holds the lock until it stops.
            let state: &mut BranchState = &mut state;
            work(&mut BranchWriter { target: &target, state, job: &job })
        })
        .await
    }

    async fn lock_branch(&self, cycles: &[Cycle<'_>]) -> Result<OwnedMutexGuard<BranchState>, GitError> {
        let mut lock = std::pin::pin!(self.branch.clone().lock_owned());
        loop {
            tokio::select! {
                state = &mut lock => return Ok(state),
                () = tokio::time::sleep(WAIT_TICK) => {
                    for cycle in cycles {
                        cycle.progress.tick();
                    }
                    if blocking::all_cancelled(cycles) {
                        return Err(GitError::Cancelled);
                    }
                }
            }
        }
    }

    async fn write(&self, cycles: &[Cycle<'_>], items: Vec<BindingBatch>) -> Vec<Result<Receipt, SinkError>> {
        let count = items.len();
        match self.with_branch_lock(cycles, move |writer| writer.write(&items)).await {
            Ok(outcomes) => outcomes,
            Err(failure) => {
                let unknown = matches!(failure, GitError::Task);
                let error = failure.into_sink_error("push", unknown);
                vec![Err(error); count]
            }
        }
    }
}

fn http_endpoint(config: &GitConfig, access: &RemoteAccess) -> Result<HttpEndpoint, GitError> {
    let client = Client::new(ClientConfig {
        dialer: GuardedDialer::new(config.guard.clone()),
        tls: config.tls.client_config().map_err(GitError::Net)?,
        server_name: config.tls.server_name.clone(),
        connect_timeout: config.stall.min(CONNECT),
        idle_timeout: config.stall,
    });
    HttpEndpoint::new(client, access)
}

#[async_trait::async_trait]
impl FileSink for GitSink {
    fn lane(&self) -> String {
        self.key.clone()
    }

    async fn held(
        &self,
        cycle: &Cycle<'_>,
        record: &str,
        each: &mut (dyn FnMut(HeldFile) + Send),
    ) -> Result<ReadBack, SinkError> {
        let record = record.to_owned();
        let files = self.with_branch_lock(&[*cycle], move |writer| writer.held(&record)).await;
        let files = files.and_then(|files| files).map_err(|failure| failure.into_sink_error("fetch", false))?;
        files.into_iter().for_each(each);
        Ok(ReadBack::Complete)
    }

    async fn read(&self, cycle: &Cycle<'_>, record: &str, path: &str) -> Result<Option<Vec<u8>>, SinkError> {
        let (record, wanted) = (record.to_owned(), path.to_owned());
        let content = self.with_branch_lock(&[*cycle], move |writer| writer.read(&record, &wanted)).await;
        match content.and_then(|content| content).map_err(|failure| failure.into_sink_error("fetch", false))? {
            BranchFile::Absent => Ok(None),
            BranchFile::Whole(bytes) => Ok(Some(bytes)),
            BranchFile::TooLarge(size) => Err(SinkError::too_large_to_read(path, size)),
        }
    }

    async fn apply(&self, lane: Vec<(Cycle<'_>, FileBatch)>) -> Vec<Result<Receipt, SinkError>> {
        let (cycles, batches): (Vec<_>, Vec<_>) = lane.into_iter().unzip();
        let items = batches.into_iter().enumerate();
        let items = items.map(|(cycle, batch)| BindingBatch { batch, cycle, forget: false }).collect();
        self.write(&cycles, items).await
    }

    async fn forget(&self, cycle: &Cycle<'_>, batch: FileBatch) -> Result<Receipt, SinkError> {
        let mut outcomes = self.write(&[*cycle], vec![BindingBatch { batch, cycle: 0, forget: true }]).await;
        outcomes.pop().unwrap_or_else(|| Err(GitError::Task.into_sink_error("push", true)))
    }

    async fn probe(&self, cancel: &CancellationToken) -> Result<Probe, SinkError> {
        let name: Arc<str> = "probe".into();
        let of = BindingId {
            inventory: InventoryKey { namespace: name.clone(), name: name.clone() },
            sink: SinkKey { family: Family::Snapshot, namespace: name.clone(), name },
        };
        let progress = Progress::default();
        let cycle = Cycle { of: &of, number: 0, fence: 0, cancel, progress: &progress, right: &AlwaysWrite };
        let (endpoint, reference) = (self.target.endpoint.clone(), self.target.reference.clone());
        let cycles = [cycle];
        let asking = blocking::run(&cycles, move |job| {
            let conversation = OpenConversation::open(endpoint, job)?;
            let mut remote = git2::Remote::create_detached(conversation.url()).map_err(crate::error::local)?;
            remote::list(&mut remote, &conversation, &reference)
        });
        let late = NetError::Timeout { what: "listing the branches", after: PROBE };
        // The timeout drops the future, which cancels the job.
        let asked = tokio::time::timeout(PROBE, asking).await.unwrap_or(Err(GitError::Net(late)));
        asked.and_then(|asked| asked).map_err(|failure| failure.into_sink_error("connect", false))?;
        let tls = self.target.endpoint.access.url.scheme == Scheme::Https;
        let message = if tls { "TLS and git remote reachability verified" } else { "git remote reachability verified" };
        Ok(Probe { message: message.to_owned() })
    }
}

//! The Git sink as the export engine sees it.
//!
//! Separate because it only translates: cycles into jobs on a blocking thread, troubles into sink errors.

use crate::branch::Content;
use crate::config::{Config, Target, hex};
use crate::error::Trouble;
use crate::job::{self, Pulse};
use crate::place::{Place, State, place};
use crate::push::{Route, Writer};
use crate::remote;
use crate::remote_url::Scheme;
use crate::transport::{self, Endpoint, HttpEndpoint, OpenLine};
use crate::tree::Item;
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

/// While another lane works on the same branch, waiting counts as progress: that lane has its own deadlines.
const WAIT_TICK: Duration = Duration::from_secs(1);
const PROBE: Duration = Duration::from_secs(15);
const CONNECT: Duration = Duration::from_secs(15);

/// Writes files into a branch of a Git repository.
pub struct GitSink {
    route: Arc<Route>,
    place: Place,
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
    pub fn new(config: Config) -> Result<Self, SinkError> {
        let build = || -> Result<(Target, Option<HttpEndpoint>), Trouble> {
            transport::prepare()?;
            let target = Target::check(&config)?;
            let http = match target.url.scheme {
                Scheme::Ssh => None,
                Scheme::Http | Scheme::Https => Some(http_endpoint(&config, &target)?),
            };
            Ok((target, http))
        };
        let (target, http) = build().map_err(|trouble| trouble.into_sink_error("config", false))?;
        let url = target.url.to_string();
        let mirror_name = hex(&Sha256::digest(format!("{url}\0{}", target.branch))[..16]);
        let key = format!("{url}#{} {}", target.branch, target.auth_digest);
        let place = place(&config.mirror_root, &mirror_name);
        let endpoint = Endpoint {
            target: Arc::new(target),
            http: http.map(Arc::new),
            dialer: GuardedDialer::new(config.guard.clone()),
            stall: config.stall,
            limits: config.limits,
        };
        let route = Route {
            reference: endpoint.target.reference(),
            endpoint,
            policy: config.push_policy,
            depth: config.depth,
            mirror_root: config.mirror_root,
            mirror_name,
            cluster: config.cluster,
        };
        let skips_verification = config.tls.insecure_skip_verify;
        Ok(Self { route: Arc::new(route), place, key, skips_verification })
    }

    /// Canonical URL and branch, without credentials: the destination that a status may show.
    pub fn destination(&self) -> String {
        let target = &self.route.endpoint.target;
        format!("{}#branch={}", target.url, target.branch)
    }

    /// Why the connection is not safe, if so.
    pub fn insecure(&self) -> Option<Insecure> {
        let target = &self.route.endpoint.target;
        let plain = target.url.scheme == Scheme::Http && !target.auth.secrets().is_empty();
        if plain { Some(Insecure::Plaintext) } else { self.skips_verification.then_some(Insecure::SkipVerify) }
    }

    /// Host and port that credentials are sent to, and the port of the scheme's encrypted form.
    pub fn server(&self) -> (String, u16, u16) {
        let url = &self.route.endpoint.target.url;
        let usual = if url.scheme == Scheme::Ssh { 22 } else { 443 };
        (url.host.clone(), url.port, usual)
    }

    /// Runs a job that has the branch for itself.
    async fn at_place<T: Send + 'static>(
        &self,
        cycles: &[Cycle<'_>],
        job: impl FnOnce(&mut Writer<'_>) -> T + Send + 'static,
    ) -> Result<T, Trouble> {
        let mut state = self.take_turn(cycles).await?;
        let route = self.route.clone();
        job::run(cycles, move |pulse: Arc<Pulse>| {
            // The guard moves in: when this future is dropped, the job still holds the place until it stops.
            let state: &mut State = &mut state;
            job(&mut Writer { route: &route, state, pulse: &pulse })
        })
        .await
    }

    async fn take_turn(&self, cycles: &[Cycle<'_>]) -> Result<OwnedMutexGuard<State>, Trouble> {
        let mut turn = std::pin::pin!(self.place.clone().lock_owned());
        loop {
            tokio::select! {
                state = &mut turn => return Ok(state),
                () = tokio::time::sleep(WAIT_TICK) => {
                    for cycle in cycles {
                        cycle.progress.tick();
                    }
                    if job::all_cancelled(cycles) {
                        return Err(Trouble::Cancelled);
                    }
                }
            }
        }
    }

    async fn write(&self, cycles: &[Cycle<'_>], items: Vec<Item>) -> Vec<Result<Receipt, SinkError>> {
        let count = items.len();
        match self.at_place(cycles, move |writer| writer.write(&items)).await {
            Ok(outcomes) => outcomes,
            Err(trouble) => {
                let lost = matches!(trouble, Trouble::Task);
                let error = trouble.into_sink_error("push", lost);
                vec![Err(error); count]
            }
        }
    }
}

fn http_endpoint(config: &Config, target: &Target) -> Result<HttpEndpoint, Trouble> {
    let client = Client::new(ClientConfig {
        dialer: GuardedDialer::new(config.guard.clone()),
        tls: config.tls.client_config().map_err(Trouble::Net)?,
        server_name: config.tls.server_name.clone(),
        connect_timeout: config.stall.min(CONNECT),
        idle_timeout: config.stall,
    });
    HttpEndpoint::new(client, target)
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
        let files = self.at_place(&[*cycle], move |writer| writer.held(&record)).await;
        let files = files.and_then(|files| files).map_err(|trouble| trouble.into_sink_error("fetch", false))?;
        files.into_iter().for_each(each);
        Ok(ReadBack::Complete)
    }

    async fn read(&self, cycle: &Cycle<'_>, record: &str, path: &str) -> Result<Option<Vec<u8>>, SinkError> {
        let (record, wanted) = (record.to_owned(), path.to_owned());
        let content = self.at_place(&[*cycle], move |writer| writer.read(&record, &wanted)).await;
        match content.and_then(|content| content).map_err(|trouble| trouble.into_sink_error("fetch", false))? {
            Content::Absent => Ok(None),
            Content::Whole(bytes) => Ok(Some(bytes)),
            Content::TooLarge(size) => Err(SinkError::too_large_to_read(path, size)),
        }
    }

    async fn apply(&self, lane: Vec<(Cycle<'_>, FileBatch)>) -> Vec<Result<Receipt, SinkError>> {
        let (cycles, batches): (Vec<_>, Vec<_>) = lane.into_iter().unzip();
        let items = batches.into_iter().enumerate();
        let items = items.map(|(cycle, batch)| Item { batch, cycle, forget: false }).collect();
        self.write(&cycles, items).await
    }

    async fn forget(&self, cycle: &Cycle<'_>, batch: FileBatch) -> Result<Receipt, SinkError> {
        let mut outcomes = self.write(&[*cycle], vec![Item { batch, cycle: 0, forget: true }]).await;
        outcomes.pop().unwrap_or_else(|| Err(Trouble::Task.into_sink_error("push", true)))
    }

    async fn probe(&self, cancel: &CancellationToken) -> Result<Probe, SinkError> {
        let name: Arc<str> = "probe".into();
        let of = BindingId {
            inventory: InventoryKey { namespace: name.clone(), name: name.clone() },
            sink: SinkKey { family: Family::Snapshot, namespace: name.clone(), name },
        };
        let progress = Progress::default();
        let cycle = Cycle { of: &of, number: 0, fence: 0, cancel, progress: &progress, right: &AlwaysWrite };
        let (endpoint, reference) = (self.route.endpoint.clone(), self.route.reference.clone());
        let cycles = [cycle];
        let asking = job::run(&cycles, move |pulse| {
            let line = OpenLine::open(endpoint, pulse)?;
            let mut remote = git2::Remote::create_detached(line.url()).map_err(crate::error::local)?;
            remote::list(&mut remote, &line, &reference)
        });
        let late = NetError::Timeout { what: "listing the branches", after: PROBE };
        // Dropping the job at the deadline stops it.
        let asked = tokio::time::timeout(PROBE, asking).await.unwrap_or(Err(Trouble::Net(late)));
        asked.and_then(|asked| asked).map_err(|trouble| trouble.into_sink_error("connect", false))?;
        let tls = self.route.endpoint.target.url.scheme == Scheme::Https;
        let message = if tls { "TLS and git remote reachability verified" } else { "git remote reachability verified" };
        Ok(Probe { message: message.to_owned() })
    }
}

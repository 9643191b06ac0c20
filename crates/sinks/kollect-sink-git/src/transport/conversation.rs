//! The state of one conversation with a server: its endpoint, its limits and its first typed error.

use super::download::Download;
use super::http_endpoint::HttpEndpoint;
use super::limits::{Pace, TransferLimits};
use crate::blocking::JobHandle;
use crate::config::RemoteAccess;
use crate::error::GitError;
use git2::transport::Service;
use kollect_net::NetError;
use parking_lot::Mutex;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// The remote and how to connect to it.
#[derive(Clone)]
pub(crate) struct Endpoint {
    pub(crate) access: Arc<RemoteAccess>,
    /// Set for `http` and `https`.
    pub(crate) http: Option<Arc<HttpEndpoint>>,
    pub(crate) dialer: kollect_net::GuardedDialer,
    pub(crate) stall: Duration,
    pub(crate) limits: TransferLimits,
}

/// One conversation of libgit2 with a server.
pub(super) struct Conversation {
    pub(super) endpoint: Endpoint,
    pub(super) job: Arc<JobHandle>,
    pub(super) failure: Mutex<Option<GitError>>,
    /// The server may have received a push.
    pub(super) sent: AtomicBool,
    /// The server has a public address, so its messages may be repeated.
    pub(super) quotable: AtomicBool,
    pub(super) download: Mutex<Download>,
    pub(super) upload: Mutex<Pace>,
}

impl Conversation {
    pub(super) fn new(endpoint: Endpoint, job: Arc<JobHandle>) -> Self {
        let download = Mutex::new(Download::new(endpoint.limits));
        Self {
            endpoint,
            job,
            failure: Mutex::default(),
            sent: AtomicBool::new(false),
            quotable: AtomicBool::new(false),
            download,
            upload: Mutex::default(),
        }
    }

    /// Keeps the first typed error; returns the error for libgit2.
    pub(super) fn fail(&self, failure: GitError) -> io::Error {
        self.failure.lock().get_or_insert(failure);
        io::Error::other("the connection failed")
    }

    /// Checks the right to write, before the part of a push without which the server cannot make it durable.
    pub(super) fn about_to_push(&self) -> Result<(), GitError> {
        self.job.may_write()?;
        kollect_export::kill_point("sent");
        self.sent.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// A message of the server without the credentials; `None` from a server at a private address.
    pub(super) fn quote(&self, words: &[u8]) -> Option<String> {
        let text = String::from_utf8_lossy(words);
        let text = kollect_net::scrub(text.trim(), &self.endpoint.access.auth.secrets());
        (self.quotable.load(Ordering::Relaxed) && !text.is_empty()).then_some(text)
    }

    /// A network error; its details are withheld for a private address.
    pub(super) fn net(&self, error: NetError) -> GitError {
        GitError::Net(error.withheld(&self.endpoint.access.url.host, self.quotable.load(Ordering::Relaxed)))
    }

    pub(super) fn next_request(&self, action: Service) -> Result<(), GitError> {
        let pushing = matches!(action, Service::ReceivePackLs | Service::ReceivePack);
        self.download.lock().next_request(pushing)
    }

    /// Counts and checks the next bytes of the server, awaited since `since`.
    pub(super) fn received(&self, since: Instant, bytes: &[u8]) -> Result<(), GitError> {
        self.job.tick();
        self.download.lock().take(since.elapsed(), bytes)
    }

    /// Counts bytes that were sent since `since`.
    pub(super) fn uploaded(&self, since: Instant, bytes: usize) -> Result<(), GitError> {
        self.job.tick();
        self.upload.lock().add(since.elapsed(), bytes, &self.endpoint.limits)
    }
}

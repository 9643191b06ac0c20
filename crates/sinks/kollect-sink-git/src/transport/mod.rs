//! libgit2's way to the network: ours.
//!
//! Separate because libgit2's own TLS and SSH settings are global to the process, so one tenant's CA would vouch for
//! another's host. One scheme, `kollect://<number>/`, is registered once; the number finds the line of one operation.
//! libgit2 keeps only the text of our errors, so the typed error waits in the line.

mod http;
mod http_endpoint;
mod known_hosts;
mod ssh;

pub(crate) use http_endpoint::HttpEndpoint;

use crate::config::Target;
use crate::error::Trouble;
use crate::job::Pulse;
use git2::transport::{Service, SmartSubtransport, SmartSubtransportStream, Transport};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

const SCHEME: &str = "kollect";

/// Lines of the operations under way, by number.
#[derive(Clone, Default)]
struct Exchange(Arc<Mutex<HashMap<u64, Arc<Line>>>>);

/// Where an operation connects to and with what.
#[derive(Clone)]
pub(crate) struct Endpoint {
    pub(crate) target: Arc<Target>,
    /// Set for `http` and `https`.
    pub(crate) http: Option<Arc<HttpEndpoint>>,
    pub(crate) dialer: kollect_net::GuardedDialer,
    pub(crate) stall: Duration,
}

/// One operation's connection settings, and what became of it.
pub(crate) struct Line {
    endpoint: Endpoint,
    pulse: Arc<Pulse>,
    trouble: Mutex<Option<Trouble>>,
    /// The server may have received a push.
    sent: AtomicBool,
}

impl Line {
    /// Keeps the first typed error and gives libgit2 something to carry.
    fn fail(&self, trouble: Trouble) -> io::Error {
        self.trouble.lock().get_or_insert(trouble);
        io::Error::other("the connection failed")
    }

    /// The last step before the server can make a push durable.
    fn about_to_push(&self) -> Result<(), Trouble> {
        self.pulse.may_write()?;
        kollect_export::kill_point("sent");
        self.sent.store(true, Ordering::Relaxed);
        Ok(())
    }

    fn scrub(&self, text: &str) -> String {
        kollect_net::scrub(text.trim(), &self.endpoint.target.auth.secrets())
    }
}

/// A line as long as it is needed.
pub(crate) struct OpenLine {
    number: u64,
    line: Arc<Line>,
    exchange: Exchange,
}

impl OpenLine {
    /// Makes `endpoint` reachable for libgit2 under [`OpenLine::url`].
    pub(crate) fn open(endpoint: Endpoint, pulse: Arc<Pulse>) -> Result<Self, Trouble> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let exchange = exchange()?;
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let line = Arc::new(Line { endpoint, pulse, trouble: Mutex::default(), sent: AtomicBool::new(false) });
        exchange.0.lock().insert(number, line.clone());
        Ok(Self { number, line, exchange })
    }

    /// The URL that libgit2 is given.
    pub(crate) fn url(&self) -> String {
        format!("{SCHEME}://{}/", self.number)
    }

    /// The typed error behind what libgit2 reported.
    pub(crate) fn explain(&self, error: &git2::Error) -> Trouble {
        if let Some(trouble) = self.line.trouble.lock().take() {
            return trouble;
        }
        let words = self.line.scrub(error.message());
        match error.class() {
            git2::ErrorClass::Net | git2::ErrorClass::Http | git2::ErrorClass::Ssh => Trouble::Protocol(words),
            _ => Trouble::Mirror(words),
        }
    }

    /// Whether the server may have received a push.
    pub(crate) fn sent(&self) -> bool {
        self.line.sent.load(Ordering::Relaxed)
    }

    /// Third-party text without our credentials.
    pub(crate) fn scrub(&self, text: &str) -> String {
        self.line.scrub(text)
    }
}

impl Drop for OpenLine {
    fn drop(&mut self) {
        self.exchange.0.lock().remove(&self.number);
    }
}

/// Registers the scheme at the first call.
fn exchange() -> Result<Exchange, Trouble> {
    static EXCHANGE: OnceLock<Result<Exchange, String>> = OnceLock::new();
    EXCHANGE.get_or_init(register).clone().map_err(Trouble::Protocol)
}

#[expect(unsafe_code, reason = "libgit2 takes new transports only through a call that must not run concurrently")]
fn register() -> Result<Exchange, String> {
    let exchange = Exchange::default();
    let found = exchange.clone();
    let factory = move |remote: &git2::Remote<'_>| {
        let line = remote
            .url()
            .ok()
            .and_then(|url| url.strip_prefix(SCHEME)?.strip_prefix("://")?.split('/').next()?.parse().ok())
            .and_then(|number: u64| found.0.lock().get(&number).cloned())
            .ok_or_else(|| git2::Error::from_str("no such line"))?;
        let stateless = line.endpoint.http.is_some();
        Transport::smart(remote, stateless, Subtransport { line })
    };
    // SAFETY: runs once, inside a OnceLock, and every use of a transport of ours passes that lock first.
    unsafe { git2::transport::register(SCHEME, factory) }.map_err(|error| error.message().to_owned())?;
    Ok(exchange)
}

struct Subtransport {
    line: Arc<Line>,
}

impl SmartSubtransport for Subtransport {
    fn action(&self, _url: &str, action: Service) -> Result<Box<dyn SmartSubtransportStream>, git2::Error> {
        let line = self.line.clone();
        match line.endpoint.http.clone() {
            Some(endpoint) => Ok(Box::new(http::Exchange::new(line, endpoint, action))),
            None => ssh::Session::open(line.clone(), action)
                .map(|session| Box::new(session) as Box<dyn SmartSubtransportStream>)
                .map_err(|trouble| git2::Error::from_str(&line.fail(trouble).to_string())),
        }
    }

    fn close(&self) -> Result<(), git2::Error> {
        Ok(())
    }
}

/// Name of the Git service behind an action.
fn service(action: Service) -> &'static str {
    match action {
        Service::UploadPackLs | Service::UploadPack => "git-upload-pack",
        Service::ReceivePackLs | Service::ReceivePack => "git-receive-pack",
    }
}

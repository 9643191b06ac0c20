//! libgit2's way to the network: ours.
//!
//! Separate because libgit2's own TLS and SSH settings are global to the process, so one tenant's CA would vouch for
//! another's host. One scheme, `kollect://<number>/`, is registered once; the number finds the line of one operation.
//! libgit2 keeps only the text of our errors, so the typed error waits in the line.

mod download;
mod http;
mod http_endpoint;
mod known_hosts;
mod limits;
mod pack_check;
mod ssh;

pub(crate) use http_endpoint::HttpEndpoint;
pub use limits::Limits;

use crate::config::Target;
use crate::error::Trouble;
use crate::job::Pulse;
use download::Download;
use git2::transport::{Service, SmartSubtransport, SmartSubtransportStream, Transport};
use kollect_net::NetError;
use limits::Pace;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

const SCHEME: &str = "kollect";
/// Of pack files, libgit2 maps this much at once …
const PACK_WINDOW: usize = 8 << 20;
/// … and this much altogether, where it would map whole packs.
const PACKS_MAPPED: usize = 32 << 20;
/// Of objects, it keeps this much in memory.
const OBJECT_CACHE: isize = 16 << 20;

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
    pub(crate) limits: Limits,
}

/// One operation's connection settings, and what became of it.
pub(crate) struct Line {
    endpoint: Endpoint,
    pulse: Arc<Pulse>,
    trouble: Mutex<Option<Trouble>>,
    /// The server may have received a push.
    sent: AtomicBool,
    /// What the server says may be repeated: it is at a public address.
    quotable: AtomicBool,
    download: Mutex<Download>,
    upload: Mutex<Pace>,
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

    /// The server's own words without our credentials; nothing from a server at a private address.
    fn quote(&self, words: &[u8]) -> Option<String> {
        let text = String::from_utf8_lossy(words);
        let text = kollect_net::scrub(text.trim(), &self.endpoint.target.auth.secrets());
        (self.quotable.load(Ordering::Relaxed) && !text.is_empty()).then_some(text)
    }

    /// An error of the network under this conversation.
    fn net(&self, error: NetError) -> Trouble {
        Trouble::Net(error.withheld(&self.endpoint.target.url.host, self.quotable.load(Ordering::Relaxed)))
    }

    fn next_request(&self, action: Service) -> Result<(), Trouble> {
        let pushing = matches!(action, Service::ReceivePackLs | Service::ReceivePack);
        self.download.lock().next_request(pushing)
    }

    /// The next bytes of the server, for which this waited since `since`.
    fn received(&self, since: Instant, bytes: &[u8]) -> Result<(), Trouble> {
        self.pulse.tick();
        self.download.lock().take(since.elapsed(), bytes)
    }

    /// So many bytes were sent, for which this waited since `since`.
    fn uploaded(&self, since: Instant, bytes: usize) -> Result<(), Trouble> {
        self.pulse.tick();
        self.upload.lock().add(since.elapsed(), bytes, &self.endpoint.limits)
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
        let download = Mutex::new(Download::new(endpoint.limits));
        let line = Arc::new(Line {
            endpoint,
            pulse,
            trouble: Mutex::default(),
            sent: AtomicBool::new(false),
            quotable: AtomicBool::new(false),
            download,
            upload: Mutex::default(),
        });
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
        match error.class() {
            // libgit2 puts the server's words into its own.
            git2::ErrorClass::Net | git2::ErrorClass::Http | git2::ErrorClass::Ssh => {
                let words = self.line.quote(error.message().as_bytes());
                Trouble::Protocol(words.unwrap_or_else(|| "the server does not keep to Git's protocol".to_owned()))
            }
            _ => crate::error::local_message(error.message()),
        }
    }

    /// Whether the server may have received a push.
    pub(crate) fn sent(&self) -> bool {
        self.line.sent.load(Ordering::Relaxed)
    }

    /// What the server says of a refused push. From a private address only what Git itself says in such a case.
    pub(crate) fn quote(&self, why: &str, messages: &[u8]) -> String {
        const GITS_OWN: [&str; 8] = [
            "pre-receive hook declined",
            "update hook declined",
            "hook declined",
            "protected branch hook declined",
            "non-fast-forward",
            "failed to update ref",
            "cannot lock ref",
            "unpacker error",
        ];
        let both = [why.as_bytes(), b"; ", messages].concat();
        if let Some(words) = self.line.quote(&both) {
            return words.trim_end_matches([';', ' ']).to_owned();
        }
        let known = GITS_OWN.iter().find(|known| why.contains(**known));
        let known = known.map(|known| format!("{known}; ")).unwrap_or_default();
        format!("{known}what else the server said is not repeated, because it has a private address")
    }
}

impl Drop for OpenLine {
    fn drop(&mut self) {
        self.exchange.0.lock().remove(&self.number);
    }
}

/// Sets libgit2 up at the first call, which must come before any other use of it.
pub(crate) fn prepare() -> Result<(), Trouble> {
    exchange().map(|_| ())
}

fn exchange() -> Result<Exchange, Trouble> {
    static EXCHANGE: OnceLock<Result<Exchange, String>> = OnceLock::new();
    EXCHANGE.get_or_init(register).clone().map_err(Trouble::Protocol)
}

#[expect(unsafe_code, reason = "libgit2 takes transports and limits through calls that must not run concurrently")]
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
    // SAFETY: runs once, inside a OnceLock that every new sink passes, so before any use of libgit2.
    let set = unsafe {
        git2::transport::register(SCHEME, factory)
            .and_then(|()| git2::opts::set_mwindow_size(PACK_WINDOW))
            .and_then(|()| git2::opts::set_mwindow_mapped_limit(PACKS_MAPPED))
            .and_then(|()| git2::opts::set_cache_max_size(OBJECT_CACHE))
    };
    set.map_err(|error| error.message().to_owned())?;
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

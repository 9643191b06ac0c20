//! The transport of libgit2: one scheme, `kollect://<number>/`, whose number finds the registered conversation.
//!
//! libgit2's own TLS and SSH settings are global to the process, so one tenant's CA would be trusted for another's host.
//! libgit2 keeps only the text of a transport's error; the conversation keeps the typed one.

mod conversation;
mod download;
mod http;
mod http_endpoint;
mod known_hosts;
mod limits;
mod pack_check;
mod service;
mod ssh;

pub(crate) use conversation::Endpoint;
pub(crate) use http_endpoint::HttpEndpoint;
pub use limits::TransferLimits;

use crate::blocking::JobHandle;
use crate::error::GitError;
use conversation::Conversation;
use git2::transport::{Service, SmartSubtransport, SmartSubtransportStream, Transport};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

const SCHEME: &str = "kollect";
/// Bytes of a pack file that libgit2 maps at once …
const PACK_WINDOW: usize = 8 << 20;
/// … and of all pack files; its defaults would map whole packs.
const PACKS_MAPPED: usize = 32 << 20;
/// Bytes of libgit2's object cache.
const OBJECT_CACHE: isize = 16 << 20;

/// Open conversations, by number.
#[derive(Clone, Default)]
struct Conversations(Arc<Mutex<HashMap<u64, Arc<Conversation>>>>);

/// A registered conversation; dropping it removes it.
pub(crate) struct OpenConversation {
    number: u64,
    conversation: Arc<Conversation>,
    conversations: Conversations,
}

impl OpenConversation {
    /// Makes `endpoint` reachable for libgit2 under [`OpenConversation::url`].
    pub(crate) fn open(endpoint: Endpoint, job: Arc<JobHandle>) -> Result<Self, GitError> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let conversations = conversations()?;
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let conversation = Arc::new(Conversation::new(endpoint, job));
        conversations.0.lock().insert(number, conversation.clone());
        Ok(Self { number, conversation, conversations })
    }

    /// The URL that libgit2 is given.
    pub(crate) fn url(&self) -> String {
        format!("{SCHEME}://{}/", self.number)
    }

    /// The typed error behind what libgit2 reported.
    pub(crate) fn explain(&self, error: &git2::Error) -> GitError {
        if let Some(failure) = self.conversation.failure.lock().take() {
            return failure;
        }
        match error.class() {
            // libgit2 includes the server's message in these classes.
            git2::ErrorClass::Net | git2::ErrorClass::Http | git2::ErrorClass::Ssh => {
                let words = self.conversation.quote(error.message().as_bytes());
                GitError::Protocol(words.unwrap_or_else(|| "the server does not keep to Git's protocol".to_owned()))
            }
            _ => crate::error::local_message(error.message()),
        }
    }

    /// Whether the server may have received a push.
    pub(crate) fn sent(&self) -> bool {
        self.conversation.sent.load(Ordering::Relaxed)
    }

    /// The reason for a refused push. From a private address only Git's own phrases.
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
        if let Some(words) = self.conversation.quote(&both) {
            return words.trim_end_matches([';', ' ']).to_owned();
        }
        let known = GITS_OWN.iter().find(|known| why.contains(**known));
        let known = known.map(|known| format!("{known}; ")).unwrap_or_default();
        format!("{known}the rest of the server's message is not repeated, because it has a private address")
    }
}

impl Drop for OpenConversation {
    fn drop(&mut self) {
        self.conversations.0.lock().remove(&self.number);
    }
}

/// Configures libgit2 at the first call, which must precede any other use of it.
pub(crate) fn prepare() -> Result<(), GitError> {
    conversations().map(|_| ())
}

fn conversations() -> Result<Conversations, GitError> {
    static CONVERSATIONS: OnceLock<Result<Conversations, String>> = OnceLock::new();
    CONVERSATIONS.get_or_init(register).clone().map_err(GitError::Protocol)
}

#[expect(unsafe_code, reason = "libgit2 takes transports and limits through calls that must not run concurrently")]
fn register() -> Result<Conversations, String> {
    let conversations = Conversations::default();
    let found = conversations.clone();
    let factory = move |remote: &git2::Remote<'_>| {
        let conversation = remote
            .url()
            .ok()
            .and_then(|url| url.strip_prefix(SCHEME)?.strip_prefix("://")?.split('/').next()?.parse().ok())
            .and_then(|number: u64| found.0.lock().get(&number).cloned())
            .ok_or_else(|| git2::Error::from_str("no such conversation"))?;
        let stateless = conversation.endpoint.http.is_some();
        Transport::smart(remote, stateless, Subtransport { conversation })
    };
    // SAFETY: runs once, inside a OnceLock that every new sink passes, so before any use of libgit2.
    let set = unsafe {
        git2::transport::register(SCHEME, factory)
            .and_then(|()| git2::opts::set_mwindow_size(PACK_WINDOW))
            .and_then(|()| git2::opts::set_mwindow_mapped_limit(PACKS_MAPPED))
            .and_then(|()| git2::opts::set_cache_max_size(OBJECT_CACHE))
    };
    set.map_err(|error| error.message().to_owned())?;
    Ok(conversations)
}

struct Subtransport {
    conversation: Arc<Conversation>,
}

impl SmartSubtransport for Subtransport {
    fn action(&self, _url: &str, action: Service) -> Result<Box<dyn SmartSubtransportStream>, git2::Error> {
        let conversation = self.conversation.clone();
        match conversation.endpoint.http.clone() {
            Some(endpoint) => Ok(Box::new(http::HttpExchange::new(conversation, endpoint, action))),
            None => ssh::SshSession::open(conversation.clone(), action)
                .map(|session| Box::new(session) as Box<dyn SmartSubtransportStream>)
                .map_err(|failure| git2::Error::from_str(&conversation.fail(failure).to_string())),
        }
    }

    fn close(&self) -> Result<(), git2::Error> {
        Ok(())
    }
}

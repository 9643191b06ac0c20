//! Git's smart protocol over SSH: one connection, one remote command, both directions.
//!
//! The private key comes from memory; no agent, no files.

use super::conversation::Conversation;
use super::known_hosts::{HostKeyVerdict, KnownHosts};
use super::service::service;
use crate::config::CheckedCredentials;
use crate::error::GitError;
use bytes::{Buf as _, Bytes};
use git2::transport::Service;
use kollect_net::NetError;
use parking_lot::Mutex;
use russh::client::{self, AuthResult, Handle, Msg};
use russh::keys::{Algorithm, HashAlg, PrivateKeyWithHashAlg, PublicKeyOrCertificate};
use russh::{Channel, ChannelMsg, Disconnect};
use std::borrow::Cow;
use std::future::Future;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;
use tokio::time::timeout;

/// Bytes kept of the server's error output.
const MAX_WORDS: usize = 600;
const PIECE: usize = 32 * 1024;

/// A running remote command.
pub(super) struct SshSession {
    conversation: Arc<Conversation>,
    handle: Handle<HostCheck>,
    channel: Channel<Msg>,
    action: Service,
    buffer: Vec<u8>,
    rest: Bytes,
    received: bool,
    pushing: bool,
    ended: bool,
    words: Vec<u8>,
    exit: Option<u32>,
}

impl SshSession {
    /// Connects, checks the host key, logs in and starts the command.
    pub(super) fn open(conversation: Arc<Conversation>, action: Service) -> Result<Self, GitError> {
        conversation.next_request(action)?;
        let job = conversation.job.clone();
        let patience = conversation.endpoint.stall;
        let opened = job.wait(async { timeout(patience, connect(&conversation, action)).await })?;
        let opened = opened.map_err(|_| stalled("logging in with ssh", &conversation))?;
        let (handle, channel) = opened.map_err(|failure| withheld(failure, &conversation))?;
        conversation.job.tick();
        Ok(Self {
            conversation,
            handle,
            channel,
            action,
            buffer: Vec::new(),
            rest: Bytes::new(),
            received: false,
            pushing: false,
            ended: false,
            words: Vec::new(),
            exit: None,
        })
    }

    fn within<T>(&self, what: &'static str, step: impl Future<Output = T>) -> Result<T, GitError> {
        let waited = self.conversation.job.wait(timeout(self.conversation.endpoint.stall, step))?;
        waited.map_err(|_| stalled(what, &self.conversation))
    }

    /// Sends the buffer; before the end of a push, checks the right to write.
    fn send_all(&mut self) -> Result<(), GitError> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        if self.action == Service::ReceivePackLs && self.received && !self.pushing {
            self.pushing = true;
            self.conversation.about_to_push()?;
        }
        let rest = std::mem::take(&mut self.buffer);
        self.send(rest)
    }

    fn send(&mut self, piece: Vec<u8>) -> Result<(), GitError> {
        let (since, length) = (Instant::now(), piece.len());
        let sent = self.within("sending over ssh", self.channel.data_bytes(Bytes::from(piece)))?;
        match sent {
            Ok(()) => self.conversation.uploaded(since, length),
            // The server closed the channel; its error output has the reason.
            Err(error) => {
                while !self.ended {
                    self.next()?;
                }
                Err(self.why_it_ended().unwrap_or_else(|| ssh(error)))
            }
        }
    }

    /// Receives the next message of the server.
    fn next(&mut self) -> Result<(), GitError> {
        let patience = self.conversation.endpoint.stall;
        let since = Instant::now();
        let waited = self.conversation.job.clone().wait(timeout(patience, self.channel.wait()))?;
        match waited.map_err(|_| stalled("the answer over ssh", &self.conversation))? {
            Some(ChannelMsg::Data { data }) => {
                self.conversation.received(since, &data)?;
                self.rest = data;
                self.received = true;
            }
            Some(ChannelMsg::ExtendedData { data, .. }) => {
                self.conversation.download.lock().messages(since.elapsed(), data.len())?;
                let room = MAX_WORDS.saturating_sub(self.words.len());
                self.words.extend_from_slice(&data[..data.len().min(room)]);
            }
            Some(ChannelMsg::ExitStatus { exit_status }) => self.exit = Some(exit_status),
            Some(ChannelMsg::Close | ChannelMsg::Failure) | None => self.ended = true,
            Some(_) => self.conversation.download.lock().messages(since.elapsed(), 1)?,
        }
        self.conversation.job.tick();
        Ok(())
    }

    fn why_it_ended(&self) -> Option<GitError> {
        let failed = self.exit != Some(0) || !self.received;
        let command = service(self.action);
        let words = match self.conversation.quote(&self.words) {
            Some(words) => format!("{command} on the server reported: {words}"),
            None => format!("{command} on the server failed; check that the repository exists and what the key may do"),
        };
        failed.then_some(GitError::Ssh(words))
    }
}

fn stalled(what: &'static str, conversation: &Conversation) -> GitError {
    conversation.net(NetError::Timeout { what, after: conversation.endpoint.stall })
}

/// Withholds an error before the login, which would disclose which service listens at a private address.
fn withheld(failure: GitError, conversation: &Conversation) -> GitError {
    match failure {
        GitError::Ssh(why) => {
            conversation.net(NetError::Broken { host: conversation.endpoint.access.url.host.clone(), why })
        }
        other => other,
    }
}

impl Write for SshSession {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(PIECE);
        self.buffer.extend_from_slice(&bytes[..count]);
        // The last bytes are sent by the next read, after the check of the right to write: without them the server cannot
        // finish a push.
        if self.buffer.len() > PIECE {
            let piece = self.buffer.drain(..PIECE).collect();
            let conversation = self.conversation.clone();
            self.send(piece).map_err(|failure| conversation.fail(failure))?;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for SshSession {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let conversation = self.conversation.clone();
        self.send_all().map_err(|failure| conversation.fail(failure))?;
        while self.rest.is_empty() && !self.ended {
            self.next().map_err(|failure| conversation.fail(failure))?;
        }
        if self.rest.is_empty() {
            return match self.why_it_ended() {
                Some(failure) => Err(conversation.fail(failure)),
                None => Ok(0),
            };
        }
        let count = self.rest.len().min(into.len());
        self.rest.copy_to_slice(&mut into[..count]);
        Ok(count)
    }
}

impl Drop for SshSession {
    fn drop(&mut self) {
        // Ends the remote command properly where the connection still works.
        let goodbye = async {
            let _ = self.channel.eof().await;
            let _ = self.handle.disconnect(Disconnect::ByApplication, "", "").await;
        };
        let _ = self.conversation.job.wait(timeout(std::time::Duration::from_secs(1), goodbye));
    }
}

async fn connect(
    conversation: &Arc<Conversation>,
    action: Service,
) -> Result<(Handle<HostCheck>, Channel<Msg>), GitError> {
    let url = &conversation.endpoint.access.url;
    let CheckedCredentials::Ssh { user, private_key, known_hosts } = &conversation.endpoint.access.auth else {
        return Err(GitError::Config("an ssh URL needs a private key".to_owned()));
    };
    let key = russh::keys::decode_secret_key(private_key.expose(), None).map_err(|_| {
        GitError::Config(
            "the private key in the Secret cannot be read; it must be an OpenSSH or PEM key without passphrase"
                .to_owned(),
        )
    })?;
    let stream = conversation
        .endpoint
        .dialer
        .connect(&url.host, url.port, conversation.endpoint.stall)
        .await
        .map_err(GitError::Net)?;
    conversation.quotable.store(conversation.endpoint.dialer.may_quote(&stream), Ordering::Relaxed);
    conversation.job.tick();
    let known = known_hosts.as_deref().map(|text| KnownHosts::of(text, &url.host, url.port));
    let config = client::Config { preferred: preferred(known.as_ref()), nodelay: true, ..client::Config::default() };
    let refused = Arc::new(Mutex::new(None));
    let check = HostCheck { known, host: url.host.clone(), refused: refused.clone() };
    let connected = client::connect_stream(Arc::new(config), stream, check).await;
    let mut handle = connected.map_err(|error| refused.lock().take().unwrap_or_else(|| ssh(error)))?;
    conversation.job.tick();
    log_in(&mut handle, user, key).await?;
    let channel = handle.channel_open_session().await.map_err(ssh)?;
    let path = url.path.replace('\'', "'\\''");
    channel.exec(true, format!("{} '{path}'", service(action))).await.map_err(ssh)?;
    Ok((handle, channel))
}

async fn log_in(handle: &mut Handle<HostCheck>, user: &str, key: russh::keys::PrivateKey) -> Result<(), GitError> {
    // Querying the server's signature algorithms may take a second, and matters for RSA only. SHA-1 is refused
    // everywhere, so the default is SHA-512.
    let hash = match key.algorithm() {
        Algorithm::Rsa { .. } => handle.best_supported_rsa_hash().await.ok().flatten().unwrap_or(Some(HashAlg::Sha512)),
        _ => None,
    };
    let answer = handle.authenticate_publickey(user, PrivateKeyWithHashAlg::new(Arc::new(key), hash)).await;
    match answer.map_err(ssh)? {
        AuthResult::Success => return Ok(()),
        // A lost connection appears as a refusal that offers no other method; the result of the session distinguishes
        // them.
        AuthResult::Failure { remaining_methods, .. } if remaining_methods.is_empty() => match handle.await {
            Err(russh::Error::NoAuthMethod) => {}
            Err(error) => return Err(ssh(error)),
            Ok(()) => return Err(GitError::Ssh("the server ended the connection during the login".to_owned())),
        },
        AuthResult::Failure { .. } => {}
    }
    Err(GitError::Auth(format!("the server did not accept the private key for user {user}")))
}

#[expect(clippy::needless_pass_by_value, reason = "used with map_err")]
fn ssh(error: russh::Error) -> GitError {
    GitError::Ssh(kollect_net::scrub(&error.to_string(), &[]))
}

/// Prefers the key algorithms that `known_hosts` lists; a server has several keys.
fn preferred(known: Option<&KnownHosts>) -> russh::Preferred {
    let defaults = russh::Preferred::DEFAULT;
    let listed = known.map(KnownHosts::algorithms).unwrap_or_default();
    let is_rsa = |algorithm: &Algorithm| matches!(algorithm, Algorithm::Rsa { .. });
    let is_listed =
        |algorithm: &Algorithm| listed.iter().any(|known| known == algorithm || (is_rsa(known) && is_rsa(algorithm)));
    let (mut first, rest): (Vec<_>, Vec<_>) = defaults.key.iter().cloned().partition(is_listed);
    first.extend(rest);
    russh::Preferred { key: Cow::Owned(first), ..defaults }
}

/// Checks the host key against `known_hosts`.
pub(super) struct HostCheck {
    /// `None`: no check.
    known: Option<KnownHosts>,
    host: String,
    refused: Arc<Mutex<Option<GitError>>>,
}

impl client::Handler for HostCheck {
    type Error = russh::Error;

    async fn check_server_key(&mut self, key: &PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        let Some(known) = &self.known else { return Ok(true) };
        let verdict = match key {
            PublicKeyOrCertificate::PublicKey { key, .. } => known.verdict(key),
            PublicKeyOrCertificate::Certificate(_) => HostKeyVerdict::Unknown,
        };
        let host = &self.host;
        let why = match verdict {
            HostKeyVerdict::Known => return Ok(true),
            HostKeyVerdict::Unknown => {
                format!("the host key of {host} is not in known_hosts; add it (ssh-keyscan) after checking it")
            }
            HostKeyVerdict::Changed => format!(
                "the host key of {host} is not the one in known_hosts; if it was changed on purpose, replace it there"
            ),
            HostKeyVerdict::Revoked => format!("the host key of {host} is marked @revoked in known_hosts"),
        };
        *self.refused.lock() = Some(GitError::HostKey(why));
        Ok(false)
    }
}

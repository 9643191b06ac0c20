//! Git's smart protocol over SSH: one connection, one remote command, both directions.
//!
//! The conversation is one stream. The key comes from memory; no agent, no files.

use super::known_hosts::{KnownHosts, Verdict};
use super::{Line, service};
use crate::config::Credentials;
use crate::error::Trouble;
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

/// What is kept of the server's error output.
const MAX_WORDS: usize = 600;
const PIECE: usize = 32 * 1024;

/// A running remote command.
pub(super) struct Session {
    line: Arc<Line>,
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

impl Session {
    /// Connects, checks the host key, logs in and starts the command.
    pub(super) fn open(line: Arc<Line>, action: Service) -> Result<Self, Trouble> {
        line.next_request(action)?;
        let pulse = line.pulse.clone();
        let patience = line.endpoint.stall;
        let opened = pulse.wait(async { timeout(patience, connect(&line, action)).await })?;
        let opened = opened.map_err(|_| stalled("logging in with ssh", &line))?;
        let (handle, channel) = opened.map_err(|trouble| withheld(trouble, &line))?;
        line.pulse.tick();
        Ok(Self {
            line,
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

    fn within<T>(&self, what: &'static str, step: impl Future<Output = T>) -> Result<T, Trouble> {
        let waited = self.line.pulse.wait(timeout(self.line.endpoint.stall, step))?;
        waited.map_err(|_| stalled(what, &self.line))
    }

    /// Sends everything, and before the end of a push asks for the right to write.
    fn send_all(&mut self) -> Result<(), Trouble> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        if self.action == Service::ReceivePackLs && self.received && !self.pushing {
            self.pushing = true;
            self.line.about_to_push()?;
        }
        let rest = std::mem::take(&mut self.buffer);
        self.send(rest)
    }

    fn send(&mut self, piece: Vec<u8>) -> Result<(), Trouble> {
        let (since, length) = (Instant::now(), piece.len());
        let sent = self.within("sending over ssh", self.channel.data_bytes(Bytes::from(piece)))?;
        match sent {
            Ok(()) => self.line.uploaded(since, length),
            // The server closed the channel; what it said before explains it better.
            Err(error) => {
                while !self.ended {
                    self.next()?;
                }
                Err(self.why_it_ended().unwrap_or_else(|| ssh(error)))
            }
        }
    }

    /// Takes the next message of the server.
    fn next(&mut self) -> Result<(), Trouble> {
        let patience = self.line.endpoint.stall;
        let since = Instant::now();
        let waited = self.line.pulse.clone().wait(timeout(patience, self.channel.wait()))?;
        match waited.map_err(|_| stalled("the answer over ssh", &self.line))? {
            Some(ChannelMsg::Data { data }) => {
                self.line.received(since, &data)?;
                self.rest = data;
                self.received = true;
            }
            Some(ChannelMsg::ExtendedData { data, .. }) => {
                self.line.download.lock().messages(since.elapsed(), data.len())?;
                let room = MAX_WORDS.saturating_sub(self.words.len());
                self.words.extend_from_slice(&data[..data.len().min(room)]);
            }
            Some(ChannelMsg::ExitStatus { exit_status }) => self.exit = Some(exit_status),
            Some(ChannelMsg::Close | ChannelMsg::Failure) | None => self.ended = true,
            Some(_) => self.line.download.lock().messages(since.elapsed(), 1)?,
        }
        self.line.pulse.tick();
        Ok(())
    }

    fn why_it_ended(&self) -> Option<Trouble> {
        let failed = self.exit != Some(0) || !self.received;
        let command = service(self.action);
        let words = match self.line.quote(&self.words) {
            Some(words) => format!("{command} on the server said: {words}"),
            None => format!("{command} on the server failed; check that the repository exists and what the key may do"),
        };
        failed.then_some(Trouble::Ssh(words))
    }
}

fn stalled(what: &'static str, line: &Line) -> Trouble {
    line.net(NetError::Timeout { what, after: line.endpoint.stall })
}

/// Before the login every error tells what listens at the address.
fn withheld(trouble: Trouble, line: &Line) -> Trouble {
    match trouble {
        Trouble::Ssh(why) => line.net(NetError::Broken { host: line.endpoint.target.url.host.clone(), why }),
        other => other,
    }
}

impl Write for Session {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(PIECE);
        self.buffer.extend_from_slice(&bytes[..count]);
        // The last bytes stay here until the server is waited for: without them it cannot finish a push.
        if self.buffer.len() > PIECE {
            let piece = self.buffer.drain(..PIECE).collect();
            let line = self.line.clone();
            self.send(piece).map_err(|trouble| line.fail(trouble))?;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for Session {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let line = self.line.clone();
        self.send_all().map_err(|trouble| line.fail(trouble))?;
        while self.rest.is_empty() && !self.ended {
            self.next().map_err(|trouble| line.fail(trouble))?;
        }
        if self.rest.is_empty() {
            return match self.why_it_ended() {
                Some(trouble) => Err(line.fail(trouble)),
                None => Ok(0),
            };
        }
        let count = self.rest.len().min(into.len());
        self.rest.copy_to_slice(&mut into[..count]);
        Ok(count)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // A polite end tells the server that nothing more comes; a broken connection does not care.
        let goodbye = async {
            let _ = self.channel.eof().await;
            let _ = self.handle.disconnect(Disconnect::ByApplication, "", "").await;
        };
        let _ = self.line.pulse.wait(timeout(std::time::Duration::from_secs(1), goodbye));
    }
}

async fn connect(line: &Arc<Line>, action: Service) -> Result<(Handle<HostCheck>, Channel<Msg>), Trouble> {
    let url = &line.endpoint.target.url;
    let Credentials::Ssh { user, private_key, known_hosts } = &line.endpoint.target.auth else {
        return Err(Trouble::Config("an ssh URL needs a private key".to_owned()));
    };
    let key = russh::keys::decode_secret_key(private_key.expose(), None).map_err(|_| {
        Trouble::Config(
            "the private key in the Secret cannot be read; it must be an OpenSSH or PEM key without passphrase"
                .to_owned(),
        )
    })?;
    let stream = line.endpoint.dialer.connect(&url.host, url.port, line.endpoint.stall).await.map_err(Trouble::Net)?;
    line.quotable.store(line.endpoint.dialer.may_quote(&stream), Ordering::Relaxed);
    line.pulse.tick();
    let known = known_hosts.as_deref().map(|text| KnownHosts::of(text, &url.host, url.port));
    let config = client::Config { preferred: preferred(known.as_ref()), nodelay: true, ..client::Config::default() };
    let refused = Arc::new(Mutex::new(None));
    let check = HostCheck { known, host: url.host.clone(), refused: refused.clone() };
    let connected = client::connect_stream(Arc::new(config), stream, check).await;
    let mut handle = connected.map_err(|error| refused.lock().take().unwrap_or_else(|| ssh(error)))?;
    line.pulse.tick();
    log_in(&mut handle, user, key).await?;
    let channel = handle.channel_open_session().await.map_err(ssh)?;
    let path = url.path.replace('\'', "'\\''");
    channel.exec(true, format!("{} '{path}'", service(action))).await.map_err(ssh)?;
    Ok((handle, channel))
}

async fn log_in(handle: &mut Handle<HostCheck>, user: &str, key: russh::keys::PrivateKey) -> Result<(), Trouble> {
    // Asking which signatures the server takes may wait a second, and concerns RSA only. SHA-1 is refused everywhere,
    // so without an answer take SHA-512.
    let hash = match key.algorithm() {
        Algorithm::Rsa { .. } => handle.best_supported_rsa_hash().await.ok().flatten().unwrap_or(Some(HashAlg::Sha512)),
        _ => None,
    };
    let answer = handle.authenticate_publickey(user, PrivateKeyWithHashAlg::new(Arc::new(key), hash)).await;
    match answer.map_err(ssh)? {
        AuthResult::Success => return Ok(()),
        // A lost connection looks like a refusal that offers no other method. Both end the session; its end tells them
        // apart.
        AuthResult::Failure { remaining_methods, .. } if remaining_methods.is_empty() => match handle.await {
            Err(russh::Error::NoAuthMethod) => {}
            Err(error) => return Err(ssh(error)),
            Ok(()) => return Err(Trouble::Ssh("the server ended the connection during the login".to_owned())),
        },
        AuthResult::Failure { .. } => {}
    }
    Err(Trouble::Auth(format!("the server did not accept the private key for user {user}")))
}

#[expect(clippy::needless_pass_by_value, reason = "used with map_err")]
fn ssh(error: russh::Error) -> Trouble {
    Trouble::Ssh(kollect_net::scrub(&error.to_string(), &[]))
}

/// Asks first for the kinds of key that `known_hosts` lists; a server has several.
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

/// Decides whether the server is the one that `known_hosts` means.
pub(super) struct HostCheck {
    /// `None`: no check.
    known: Option<KnownHosts>,
    host: String,
    refused: Arc<Mutex<Option<Trouble>>>,
}

impl client::Handler for HostCheck {
    type Error = russh::Error;

    async fn check_server_key(&mut self, key: &PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        let Some(known) = &self.known else { return Ok(true) };
        let verdict = match key {
            PublicKeyOrCertificate::PublicKey { key, .. } => known.verdict(key),
            PublicKeyOrCertificate::Certificate(_) => Verdict::Unknown,
        };
        let host = &self.host;
        let why = match verdict {
            Verdict::Known => return Ok(true),
            Verdict::Unknown => {
                format!("the host key of {host} is not in known_hosts; add it (ssh-keyscan) after checking it")
            }
            Verdict::Changed => format!(
                "the host key of {host} is not the one in known_hosts; if it was changed on purpose, replace it there"
            ),
            Verdict::Revoked => format!("the host key of {host} is marked @revoked in known_hosts"),
        };
        *self.refused.lock() = Some(Trouble::HostKey(why));
        Ok(false)
    }
}

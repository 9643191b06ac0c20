//! Git's smart protocol over HTTP: one request per action.
//!
//! Small requests are sent whole; a pack larger than a buffer streams out while libgit2 makes it.

use super::conversation::Conversation;
use super::http_endpoint::HttpEndpoint;
use super::service::service;
use crate::error::GitError;
use bytes::{Buf as _, Bytes};
use git2::transport::Service;
use http::{StatusCode, header};
use kollect_net::NetError;
use kollect_net::http::{Response, Upload};
use std::future::Future;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Up to this size a request is sent with its length, as `git` does; some proxies refuse chunked requests.
const WHOLE: usize = 1 << 20;
/// Chunks of a streamed request in flight.
const IN_FLIGHT: usize = 8;
const PIECE: usize = 64 * 1024;
const MAX_REDIRECTS: usize = 3;

/// One action: first written, then read.
pub(super) struct HttpExchange {
    conversation: Arc<Conversation>,
    endpoint: Arc<HttpEndpoint>,
    action: Service,
    state: ExchangeState,
}

enum ExchangeState {
    Collecting(Vec<u8>),
    Streaming {
        pieces: mpsc::Sender<io::Result<Bytes>>,
        buffer: Vec<u8>,
        answer: JoinHandle<Result<Response, NetError>>,
    },
    Reading {
        response: Box<Response>,
        rest: Bytes,
    },
    Over,
}

impl HttpExchange {
    pub(super) fn new(conversation: Arc<Conversation>, endpoint: Arc<HttpEndpoint>, action: Service) -> Self {
        Self { conversation, endpoint, action, state: ExchangeState::Collecting(Vec::new()) }
    }

    /// Sends what was collected and starts to stream the rest.
    fn start_streaming(&mut self, collected: Vec<u8>) -> Result<(), GitError> {
        let (pieces, chunks) = mpsc::channel(IN_FLIGHT);
        let request = self.endpoint.request(self.action, Upload::Stream { chunks, length: None })?;
        let (endpoint, job) = (self.endpoint.clone(), self.conversation.job.clone());
        let answer = self.conversation.job.spawn(async move { endpoint.send(request, &|| job.tick()).await });
        self.state = ExchangeState::Streaming { pieces, buffer: collected, answer };
        Ok(())
    }

    /// Sends full chunks, or at the end everything. `false`: the server answered early.
    fn hand_over(&mut self, everything: bool) -> Result<bool, GitError> {
        let ExchangeState::Streaming { pieces, buffer, .. } = &mut self.state else { return Ok(true) };
        // The last chunk waits for the check of the right to write: without it the server cannot finish a push.
        while buffer.len() > PIECE || (everything && !buffer.is_empty()) {
            let piece: Vec<u8> = buffer.drain(..buffer.len().min(PIECE)).collect();
            let (since, length) = (Instant::now(), piece.len());
            if self.conversation.job.wait(pieces.send(Ok(piece.into())))?.is_err() {
                return Ok(false);
            }
            self.conversation.uploaded(since, length)?;
        }
        Ok(true)
    }

    /// Waits for the answer of what was written.
    fn finish(&mut self) -> Result<(), GitError> {
        self.conversation.next_request(self.action)?;
        if self.action == Service::ReceivePack {
            self.conversation.about_to_push()?;
        }
        let response = match std::mem::replace(&mut self.state, ExchangeState::Over) {
            ExchangeState::Collecting(body) => self.ask(&body)?,
            ExchangeState::Streaming { pieces, buffer, answer } => {
                self.state = ExchangeState::Streaming { pieces, buffer, answer };
                self.hand_over(true)?;
                let ExchangeState::Streaming { pieces, answer, .. } =
                    std::mem::replace(&mut self.state, ExchangeState::Over)
                else {
                    return Ok(());
                };
                drop(pieces);
                self.answer(answer)?.map_err(|_| GitError::Task)?.map_err(GitError::Net)?
            }
            other => {
                self.state = other;
                return Ok(());
            }
        };
        self.conversation.quotable.store(response.quotable, Ordering::Relaxed);
        let response = self.accepted(&response).map(|()| response)?;
        self.state = ExchangeState::Reading { response: Box::new(response), rest: Bytes::new() };
        Ok(())
    }

    /// Waits for the head of an answer; what follows it has limits of its own.
    fn answer<T>(&self, step: impl Future<Output = T>) -> Result<T, GitError> {
        let patience = self.conversation.endpoint.limits.patience;
        self.conversation.job.wait(timeout(patience, step))?.map_err(|_| GitError::Slow(patience))
    }

    fn ask(&self, body: &[u8]) -> Result<Response, GitError> {
        for _ in 0..=MAX_REDIRECTS {
            let upload = if body.is_empty() { Upload::Empty } else { Upload::Bytes(Bytes::copy_from_slice(body)) };
            let request = self.endpoint.request(self.action, upload)?;
            let tick = || self.conversation.job.tick();
            let response = self.answer(self.endpoint.send(request, &tick))?.map_err(GitError::Net)?;
            self.conversation.quotable.store(response.quotable, Ordering::Relaxed);
            let followed = response.status.is_redirection()
                && matches!(self.action, Service::UploadPackLs | Service::ReceivePackLs)
                && response
                    .headers
                    .get(header::LOCATION)
                    .and_then(|location| location.to_str().ok())
                    .is_some_and(|location| self.endpoint.follow(location, self.action));
            if !followed {
                return Ok(response);
            }
        }
        Err(GitError::Protocol("the server redirects too often".to_owned()))
    }

    /// Fails for every answer that is not Git's. Its body is not read: Git servers report nothing in it, and the body of
    /// another server may be confidential to the tenant who chose the address.
    fn accepted(&self, response: &Response) -> Result<(), GitError> {
        let status = response.status;
        let kind = match self.action {
            Service::UploadPackLs | Service::ReceivePackLs => "advertisement",
            Service::UploadPack | Service::ReceivePack => "result",
        };
        let wanted = format!("application/x-{}-{kind}", service(self.action));
        let content_type = response.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        if status == StatusCode::OK && content_type == Some(&*wanted) {
            return Ok(());
        }
        if status.is_client_error() {
            // Refused before the push was applied. A gateway's 5xx does not prove that of the server behind it.
            self.conversation.sent.store(false, Ordering::Relaxed);
        }
        let retry_after = response
            .headers
            .get(header::RETRY_AFTER)
            .and_then(|value| value.to_str().ok()?.parse().ok())
            .map(|seconds: u64| Duration::from_secs(seconds.min(3600)));
        if !response.quotable && !asks_for_credentials(response) {
            let why = format!("it answered {} without a word of Git", status.as_u16());
            return Err(self
                .conversation
                .net(NetError::Broken { host: self.conversation.endpoint.access.url.host.clone(), why }));
        }
        if status == StatusCode::OK {
            return Err(GitError::Protocol(
                "the server does not speak Git's smart protocol at this URL; check the path".to_owned(),
            ));
        }
        let limited = status == StatusCode::FORBIDDEN && retry_after.is_some();
        Err(match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN if !limited => {
                GitError::Auth(format!("the server answered {}", status.as_u16()))
            }
            StatusCode::NOT_FOUND => GitError::Status {
                status: 404,
                advice: "; check that the repository exists and that the credentials may see it",
                retry_after,
            },
            StatusCode::PAYLOAD_TOO_LARGE => GitError::Status {
                status: 413,
                advice: "; raise the size of a request that the server or the proxy before it takes",
                retry_after,
            },
            _ => GitError::Status { status: status.as_u16(), advice: "", retry_after },
        })
    }
}

/// Whether the server offers Basic authentication, as Git servers do and servers of the cluster do not.
fn asks_for_credentials(response: &Response) -> bool {
    let challenge = response.headers.get(header::WWW_AUTHENTICATE).and_then(|value| value.to_str().ok());
    response.status == StatusCode::UNAUTHORIZED
        && challenge.is_some_and(|text| text.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("basic")))
}

impl Write for HttpExchange {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let conversation = self.conversation.clone();
        let full = match &mut self.state {
            ExchangeState::Collecting(body) => {
                body.extend_from_slice(bytes);
                body.len() > WHOLE
            }
            ExchangeState::Streaming { buffer, .. } => {
                buffer.extend_from_slice(bytes);
                false
            }
            _ => return Err(conversation.fail(GitError::Protocol("wrote after the answer".to_owned()))),
        };
        if full && let ExchangeState::Collecting(body) = std::mem::replace(&mut self.state, ExchangeState::Over) {
            self.start_streaming(body).map_err(|failure| conversation.fail(failure))?;
        }
        match self.hand_over(false) {
            Ok(true) => Ok(bytes.len()),
            // The server answered before it had the whole request; the answer has the reason.
            Ok(false) => match self.finish() {
                Ok(()) => Err(conversation.fail(GitError::Protocol("the server stopped reading the pack".to_owned()))),
                Err(failure) => Err(conversation.fail(failure)),
            },
            Err(failure) => Err(conversation.fail(failure)),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for HttpExchange {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let conversation = self.conversation.clone();
        if !matches!(self.state, ExchangeState::Reading { .. }) {
            self.finish().map_err(|failure| conversation.fail(failure))?;
        }
        let ExchangeState::Reading { response, rest } = &mut self.state else { return Ok(0) };
        if rest.is_empty() {
            let since = Instant::now();
            let chunk = conversation.job.wait(response.chunk()).and_then(|chunk| chunk.map_err(GitError::Net));
            let chunk = chunk.map_err(|failure| conversation.fail(failure))?;
            let Some(chunk) = chunk else { return Ok(0) };
            conversation.received(since, &chunk).map_err(|failure| conversation.fail(failure))?;
            *rest = chunk;
        }
        let count = rest.len().min(into.len());
        rest.copy_to_slice(&mut into[..count]);
        Ok(count)
    }
}

impl Drop for HttpExchange {
    /// Aborts an unfinished request, which must not appear complete to the server.
    fn drop(&mut self) {
        if let ExchangeState::Streaming { pieces, answer, .. } = &self.state {
            let _ = pieces.try_send(Err(io::Error::other("given up")));
            answer.abort();
        }
    }
}

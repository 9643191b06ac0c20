//! Git's smart protocol over HTTP: one request per action.
//!
//! Small requests are sent whole; a pack larger than a buffer streams out while libgit2 makes it.

use super::{HttpEndpoint, Line, service};
use crate::error::Trouble;
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

/// Up to here a request is sent with its length, as `git` does it; servers behind a buffering proxy like that better.
const WHOLE: usize = 1 << 20;
/// Pieces of a streamed request in flight.
const IN_FLIGHT: usize = 8;
const PIECE: usize = 64 * 1024;
const MAX_REDIRECTS: usize = 3;

/// One action: first written, then read.
pub(super) struct Exchange {
    line: Arc<Line>,
    endpoint: Arc<HttpEndpoint>,
    action: Service,
    state: State,
}

enum State {
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

impl Exchange {
    pub(super) fn new(line: Arc<Line>, endpoint: Arc<HttpEndpoint>, action: Service) -> Self {
        Self { line, endpoint, action, state: State::Collecting(Vec::new()) }
    }

    /// Sends what was collected and starts to stream the rest.
    fn start_streaming(&mut self, collected: Vec<u8>) -> Result<(), Trouble> {
        let (pieces, chunks) = mpsc::channel(IN_FLIGHT);
        let request = self.endpoint.request(self.action, Upload::Stream { chunks, length: None })?;
        let (endpoint, pulse) = (self.endpoint.clone(), self.line.pulse.clone());
        let answer = self.line.pulse.spawn(async move { endpoint.send(request, &|| pulse.tick()).await });
        self.state = State::Streaming { pieces, buffer: collected, answer };
        Ok(())
    }

    /// Hands full pieces, or at the end everything, to the request under way. `false`: the answer came early.
    fn hand_over(&mut self, everything: bool) -> Result<bool, Trouble> {
        let State::Streaming { pieces, buffer, .. } = &mut self.state else { return Ok(true) };
        // The last bytes stay here until the right to write was asked: without them the server cannot finish.
        while buffer.len() > PIECE || (everything && !buffer.is_empty()) {
            let piece: Vec<u8> = buffer.drain(..buffer.len().min(PIECE)).collect();
            let (since, length) = (Instant::now(), piece.len());
            if self.line.pulse.wait(pieces.send(Ok(piece.into())))?.is_err() {
                return Ok(false);
            }
            self.line.uploaded(since, length)?;
        }
        Ok(true)
    }

    /// Waits for the answer of what was written.
    fn finish(&mut self) -> Result<(), Trouble> {
        self.line.next_request(self.action)?;
        if self.action == Service::ReceivePack {
            self.line.about_to_push()?;
        }
        let response = match std::mem::replace(&mut self.state, State::Over) {
            State::Collecting(body) => self.ask(&body)?,
            State::Streaming { pieces, buffer, answer } => {
                self.state = State::Streaming { pieces, buffer, answer };
                self.hand_over(true)?;
                let State::Streaming { pieces, answer, .. } = std::mem::replace(&mut self.state, State::Over) else {
                    return Ok(());
                };
                drop(pieces);
                self.answer(answer)?.map_err(|_| Trouble::Task)?.map_err(Trouble::Net)?
            }
            other => {
                self.state = other;
                return Ok(());
            }
        };
        self.line.quotable.store(response.quotable, Ordering::Relaxed);
        let response = self.accepted(&response).map(|()| response)?;
        self.state = State::Reading { response: Box::new(response), rest: Bytes::new() };
        Ok(())
    }

    /// Waits for the head of an answer; what follows it has limits of its own.
    fn answer<T>(&self, step: impl Future<Output = T>) -> Result<T, Trouble> {
        let patience = self.line.endpoint.limits.patience;
        self.line.pulse.wait(timeout(patience, step))?.map_err(|_| Trouble::Slow(patience))
    }

    fn ask(&self, body: &[u8]) -> Result<Response, Trouble> {
        for _ in 0..=MAX_REDIRECTS {
            let upload = if body.is_empty() { Upload::Empty } else { Upload::Bytes(Bytes::copy_from_slice(body)) };
            let request = self.endpoint.request(self.action, upload)?;
            let tick = || self.line.pulse.tick();
            let response = self.answer(self.endpoint.send(request, &tick))?.map_err(Trouble::Net)?;
            self.line.quotable.store(response.quotable, Ordering::Relaxed);
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
        Err(Trouble::Protocol("the server redirects too often".to_owned()))
    }

    /// Turns every answer that is not Git's into an error. Its content is not read: no Git server says there what
    /// happened, and any other server may hold what the person who chose the address may not see.
    fn accepted(&self, response: &Response) -> Result<(), Trouble> {
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
            // Refused before it was taken. A gateway's 5xx says nothing about the server behind it.
            self.line.sent.store(false, Ordering::Relaxed);
        }
        let retry_after = response
            .headers
            .get(header::RETRY_AFTER)
            .and_then(|value| value.to_str().ok()?.parse().ok())
            .map(|seconds: u64| Duration::from_secs(seconds.min(3600)));
        if !response.quotable && !asks_for_credentials(response) {
            let why = format!("it answered {} without a word of Git", status.as_u16());
            return Err(self.line.net(NetError::Broken { host: self.line.endpoint.target.url.host.clone(), why }));
        }
        if status == StatusCode::OK {
            return Err(Trouble::Protocol(
                "the server does not speak Git's smart protocol at this URL; check the path".to_owned(),
            ));
        }
        let limited = status == StatusCode::FORBIDDEN && retry_after.is_some();
        Err(match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN if !limited => {
                Trouble::Auth(format!("the server answered {}", status.as_u16()))
            }
            StatusCode::NOT_FOUND => Trouble::Status {
                status: 404,
                advice: "; check that the repository exists and that the credentials may see it",
                retry_after,
            },
            StatusCode::PAYLOAD_TOO_LARGE => Trouble::Status {
                status: 413,
                advice: "; raise the size of a request that the server or the proxy before it takes",
                retry_after,
            },
            _ => Trouble::Status { status: status.as_u16(), advice: "", retry_after },
        })
    }
}

/// A server that takes a user and a password, as Git servers do and those of the cluster do not.
fn asks_for_credentials(response: &Response) -> bool {
    let challenge = response.headers.get(header::WWW_AUTHENTICATE).and_then(|value| value.to_str().ok());
    response.status == StatusCode::UNAUTHORIZED
        && challenge.is_some_and(|text| text.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("basic")))
}

impl Write for Exchange {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let line = self.line.clone();
        let full = match &mut self.state {
            State::Collecting(body) => {
                body.extend_from_slice(bytes);
                body.len() > WHOLE
            }
            State::Streaming { buffer, .. } => {
                buffer.extend_from_slice(bytes);
                false
            }
            _ => return Err(line.fail(Trouble::Protocol("wrote after the answer".to_owned()))),
        };
        if full && let State::Collecting(body) = std::mem::replace(&mut self.state, State::Over) {
            self.start_streaming(body).map_err(|trouble| line.fail(trouble))?;
        }
        match self.hand_over(false) {
            Ok(true) => Ok(bytes.len()),
            // The server answered before it had everything: that answer says why.
            Ok(false) => match self.finish() {
                Ok(()) => Err(line.fail(Trouble::Protocol("the server stopped reading the pack".to_owned()))),
                Err(trouble) => Err(line.fail(trouble)),
            },
            Err(trouble) => Err(line.fail(trouble)),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for Exchange {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let line = self.line.clone();
        if !matches!(self.state, State::Reading { .. }) {
            self.finish().map_err(|trouble| line.fail(trouble))?;
        }
        let State::Reading { response, rest } = &mut self.state else { return Ok(0) };
        if rest.is_empty() {
            let since = Instant::now();
            let chunk = line.pulse.wait(response.chunk()).and_then(|chunk| chunk.map_err(Trouble::Net));
            let chunk = chunk.map_err(|trouble| line.fail(trouble))?;
            let Some(chunk) = chunk else { return Ok(0) };
            line.received(since, &chunk).map_err(|trouble| line.fail(trouble))?;
            *rest = chunk;
        }
        let count = rest.len().min(into.len());
        rest.copy_to_slice(&mut into[..count]);
        Ok(count)
    }
}

impl Drop for Exchange {
    /// A request that is given up must not look complete to the server.
    fn drop(&mut self) {
        if let State::Streaming { pieces, answer, .. } = &self.state {
            let _ = pieces.try_send(Err(io::Error::other("given up")));
            answer.abort();
        }
    }
}

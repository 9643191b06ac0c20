//! One HTTP/1.1 connection: dialled, wrapped in TLS for `https`, its bytes counted in both directions.

use super::body::Upload;
use super::config::ClientConfig;
use crate::{NetError, handshake};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// Scheme, host and port of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) tls: bool,
    pub(super) host: String,
    pub(super) port: u16,
}

/// An open connection.
pub(super) struct Connection {
    pub(super) origin: Origin,
    pub(super) sender: SendRequest<Upload>,
    pub(super) moved: Arc<AtomicU64>,
    /// Whether the server's texts may appear in an error.
    pub(super) quotable: bool,
    pub(super) idle_since: Instant,
    driver: JoinHandle<()>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Connection {
    pub(super) async fn open(origin: Origin, config: &ClientConfig) -> Result<Self, NetError> {
        let end = Instant::now() + config.connect_timeout;
        let tcp = config.dialer.connect(&origin.host, origin.port, config.connect_timeout).await?;
        let quotable = config.dialer.may_quote(&tcp);
        let moved = Arc::new(AtomicU64::new(0));
        let tcp = CountedStream { inner: tcp, moved: moved.clone() };
        if !origin.tls {
            return Self::over(origin, tcp, moved, quotable).await;
        }
        let name = config.server_name.as_deref().unwrap_or(&origin.host);
        let left = end.saturating_duration_since(Instant::now());
        let tls = handshake(config.tls.clone(), name, tcp, left)
            .await
            .map_err(|error| error.withheld(&origin.host, quotable))?;
        Self::over(origin, tls, moved, quotable).await
    }

    async fn over<S>(origin: Origin, stream: S, moved: Arc<AtomicU64>, quotable: bool) -> Result<Self, NetError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| NetError::from_connection(&origin.host, &error).withheld(&origin.host, quotable))?;
        // Its errors reach the pending request; without one they do not matter.
        let driver = tokio::spawn(async move {
            let _ = connection.await;
        });
        Ok(Self { origin, sender, moved, quotable, idle_since: Instant::now(), driver })
    }
}

/// Counts the bytes that pass.
struct CountedStream<S> {
    inner: S,
    moved: Arc<AtomicU64>,
}

impl<S> CountedStream<S> {
    fn count(&self, bytes: usize) {
        self.moved.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for CountedStream<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        let polled = Pin::new(&mut self.inner).poll_read(cx, into);
        self.count(into.filled().len() - before);
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for CountedStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_write(cx, bytes);
        if let Poll::Ready(Ok(written)) = &polled {
            self.count(*written);
        }
        polled
    }
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_write_vectored(cx, slices);
        if let Poll::Ready(Ok(written)) = &polled {
            self.count(*written);
        }
        polled
    }
    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

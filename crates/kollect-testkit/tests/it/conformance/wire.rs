//! A backend behind a socket.
//!
//! The wire carries as many bytes as a real protocol would. What is asked waits beside it and is done when its last byte
//! has arrived, so that a broken connection means what it means for a database: not done, or done and not acknowledged.

use kollect_export::{Cycle, SinkError};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// What is wrong with a sink.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fault {
    None,
    ClaimsNothingLanded,
    IgnoresCancellation,
    GivesUp,
    NeverRecovers,
    GoesAroundTheProxy,
}

type Job = Pin<Box<dyn Future<Output = ()> + Send>>;
type Jobs = Arc<Mutex<HashMap<u64, Job>>>;

/// A backend behind a socket.
pub(super) struct Remote<B> {
    pub(super) backend: B,
    pub(super) address: SocketAddr,
    jobs: Jobs,
    fault: Fault,
}

impl<B> Remote<B> {
    pub(super) async fn start(backend: B, fault: Fault) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, jobs) = (listener.local_addr().unwrap(), Jobs::default());
        let served = jobs.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, served.clone()));
            }
        });
        Self { backend, address, jobs, fault }
    }

    pub(super) fn line(&self, port: u16) -> Line {
        let port = if self.fault == Fault::GoesAroundTheProxy { self.address.port() } else { port };
        Line { port, jobs: self.jobs.clone(), fault: self.fault, broken: AtomicBool::new(false) }
    }
}

/// Answers each request when its job is done.
async fn serve(mut stream: TcpStream, jobs: Jobs) -> io::Result<()> {
    loop {
        let (number, size) = (stream.read_u64().await?, stream.read_u64().await?);
        tokio::io::copy(&mut (&mut stream).take(size), &mut tokio::io::sink()).await?;
        let job = jobs.lock().remove(&number);
        if let Some(job) = job {
            job.await;
        }
        stream.write_u8(1).await?;
    }
}

/// A client's way to the backend.
pub(super) struct Line {
    port: u16,
    jobs: Jobs,
    fault: Fault,
    broken: AtomicBool,
}

impl Line {
    /// Has something done on the other side.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        cycle: &Cycle<'_>,
        size: u64,
        work: impl Future<Output = Result<T, SinkError>> + Send + 'static,
    ) -> Result<T, SinkError> {
        let answer = Arc::new(Mutex::new(None));
        let kept = answer.clone();
        let call = self.call(size, Box::pin(async move { *kept.lock() = Some(work.await) }));
        let cancelled = async {
            match self.fault {
                Fault::IgnoresCancellation => std::future::pending().await,
                _ => cycle.cancel.cancelled().await,
            }
        };
        let called = tokio::select! {
            called = call => called,
            () = cancelled => Err(io::Error::other("cancelled")),
        };
        let given_up = self.fault == Fault::NeverRecovers && self.broken.load(Ordering::SeqCst);
        match called {
            Ok(()) if !given_up => answer.lock().take().unwrap(),
            Err(error) if self.fault == Fault::GivesUp => Err(SinkError::terminal("call", error.to_string())),
            _ => {
                self.broken.store(true, Ordering::SeqCst);
                Err(SinkError::transient("call", "the connection broke"))
            }
        }
    }

    async fn call(&self, size: u64, job: Job) -> io::Result<()> {
        let number = fastrand::u64(..);
        self.jobs.lock().insert(number, job);
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
        stream.write_u64(number).await?;
        stream.write_u64(size).await?;
        stream.write_all(&vec![0; usize::try_from(size).unwrap()]).await?;
        stream.read_u8().await.map(drop)
    }

    /// An error after the request may have left.
    pub(super) fn after_sending(&self, error: SinkError) -> SinkError {
        if self.fault == Fault::ClaimsNothingLanded { error } else { error.maybe_landed() }
    }
}

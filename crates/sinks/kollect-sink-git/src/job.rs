//! The bridge between the async engine and libgit2, which blocks.
//!
//! Separate because every blocking step needs the same three things: to say that it moves, to stop when told, and to ask
//! for the right to write at the last moment. A job runs on a blocking thread; its future forwards progress.

use crate::error::Trouble;
use kollect_export::{Cycle, SinkError};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// How often progress is forwarded.
const LOOK: Duration = Duration::from_millis(100);

type Question = oneshot::Sender<Result<(), SinkError>>;

/// What a blocking step holds of the cycle it works for.
pub(crate) struct Pulse {
    ticks: AtomicU64,
    cancel: CancellationToken,
    questions: mpsc::Sender<Question>,
    runtime: Handle,
}

impl Pulse {
    /// Something moved.
    pub(crate) fn tick(&self) {
        self.ticks.fetch_add(1, Ordering::Relaxed);
    }

    /// Fails when the work should stop.
    pub(crate) fn check(&self) -> Result<(), Trouble> {
        if self.cancel.is_cancelled() { Err(Trouble::Cancelled) } else { Ok(()) }
    }

    /// Waits for a future on this blocking thread, until the work should stop.
    pub(crate) fn wait<T>(&self, step: impl Future<Output = T>) -> Result<T, Trouble> {
        self.runtime.block_on(async {
            tokio::select! {
                biased;
                () = self.cancel.cancelled() => Err(Trouble::Cancelled),
                done = step => Ok(done),
            }
        })
    }

    /// Asks whether this process may still write.
    pub(crate) fn may_write(&self) -> Result<(), Trouble> {
        let (answer, wait) = oneshot::channel();
        self.wait(async {
            let asked = self.questions.send(answer).await;
            if asked.is_err() {
                return None;
            }
            wait.await.ok()
        })?
        .ok_or(Trouble::Cancelled)?
        .map_err(Trouble::NoRight)
    }

    /// Starts a task that may outlive one step.
    pub(crate) fn spawn<T: Send + 'static>(
        &self,
        step: impl Future<Output = T> + Send + 'static,
    ) -> tokio::task::JoinHandle<T> {
        self.runtime.spawn(step)
    }
}

/// Runs `job` on a blocking thread for the given cycles. Dropping the future tells the job to stop.
pub(crate) async fn run<T: Send + 'static>(
    cycles: &[Cycle<'_>],
    job: impl FnOnce(Arc<Pulse>) -> T + Send + 'static,
) -> Result<T, Trouble> {
    let cancel = CancellationToken::new();
    let _stop_when_dropped = cancel.clone().drop_guard();
    let (questions, mut asked) = mpsc::channel::<Question>(1);
    let pulse = Arc::new(Pulse { ticks: AtomicU64::new(0), cancel, questions, runtime: Handle::current() });
    let seen = pulse.clone();
    let mut work = tokio::task::spawn_blocking(move || job(pulse));
    let mut forwarded = 0;
    let mut look = tokio::time::interval(LOOK);
    loop {
        tokio::select! {
            biased;
            done = &mut work => return done.map_err(|_| Trouble::Task),
            Some(answer) = asked.recv() => {
                // A job that gave up no longer listens.
                let _ = answer.send(cycles.iter().try_for_each(Cycle::check_right));
            }
            _ = look.tick() => {
                let now = seen.ticks.load(Ordering::Relaxed);
                if now != forwarded {
                    forwarded = now;
                    for cycle in cycles {
                        cycle.progress.tick();
                    }
                }
                if cycles.iter().any(|cycle| cycle.cancel.is_cancelled()) {
                    seen.cancel.cancel();
                }
            }
        }
    }
}

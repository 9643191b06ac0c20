//! Runs jobs with libgit2, which blocks, on blocking threads for one or more cycles.
//!
//! The job's future forwards progress and checks each cycle's right to write. A cancelled cycle leaves the job, and the
//! others continue.

use crate::error::GitError;
use kollect_export::{Cycle, SinkError};
use parking_lot::Mutex;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// Interval at which progress is forwarded and cancellation checked.
const POLL_EVERY: Duration = Duration::from_millis(100);

type Question = oneshot::Sender<()>;

/// The cycles of a job, as its blocking thread sees them.
pub(crate) struct JobHandle {
    ticks: AtomicU64,
    /// Ends the whole job.
    cancel: CancellationToken,
    /// Per cycle: why it may not write any more.
    refused: Mutex<Vec<Option<SinkError>>>,
    /// The cycles whose commits are being pushed.
    pushing: Mutex<Vec<usize>>,
    questions: mpsc::Sender<Question>,
    runtime: Handle,
}

impl JobHandle {
    /// Counts progress.
    pub(crate) fn tick(&self) {
        self.ticks.fetch_add(1, Ordering::Relaxed);
    }

    /// Fails when the job is cancelled.
    pub(crate) fn check(&self) -> Result<(), GitError> {
        if self.cancel.is_cancelled() { Err(GitError::Cancelled) } else { Ok(()) }
    }

    /// Runs a future on this blocking thread, until the job is cancelled.
    pub(crate) fn wait<T>(&self, step: impl Future<Output = T>) -> Result<T, GitError> {
        self.runtime.block_on(async {
            tokio::select! {
                biased;
                () = self.cancel.cancelled() => Err(GitError::Cancelled),
                done = step => Ok(done),
            }
        })
    }

    /// Why a cycle may not write any more, if so.
    pub(crate) fn refusal(&self, cycle: usize) -> Option<SinkError> {
        self.refused.lock().get(cycle).cloned().flatten()
    }

    /// Sets the cycles whose commits the next push contains.
    pub(crate) fn pushes(&self, cycles: Vec<usize>) {
        *self.pushing.lock() = cycles;
    }

    /// Fails unless every cycle of the push has the right to write.
    pub(crate) fn may_write(&self) -> Result<(), GitError> {
        let (answer, wait) = oneshot::channel();
        self.wait(async {
            self.questions.send(answer).await.ok()?;
            wait.await.ok()
        })?
        .ok_or(GitError::Cancelled)?;
        let refused = self.pushing.lock().iter().any(|cycle| self.refusal(*cycle).is_some());
        if refused { Err(GitError::LeftOut) } else { Ok(()) }
    }

    fn refuse(&self, cycle: usize, why: SinkError) {
        if let Some(refused) = self.refused.lock().get_mut(cycle) {
            refused.get_or_insert(why);
        }
    }

    /// Starts a task on the runtime.
    pub(crate) fn spawn<T: Send + 'static>(
        &self,
        step: impl Future<Output = T> + Send + 'static,
    ) -> tokio::task::JoinHandle<T> {
        self.runtime.spawn(step)
    }
}

/// Runs `work` on a blocking thread for the given cycles. Dropping the future cancels it.
pub(crate) async fn run<T: Send + 'static>(
    cycles: &[Cycle<'_>],
    work: impl FnOnce(Arc<JobHandle>) -> T + Send + 'static,
) -> Result<T, GitError> {
    let cancel = CancellationToken::new();
    let _stop_when_dropped = cancel.clone().drop_guard();
    let (questions, mut asked) = mpsc::channel::<Question>(1);
    let job = Arc::new(JobHandle {
        ticks: AtomicU64::new(0),
        cancel,
        refused: Mutex::new(vec![None; cycles.len()]),
        pushing: Mutex::default(),
        questions,
        runtime: Handle::current(),
    });
    let handle = job.clone();
    let mut task = tokio::task::spawn_blocking(move || work(handle));
    let mut forwarded = 0;
    let mut poll = tokio::time::interval(POLL_EVERY);
    loop {
        tokio::select! {
            biased;
            done = &mut task => return done.map_err(|_| GitError::Task),
            Some(answer) = asked.recv() => {
                for (at, cycle) in cycles.iter().enumerate() {
                    if let Err(why) = cycle.check_right() {
                        job.refuse(at, why);
                    }
                }
                // A cancelled job has dropped its receiver.
                let _ = answer.send(());
            }
            _ = poll.tick() => {
                let now = job.ticks.load(Ordering::Relaxed);
                if now != forwarded {
                    forwarded = now;
                    for cycle in cycles {
                        cycle.progress.tick();
                    }
                }
                if all_cancelled(cycles) {
                    job.cancel.cancel();
                }
                for (at, _) in cycles.iter().enumerate().filter(|(_, cycle)| cycle.cancel.is_cancelled()) {
                    job.refuse(at, GitError::Cancelled.into_sink_error("cancelled", false));
                }
            }
        }
    }
}

pub(crate) fn all_cancelled(cycles: &[Cycle<'_>]) -> bool {
    cycles.iter().all(|cycle| cycle.cancel.is_cancelled())
}

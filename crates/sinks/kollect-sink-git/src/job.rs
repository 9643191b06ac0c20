//! The bridge between the async engine and libgit2, which blocks.
//!
//! A job runs on a blocking thread for one or more cycles. Its future forwards progress, and answers for each cycle
//! whether it may still write: a cycle that is cancelled leaves the job, and the others go on.

use crate::error::Trouble;
use kollect_export::{Cycle, SinkError};
use parking_lot::Mutex;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// How often progress is forwarded.
const LOOK: Duration = Duration::from_millis(100);

type Question = oneshot::Sender<()>;

/// What a blocking step holds of the cycles it works for.
pub(crate) struct Pulse {
    ticks: AtomicU64,
    /// Ends the whole job.
    cancel: CancellationToken,
    /// Why each cycle may not write any more.
    refused: Mutex<Vec<Option<SinkError>>>,
    /// The cycles whose commits are being pushed.
    pushing: Mutex<Vec<usize>>,
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

    /// Why a cycle may not write any more, if so.
    pub(crate) fn refusal(&self, cycle: usize) -> Option<SinkError> {
        self.refused.lock().get(cycle).cloned().flatten()
    }

    /// The commits of these cycles are pushed next.
    pub(crate) fn pushes(&self, cycles: Vec<usize>) {
        *self.pushing.lock() = cycles;
    }

    /// Asks whether every cycle of the push may still write.
    pub(crate) fn may_write(&self) -> Result<(), Trouble> {
        let (answer, wait) = oneshot::channel();
        self.wait(async {
            self.questions.send(answer).await.ok()?;
            wait.await.ok()
        })?
        .ok_or(Trouble::Cancelled)?;
        let refused = self.pushing.lock().iter().any(|cycle| self.refusal(*cycle).is_some());
        if refused { Err(Trouble::LeftOut) } else { Ok(()) }
    }

    fn refuse(&self, cycle: usize, why: SinkError) {
        if let Some(place) = self.refused.lock().get_mut(cycle) {
            place.get_or_insert(why);
        }
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
    let pulse = Arc::new(Pulse {
        ticks: AtomicU64::new(0),
        cancel,
        refused: Mutex::new(vec![None; cycles.len()]),
        pushing: Mutex::default(),
        questions,
        runtime: Handle::current(),
    });
    let seen = pulse.clone();
    let mut work = tokio::task::spawn_blocking(move || job(pulse));
    let mut forwarded = 0;
    let mut look = tokio::time::interval(LOOK);
    loop {
        tokio::select! {
            biased;
            done = &mut work => return done.map_err(|_| Trouble::Task),
            Some(answer) = asked.recv() => {
                for (at, cycle) in cycles.iter().enumerate() {
                    if let Err(why) = cycle.check_right() {
                        seen.refuse(at, why);
                    }
                }
                // A job that gave up no longer listens.
                let _ = answer.send(());
            }
            _ = look.tick() => {
                let now = seen.ticks.load(Ordering::Relaxed);
                if now != forwarded {
                    forwarded = now;
                    for cycle in cycles {
                        cycle.progress.tick();
                    }
                }
                if all_cancelled(cycles) {
                    seen.cancel.cancel();
                }
                for (at, _) in cycles.iter().enumerate().filter(|(_, cycle)| cycle.cancel.is_cancelled()) {
                    seen.refuse(at, Trouble::Cancelled.into_sink_error("cancelled", false));
                }
            }
        }
    }
}

pub(crate) fn all_cancelled(cycles: &[Cycle<'_>]) -> bool {
    cycles.iter().all(|cycle| cycle.cancel.is_cancelled())
}

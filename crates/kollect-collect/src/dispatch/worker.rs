//! A thread that turns objects into rows.

use super::watchdog::Pulse;
use super::{Job, Shared};
use crate::feed::Feed;
use crate::intake::Intake;
use crate::plan::Priority;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Instant;
use tokio::runtime::Handle;
use tokio::sync::mpsc::Receiver;
use tokio::sync::mpsc::error::TryRecvError;
use tokio_util::sync::CancellationToken;
use tokio_util::task::task_tracker::TaskTrackerToken;

/// Room for decoding and evaluating deeply nested objects.
const STACK: usize = 8 << 20;

/// How much a worker at low priority gives way, from 0 to 19.
const NICE: i32 = 15;

pub(super) struct Worker {
    pub(super) intake: Intake,
    pub(super) priority: Priority,
    pub(super) pulse: Arc<Pulse>,
    pub(super) shared: Arc<Shared>,
}

impl Worker {
    /// Starts the thread. It ends when cancelled or when its queue is closed, and goes on after a panic.
    pub(super) fn start(
        mut self,
        number: usize,
        mut jobs: Receiver<Job>,
        runtime: Handle,
        cancel: CancellationToken,
        alive: TaskTrackerToken,
    ) -> std::io::Result<()> {
        let priority = self.priority;
        let run = move || {
            let _alive = alive;
            self.pulse.begin_thread();
            if self.priority == Priority::Low {
                give_way();
            }
            while catch_unwind(AssertUnwindSafe(|| self.serve(&mut jobs, &runtime, &cancel))).is_err() {
                // The job that was under way is gone: lists that are under way must not count as complete.
                self.shared.lost.fetch_add(1, Ordering::Release);
                tracing::error!(task = "intake", "reconcile panic recovered");
            }
        };
        let kind = match priority {
            Priority::Normal => "intake",
            Priority::Low => "intake-low",
        };
        thread::Builder::new().name(format!("{kind}-{number}")).stack_size(STACK).spawn(run).map(drop)
    }

    fn serve(&mut self, jobs: &mut Receiver<Job>, runtime: &Handle, cancel: &CancellationToken) {
        while let Some(job) = next(jobs, runtime, cancel) {
            match job {
                // Without room the reader has stopped waiting.
                Job::Barrier(done) => drop(done.try_send(())),
                Job::Object { feed, deleted, raw, _room } => {
                    let began = Instant::now();
                    self.take(&feed, deleted, &raw);
                    let depth = self.shared.depth.fetch_sub(1, Ordering::Relaxed) - 1;
                    self.shared.observer.queue_depth(depth);
                    self.shared.observer.dispatched(began.elapsed());
                }
            }
        }
    }

    fn take(&mut self, feed: &Feed, deleted: bool, raw: &str) {
        let taken = catch_unwind(AssertUnwindSafe(|| {
            if deleted {
                self.intake.delete(feed, raw);
            } else {
                self.intake.upsert(feed, raw);
            }
        }));
        if taken.is_err() {
            tracing::error!(resource = %feed.gvr, "reconcile panic recovered");
            // Should this fail as well, the rows stay as they were and the worker lives.
            let _ = catch_unwind(AssertUnwindSafe(|| self.intake.give_up(feed, raw)));
        }
    }
}

/// Lets the system prefer all other threads. Where it cannot, a queue of its own must do.
fn give_way() {
    if let Err(error) = rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICE) {
        tracing::debug!(error = %error, "the worker of expensive targets has the priority of the others");
    }
}

fn next(jobs: &mut Receiver<Job>, runtime: &Handle, cancel: &CancellationToken) -> Option<Job> {
    if cancel.is_cancelled() {
        return None;
    }
    match jobs.try_recv() {
        Ok(job) => Some(job),
        Err(TryRecvError::Disconnected) => None,
        Err(TryRecvError::Empty) => runtime.block_on(cancel.run_until_cancelled(jobs.recv())).flatten(),
    }
}

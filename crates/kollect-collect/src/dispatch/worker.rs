//! A thread that turns objects into rows.

use super::job::{DispatchState, Job};
use super::watchdog::WorkerProbe;
use crate::intake::Intake;
use crate::plan::Priority;
use crate::targets::resource_targets::ResourceTargets;
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

/// For decoding and evaluating deeply nested objects.
const STACK: usize = 8 << 20;

/// Nice value of the low-priority worker, from 0 to 19.
const NICE: i32 = 15;

pub(super) struct Worker {
    pub(super) intake: Intake,
    pub(super) priority: Priority,
    pub(super) probe: Arc<WorkerProbe>,
    pub(super) shared: Arc<DispatchState>,
}

impl Worker {
    /// Starts the thread. It ends when cancelled or when its queue is closed, and continues after a panic.
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
            self.probe.begin_thread();
            if self.priority == Priority::Low {
                give_way();
            }
            while catch_unwind(AssertUnwindSafe(|| self.serve(&mut jobs, &runtime, &cancel))).is_err() {
                // The job in work is lost: lists in progress must not count as complete.
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
                // It fails only when the receiver is gone.
                Job::Barrier(done) => drop(done.try_send(())),
                Job::Object { targets, deleted, raw, _bytes } => {
                    let began = Instant::now();
                    self.take(&targets, deleted, &raw);
                    let depth = self.shared.depth.fetch_sub(1, Ordering::Relaxed) - 1;
                    self.shared.observer.queue_depth(depth);
                    self.shared.observer.dispatched(began.elapsed());
                }
            }
        }
    }

    fn take(&mut self, targets: &ResourceTargets, deleted: bool, raw: &str) {
        let taken = catch_unwind(AssertUnwindSafe(|| {
            if deleted {
                self.intake.delete(targets, raw);
            } else {
                self.intake.upsert(targets, raw);
            }
        }));
        if taken.is_err() {
            tracing::error!(resource = %targets.gvr, "reconcile panic recovered");
            // If this panics too, the rows stay as they were and the worker continues.
            let _ = catch_unwind(AssertUnwindSafe(|| self.intake.give_up(targets, raw)));
        }
    }
}

/// Lowers the scheduling priority of this thread. Without the permission, only the separate queue isolates it.
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

//! Bounded queues between watches and the workers that make rows.
//!
//! Bounded in objects and in bytes. Keeps the order of each object: one uid always goes to the same worker. Workers are OS
//! threads of their own, so a user-written expression never runs on the threads of lease, probes, control and sinks.

mod job;
mod watchdog;
mod worker;

use crate::intake::Intake;
use crate::observe::CollectObserver;
use crate::plan::Priority;
use crate::targets::resource_targets::ResourceTargets;
use job::{DispatchState, Job};
use kollect_model::Uid;
use parking_lot::Mutex;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use watchdog::WorkerProbe;
use worker::Worker;

/// Bytes of objects that may wait for workers.
const QUEUE_BYTES: u32 = 8 << 20;
/// A full queue is logged at most this often.
const LOG_EVERY: Duration = Duration::from_secs(10);

/// Which workers to start.
pub(crate) struct WorkerPool {
    pub(crate) priority: Priority,
    pub(crate) workers: usize,
    /// Queue capacity in objects, over all workers.
    pub(crate) queue: usize,
    /// Queued objects, in all pools together.
    pub(crate) depth: Arc<AtomicUsize>,
}

/// Queues objects for workers. The workers end with the cancellation token, or when it is dropped.
pub(crate) struct Dispatcher {
    queues: Vec<mpsc::Sender<Job>>,
    bytes: Arc<Semaphore>,
    shared: Arc<DispatchState>,
    logged: Mutex<Option<Instant>>,
}

impl Dispatcher {
    /// Starts the workers.
    ///
    /// # Errors
    /// When the system cannot start a thread.
    pub(crate) fn start(
        pool: WorkerPool,
        observer: &Arc<dyn CollectObserver>,
        cancel: &CancellationToken,
        tasks: &TaskTracker,
        intake: impl Fn() -> Intake,
    ) -> std::io::Result<Self> {
        let WorkerPool { priority, workers, queue, depth } = pool;
        let workers = workers.max(1);
        let shared = Arc::new(DispatchState { depth, lost: AtomicU64::new(0), observer: observer.clone() });
        let (mut queues, mut probes) = (Vec::with_capacity(workers), Vec::with_capacity(workers));
        for number in 0..workers {
            let (sender, jobs) = mpsc::channel(queue.div_ceil(workers).max(1));
            let intake = intake();
            let probe = Arc::new(WorkerProbe::new(intake.stop_switch()));
            let worker = Worker { intake, priority, probe: probe.clone(), shared: shared.clone() };
            worker.start(number, jobs, Handle::current(), cancel.clone(), tasks.token())?;
            queues.push(sender);
            probes.push(probe);
        }
        let until = cancel.clone();
        tasks.spawn(async move { until.run_until_cancelled(watchdog::run(probes)).await });
        let bytes = Arc::new(Semaphore::new(QUEUE_BYTES as usize));
        Ok(Self { queues, bytes, shared, logged: Mutex::default() })
    }

    /// Queues an object. Waits while the queues are full, so that the watch is read more slowly and nothing is dropped.
    pub(crate) async fn object(&self, targets: &Arc<ResourceTargets>, deleted: bool, uid: &Uid, raw: &str) {
        if self.queue(targets, deleted, uid, raw).await.is_none() {
            self.shared.lost.fetch_add(1, Ordering::Release);
        }
    }

    /// `None` when the worker has ended.
    async fn queue(&self, targets: &Arc<ResourceTargets>, deleted: bool, uid: &Uid, raw: &str) -> Option<()> {
        let mut hasher = DefaultHasher::new();
        uid.hash(&mut hasher);
        let at = usize::try_from(hasher.finish() % self.queues.len() as u64).unwrap_or(0);
        let queue = self.queues.get(at)?;
        // An object larger than the limit waits for all of it.
        let size = u32::try_from(raw.len()).unwrap_or(QUEUE_BYTES).clamp(1, QUEUE_BYTES);
        let bytes = if let Ok(bytes) = self.bytes.clone().try_acquire_many_owned(size) {
            bytes
        } else {
            self.full();
            self.bytes.clone().acquire_many_owned(size).await.ok()?
        };
        let slot = if let Ok(slot) = queue.try_reserve() {
            slot
        } else {
            self.full();
            queue.reserve().await.ok()?
        };
        let depth = self.shared.depth.fetch_add(1, Ordering::Relaxed) + 1;
        self.shared.observer.queue_depth(depth);
        slot.send(Job::Object { targets: targets.clone(), deleted, raw: raw.into(), _bytes: bytes });
        Some(())
    }

    /// Objects that were not processed so far. A list is complete only if this is equal at its start and its end.
    pub(crate) fn lost(&self) -> u64 {
        self.shared.lost.load(Ordering::Acquire)
    }

    /// Returns when everything that was queued before is done; `false` when a worker ended instead.
    pub(crate) async fn barrier(&self) -> bool {
        let (sender, mut done) = mpsc::channel::<()>(self.queues.len());
        for queue in &self.queues {
            if queue.send(Job::Barrier(sender.clone())).await.is_err() {
                return false;
            }
        }
        drop(sender);
        let mut answers = 0;
        while done.recv().await.is_some() {
            answers += 1;
        }
        answers == self.queues.len()
    }

    fn full(&self) {
        self.shared.observer.backpressure();
        let mut logged = self.logged.lock();
        if logged.is_none_or(|at| at.elapsed() >= LOG_EVERY) {
            *logged = Some(Instant::now());
            drop(logged);
            tracing::warn!(queue_depth = self.shared.depth.load(Ordering::Relaxed), "dispatch sync fallback");
        }
    }
}

#[cfg(test)]
mod tests;

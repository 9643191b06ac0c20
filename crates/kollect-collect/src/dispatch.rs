//! The way from watch readers to the workers that make rows.
//!
//! Separate because it bounds what waits in memory, in objects and in bytes, and keeps the order of each object: one uid
//! always goes to one worker. It must not look into objects.

use crate::feed::Feed;
use crate::intake::Intake;
use crate::observe::CollectObserver;
use kollect_model::Uid;
use parking_lot::Mutex;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Bytes of objects that may wait for workers.
const QUEUE_BYTES: u32 = 8 << 20;
/// A full queue is logged at most this often.
const LOG_EVERY: Duration = Duration::from_secs(10);

enum Job {
    Object {
        feed: Arc<Feed>,
        deleted: bool,
        raw: Box<str>,
        _room: OwnedSemaphorePermit,
    },
    /// Answered when everything before it was done.
    Barrier(mpsc::Sender<()>),
}

/// Hands objects to workers. Ends its workers when dropped.
pub(crate) struct Dispatcher {
    queues: Vec<mpsc::Sender<Job>>,
    bytes: Arc<Semaphore>,
    depth: Arc<AtomicUsize>,
    observer: Arc<dyn CollectObserver>,
    logged: Mutex<Option<Instant>>,
}

impl Dispatcher {
    /// Starts the workers; `queue` objects in total may wait.
    pub(crate) fn start(
        workers: usize,
        queue: usize,
        observer: &Arc<dyn CollectObserver>,
        cancel: &CancellationToken,
        tasks: &TaskTracker,
        intake: impl Fn() -> Intake,
    ) -> Self {
        let workers = workers.max(1);
        let depth = Arc::new(AtomicUsize::new(0));
        let queues = (0..workers).map(|_| {
            let (sender, jobs) = mpsc::channel(queue.div_ceil(workers).max(1));
            let worker = Worker { intake: intake(), depth: depth.clone(), observer: observer.clone() };
            tasks.spawn(worker.run(jobs, cancel.clone()));
            sender
        });
        let queues = queues.collect();
        let bytes = Arc::new(Semaphore::new(QUEUE_BYTES as usize));
        Self { queues, bytes, depth, observer: observer.clone(), logged: Mutex::default() }
    }

    /// Queues an object. Waits while the queues are full, which slows its reader down and loses nothing.
    pub(crate) async fn object(&self, feed: &Arc<Feed>, deleted: bool, uid: &Uid, raw: &str) {
        let mut hasher = DefaultHasher::new();
        uid.hash(&mut hasher);
        let at = usize::try_from(hasher.finish() % self.queues.len() as u64).unwrap_or(0);
        let Some(queue) = self.queues.get(at) else { return };
        // An object larger than the whole room waits for all of it.
        let size = u32::try_from(raw.len()).unwrap_or(QUEUE_BYTES).clamp(1, QUEUE_BYTES);
        let room = if let Ok(room) = self.bytes.clone().try_acquire_many_owned(size) {
            room
        } else {
            self.full();
            let Ok(room) = self.bytes.clone().acquire_many_owned(size).await else { return };
            room
        };
        let slot = if let Ok(slot) = queue.try_reserve() {
            slot
        } else {
            self.full();
            let Ok(slot) = queue.reserve().await else { return };
            slot
        };
        let depth = self.depth.fetch_add(1, Ordering::Relaxed) + 1;
        self.observer.queue_depth(depth);
        slot.send(Job::Object { feed: feed.clone(), deleted, raw: raw.into(), _room: room });
    }

    /// Returns when everything that was queued before is done.
    pub(crate) async fn barrier(&self) {
        let (sender, mut done) = mpsc::channel::<()>(1);
        for queue in &self.queues {
            let _ = queue.send(Job::Barrier(sender.clone())).await;
        }
        drop(sender);
        while done.recv().await.is_some() {}
    }

    fn full(&self) {
        self.observer.backpressure();
        let mut logged = self.logged.lock();
        if logged.is_none_or(|at| at.elapsed() >= LOG_EVERY) {
            *logged = Some(Instant::now());
            drop(logged);
            tracing::warn!(queue_depth = self.depth.load(Ordering::Relaxed), "dispatch sync fallback");
        }
    }
}

struct Worker {
    intake: Intake,
    depth: Arc<AtomicUsize>,
    observer: Arc<dyn CollectObserver>,
}

impl Worker {
    async fn run(mut self, mut jobs: mpsc::Receiver<Job>, cancel: CancellationToken) {
        loop {
            let job = tokio::select! {
                () = cancel.cancelled() => return,
                job = jobs.recv() => job,
            };
            match job {
                None => return,
                Some(Job::Barrier(done)) => {
                    let _ = done.send(()).await;
                }
                Some(Job::Object { feed, deleted, raw, _room }) => {
                    let began = Instant::now();
                    self.take(&feed, deleted, &raw);
                    let depth = self.depth.fetch_sub(1, Ordering::Relaxed) - 1;
                    self.observer.queue_depth(depth);
                    self.observer.dispatched(began.elapsed());
                }
            }
        }
    }

    fn take(&mut self, feed: &Feed, deleted: bool, raw: &str) {
        let looked_at = catch_unwind(AssertUnwindSafe(|| {
            if deleted {
                self.intake.delete(feed, raw);
            } else {
                self.intake.upsert(feed, raw);
            }
        }));
        if looked_at.is_err() {
            tracing::error!(resource = %feed.gvr, "reconcile panic recovered");
            // Should this fail as well, the rows stay as they were and the worker lives.
            let _ = catch_unwind(AssertUnwindSafe(|| self.intake.give_up(feed, raw)));
        }
    }
}

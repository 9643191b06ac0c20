//! Threads with a large stack that parse and review specs.
//!
//! The threads of the async runtime must stay free for connections, and their stack is too small for deep expressions. A
//! panic ends one review, not the process.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

type Job = Box<dyn FnOnce() + Send>;

/// Only touched pages of a stack cost memory.
const STACK: usize = 8 << 20;
const QUEUE: usize = 64;

/// The review panicked, or the pool ended.
#[derive(Debug, thiserror::Error)]
#[error("the review ended in an internal error")]
pub(crate) struct ReviewAborted;

/// A pool of review threads, which end when it is dropped.
pub(crate) struct ReviewPool {
    jobs: mpsc::Sender<Job>,
}

impl ReviewPool {
    pub(crate) fn start() -> std::io::Result<Self> {
        let (jobs, receiver) = mpsc::channel::<Job>(QUEUE);
        let receiver = Arc::new(parking_lot::Mutex::new(receiver));
        let threads = std::thread::available_parallelism().map_or(2, usize::from).clamp(2, 4);
        for _ in 0..threads {
            let receiver = receiver.clone();
            let work = move || {
                loop {
                    let next = receiver.lock().blocking_recv();
                    let Some(job) = next else { break };
                    job();
                }
            };
            std::thread::Builder::new().name("review".to_owned()).stack_size(STACK).spawn(work)?;
        }
        Ok(Self { jobs })
    }

    /// Runs `work` on one of the threads.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ReviewAborted> {
        let (sender, result) = oneshot::channel();
        let job = move || {
            if sender.is_closed() {
                // The request timed out.
                return;
            }
            if let Ok(done) = catch_unwind(AssertUnwindSafe(work)) {
                let _ = sender.send(done);
            }
        };
        self.jobs.send(Box::new(job)).await.map_err(|_| ReviewAborted)?;
        result.await.map_err(|_| ReviewAborted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_ends_one_piece_of_work_and_the_threads_go_on() {
        let pool = ReviewPool::start().unwrap();
        for _ in 0..20 {
            assert!(pool.run(|| panic!("on purpose")).await.is_err());
        }
        assert_eq!(pool.run(|| 7).await.unwrap(), 7);
    }
}

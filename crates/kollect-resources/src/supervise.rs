//! Restarts long-running tasks that panic or end, and turns a panic in a short task into a value.
//!
//! A task that ends unnoticed leaves a leader that holds the Lease and does nothing.

use futures_util::FutureExt as _;
use kollect_model::Backoff;
use std::panic::AssertUnwindSafe;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// A task panicked. The panic hook has already logged where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the task panicked")]
pub struct Panicked;

/// The result of `work`, or that it panicked.
pub async fn caught<T>(work: impl Future<Output = T>) -> Result<T, Panicked> {
    AssertUnwindSafe(work).catch_unwind().await.map_err(|_| Panicked)
}

/// Spawns a task that runs until `stop`. When it panics or ends earlier, it is made anew after a pause.
pub fn spawn<F, W>(task: &'static str, stop: CancellationToken, make: F)
where
    F: Fn() -> W + Send + Sync + 'static,
    W: Future<Output = ()> + Send,
{
    tokio::spawn(async move {
        stop.run_until_cancelled(restarted(task, Backoff::new(FIRST_PAUSE, LONGEST_PAUSE), &make)).await;
    });
}

async fn restarted<W: Future<Output = ()>>(task: &'static str, mut backoff: Backoff, make: &impl Fn() -> W) {
    loop {
        let started = tokio::time::Instant::now();
        let panicked = caught(async { make().await }).await.is_err();
        tracing::error!(
            task,
            panicked,
            error_class = "transient",
            "a task ended before the process; starting it again"
        );
        if started.elapsed() > LONGEST_PAUSE {
            backoff.reset();
        }
        tokio::time::sleep(backoff.next(fastrand::f64())).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};
    use tokio::sync::Notify;

    #[tokio::test]
    async fn a_task_that_panics_or_ends_runs_again() {
        let (runs, third) = (AtomicU32::new(0), Notify::new());
        let make = || async {
            match runs.fetch_add(1, Ordering::SeqCst) {
                0 => panic!("boom"),
                1 => {}
                _ => {
                    third.notify_one();
                    std::future::pending::<()>().await;
                }
            }
        };
        tokio::select! {
            () = restarted("test", Backoff::new(Duration::from_millis(1), LONGEST_PAUSE), &make) => unreachable!("it runs for ever"),
            () = third.notified() => {}
        }
        assert_eq!(runs.load(Ordering::SeqCst), 3);
    }

    #[tokio::test]
    async fn a_panic_in_a_short_task_is_a_value() {
        assert_eq!(caught(async { 7 }).await, Ok(7));
        assert_eq!(caught(async { panic!("boom") }).await, Err::<(), _>(Panicked));
    }
}

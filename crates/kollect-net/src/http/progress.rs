//! The deadline of a request: it ends when no byte moves on the socket, whichever side sends.

use crate::NetError;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// Awaits `step`, and fails when `moved` does not change for `idle_timeout`; each poll of `moved` that found a change
/// calls `progress`.
pub(super) async fn while_moving<T>(
    step: impl Future<Output = T>,
    what: &'static str,
    idle_timeout: Duration,
    moved: &AtomicU64,
    progress: &(dyn Fn() + Sync),
) -> Result<T, NetError> {
    let mut step = std::pin::pin!(step);
    let interval = (idle_timeout / 4).min(Duration::from_secs(1));
    let mut seen = moved.load(Ordering::Relaxed);
    let mut last = Instant::now();
    loop {
        tokio::select! {
            biased;
            done = &mut step => return Ok(done),
            () = tokio::time::sleep(interval) => {
                let now = moved.load(Ordering::Relaxed);
                if now != seen {
                    seen = now;
                    last = Instant::now();
                    progress();
                } else if last.elapsed() >= idle_timeout {
                    return Err(NetError::Timeout { what, after: idle_timeout });
                }
            }
        }
    }
}

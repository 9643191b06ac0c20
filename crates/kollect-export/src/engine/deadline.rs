//! The deadline and the panic guard around requests to a sink.

use crate::clock::Clock;
use crate::contract::error::SinkError;
use futures_util::FutureExt as _;
use std::any::Any;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Time that a cancelled sink has to return.
const CANCEL_GRACE: Duration = Duration::from_secs(5);

/// Runs `work` until it returns, is cancelled, or made no progress for `timeout`. A panic becomes an error. Work that
/// does not return after its cancellation may have landed.
pub(crate) async fn with_deadline<T>(
    clock: &Clock,
    timeout: Duration,
    ticks: &(dyn Fn() -> u64 + Sync),
    cancel: &CancellationToken,
    work: impl Future<Output = T> + Send,
) -> Result<T, SinkError> {
    let work = AssertUnwindSafe(work).catch_unwind();
    let mut work = std::pin::pin!(work);
    let (mut seen, mut since) = (ticks(), clock.now());
    let why = loop {
        let next_check = clock.now() + (timeout / 8).max(Duration::from_millis(5));
        tokio::select! {
            biased;
            result = &mut work => return result.map_err(|panic| panicked(panic.as_ref())),
            () = cancel.cancelled() => break SinkError::transient("cancelled", "the export was stopped").local(),
            () = clock.sleep_until(next_check) => {}
        }
        let moved = ticks();
        if moved != seen {
            (seen, since) = (moved, clock.now());
        } else if clock.now() >= since + timeout {
            let message = format!("no progress for {} s: check that the backend answers", timeout.as_secs());
            break SinkError::transient("deadline", message);
        }
    };
    cancel.cancel();
    match tokio::time::timeout(CANCEL_GRACE, &mut work).await {
        Ok(result) => result.map_err(|panic| panicked(panic.as_ref())),
        Err(_) => Err(why.maybe_landed()),
    }
}

fn panicked(panic: &(dyn Any + Send)) -> SinkError {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    tracing::error!(panic = text.unwrap_or("unknown"), "an export cycle panicked");
    // The text of a panic may quote row values, so it stays out of statuses.
    SinkError::transient("panic", "the export cycle panicked; see the log for the place").maybe_landed().local()
}

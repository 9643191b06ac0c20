//! The deadline and the panic guard around everything that talks to a sink.

use crate::{Clock, SinkError};
use futures_util::FutureExt as _;
use std::any::Any;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Time that a cancelled sink gets to end by itself.
const COOPERATE: Duration = Duration::from_secs(5);

/// Runs `work` until it ends, is cancelled, or made no progress for `patience`. A panic becomes an error.
/// Whatever does not end by itself may have landed.
pub(crate) async fn watched<T>(
    clock: &Clock,
    patience: Duration,
    ticks: &(dyn Fn() -> u64 + Sync),
    cancel: &CancellationToken,
    work: impl Future<Output = T> + Send,
) -> Result<T, SinkError> {
    let work = AssertUnwindSafe(work).catch_unwind();
    let mut work = std::pin::pin!(work);
    let (mut seen, mut since) = (ticks(), clock.now());
    let why = loop {
        let look_again = clock.now() + (patience / 8).max(Duration::from_millis(5));
        tokio::select! {
            biased;
            result = &mut work => return result.map_err(|panic| panicked(panic.as_ref())),
            () = cancel.cancelled() => break SinkError::transient("cancelled", "the export was stopped").local(),
            () = clock.sleep_until(look_again) => {}
        }
        let moved = ticks();
        if moved != seen {
            (seen, since) = (moved, clock.now());
        } else if clock.now() >= since + patience {
            let message = format!("no progress for {} s: check that the backend answers", patience.as_secs());
            break SinkError::transient("deadline", message);
        }
    };
    cancel.cancel();
    match tokio::time::timeout(COOPERATE, &mut work).await {
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

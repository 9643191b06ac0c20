//! Waiting for something to become true, with a deadline and a reason when it does not.
//!
//! It polls; it must never be used to "give something time".

use super::process::ServerEnded;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Calls `probe` until it returns `true`. Errors of the probe count as "not yet", and the last one is part of the failure;
/// only [`ServerEnded`] fails at once.
pub async fn wait_for(
    what: &str,
    deadline: Duration,
    mut probe: impl AsyncFnMut() -> anyhow::Result<bool>,
) -> anyhow::Result<()> {
    let end = Instant::now() + deadline;
    let mut last = String::from("the condition stayed false");
    let mut pause = Duration::from_millis(5);
    loop {
        match tokio::time::timeout_at(end, probe()).await {
            Ok(Ok(true)) => return Ok(()),
            Ok(Ok(false)) => {}
            Ok(Err(error)) if error.is::<ServerEnded>() => return Err(error.context(what.to_owned())),
            Ok(Err(error)) => last = format!("{error:#}"),
            Err(_) => last.push_str(" (and the last probe did not answer)"),
        }
        if Instant::now() + pause >= end {
            anyhow::bail!("{what}: not within {deadline:?}; last answer: {last}");
        }
        sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(100));
    }
}

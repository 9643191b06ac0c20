//! How long to wait after a transient failure. Pure: jitter is a value.

use kollect_model::{Backoff, jittered};
use std::time::Duration;

const MOST: Duration = Duration::from_mins(5);
const DELAYS: Backoff = Backoff::new(Duration::from_secs(1), MOST);

/// Wait after the `failures`-th failure in a row: doubling from 1 s to 5 min, ± 20 % by `jitter` in 0..=1.
/// A longer delay that the backend asked for is used, up to the same ceiling.
pub fn backoff(failures: u32, jitter: f64, retry_after: Option<Duration>) -> Duration {
    let spread = jittered(DELAYS.delay(failures.saturating_sub(1)), jitter).min(MOST);
    spread.max(retry_after.unwrap_or_default().min(MOST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_to_the_ceiling_and_is_spread() {
        let seconds = |failures| backoff(failures, 0.5, None).as_secs();
        assert_eq!([1, 2, 3, 9, 10, 1000].map(seconds), [1, 2, 4, 256, 300, 300]);
        assert_eq!(backoff(3, 0.0, None), Duration::from_millis(3200));
        assert_eq!(backoff(3, 1.0, None), Duration::from_millis(4800));
    }

    #[test]
    fn a_delay_that_the_backend_asked_for_is_used_up_to_the_ceiling() {
        assert_eq!(backoff(1, 0.5, Some(Duration::from_secs(30))), Duration::from_secs(30));
        assert_eq!(backoff(1, 0.5, Some(Duration::from_hours(1))), Duration::from_mins(5));
    }
}

//! How long to wait before the next attempt.
//!
//! Separate so that every retry loop of the crate has the same ceiling and jitter. It must not sleep itself.

use crate::request_error::RequestError;
use std::time::Duration;

/// Attempts so far, and the pause that follows from them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Backoff {
    attempts: u32,
}

impl Backoff {
    pub(crate) fn attempts(self) -> u32 {
        self.attempts
    }

    pub(crate) fn reset(&mut self) {
        self.attempts = 0;
    }

    /// The pause after one more failure: doubling from one second up to `ceiling`, ±20 %.
    pub(crate) fn pause(&mut self, ceiling: Duration) -> Duration {
        let base = Duration::from_secs(1 << self.attempts.min(6)).min(ceiling);
        self.attempts = self.attempts.saturating_add(1);
        jittered(base)
    }

    /// The pause after a failed request. An API server that is away is asked often enough to be noticed within seconds of
    /// its return; one that answers errors is left alone longer.
    pub(crate) fn after(&mut self, error: &RequestError) -> Duration {
        let ceiling = match error {
            RequestError::Unreachable(_) | RequestError::Silent => Duration::from_millis(2_500),
            RequestError::Refused { code: 429 | 502 | 503 | 504, .. } => Duration::from_secs(8),
            _ => Duration::from_secs(30),
        };
        self.pause(ceiling)
    }
}

/// `base` ±20 %, so that many loops do not stay in step.
pub(crate) fn jittered(base: Duration) -> Duration {
    base.mul_f64(0.8 + fastrand::f64() * 0.4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_their_ceiling_and_an_absent_server_is_asked_often() {
        let mut backoff = Backoff::default();
        let refused = RequestError::Refused { code: 500, message: String::new() };
        let pauses: Vec<f64> = (0..8).map(|_| backoff.after(&refused).as_secs_f64()).collect();
        assert!(pauses[0] <= 1.2 && pauses[7] >= 24.0 && pauses[7] <= 36.0, "{pauses:?}");
        assert!(backoff.after(&RequestError::Silent).as_secs_f64() <= 3.0);
        backoff.reset();
        assert!(backoff.after(&refused).as_secs_f64() <= 1.2);
    }
}

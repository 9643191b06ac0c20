//! Delays between attempts to reach the API server: one set of ceilings for every retry loop of the crate.

use super::request_error::RequestError;
use kollect_model::Backoff;
use std::time::Duration;

/// A [`Backoff`] from 1 s whose ceiling depends on why an attempt failed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RetryDelay(Backoff);

impl Default for RetryDelay {
    fn default() -> Self {
        Self(Backoff::new(Duration::from_secs(1), Duration::from_secs(64)))
    }
}

impl RetryDelay {
    pub(crate) fn attempts(self) -> u32 {
        self.0.attempts()
    }

    pub(crate) fn reset(&mut self) {
        self.0.reset();
    }

    /// The delay after one more failure, at most `ceiling`.
    pub(crate) fn next_below(&mut self, ceiling: Duration) -> Duration {
        self.0.next_below(ceiling, fastrand::f64())
    }

    /// The delay after a failed request. An unreachable API server is retried often enough to notice its return within
    /// seconds; one that answers with errors is retried less often.
    pub(crate) fn after(&mut self, error: &RequestError) -> Duration {
        self.next_below(match error {
            RequestError::Unreachable(_) | RequestError::Silent => Duration::from_millis(2_500),
            RequestError::Refused { code: 429 | 502 | 503 | 504, .. } => Duration::from_secs(8),
            _ => Duration::from_secs(30),
        })
    }
}

/// `delay` ±20 %, so that many loops do not run in step.
pub(crate) fn jittered(delay: Duration) -> Duration {
    kollect_model::jittered(delay, fastrand::f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_to_their_ceiling_and_an_unreachable_server_is_retried_often() {
        let mut delay = RetryDelay::default();
        let refused = RequestError::Refused { code: 500, message: String::new() };
        let delays: Vec<f64> = (0..8).map(|_| delay.after(&refused).as_secs_f64()).collect();
        assert!(delays[0] <= 1.2 && delays[7] >= 24.0 && delays[7] <= 36.0, "{delays:?}");
        assert!(delay.after(&RequestError::Silent).as_secs_f64() <= 3.0);
        delay.reset();
        assert!(delay.after(&refused).as_secs_f64() <= 1.2);
    }
}

//! The circuit breaker of one sink: spares an ill backend and fails its bindings fast.
//!
//! Pure: time comes in as a value.

use crate::{Class, Moment, SinkError};
use std::time::Duration;

/// Transient failures in a row that open the breaker.
const TRIP_AFTER: u32 = 5;
/// How long it stays open.
const OPEN_FOR: Duration = Duration::from_secs(30);

/// State of one breaker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Breaker {
    /// Attempts pass.
    Closed {
        /// Transient failures since the last answer.
        failures: u32,
    },
    /// Attempts fail at once.
    Open {
        /// When one attempt may try again.
        until: Moment,
        /// An attempt is out; if it never reports back, the next may try at this moment.
        probing: bool,
    },
}

impl Default for Breaker {
    fn default() -> Self {
        Self::Closed { failures: 0 }
    }
}

impl Breaker {
    /// Whether an attempt may go now. Of an open breaker one attempt gets through when the time is over.
    pub fn admit(&mut self, now: Moment) -> Result<(), SinkError> {
        match self {
            Self::Closed { .. } => Ok(()),
            Self::Open { until, probing } if now >= *until => {
                *until = now + OPEN_FOR;
                *probing = true;
                Ok(())
            }
            Self::Open { until, .. } => {
                let wait = until.saturating_sub(now);
                let mut error = SinkError::transient(
                    "circuit breaker",
                    format!(
                        "sink circuit breaker open: {TRIP_AFTER} attempts failed in a row; next attempt in {} s",
                        wait.as_secs() + 1
                    ),
                );
                error.class = Class::Transient { retry_after: Some(wait) };
                Err(error)
            }
        }
    }

    /// An attempt got a definite answer from the backend: success, or a refusal that retrying does not change.
    pub fn answered(&mut self) {
        *self = Self::default();
    }

    /// An attempt failed in a way that may go away by itself.
    pub fn failed(&mut self, now: Moment) {
        *self = match self {
            Self::Closed { failures } if *failures + 1 < TRIP_AFTER => Self::Closed { failures: *failures + 1 },
            Self::Open { until, probing: false } => Self::Open { until: *until, probing: false },
            _ => Self::Open { until: now + OPEN_FOR, probing: false },
        };
    }

    /// Takes the result of an attempt.
    pub fn record(&mut self, error: Option<&SinkError>, now: Moment) {
        match error.map(|error| error.class) {
            Some(Class::Transient { .. }) => self.failed(now),
            _ => self.answered(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Duration::from_secs(seconds)
    }

    #[test]
    fn five_transient_failures_in_a_row_open_it_and_one_probe_decides() {
        let mut breaker = Breaker::default();
        let down = SinkError::transient("connect", "refused");
        for second in 0..4 {
            breaker.admit(at(second)).unwrap();
            breaker.record(Some(&down), at(second));
        }
        breaker.admit(at(4)).unwrap();
        breaker.record(Some(&down), at(4));
        let error = breaker.admit(at(5)).unwrap_err();
        assert!(error.message.contains("sink circuit breaker open"), "{error}");
        assert_eq!(error.class, Class::Transient { retry_after: Some(at(29)) });
        breaker.admit(at(34)).unwrap();
        assert!(breaker.admit(at(34)).is_err(), "only one probe");
        breaker.record(Some(&down), at(35));
        assert!(breaker.admit(at(64)).is_err());
        breaker.admit(at(65)).unwrap();
        breaker.record(None, at(66));
        assert_eq!(breaker, Breaker::default());
    }

    #[test]
    fn an_answer_in_between_starts_the_count_again() {
        let mut breaker = Breaker::default();
        let down = SinkError::transient("connect", "refused");
        for second in 0..20 {
            let error = if second % 5 == 4 { SinkError::terminal("login", "wrong password") } else { down.clone() };
            breaker.admit(at(second)).unwrap();
            breaker.record(Some(&error), at(second));
        }
        breaker.admit(at(20)).unwrap();
    }

    #[test]
    fn a_probe_that_never_reports_back_does_not_hold_the_breaker_open_for_ever() {
        let mut breaker = Breaker::Open { until: at(10), probing: false };
        breaker.admit(at(10)).unwrap();
        assert!(breaker.admit(at(39)).is_err());
        breaker.admit(at(40)).unwrap();
    }
}

//! The circuit breaker of one sink: spares an unavailable backend and fails its bindings fast.
//!
//! Pure: time comes in as a value.

use crate::clock::Moment;

use crate::contract::error::{Class, Landed, SinkError};
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
        /// When the next attempt may start.
        until: Moment,
        /// An attempt was admitted; if its result is never recorded, the next may start at `until`.
        probing: bool,
        /// The latest failure of the backend: what a refused binding reports as its cause.
        cause: Box<SinkError>,
    },
}

impl Default for Breaker {
    fn default() -> Self {
        Self::Closed { failures: 0 }
    }
}

impl Breaker {
    /// Whether an attempt may start now. An open breaker admits one attempt per period.
    pub fn admit(&mut self, now: Moment) -> Result<(), SinkError> {
        match self {
            Self::Closed { .. } => Ok(()),
            Self::Open { until, probing, .. } if now >= *until => {
                *until = now + OPEN_FOR;
                *probing = true;
                Ok(())
            }
            Self::Open { until, cause, .. } => {
                let wait = until.saturating_sub(now);
                let message = format!(
                    "{} (sink circuit breaker open: {TRIP_AFTER} attempts failed in a row; next attempt in {} s)",
                    cause.message,
                    wait.as_secs() + 1
                );
                let class = Class::Transient { retry_after: Some(wait) };
                Err(SinkError { class, message, landed: Landed::No, local: true, ..cause.as_ref().clone() })
            }
        }
    }

    /// Records the result of an attempt. `true` when it closed an open breaker, so that refused bindings may retry.
    pub fn record(&mut self, error: Option<&SinkError>, now: Moment) -> bool {
        match error {
            Some(error) if error.local => self.release(now),
            Some(error) if matches!(error.class, Class::Transient { .. }) => self.failed(error, now),
            // A definite result: success, or a refusal that a retry does not change.
            _ => return matches!(std::mem::take(self), Self::Open { .. }),
        }
        false
    }

    /// An attempt failed with a transient error.
    fn failed(&mut self, error: &SinkError, now: Moment) {
        let cause = Box::new(error.clone());
        *self = match self {
            Self::Closed { failures } if *failures + 1 < TRIP_AFTER => Self::Closed { failures: *failures + 1 },
            Self::Open { until, probing: false, .. } => Self::Open { until: *until, probing: false, cause },
            _ => Self::Open { until: now + OPEN_FOR, probing: false, cause },
        };
    }

    /// An attempt ended without reaching the backend: if it was the probe, the next attempt may probe.
    fn release(&mut self, now: Moment) {
        if let Self::Open { until, probing, .. } = self
            && std::mem::take(probing)
        {
            *until = now;
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
        let cause = Box::new(SinkError::transient("connect", "refused"));
        let mut breaker = Breaker::Open { until: at(10), probing: false, cause };
        breaker.admit(at(10)).unwrap();
        assert!(breaker.admit(at(39)).is_err());
        breaker.admit(at(40)).unwrap();
    }

    #[test]
    fn a_refused_attempt_reports_the_latest_failure_of_the_backend() {
        let mut breaker = Breaker::default();
        for second in 0..5 {
            let error = SinkError::transient("connect", format!("refused {second}")).maybe_landed();
            breaker.record(Some(&error), at(second));
        }
        let refused = breaker.admit(at(5)).unwrap_err();
        assert_eq!((refused.stage, refused.landed), ("connect", Landed::No));
        assert!(refused.message.starts_with("refused 4 (sink circuit breaker open"), "{refused}");
    }

    #[test]
    fn failures_inside_this_process_neither_open_the_breaker_nor_use_up_its_probe() {
        let mut breaker = Breaker::default();
        let busy = SinkError::transient("pool", "every connection of the pool is in use").local();
        for second in 0..50 {
            breaker.record(Some(&busy), at(second));
        }
        assert_eq!(breaker, Breaker::default());
        let cause = Box::new(SinkError::transient("connect", "refused"));
        let mut breaker = Breaker::Open { until: at(10), probing: false, cause };
        breaker.admit(at(10)).unwrap();
        breaker.record(Some(&busy), at(11));
        breaker.admit(at(11)).unwrap();
    }
}

//! Exponential back-off for every retry loop of the workspace. It neither sleeps nor reads a random source.

use std::time::Duration;

/// A delay that doubles with every attempt, from `first` up to `ceiling`.
///
/// Jitter is a value in `0..=1` that spreads the delay by ±20 %, so that many loops do not retry in step;
/// [`Backoff::NO_JITTER`] gives the exact delay. Values outside of `0..=1` count as the nearest bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    first: Duration,
    ceiling: Duration,
    attempts: u32,
}

impl Backoff {
    /// The jitter that leaves a delay as it is.
    pub const NO_JITTER: f64 = 0.5;

    /// No attempt so far.
    pub const fn new(first: Duration, ceiling: Duration) -> Self {
        Self { first, ceiling, attempts: 0 }
    }

    /// Attempts since the last reset.
    pub const fn attempts(&self) -> u32 {
        self.attempts
    }

    /// After a success: the next delay is `first` again.
    pub const fn reset(&mut self) {
        self.attempts = 0;
    }

    /// Counts one attempt and returns the delay before the next one.
    pub fn next(&mut self, jitter: f64) -> Duration {
        self.next_below(self.ceiling, jitter)
    }

    /// As [`Backoff::next`], with a lower ceiling for this delay; a higher one has no effect.
    pub fn next_below(&mut self, ceiling: Duration, jitter: f64) -> Duration {
        let delay = self.delay(self.attempts).min(ceiling);
        self.attempts = self.attempts.saturating_add(1);
        jittered(delay, jitter)
    }

    /// The delay after `attempts` earlier ones, without jitter, for callers that keep their own count.
    pub fn delay(&self, attempts: u32) -> Duration {
        let factor = 1_u32.checked_shl(attempts).unwrap_or(u32::MAX);
        self.first.saturating_mul(factor).min(self.ceiling)
    }
}

/// `delay` ±20 %: `jitter` 0 gives 80 %, 1 gives 120 %.
pub fn jittered(delay: Duration, jitter: f64) -> Duration {
    delay.mul_f64(0.8 + 0.4 * jitter.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_from_the_first_to_the_ceiling_and_start_again_after_a_reset() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(10));
        let next = |backoff: &mut Backoff| backoff.next(Backoff::NO_JITTER).as_secs();
        let delays: Vec<u64> = (0..6).map(|_| next(&mut backoff)).collect();
        assert_eq!((delays, backoff.attempts()), (vec![1, 2, 4, 8, 10, 10], 6));
        assert_eq!(backoff.next_below(Duration::from_secs(3), Backoff::NO_JITTER), Duration::from_secs(3));
        assert_eq!(backoff.next_below(Duration::from_hours(1), Backoff::NO_JITTER), Duration::from_secs(10));
        backoff.reset();
        assert_eq!(next(&mut backoff), 1);
    }

    #[test]
    fn jitter_spreads_by_a_fifth_and_any_number_of_attempts_stays_at_the_ceiling() {
        let mut backoff = Backoff::new(Duration::from_secs(10), Duration::from_secs(10));
        assert_eq!(backoff.next(0.0), Duration::from_secs(8));
        assert_eq!(backoff.next(1.0), Duration::from_secs(12));
        assert_eq!(backoff.next(7.0), Duration::from_secs(12));
        for attempts in [31, 32, u32::MAX] {
            assert_eq!(backoff.delay(attempts), Duration::from_secs(10));
        }
    }
}

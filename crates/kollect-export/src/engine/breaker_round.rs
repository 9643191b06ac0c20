//! The breakers of the sinks of a lane, for the bindings that run together.
//!
//! Pure. A breaker admits or refuses a round as a whole, and a failure of several members counts once.

use crate::breaker::Breaker;

use crate::clock::Moment;

use crate::contract::error::SinkError;

use crate::contract::ids::SinkKey;
use std::collections::{HashMap, HashSet};

/// One round of a lane.
#[derive(Debug, Default)]
pub(crate) struct BreakerRound {
    admitted: HashMap<SinkKey, Result<(), SinkError>>,
    failed: HashSet<SinkKey>,
}

impl BreakerRound {
    /// Whether a member may use its sink in this round.
    pub(crate) fn admit(&mut self, sink: &SinkKey, breaker: &mut Breaker, now: Moment) -> Result<(), SinkError> {
        if let Some(known) = self.admitted.get(sink) {
            return known.clone();
        }
        let answer = breaker.admit(now);
        self.admitted.insert(sink.clone(), answer.clone());
        answer
    }

    /// Records the result of an admitted member. `true` when it closed an open breaker.
    pub(crate) fn record(
        &mut self,
        sink: &SinkKey,
        breaker: &mut Breaker,
        error: Option<&SinkError>,
        now: Moment,
    ) -> bool {
        let counts = error.is_some_and(SinkError::counts_on_breaker);
        if counts && !self.failed.insert(sink.clone()) {
            return false;
        }
        let closed = breaker.record(error, now);
        if counts && let Err(refused) = breaker.admit(now) {
            // The breaker opened: members that have not begun do not wait for the same deadline again.
            self.admitted.insert(sink.clone(), Err(refused));
        }
        closed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::ids::Family;
    use std::time::Duration;

    fn sink() -> SinkKey {
        SinkKey { family: Family::Snapshot, namespace: "shop".into(), name: "git".into() }
    }

    #[test]
    fn one_failed_push_of_many_inventories_counts_once() {
        let (mut breaker, down) = (Breaker::default(), SinkError::transient("push", "reset"));
        for round in 1..5 {
            let mut together = BreakerRound::default();
            for _ in 0..10 {
                together.admit(&sink(), &mut breaker, Duration::ZERO).unwrap();
            }
            for _ in 0..10 {
                together.record(&sink(), &mut breaker, Some(&down), Duration::ZERO);
            }
            assert_eq!(breaker, Breaker::Closed { failures: round });
        }
    }

    #[test]
    fn the_probe_of_an_open_breaker_is_the_whole_round() {
        let cause = Box::new(SinkError::transient("connect", "refused"));
        let mut breaker = Breaker::Open { until: Duration::ZERO, probing: false, cause };
        let mut together = BreakerRound::default();
        for _ in 0..3 {
            together.admit(&sink(), &mut breaker, Duration::ZERO).unwrap();
        }
        let down = SinkError::transient("connect", "refused");
        together.record(&sink(), &mut breaker, Some(&down), Duration::ZERO);
        assert!(together.admit(&sink(), &mut breaker, Duration::ZERO).is_err(), "the others do not wait for it again");
    }
}

//! When a binding may export.
//!
//! Outside the least interval a change is due at once; within it the change waits. There is no pause to gather changes:
//! those that arrive during a cycle are the next batch. Pure: time is a value.

use crate::clock::Moment;
use std::time::Duration;

/// Least time between two attempts to start a cycle that is not ready. Rows that arrive during a first list would
/// otherwise cause one attempt each.
const NOT_READY_PAUSE: Duration = Duration::from_millis(100);

/// The schedule of one binding.
#[derive(Clone, Debug)]
pub struct Cadence {
    interval: Duration,
    last_export: Option<Moment>,
    /// The first change that waits.
    waiting: Option<Moment>,
    ignore_interval: bool,
    not_ready_until: Moment,
}

impl Cadence {
    /// A schedule without changes.
    pub fn new(interval: Duration) -> Self {
        let not_ready_until = Moment::ZERO;
        Self { interval, last_export: None, waiting: None, ignore_interval: false, not_ready_until }
    }

    /// Rows of the view changed.
    pub fn changed(&mut self, now: Moment) {
        self.waiting.get_or_insert(now);
    }

    /// The spec changed: the next export ignores the interval.
    pub fn spec_changed(&mut self, interval: Duration, now: Moment) {
        self.interval = interval;
        self.ignore_interval = true;
        self.changed(now);
    }

    /// When to export; `None` while nothing waits.
    pub fn due(&self) -> Option<Moment> {
        let spaced = match self.last_export {
            Some(last) if !self.ignore_interval => last + self.interval,
            _ => Moment::ZERO,
        };
        Some(self.waiting?.max(spaced).max(self.not_ready_until))
    }

    /// A cycle takes everything that waits. Changes from now on are for the next one.
    pub fn begin(&mut self) {
        self.waiting = None;
    }

    /// The cycle could not start, because parts are not listed yet: the next change is due after a pause.
    pub fn not_ready(&mut self, now: Moment) {
        self.not_ready_until = now + NOT_READY_PAUSE;
    }

    /// The cycle exported something.
    pub fn exported(&mut self, now: Moment) {
        self.last_export = Some(now);
        self.ignore_interval = false;
    }

    /// The cycle failed: what it took waits again.
    pub fn failed(&mut self, now: Moment) {
        self.changed(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Moment {
        Duration::from_millis(millis)
    }

    fn minute() -> Cadence {
        Cadence::new(Duration::from_mins(1))
    }

    #[test]
    fn outside_the_interval_a_change_is_due_at_once() {
        let mut cadence = minute();
        assert_eq!(cadence.due(), None);
        cadence.changed(at(0));
        assert_eq!(cadence.due(), Some(at(0)));
        for change in 1..=30 {
            cadence.changed(at(change * 8));
        }
        assert_eq!(cadence.due(), Some(at(0)), "later changes do not postpone it");
    }

    #[test]
    fn within_the_interval_a_change_waits_for_its_end() {
        let mut cadence = minute();
        cadence.changed(at(0));
        cadence.begin();
        cadence.exported(at(20));
        assert_eq!(cadence.due(), None, "identical content is never sent again");
        cadence.changed(at(25_000));
        assert_eq!(cadence.due(), Some(at(60_020)));
        cadence.begin();
        cadence.exported(at(60_030));
        cadence.changed(at(200_000));
        assert_eq!(cadence.due(), Some(at(200_000)));
    }

    #[test]
    fn zero_means_no_spacing() {
        let mut cadence = Cadence::new(Duration::ZERO);
        cadence.changed(at(0));
        cadence.begin();
        cadence.exported(at(50));
        cadence.changed(at(51));
        assert_eq!(cadence.due(), Some(at(51)));
    }

    #[test]
    fn a_spec_change_ignores_the_interval_once() {
        let mut cadence = minute();
        cadence.changed(at(0));
        cadence.begin();
        cadence.exported(at(20));
        cadence.spec_changed(Duration::from_mins(2), at(30_000));
        assert_eq!(cadence.due(), Some(at(30_000)));
        cadence.begin();
        cadence.exported(at(30_020));
        cadence.changed(at(40_000));
        assert_eq!(cadence.due(), Some(at(150_020)), "the new interval counts from the last export");
    }

    #[test]
    fn a_failed_cycle_leaves_its_changes_waiting() {
        let mut cadence = minute();
        cadence.changed(at(0));
        cadence.begin();
        cadence.failed(at(500));
        assert_eq!(cadence.due(), Some(at(500)));
    }

    #[test]
    fn a_cycle_that_is_not_ready_is_attempted_once_per_pause() {
        let mut cadence = minute();
        cadence.changed(at(0));
        cadence.begin();
        cadence.not_ready(at(1));
        assert_eq!(cadence.due(), None);
        cadence.changed(at(2));
        assert_eq!(cadence.due(), Some(at(101)));
        cadence.begin();
        cadence.changed(at(300));
        assert_eq!(cadence.due(), Some(at(300)));
    }
}

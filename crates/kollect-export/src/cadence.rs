//! When a binding may export.
//!
//! After a quiet time a change goes out at once, with a short gathering; within the least interval it waits.
//! Pure: time comes in as a value.

use crate::{ExportSettings, Moment};
use std::time::Duration;

/// The schedule of one binding.
#[derive(Clone, Debug)]
pub struct Cadence {
    interval: Duration,
    gather_quiet: Duration,
    gather_most: Duration,
    last_export: Option<Moment>,
    /// First and latest change that waits.
    waiting: Option<(Moment, Moment)>,
    ignore_interval: bool,
}

impl Cadence {
    /// A schedule with nothing to do yet.
    pub fn new(interval: Duration, settings: &ExportSettings) -> Self {
        Self {
            interval,
            gather_quiet: settings.gather_quiet,
            gather_most: settings.gather_most,
            last_export: None,
            waiting: None,
            ignore_interval: false,
        }
    }

    /// Something changed.
    pub fn changed(&mut self, now: Moment) {
        let first = self.waiting.map_or(now, |(first, _)| first);
        self.waiting = Some((first, now));
    }

    /// The spec changed: exports at once, whatever the interval says.
    pub fn spec_changed(&mut self, interval: Duration, now: Moment) {
        self.interval = interval;
        self.ignore_interval = true;
        self.changed(now);
    }

    /// When to export; `None` while nothing waits.
    pub fn due(&self) -> Option<Moment> {
        let (first, latest) = self.waiting?;
        let gathered = (latest + self.gather_quiet).min(first + self.gather_most);
        let spaced = match self.last_export {
            Some(last) if !self.ignore_interval => last + self.interval,
            _ => Moment::ZERO,
        };
        Some(gathered.max(spaced))
    }

    /// A cycle takes everything that waits. Changes from now on are for the next one.
    pub fn begin(&mut self) {
        self.waiting = None;
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
        Cadence::new(Duration::from_mins(1), &ExportSettings::default())
    }

    #[test]
    fn after_a_quiet_time_a_change_goes_out_after_a_short_gathering() {
        let mut cadence = minute();
        assert_eq!(cadence.due(), None);
        cadence.changed(at(0));
        assert_eq!(cadence.due(), Some(at(10)));
        for change in 1..=30 {
            cadence.changed(at(change * 8));
        }
        assert_eq!(cadence.due(), Some(at(100)), "gathering ends even if changes do not");
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
        assert_eq!(cadence.due(), Some(at(200_010)));
    }

    #[test]
    fn zero_means_no_spacing() {
        let mut cadence = Cadence::new(Duration::ZERO, &ExportSettings::default());
        cadence.changed(at(0));
        cadence.begin();
        cadence.exported(at(50));
        cadence.changed(at(51));
        assert_eq!(cadence.due(), Some(at(61)));
    }

    #[test]
    fn a_spec_change_ignores_the_interval_once() {
        let mut cadence = minute();
        cadence.changed(at(0));
        cadence.begin();
        cadence.exported(at(20));
        cadence.spec_changed(Duration::from_mins(2), at(30_000));
        assert_eq!(cadence.due(), Some(at(30_010)));
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
        assert_eq!(cadence.due(), Some(at(510)));
    }
}

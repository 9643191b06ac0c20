//! The right to write of a process that runs without leader election: it is taken to be the only one, and the newest.

use kollect_control::clock::{boot_time, fence_of, highest_fence, precise_timestamp};
use kollect_export::WriteRight;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// For this long after its start a process may continue above a higher fence that a backend holds: the clock was set back
/// since the last process ran. Later, a higher fence means that another process was started.
const YOUNG: Duration = Duration::from_mins(10);

pub(crate) struct OnlyOne {
    fence: AtomicU64,
    started: Duration,
}

impl OnlyOne {
    pub(crate) fn new() -> Self {
        Self { fence: AtomicU64::new(fence_of(precise_timestamp())), started: boot_time() }
    }

    fn continue_above(&self, held: u64, age: Duration, highest: u64) {
        if age > YOUNG || held >= highest {
            return;
        }
        if self.fence.fetch_max(held + 1, Ordering::SeqCst) <= held {
            tracing::warn!(
                held,
                "a sink holds a higher fence than this process: was the clock set back? continuing above it"
            );
        }
    }
}

impl WriteRight for OnlyOne {
    fn may_write(&self) -> bool {
        true
    }

    fn fence(&self) -> u64 {
        self.fence.load(Ordering::SeqCst)
    }

    fn outranked(&self, held: u64) {
        self.continue_above(held, boot_time().saturating_sub(self.started), highest_fence(precise_timestamp()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_young_process_continues_above_a_higher_fence_and_an_old_one_gives_way() {
        let right = OnlyOne { fence: AtomicU64::new(100), started: Duration::ZERO };
        right.continue_above(50, Duration::ZERO, 1_000);
        assert_eq!(right.fence(), 100);
        right.continue_above(200, Duration::ZERO, 1_000);
        assert_eq!(right.fence(), 201);
        right.continue_above(300, YOUNG * 2, 1_000);
        assert_eq!(right.fence(), 201);
        right.continue_above(u64::MAX, Duration::ZERO, 1_000);
        assert_eq!(right.fence(), 201, "a fence out of all proportion is not followed");
    }
}

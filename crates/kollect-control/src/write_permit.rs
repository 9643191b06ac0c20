//! The right to write that a leadership gives: until when, and with which fence.

use crate::clock::{boot_time, highest_fence, precise_timestamp};
use kollect_export::WriteRight;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Notify;

/// The right to write of this process. Cheap to ask.
#[derive(Debug, Default)]
pub struct WritePermit {
    /// Boot time in milliseconds at which the right ends; 0 = none.
    until_ms: AtomicU64,
    fence: AtomicU64,
    /// The highest fence that a backend was seen to hold; 0 = none.
    outranked_by: AtomicU64,
    outranked: Notify,
}

impl WritePermit {
    pub(crate) fn grant(&self, until: Duration, fence: u64) {
        self.fence.store(fence, Ordering::SeqCst);
        self.until_ms.store(u64::try_from(until.as_millis()).unwrap_or(u64::MAX), Ordering::SeqCst);
    }

    pub(crate) fn end(&self) {
        self.until_ms.store(0, Ordering::SeqCst);
    }

    /// The fence that a backend holds and that is not below ours, if there is one.
    pub(crate) fn outranked_by(&self) -> Option<u64> {
        let held = self.outranked_by.load(Ordering::SeqCst);
        (held >= self.fence() && held > 0).then_some(held)
    }

    /// Waits until a backend holds a higher fence.
    pub(crate) async fn wait_outranked(&self) {
        self.outranked.notified().await;
    }

    fn note_outranked(&self, held: u64, highest: u64) {
        if held >= highest {
            tracing::error!(
                held,
                error_class = "terminal",
                "a sink holds a fence that no leader can have had; delete its \
                row in kollect_writer"
            );
            return;
        }
        self.outranked_by.fetch_max(held, Ordering::SeqCst);
        self.outranked.notify_one();
    }
}

impl WriteRight for WritePermit {
    fn may_write(&self) -> bool {
        boot_time().as_millis() < u128::from(self.until_ms.load(Ordering::SeqCst))
    }

    fn fence(&self) -> u64 {
        self.fence.load(Ordering::SeqCst)
    }

    fn outranked(&self, held: u64) {
        self.note_outranked(held, highest_fence(precise_timestamp()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_right_ends_with_the_clock_and_when_it_is_taken_away() {
        let permit = WritePermit::default();
        assert!(!permit.may_write());
        permit.grant(boot_time() + Duration::from_mins(1), 7);
        assert!(permit.may_write());
        assert_eq!(permit.fence(), 7);
        permit.grant(boot_time().saturating_sub(Duration::from_millis(5)), 7);
        assert!(!permit.may_write());
        permit.grant(boot_time() + Duration::from_mins(1), 8);
        permit.end();
        assert!(!permit.may_write());
    }

    #[test]
    fn a_higher_fence_of_a_backend_counts_until_ours_is_above_it_and_one_without_measure_never() {
        let permit = WritePermit::default();
        permit.grant(boot_time() + Duration::from_mins(1), 7);
        assert_eq!(permit.outranked_by(), None);
        permit.note_outranked(9, 100);
        permit.note_outranked(8, 100);
        permit.note_outranked(100, 100);
        assert_eq!(permit.outranked_by(), Some(9));
        assert_eq!(permit.fence(), 7, "nothing is proven yet");
        permit.grant(boot_time() + Duration::from_mins(1), 10);
        assert_eq!(permit.outranked_by(), None);
    }
}

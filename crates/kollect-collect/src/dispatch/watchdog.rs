//! Stops the evaluation of an object that takes too much processor time.
//!
//! The budget of the expressions ends an evaluation long before; this is for what the budget does not foresee. It counts
//! processor time, so that a slow or busy machine never makes a sound object fail.

use kollect_extract::StopSwitch;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::{Duration, Instant};
use tokio::time::{MissedTickBehavior, interval};

/// Processor time that one object may take for one target.
const LIMIT: Duration = Duration::from_secs(2);
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// What the watchdog knows of a worker.
pub(super) struct Pulse {
    switch: StopSwitch,
    /// The kernel's number of the thread; 0 before it runs.
    thread: AtomicI32,
}

impl Pulse {
    pub(super) fn new(switch: StopSwitch) -> Self {
        Self { switch, thread: AtomicI32::new(0) }
    }

    /// Called on the worker's thread.
    pub(super) fn begin_thread(&self) {
        self.thread.store(rustix::thread::gettid().as_raw_nonzero().get(), Ordering::Release);
    }

    /// Processor time of the thread so far; real time where the kernel does not tell.
    fn spent(&self, since: Instant) -> Duration {
        let thread = self.thread.load(Ordering::Acquire);
        let text = std::fs::read_to_string(format!("/proc/self/task/{thread}/schedstat")).ok();
        let nanos = text.and_then(|text| text.split(' ').next()?.parse().ok());
        nanos.map_or_else(|| since.elapsed(), Duration::from_nanos)
    }
}

/// The evaluation that a worker was last seen with, and the processor time of its thread at that moment.
struct Seen {
    evaluation: u64,
    spent: Duration,
}

/// Runs for ever.
pub(super) async fn run(pulses: Vec<Arc<Pulse>>) {
    let began = Instant::now();
    let mut seen: Vec<Option<Seen>> = pulses.iter().map(|_| None).collect();
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        for (pulse, seen) in pulses.iter().zip(&mut seen) {
            check(pulse, seen, began, LIMIT);
        }
    }
}

fn check(pulse: &Pulse, seen: &mut Option<Seen>, began: Instant, limit: Duration) {
    let evaluation = pulse.switch.current();
    match seen {
        Some(before) if before.evaluation == evaluation => {
            // A worker that waits spends nothing.
            if pulse.spent(began).saturating_sub(before.spent) >= limit {
                pulse.switch.stop(evaluation);
            }
        }
        _ => *seen = Some(Seen { evaluation, spent: pulse.spent(began) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kollect_extract::Scratch;

    const SHORT: Duration = Duration::from_millis(50);

    #[test]
    fn only_an_evaluation_that_takes_the_processor_for_too_long_is_stopped() {
        let mut scratch = Scratch::default();
        let pulse = Pulse::new(scratch.stop_switch());
        let (began, mut seen) = (Instant::now(), None);
        pulse.begin_thread();
        scratch.begin();
        check(&pulse, &mut seen, began, SHORT);
        std::thread::sleep(2 * SHORT);
        check(&pulse, &mut seen, began, SHORT);
        assert!(!pulse.switch.is_stopped(), "waiting is not working");
        let until = pulse.spent(began) + SHORT;
        while pulse.spent(began) < until {
            std::hint::black_box(began);
        }
        check(&pulse, &mut seen, began, SHORT);
        assert!(pulse.switch.is_stopped());
        scratch.begin();
        check(&pulse, &mut seen, began, SHORT);
        assert!(!pulse.switch.is_stopped(), "the next evaluation begins afresh");
    }
}

//! Stops the evaluation of an object that takes too much processor time.
//!
//! The budget of the expressions ends an evaluation long before; this covers costs that the budget does not count. It
//! measures processor time, so a slow or busy machine never makes a valid object fail.

use kollect_extract::StopSwitch;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::{Duration, Instant};
use tokio::time::{MissedTickBehavior, interval};

/// Processor time that one object may take for one target.
const LIMIT: Duration = Duration::from_secs(2);
const CHECK_INTERVAL: Duration = Duration::from_millis(250);

/// How the watchdog observes and stops a worker.
pub(super) struct WorkerProbe {
    switch: StopSwitch,
    /// Kernel thread id; 0 before the thread runs.
    thread: AtomicI32,
}

impl WorkerProbe {
    pub(super) fn new(switch: StopSwitch) -> Self {
        Self { switch, thread: AtomicI32::new(0) }
    }

    /// Called on the worker's thread.
    pub(super) fn begin_thread(&self) {
        self.thread.store(rustix::thread::gettid().as_raw_nonzero().get(), Ordering::Release);
    }

    /// Processor time of the thread so far; wall-clock time where the kernel does not expose it.
    fn spent(&self, since: Instant) -> Duration {
        let thread = self.thread.load(Ordering::Acquire);
        let text = std::fs::read_to_string(format!("/proc/self/task/{thread}/schedstat")).ok();
        let nanos = text.and_then(|text| text.split(' ').next()?.parse().ok());
        nanos.map_or_else(|| since.elapsed(), Duration::from_nanos)
    }
}

/// The evaluation in progress at the last check, and the processor time of the thread at its first check.
struct LastCheck {
    evaluation: u64,
    spent: Duration,
}

/// Runs for ever.
pub(super) async fn run(probes: Vec<Arc<WorkerProbe>>) {
    let began = Instant::now();
    let mut seen: Vec<Option<LastCheck>> = probes.iter().map(|_| None).collect();
    let mut ticks = interval(CHECK_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        for (probe, seen) in probes.iter().zip(&mut seen) {
            check(probe, seen, began, LIMIT);
        }
    }
}

fn check(probe: &WorkerProbe, seen: &mut Option<LastCheck>, began: Instant, limit: Duration) {
    let evaluation = probe.switch.current();
    match seen {
        Some(before) if before.evaluation == evaluation => {
            // A waiting worker spends no processor time.
            if probe.spent(began).saturating_sub(before.spent) >= limit {
                probe.switch.stop(evaluation);
            }
        }
        _ => *seen = Some(LastCheck { evaluation, spent: probe.spent(began) }),
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
        let probe = WorkerProbe::new(scratch.stop_switch());
        let (began, mut seen) = (Instant::now(), None);
        probe.begin_thread();
        scratch.begin();
        check(&probe, &mut seen, began, SHORT);
        std::thread::sleep(2 * SHORT);
        check(&probe, &mut seen, began, SHORT);
        assert!(!probe.switch.is_stopped(), "waiting is not working");
        let until = probe.spent(began) + SHORT;
        while probe.spent(began) < until {
            std::hint::black_box(began);
        }
        check(&probe, &mut seen, began, SHORT);
        assert!(probe.switch.is_stopped());
        scratch.begin();
        check(&probe, &mut seen, began, SHORT);
        assert!(!probe.switch.is_stopped(), "the next evaluation begins afresh");
    }
}

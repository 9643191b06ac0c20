//! Stops the evaluation of an object that takes too much processor time.
//!
//! The budget of the expressions ends an evaluation long before; this is for what the budget does not foresee. It counts
//! processor time, so that a slow or busy machine never makes a sound object fail.

use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::time::{Duration, Instant};
use tokio::time::{MissedTickBehavior, interval};

/// Processor time that one object may take, over all its targets.
const LIMIT: Duration = Duration::from_secs(2);
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// What a worker is doing.
pub(super) struct Pulse {
    /// Ends the evaluation that is under way.
    stop: Arc<AtomicBool>,
    /// The kernel's number of the thread; 0 before it runs.
    thread: AtomicI32,
    job: Mutex<Job>,
}

#[derive(Clone, Copy, Default)]
struct Job {
    number: u64,
    busy: bool,
}

impl Pulse {
    pub(super) fn new(stop: Arc<AtomicBool>) -> Self {
        Self { stop, thread: AtomicI32::new(0), job: Mutex::default() }
    }

    pub(super) fn begin_thread(&self) {
        self.thread.store(rustix::thread::gettid().as_raw_nonzero().get(), Ordering::Release);
    }

    pub(super) fn begin_job(&self) {
        let mut job = self.job.lock();
        job.number += 1;
        job.busy = true;
        self.stop.store(false, Ordering::Relaxed);
    }

    pub(super) fn end_job(&self) {
        self.job.lock().busy = false;
    }

    /// Stops the job of that number, unless it has ended.
    fn stop(&self, number: u64) {
        let job = self.job.lock();
        if job.busy && job.number == number {
            self.stop.store(true, Ordering::Relaxed);
        }
    }

    /// Processor time of the thread so far; real time where the kernel does not tell.
    fn spent(&self, since: Instant) -> Duration {
        let thread = self.thread.load(Ordering::Acquire);
        let text = std::fs::read_to_string(format!("/proc/self/task/{thread}/schedstat")).ok();
        let nanos = text.and_then(|text| text.split(' ').next()?.parse().ok());
        nanos.map_or_else(|| since.elapsed(), Duration::from_nanos)
    }
}

/// The job that a worker was last seen with, and the processor time of its thread at that moment.
struct Seen {
    number: u64,
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
    let job = *pulse.job.lock();
    if !job.busy {
        *seen = None;
        return;
    }
    let spent = pulse.spent(began);
    match seen {
        Some(before) if before.number == job.number => {
            if spent.saturating_sub(before.spent) >= limit {
                pulse.stop(job.number);
            }
        }
        _ => *seen = Some(Seen { number: job.number, spent }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_millis(50);

    #[test]
    fn only_the_job_that_takes_the_processor_for_too_long_is_stopped() {
        let stop = Arc::new(AtomicBool::new(false));
        let pulse = Pulse::new(stop.clone());
        let (began, mut seen) = (Instant::now(), None);
        pulse.begin_thread();
        pulse.begin_job();
        check(&pulse, &mut seen, began, SHORT);
        std::thread::sleep(2 * SHORT);
        check(&pulse, &mut seen, began, SHORT);
        assert!(!stop.load(Ordering::Relaxed), "waiting is not working");
        let until = pulse.spent(began) + SHORT;
        while pulse.spent(began) < until {
            std::hint::black_box(began);
        }
        check(&pulse, &mut seen, began, SHORT);
        assert!(stop.load(Ordering::Relaxed));
        pulse.end_job();
        pulse.begin_job();
        assert!(!stop.load(Ordering::Relaxed), "the next job begins afresh");
        pulse.stop(1);
        assert!(!stop.load(Ordering::Relaxed), "a job that has ended cannot be stopped any more");
    }
}

//! Simulation of a whole process: store, bindings, cadence and breaker against memory sinks, under a seeded scheduler.
//!
//! One thread, an injected clock, no run time. A seed decides everything, so a failure is repeated by its seed. The
//! expected rows come from a model of the cluster that shares no code with the store.

mod cluster;
mod drive;
mod driver;
mod files;
mod references;
mod world;

pub use references::run_references;

use std::fmt;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// A mistake that the driver makes on purpose, to prove that the simulation finds it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Planted {
    /// None.
    #[default]
    Nothing,
    /// The cursor moves before the sink has acknowledged.
    CursorBeforeAck,
    /// A list whose workers ended before they made all rows counts as complete.
    BarrierThatLies,
}

/// What a run did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Seeds that held.
    pub seeds: u64,
    /// Cycles that came to their end.
    pub cycles: u64,
    /// Comparisons with what a sink held.
    pub comparisons: u64,
    /// Rows deleted from sinks.
    pub deletes: u64,
    /// Bindings whose rows could not be exported at the end, as a binding that knew nothing found too.
    pub refused: u64,
    /// Processes that crashed.
    pub crashes: u64,
}

/// A promise that did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Repeats it.
    pub seed: u64,
    /// Number of the step.
    pub step: u64,
    /// What happened.
    pub what: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seed {} step {}: {}", self.seed, self.step, self.what)
    }
}

impl std::error::Error for Failure {}

/// Runs every seed; the failure with the smallest seed wins.
pub fn run(seeds: Range<u64>) -> Result<Report, Failure> {
    run_with(seeds, Planted::Nothing)
}

/// Like [`run`], with a planted mistake.
pub fn run_with(seeds: Range<u64>, planted: Planted) -> Result<Report, Failure> {
    let next = AtomicU64::new(seeds.start);
    let total = Mutex::new((Report::default(), None::<Failure>));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::SeqCst);
                    if seed >= seeds.end || !record(&total, world::play(seed, planted)) {
                        return;
                    }
                }
            });
        }
    });
    let (report, failure) = total.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    failure.map_or(Ok(report), Err)
}

/// `false` when a failure ends the run.
fn record(total: &Mutex<(Report, Option<Failure>)>, result: Result<Report, Failure>) -> bool {
    let mut total = total.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    match result {
        Ok(report) => {
            total.0.seeds += 1;
            total.0.cycles += report.cycles;
            total.0.comparisons += report.comparisons;
            total.0.deletes += report.deletes;
            total.0.refused += report.refused;
            total.0.crashes += report.crashes;
        }
        Err(failure) if total.1.as_ref().is_none_or(|known| failure.seed < known.seed) => total.1 = Some(failure),
        Err(_) => {}
    }
    total.1.is_none()
}

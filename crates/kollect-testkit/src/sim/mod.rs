//! Simulation of a whole process: store, bindings, cadence and breaker against memory sinks, under a seeded scheduler.
//!
//! One thread, an injected clock, no run time. A seed decides everything, so a failure is repeated by its seed. The
//! expected rows come from a model of the cluster that shares no code with the store.

mod cluster;
mod files;
mod hooks;
mod references;
mod report;
mod rows;
mod selection;
mod simulated_binding;
mod simulation;
mod sinks;

pub use references::run_references;
pub use report::{Planted, SimFailure, SimReport};

use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// Runs every seed. Returns the failure with the smallest seed.
pub fn run(seeds: Range<u64>) -> Result<SimReport, SimFailure> {
    run_with(seeds, Planted::Nothing)
}

/// Like [`run`], with a planted bug.
pub fn run_with(seeds: Range<u64>, planted: Planted) -> Result<SimReport, SimFailure> {
    let next = AtomicU64::new(seeds.start);
    let total = Mutex::new((SimReport::default(), None::<SimFailure>));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::SeqCst);
                    if seed >= seeds.end || !record(&total, simulation::play(seed, planted)) {
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
fn record(total: &Mutex<(SimReport, Option<SimFailure>)>, result: Result<SimReport, SimFailure>) -> bool {
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

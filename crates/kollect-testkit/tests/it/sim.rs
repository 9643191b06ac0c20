//! The simulation holds, and finds a mistake.

use kollect_testkit::sim::{Planted, run, run_with};
use std::time::Instant;

#[test]
fn ten_thousand_seeds_keep_every_promise() {
    let started = Instant::now();
    let report = run(0..10_000).unwrap_or_else(|failure| panic!("{failure}"));
    println!("{report:?} in {:?}", started.elapsed());
    assert_eq!(report.seeds, 10_000);
    assert!(report.cycles > 60_000 && report.comparisons > 15_000 && report.deletes > 10_000, "{report:?}");
}

#[test]
fn a_cursor_that_moves_before_the_acknowledgement_is_found() {
    let failure = run_with(0..1_000, Planted::CursorBeforeAck).expect_err("the simulation is blind");
    assert!(run_with(failure.seed..failure.seed + 1, Planted::CursorBeforeAck).is_err(), "a seed repeats its failure");
    assert!(run(failure.seed..failure.seed + 1).is_ok());
}

//! The simulation holds, and finds a mistake.

use kollect_testkit::sim::{Planted, run, run_references, run_with};
use std::time::Instant;

#[test]
fn ten_thousand_seeds_keep_every_promise() {
    let started = Instant::now();
    let report = run(0..10_000).unwrap_or_else(|failure| panic!("{failure}"));
    println!("{report:?} in {:?}", started.elapsed());
    assert_eq!(report.seeds, 10_000);
    assert!(report.cycles > 200_000 && report.comparisons > 50_000 && report.deletes > 50_000, "{report:?}");
    assert!(report.refused > 100, "documents that are too large are among them: {report:?}");
}

#[test]
fn references_that_come_and_go_never_empty_a_place_and_never_vanish() {
    let started = Instant::now();
    let seeds = run_references(0..1_000).unwrap_or_else(|failure| panic!("{failure}"));
    println!("{seeds} seeds in {:?}", started.elapsed());
}

fn is_found(planted: Planted) {
    let failure = run_with(0..2_000, planted).expect_err("the simulation is blind");
    assert!(run_with(failure.seed..failure.seed + 1, planted).is_err(), "a seed repeats its failure");
    assert!(run(failure.seed..failure.seed + 1).is_ok());
}

#[test]
fn a_cursor_that_moves_before_the_acknowledgement_is_found() {
    is_found(Planted::CursorBeforeAck);
}

#[test]
fn a_list_that_counts_as_complete_although_its_workers_ended_is_found() {
    is_found(Planted::IncompleteListCounts);
}

//! Many files: the record is split, and the work of a small change stays small.

use crate::bench::{Bench, apply, batch, held, put, record};
use std::time::Instant;

#[tokio::test(flavor = "multi_thread")]
async fn one_change_among_ten_thousand_files_touches_one_file_and_one_part_of_the_record() {
    let bench = Bench::start().await;
    let sink = bench.sink();
    let path = |n: u32| format!("c1/ns{}/deployment/app-{n}.yaml", n % 50);
    held(&sink, "inv").await.unwrap();
    let start = Instant::now();
    apply(&sink, batch("inv", (0..10_000).map(|n| put(&path(n), &format!("name: app-{n}\n"))))).await.unwrap();
    println!("first push of 10,000 files: {:?}", start.elapsed());
    for round in 0..3 {
        let start = Instant::now();
        apply(&sink, batch("inv", [put(&path(7), &format!("changed: {round}\n"))])).await.unwrap();
        println!("push of one change: {:?}", start.elapsed());
    }
    let changed = bench.git(["diff-tree", "-r", "--name-only", "--no-commit-id", "main"]);
    let changed: Vec<_> = changed.lines().collect();
    assert_eq!(changed.len(), 2, "{changed:?}");
    assert!(changed[0].starts_with(&record("inv")) && changed[1] == path(7), "{changed:?}");

    let start = Instant::now();
    assert!(held(&sink, "inv").await.unwrap().values().all(Option::is_some));
    println!("comparing 10,000 files with a warm mirror: {:?}", start.elapsed());
    bench.lose_mirrors();
    let start = Instant::now();
    assert_eq!(held(&sink, "inv").await.unwrap().len(), 10_000);
    println!("comparing with a cold mirror: {:?}", start.elapsed());
    bench.git(["fsck", "--strict"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_larger_than_the_buffers_arrives_whole() {
    let bench = Bench::start().await;
    let sink = bench.sink();
    // Does not compress, so that the pack is streamed.
    let mut state = 1_u64;
    let noise: String = (0..9_000_000)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            char::from(b'!' + u8::try_from((state >> 33) % 90).unwrap())
        })
        .collect();
    apply(&sink, batch("inv", [put("big.txt", &noise)])).await.unwrap();
    assert_eq!(bench.show("big.txt").map(|text| text.len()), Some(noise.len()));
    bench.lose_mirrors();
    assert!(held(&sink, "inv").await.unwrap()["big.txt"].is_some());
}

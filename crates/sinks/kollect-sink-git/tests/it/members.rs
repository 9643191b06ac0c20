//! A lane of several inventories, of which some are cancelled or lose the right to write.

use crate::bench::{Bench, Turn, apply, batch, put};
use kollect_export::{FileSink as _, Landed, WriteRight};
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio_util::sync::CancellationToken;

/// A right to write that is evaluated at each check.
struct Asked<F>(F);

impl<F: Fn() -> bool + Send + Sync> WriteRight for Asked<F> {
    fn may_write(&self) -> bool {
        (self.0)()
    }
    fn fence(&self) -> u64 {
        0
    }
}

/// Writes the lane; the names of the members that landed.
async fn write(bench: &Bench, turns: &[Turn]) -> Vec<&'static str> {
    const NAMES: [&str; 3] = ["one", "two", "three"];
    let lane = turns.iter().zip(NAMES);
    let lane = lane.map(|(turn, name)| (turn.cycle(), batch(name, [put(&format!("{name}/a.yaml"), name)]))).collect();
    let outcomes = bench.sink().apply(lane).await;
    for error in outcomes.iter().filter_map(|outcome| outcome.as_ref().err()) {
        assert_eq!((error.class.label(), error.landed, error.local), ("transient", Landed::No, true), "{error}");
    }
    NAMES.into_iter().zip(outcomes).filter(|(_, outcome)| outcome.is_ok()).map(|(name, _)| name).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_is_cancelled_leaves_its_neighbours_alone() {
    let bench = Bench::start().await;
    let turns = ["one", "two", "three"].map(Turn::new);
    turns[1].cancel.cancel();
    assert_eq!(write(&bench, &turns).await, ["one", "three"]);
    assert_eq!(bench.files(), ["one/a.yaml", "three/a.yaml"]);
    assert_eq!(bench.commits(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_is_cancelled_at_the_last_moment_leaves_the_push_and_the_others_land() {
    let bench = Bench::start().await;
    let stop = CancellationToken::new();
    let cancel = stop.clone();
    let last_moment = Asked(move || {
        cancel.cancel();
        true
    });
    let turns = [
        Turn { right: Box::new(last_moment), ..Turn::new("one") },
        Turn { cancel: stop, ..Turn::new("two") },
        Turn::new("three"),
    ];
    assert_eq!(write(&bench, &turns).await, ["one", "three"]);
    assert_eq!(bench.files(), ["one/a.yaml", "three/a.yaml"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_without_the_right_to_write_fails_alone() {
    let bench = Bench::start().await;
    let turns = [Turn::new("one"), Turn::new("two"), Turn { right: Box::new(Asked(|| false)), ..Turn::new("three") }];
    assert_eq!(write(&bench, &turns).await, ["one", "two"]);
    // No one may write: nothing is pushed.
    let turns = ["one", "two", "three"].map(|name| Turn { right: Box::new(Asked(|| false)), ..Turn::new(name) });
    bench.git(["update-ref", "-d", "refs/heads/main"]);
    assert!(write(&bench, &turns).await.is_empty());
    assert!(bench.repos().git(crate::bench::REPO, ["rev-parse", "main"]).is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lane_stops_when_every_member_is_cancelled() {
    let bench = Bench::start().await;
    apply(&bench.sink(), batch("one", [put("one/a.yaml", "old")])).await.unwrap();
    let turns = ["one", "two", "three"].map(Turn::new);
    for turn in &turns {
        turn.cancel.cancel();
    }
    assert!(write(&bench, &turns).await.is_empty());
    assert_eq!(bench.commits(), 1);
}

/// A right to write that checks at its call that the server has all of a push but its end.
pub(crate) fn asked_late(bench: &Bench, least: u64) -> (Box<dyn WriteRight>, std::sync::Arc<AtomicUsize>) {
    // The server writes a pack to disk while it arrives.
    bench.git(["config", "receive.unpackLimit", "1"]);
    let objects = bench.repos().path(crate::bench::REPO).join("objects");
    let asked = std::sync::Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let right = Asked(move || {
        count.fetch_add(1, Ordering::Relaxed);
        let end = std::time::Instant::now() + std::time::Duration::from_secs(20);
        // What the server received so far grows to the whole, because only the end is held back.
        while size_of(&objects) < least && std::time::Instant::now() < end {
            std::thread::yield_now();
        }
        assert!(size_of(&objects) >= least, "asked when the server had only {} bytes", size_of(&objects));
        false
    });
    (Box::new(right), asked)
}

fn size_of(dir: &std::path::Path) -> u64 {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(about) if about.is_dir() => size_of(&entry.path()),
            Ok(about) => about.len(),
            Err(_) => 0,
        })
        .sum()
}

//! Row bindings.

use crate::bench::{Bench, id, key, row, rows_to, store, wanted};
use async_trait::async_trait;
use kollect_export::testing::{Faulty, SinkFault};
use kollect_export::testing::{MemoryRows, StoredRows};
use kollect_export::{
    AlwaysWrite, BindingState, Class, Cycle, ExportSettings, Exporter, Family, HeldRow, Outcome, OutcomeResult, Probe,
    ReadBack, Receipt, Removal, Reporter, RowBatch, RowSink, Sink, SinkError, WriteRight, export_once,
};
use kollect_model::{Cause, Uid};
use kollect_store::{Coverage, Store, View};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

fn sink<S: RowSink>(sink: &Arc<S>) -> Sink {
    Sink::Rows(sink.clone())
}

/// Everything in a sink that has one inventory.
fn rows_in(sink: &MemoryRows) -> StoredRows {
    sink.inventories().into_values().flatten().collect()
}

fn assert_equal(sink: &MemoryRows, store: &Store) {
    let wanted: Vec<_> = {
        let mut rows = store.snapshot(&View::of(vec![key("a"), key("b")]));
        rows.sort_by(|a, b| a.id.cmp(&b.id));
        rows.iter().map(|row| (row.id.clone(), row.digest)).collect()
    };
    let held: Vec<_> = rows_in(sink).into_iter().map(|(id, row)| (id, row.digest)).collect();
    assert_eq!(held, wanted);
}

#[tokio::test]
async fn the_first_export_sends_everything_and_later_ones_only_the_difference() {
    let mut bench = Bench::with(store(2_500), ExportSettings { batch_rows: 1_000, ..ExportSettings::default() });
    let memory = Arc::new(MemoryRows::default());
    bench.exporter.set_binding(rows_to("inv", sink(&memory), Duration::ZERO));
    bench.exported().await;
    assert_equal(&memory, &bench.store);
    assert_eq!(memory.counts(), (2_500, 0, 3));
    bench.store.upsert(row("a", "one", "u7", 1_000));
    bench.store.remove(&key("a"), &Uid::parse("u8"), Cause::Observed);
    let outcome = bench.exported().await;
    if outcome.rows < 2 {
        bench.exported().await;
    }
    assert_equal(&memory, &bench.store);
    assert_eq!((memory.counts().0, memory.counts().1), (2_501, 1));
    let status = bench.exporter.status(&id("inv", Family::Database)).unwrap();
    assert!(matches!(status.state, BindingState::Exported), "{:?}", status.state);
    assert_eq!(status.rows, 2_499);
    assert_eq!(status.checksum, Some(bench.store.checksum(&View::of(vec![key("a")])).to_string()));
}

#[tokio::test]
async fn a_restart_sends_only_what_changed_meanwhile_and_deletes_what_is_proven_gone() {
    let memory = Arc::new(MemoryRows::default());
    let mut before = Bench::new(store(100));
    before.exporter.set_binding(rows_to("inv", sink(&memory), Duration::ZERO));
    before.exported().await;
    before.exporter.stop(Duration::from_secs(1)).await;

    let store = store(90);
    store.upsert(row("a", "one", "u5", 77));
    let mut after = Bench::new(store);
    after.exporter.set_binding(rows_to("inv", sink(&memory), Duration::ZERO));
    after.exported().await;
    assert_equal(&memory, &after.store);
    assert_eq!((memory.counts().0, memory.counts().1), (101, 10));
}

#[tokio::test]
async fn rows_of_a_lost_part_stay_until_the_part_is_listed_again() {
    let memory = Arc::new(MemoryRows::default());
    let mut before = Bench::new(store(10));
    before.exporter.set_binding(rows_to("inv", sink(&memory), Duration::ZERO));
    before.exported().await;
    before.exporter.stop(Duration::from_secs(1)).await;

    let lost = Arc::new(Store::new());
    lost.ensure_target(&key("a"));
    lost.set_wanted(&key("a"), wanted(&["one", "two"]));
    let mut after = Bench::new(lost);
    after.exporter.set_binding(rows_to("inv", sink(&memory), Duration::ZERO));
    let outcome = after.next().await;
    assert!(matches!(outcome.result, OutcomeResult::Waiting(_)), "{outcome:?}");
    after.store.set_coverage(&key("a"), "one", Coverage::Lost("forbidden".into()));
    after.store.set_coverage(&key("a"), "two", Coverage::Synced);
    after.exported().await;
    assert_eq!(rows_in(&memory).len(), 10, "what is not known to be gone stays");
    after.store.upsert(row("a", "one", "u0", 0));
    after.store.complete_list(&key("a"), Some("one"), &|_| true);
    while rows_in(&memory).len() != 1 {
        after.exported().await;
    }
    assert_equal(&memory, &after.store);
}

#[tokio::test]
async fn a_change_of_view_sends_joined_rows_and_deletes_left_ones() {
    let mut bench = Bench::new(store(10));
    let memory = Arc::new(MemoryRows::default());
    let mut spec = rows_to("inv", sink(&memory), Duration::from_hours(1));
    bench.exporter.set_binding(spec.clone());
    bench.exported().await;
    bench.store.ensure_target(&key("b"));
    bench.store.set_wanted(&key("b"), wanted(&["one"]));
    bench.store.upsert(row("b", "one", "u0", 1));
    bench.store.complete_list(&key("b"), None, &|_| true);
    spec.view = View::of(vec![key("b")]);
    spec.config_version = 2;
    bench.exporter.set_binding(spec);
    bench.exported().await;
    let rows = rows_in(&memory);
    assert_eq!(rows.keys().map(|id| id.target.name.to_string()).collect::<Vec<_>>(), ["b"]);
    assert_eq!((memory.counts().0, memory.counts().1), (11, 10), "no comparison, no row twice");
}

#[tokio::test]
async fn a_lost_answer_leads_to_a_comparison_and_nothing_is_lost_or_doubled() {
    let mut bench = Bench::new(store(5));
    let memory = Arc::new(MemoryRows::default());
    let faulty = Arc::new(Faulty::new(memory.clone()));
    faulty.faults.plan(&[SinkFault::LostAck, SinkFault::Before, SinkFault::Panic]);
    bench.exporter.set_binding(rows_to("inv", sink(&faulty), Duration::ZERO));
    assert_eq!(bench.failed().await.stage, "write");
    assert!(matches!(
        bench.exporter.status(&id("inv", Family::Database)).unwrap().state,
        BindingState::Failed { retry_at: Some(_), .. }
    ));
    bench.exported().await;
    assert_eq!(memory.counts(), (5, 0, 1), "the comparison finds that all had landed");
    bench.store.upsert(row("a", "one", "u0", 9));
    bench.failed().await;
    let error = bench.failed().await;
    assert_eq!((error.stage, error.class), ("panic", Class::Transient { retry_after: None }));
    bench.exported().await;
    assert_equal(&memory, &bench.store);
}

#[tokio::test]
async fn a_terminal_failure_stops_the_binding_until_its_configuration_changes() {
    let mut bench = Bench::new(store(5));
    let memory = Arc::new(MemoryRows::default());
    let faulty = Arc::new(Faulty::new(memory.clone()));
    faulty.faults.plan(&[SinkFault::Terminal]);
    let mut spec = rows_to("inv", sink(&faulty), Duration::ZERO);
    bench.exporter.set_binding(spec.clone());
    assert_eq!(bench.failed().await.class, Class::Terminal);
    bench.exporter.set_binding(spec.clone());
    bench.store.upsert(row("a", "one", "u0", 9));
    let status = bench.exporter.status(&spec.id).unwrap();
    let soon = std::time::SystemTime::now() + Duration::from_mins(5);
    assert!(matches!(status.state, BindingState::Failed { retry_at: Some(at), .. } if at > soon), "{status:?}");
    assert_eq!(rows_in(&memory).len(), 0);
    spec.config_version = 2;
    bench.exporter.set_binding(spec);
    bench.exported().await;
    assert_equal(&memory, &bench.store);
}

#[tokio::test]
async fn within_the_interval_changes_wait_and_the_status_is_debounced() {
    let mut bench = Bench::new(store(5));
    let memory = Arc::new(MemoryRows::default());
    let mut spec = rows_to("inv", sink(&memory), Duration::from_mins(1));
    bench.exporter.set_binding(spec.clone());
    bench.exported().await;
    let before = bench.exporter.status(&spec.id).unwrap();
    bench.store.upsert(row("a", "one", "u0", 9));
    let outcome = bench.next().await;
    assert!(matches!(outcome.result, OutcomeResult::Debounced(_)), "{outcome:?}");
    let waiting = bench.exporter.status(&spec.id).unwrap();
    assert!(
        matches!(waiting.state, BindingState::Debounced { changes: 1, due_in } if due_in > Duration::from_secs(50))
    );
    assert_eq!((waiting.last_export, &waiting.checksum), (before.last_export, &before.checksum));
    assert_eq!(memory.counts().0, 5);
    spec.config_version = 2;
    bench.exporter.set_binding(spec);
    bench.exported().await;
    assert_equal(&memory, &bench.store);
}

#[tokio::test]
async fn a_wiped_sink_is_noticed_with_the_next_change_and_filled_again() {
    let mut bench = Bench::new(store(50));
    let memory = Arc::new(MemoryRows::default());
    bench.exporter.set_binding(rows_to("inv", sink(&memory), Duration::ZERO));
    bench.exported().await;
    memory.wipe();
    bench.store.upsert(row("a", "one", "u0", 9));
    bench.exported().await;
    assert_equal(&memory, &bench.store);
}

#[tokio::test]
async fn a_stuck_sink_is_given_up_and_its_neighbour_goes_on() {
    let settings = ExportSettings { export_timeout: Duration::from_millis(50), ..ExportSettings::default() };
    let mut bench = Bench::with(store(5), settings);
    let (stuck, well) = (Arc::new(MemoryRows::default()), Arc::new(MemoryRows::default()));
    let faulty = Arc::new(Faulty::new(stuck.clone()));
    faulty.faults.plan(&[SinkFault::Stall]);
    bench.exporter.set_binding(rows_to("stuck", sink(&faulty), Duration::ZERO));
    bench.exporter.set_binding(rows_to("well", sink(&well), Duration::ZERO));
    assert_eq!(&*bench.exported().await.binding.inventory.name, "well");
    assert_eq!(bench.failed().await.stage, "deadline");
    bench.exported().await;
    assert_equal(&stuck, &bench.store);
}

#[tokio::test]
async fn a_removed_binding_forgets_its_rows_or_leaves_them() {
    let mut bench = Bench::new(store(5));
    let (one, two) = (Arc::new(MemoryRows::default()), Arc::new(MemoryRows::default()));
    let faulty = Arc::new(Faulty::new(one.clone()));
    bench.exporter.set_binding(rows_to("one", sink(&faulty), Duration::ZERO));
    bench.exporter.set_binding(rows_to("two", sink(&two), Duration::ZERO));
    bench.exported().await;
    bench.exported().await;
    let (first, second) = (id("one", Family::Database), id("two", Family::Database));
    faulty.faults.plan(&[SinkFault::Before]);
    bench.exporter.remove_binding(&first, Removal::Forget).await.unwrap_err();
    bench.store.upsert(row("a", "one", "u0", 9));
    bench.exported().await;
    assert_eq!(one.counts().0, 5, "a binding that could not forget exports nothing any more");
    bench.exporter.set_binding(rows_to("one", sink(&faulty), Duration::ZERO));
    assert_eq!(bench.exporter.remove_binding(&first, Removal::Forget).await.unwrap().rows, 5);
    bench.exporter.remove_binding(&second, Removal::Leave).await.unwrap();
    assert_eq!((rows_in(&one).len(), rows_in(&two).len()), (0, 5));
    assert!(bench.exporter.status(&first).is_none() && bench.exporter.status(&second).is_none());
}

#[tokio::test]
async fn the_command_line_exports_once_and_a_second_time_nothing() {
    let store = store(7);
    let memory = Arc::new(MemoryRows::default());
    let spec = rows_to("inv", sink(&memory), Duration::ZERO);
    let cancel = tokio_util::sync::CancellationToken::new();
    for rows in [7, 0] {
        let receipt = export_once(&store, &spec, ExportSettings::default(), &AlwaysWrite, &cancel).await.unwrap();
        assert_eq!(receipt.rows, rows);
    }
    assert_equal(&memory, &store);
}

/// Holds every write back until it is released.
struct HeldWrites {
    memory: MemoryRows,
    entered: Semaphore,
    released: Semaphore,
}

#[async_trait]
impl RowSink for HeldWrites {
    async fn held(&self, cycle: &Cycle<'_>, each: &mut (dyn FnMut(HeldRow) + Send)) -> Result<ReadBack, SinkError> {
        self.memory.held(cycle, each).await
    }
    async fn apply(&self, cycle: &Cycle<'_>, batch: RowBatch) -> Result<Receipt, SinkError> {
        self.entered.add_permits(1);
        self.released.acquire().await.unwrap().forget();
        self.memory.apply(cycle, batch).await
    }
    async fn forget(&self, cycle: &Cycle<'_>) -> Result<Receipt, SinkError> {
        self.memory.forget(cycle).await
    }
    async fn probe(&self, cancel: &CancellationToken) -> Result<Probe, SinkError> {
        self.memory.probe(cancel).await
    }
}

#[tokio::test]
async fn changes_that_arrive_during_a_cycle_are_the_next_batch() {
    let mut bench = Bench::new(store(1));
    let slow = HeldWrites { memory: MemoryRows::default(), entered: Semaphore::new(0), released: Semaphore::new(0) };
    let slow = Arc::new(slow);
    bench.exporter.set_binding(rows_to("inv", sink(&slow), Duration::ZERO));
    slow.entered.acquire().await.unwrap().forget();
    for value in 0..3 {
        for at in 0..1_000 {
            bench.store.upsert(row("a", "one", &format!("v{at}"), value));
        }
    }
    slow.released.add_permits(10);
    assert_eq!(bench.exported().await.rows, 1);
    assert_eq!(bench.exported().await.rows, 1_000);
    assert_equal(&slow.memory, &bench.store);
    assert_eq!(slow.memory.counts(), (1_001, 0, 2));
}

/// Counts the attempts to start a cycle.
#[derive(Default)]
struct CountedRight(AtomicU64);

impl WriteRight for CountedRight {
    fn may_write(&self) -> bool {
        self.0.fetch_add(1, Ordering::SeqCst);
        true
    }
    fn fence(&self) -> u64 {
        0
    }
}

struct Silent;

impl Reporter for Silent {
    fn outcome(&self, _: &Outcome) {}
}

#[tokio::test]
async fn rows_of_a_first_list_do_not_cause_an_attempt_each() {
    let store = Arc::new(Store::new());
    store.ensure_target(&key("a"));
    store.set_wanted(&key("a"), wanted(&["one"]));
    let right = Arc::new(CountedRight::default());
    let exporter = Exporter::new(store.clone(), right.clone(), ExportSettings::default(), Arc::new(Silent));
    exporter.start();
    let memory = Arc::new(MemoryRows::default());
    let started = Instant::now();
    exporter.set_binding(rows_to("inv", sink(&memory), Duration::ZERO));
    for at in 0..1_000 {
        store.upsert(row("a", "one", &format!("u{at}"), 0));
        tokio::task::yield_now().await;
    }
    let attempts = u128::from(right.0.load(Ordering::SeqCst));
    assert!(attempts <= 2 + started.elapsed().as_millis() / 100, "{attempts} attempts");
    store.complete_list(&key("a"), None, &|_| true);
    while memory.counts().2 == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(memory.counts(), (1_000, 0, 1));
}

//! What ends a failure, and that nothing is stuck or lost without one.

use crate::bench::{Bench, id, key, row, rows_to, store};
use crate::files::{record, spec};
use async_trait::async_trait;
use kollect_export::layout::{DocumentSpec, Mode, Partitioning};
use kollect_export::testing::{Faulty, SinkFault};
use kollect_export::testing::{MemoryFiles, MemoryRows};
use kollect_export::{
    BindingId, BindingSpec, BindingState, Cycle, DependsOn, ExportSettings, Exporter, Family, FileBatch, FileSink,
    HeldFile, Outcome, Probe, ReadBack, Receipt, Removal, Reporter, Sink, SinkError, WriteRight,
};
use kollect_model::Reason;
use kollect_model::{Cause, Uid};
use kollect_store::View;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

fn small_document(sink: Arc<dyn FileSink>) -> BindingSpec {
    let small = spec("small", Mode::Document, sink);
    let document = DocumentSpec {
        max_bytes: 1_200,
        partitioning: Partitioning::Disabled { spill_limit: None },
        ..small.document.as_deref().cloned().unwrap()
    };
    BindingSpec { document: Some(Arc::new(document)), ..small }
}

#[tokio::test]
async fn a_document_that_was_too_large_is_exported_when_rows_go() {
    let mut bench = Bench::new(store(9));
    let small = small_document(Arc::new(MemoryFiles::new("lane")));
    bench.exporter.set_binding(small.clone());
    let error = bench.failed().await;
    assert_eq!((error.reason, error.depends_on), (Some(Reason::PayloadTooLarge), DependsOn::Rows));
    for at in 2..9 {
        bench.store.remove(&key("a"), &Uid::parse(&format!("u{at}")), Cause::Observed);
    }
    bench.exported().await;
}

#[tokio::test]
async fn a_failure_of_the_rows_is_not_tried_again_while_they_stay_as_they_are() {
    let mut bench = Bench::new(store(9));
    let small = small_document(Arc::new(MemoryFiles::new("lane")));
    bench.exporter.set_binding(small.clone());
    bench.failed().await;
    let status = bench.exporter.status(&small.id).unwrap();
    assert!(matches!(status.state, BindingState::Failed { retry_at: None, .. }), "{status:?}");
    assert_eq!(status.cycle, 1);
}

#[tokio::test]
async fn a_target_that_leaves_the_view_ends_a_failure_that_its_rows_caused() {
    let mut bench = Bench::new(store(2));
    bench.store.ensure_target(&key("b"));
    bench.store.set_wanted(&key("b"), crate::bench::wanted(&["one"]));
    (0..9).for_each(|at| assert!(bench.store.upsert(row("b", "one", &format!("b{at}"), 0))));
    bench.store.complete_list(&key("b"), None, &|_| true);
    let small = small_document(Arc::new(MemoryFiles::new("lane")));
    bench.exporter.set_binding(BindingSpec { view: View::of(vec![key("a"), key("b")]), ..small.clone() });
    bench.failed().await;
    bench.exporter.set_binding(small);
    bench.exported().await;
}

#[tokio::test]
async fn a_passed_probe_ends_a_failure_of_the_backend() {
    let mut bench = Bench::new(store(2));
    let files = Arc::new(Faulty::new(Arc::new(MemoryFiles::new("lane"))));
    files.faults.plan(&[SinkFault::Terminal]);
    let one = spec("one", Mode::Document, files);
    bench.exporter.set_binding(one.clone());
    assert_eq!(bench.failed().await.depends_on, DependsOn::Backend);
    let BindingState::Failed { retry_at, .. } = bench.exporter.status(&one.id).unwrap().state else { panic!() };
    assert!(retry_at.is_some(), "without a probe it is tried again, rarely");
    bench.exporter.probe_passed(&one.id.sink);
    bench.exported().await;
}

#[tokio::test]
async fn one_failed_push_of_many_inventories_does_not_open_the_breaker() {
    let mut bench = Bench::new(store(2));
    let files = Arc::new(Faulty::new(Arc::new(MemoryFiles::new("lane"))));
    files.faults.plan(&[SinkFault::Before; 6]);
    let gated = Gate::closed(files);
    let bindings: Vec<_> =
        (0..6).map(|at| to_one_sink(spec(&format!("i{at}"), Mode::Document, gated.clone()))).collect();
    for binding in &bindings {
        bench.exporter.set_binding(binding.clone());
    }
    gated.open();
    let started = Instant::now();
    for _ in 0..6 {
        bench.exported().await;
    }
    assert!(started.elapsed() < Duration::from_secs(15), "an open breaker would take 30 s: {:?}", started.elapsed());
}

#[tokio::test]
async fn an_inventory_that_leaves_during_a_push_does_not_fail_the_others() {
    let mut bench = Bench::new(store(2));
    let gated = Gate::closed(Arc::new(MemoryFiles::new("lane")));
    let (stays, leaves) = (spec("stays", Mode::Document, gated.clone()), spec("leaves", Mode::Document, gated.clone()));
    bench.exporter.set_binding(stays.clone());
    bench.exporter.set_binding(leaves.clone());
    gated.entered(1).await;
    bench.exporter.leave_binding(&leaves.id);
    gated.open();
    let outcome = bench.next().await;
    assert_eq!(outcome.binding, stays.id);
    assert!(matches!(outcome.result, kollect_export::OutcomeResult::Exported(_)), "{outcome:?}");
}

#[tokio::test]
async fn at_the_deadline_every_member_of_a_push_is_cancelled_and_may_end_by_itself() {
    let settings = ExportSettings { export_timeout: Duration::from_millis(100), ..ExportSettings::default() };
    let mut bench = Bench::with(store(2), settings);
    let gated = Gate::closed(Arc::new(MemoryFiles::new("lane")));
    bench.exporter.set_binding(spec("one", Mode::Document, gated));
    let error = bench.failed().await;
    assert_eq!(error.stage, "cancelled", "the sink saw the cancelled token of its member: {error}");
}

#[tokio::test]
async fn a_binding_that_is_left_and_set_again_at_once_exports() {
    let mut bench = Bench::new(store(3));
    let memory = Arc::new(MemoryRows::default());
    let one = rows_to("one", Sink::Rows(memory.clone()), Duration::ZERO);
    bench.exporter.set_binding(one.clone());
    bench.exported().await;
    for removal in [Removal::Leave, Removal::Forget] {
        let removed = bench.exporter.remove_binding(&one.id, removal);
        bench.exporter.set_binding(one.clone());
        let _ = removed.await;
        assert!(bench.exporter.status(&one.id).is_some());
    }
    bench.store.upsert(row("a", "one", "u9", 9));
    while memory.rows(&one.id.inventory).len() < 4 {
        bench.next().await;
    }
}

fn second_reference(of: &BindingSpec) -> BindingSpec {
    let mut id = of.id.clone();
    id.sink.name = "another".into();
    BindingSpec { id, ..of.clone() }
}

#[tokio::test]
async fn a_removed_reference_never_empties_the_place_that_another_reference_shares() {
    let mut bench = Bench::new(store(3));
    let memory = Arc::new(MemoryRows::default());
    let one = rows_to("one", Sink::Rows(memory.clone()), Duration::ZERO);
    let two = second_reference(&one);
    for binding in [&one, &two] {
        bench.exporter.set_binding(binding.clone());
        bench.exported().await;
    }
    bench.exporter.remove_binding(&one.id, Removal::Forget).await.unwrap();
    assert_eq!((memory.rows(&one.id.inventory).len(), memory.counts().1), (3, 0));
    bench.exporter.remove_binding(&two.id, Removal::Forget).await.unwrap();
    assert_eq!(memory.rows(&one.id.inventory).len(), 0, "the last reference takes the rows along");
}

#[tokio::test]
async fn rows_that_went_with_a_reference_under_another_name_of_the_backend_come_back() {
    let mut bench = Bench::new(store(3));
    let memory = Arc::new(MemoryRows::default());
    let one = rows_to("one", Sink::Rows(memory.clone()), Duration::ZERO);
    let two = BindingSpec { destination: "the same by its address".to_owned(), ..second_reference(&one) };
    for binding in [&one, &two] {
        bench.exporter.set_binding(binding.clone());
        bench.exported().await;
    }
    bench.exporter.remove_binding(&one.id, Removal::Forget).await.unwrap();
    bench.exported().await;
    assert_eq!(memory.rows(&one.id.inventory).len(), 3);
}

#[tokio::test]
async fn a_path_that_a_removed_binding_frees_is_taken_by_the_one_that_was_refused_it() {
    let mut bench = Bench::new(store(1));
    let memory = Arc::new(MemoryFiles::new("lane"));
    let one = spec("one", Mode::PerResource, memory.clone());
    let two = spec("two", Mode::PerResource, memory.clone());
    bench.exporter.set_binding(one.clone());
    bench.exported().await;
    bench.exporter.set_binding(two.clone());
    assert_eq!(bench.failed().await.reason, Some(Reason::LayoutCollision));
    bench.exporter.remove_binding(&one.id, Removal::Forget).await.unwrap();
    bench.exported().await;
    assert_eq!(memory.files(&record(&two)).len(), 1);
}

#[tokio::test]
async fn a_binding_whose_rows_could_not_be_removed_is_gone_from_the_exporter() {
    let mut bench = Bench::new(store(3));
    let faulty = Arc::new(Faulty::new(Arc::new(MemoryRows::default())));
    let one = rows_to("one", Sink::Rows(faulty.clone()), Duration::ZERO);
    bench.exporter.set_binding(one.clone());
    bench.exported().await;
    faulty.faults.plan(&[SinkFault::Terminal]);
    bench.exporter.remove_binding(&one.id, Removal::Forget).await.unwrap_err();
    assert!(bench.exporter.status(&one.id).is_none());
}

/// Panics once, at a place between the begin and the end of a cycle that no guard of the sink covers.
struct PanicsOnce(AtomicU32);

impl WriteRight for PanicsOnce {
    fn may_write(&self) -> bool {
        true
    }
    fn fence(&self) -> u64 {
        assert!(self.0.fetch_add(1, Ordering::SeqCst) != 0, "a planned panic");
        0
    }
}

struct Silent;

impl Reporter for Silent {
    fn outcome(&self, _: &Outcome) {}
}

#[tokio::test]
async fn a_panic_inside_a_cycle_leaves_no_binding_that_waits_for_ever() {
    let right = Arc::new(PanicsOnce(AtomicU32::new(0)));
    let exporter = Exporter::new(store(2), right, ExportSettings::default(), Arc::new(Silent));
    exporter.start();
    let memory = Arc::new(MemoryFiles::new("lane"));
    let one = spec("one", Mode::Document, memory.clone());
    exporter.set_binding(one.clone());
    let until = Instant::now() + Duration::from_secs(30);
    while memory.files(&record(&one)).is_empty() {
        assert!(Instant::now() < until, "{:?}", exporter.status(&one.id));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Bindings of one sink object.
fn to_one_sink(mut spec: BindingSpec) -> BindingSpec {
    let id = BindingId { sink: id("one", Family::Snapshot).sink, ..spec.id.clone() };
    let document = DocumentSpec { sink_name: id.sink.name.clone(), ..spec.document.as_deref().cloned().unwrap() };
    spec.document = Some(Arc::new(document));
    BindingSpec { id, ..spec }
}

/// Holds every write back until it is opened or every member is cancelled.
struct Gate {
    inner: Arc<dyn FileSink>,
    permits: Semaphore,
    entered: Semaphore,
}

impl Gate {
    fn closed(inner: Arc<dyn FileSink>) -> Arc<Self> {
        Arc::new(Self { inner, permits: Semaphore::new(0), entered: Semaphore::new(0) })
    }

    fn open(&self) {
        self.permits.add_permits(1_000);
    }

    /// Waits for the n-th write to arrive.
    async fn entered(&self, writes: u32) {
        drop(self.entered.acquire_many(writes).await.unwrap());
    }
}

#[async_trait]
impl FileSink for Gate {
    fn lane(&self) -> String {
        self.inner.lane()
    }
    async fn held(
        &self,
        cycle: &Cycle<'_>,
        record: &str,
        each: &mut (dyn FnMut(HeldFile) + Send),
    ) -> Result<ReadBack, SinkError> {
        self.inner.held(cycle, record, each).await
    }
    async fn read(&self, cycle: &Cycle<'_>, record: &str, path: &str) -> Result<Option<Vec<u8>>, SinkError> {
        self.inner.read(cycle, record, path).await
    }
    async fn apply(&self, lane: Vec<(Cycle<'_>, FileBatch)>) -> Vec<Result<Receipt, SinkError>> {
        self.entered.add_permits(1);
        let all_cancelled = async {
            for (cycle, _) in &lane {
                cycle.cancel.cancelled().await;
            }
        };
        tokio::select! {
            permit = self.permits.acquire() => permit.unwrap().forget(),
            () = all_cancelled => {}
        }
        self.inner.apply(lane).await
    }
    async fn forget(&self, cycle: &Cycle<'_>, batch: FileBatch) -> Result<Receipt, SinkError> {
        self.inner.forget(cycle, batch).await
    }
    async fn probe(&self, cancel: &CancellationToken) -> Result<Probe, SinkError> {
        self.inner.probe(cancel).await
    }
}

//! Simulation of references that are added and removed: the exporter itself, with bindings that are set, left and
//! removed while their cycles and removals run.
//!
//! One thread and no faults that take time, so a seed takes milliseconds. Two of the bindings belong to one inventory
//! and one destination; a caller may poll the future of a removal late, as a spawned task.

use super::cluster::Cluster;
use super::report::SimFailure;
use fastrand::Rng;
use futures_util::future::BoxFuture;
use kollect_export::testing::MemoryRows;
use kollect_export::testing::{Faulty, SinkFault};
use kollect_export::{
    AlwaysWrite, BindingId, BindingSpec, BindingState, ExportSettings, Exporter, Family, InventoryKey, Outcome,
    Receipt, Removal, Reporter, Sink, SinkError, SinkKey,
};
use kollect_store::{Store, View};
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Longest time until a seed is idle, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

struct SilentReporter;

impl Reporter for SilentReporter {
    fn outcome(&self, _: &Outcome) {}
}

/// One reference: its binding, and whether the inventory has it.
struct Reference {
    spec: BindingSpec,
    rows: Arc<MemoryRows>,
    is_bound: bool,
}

type Removed = BoxFuture<'static, Result<Receipt, SinkError>>;

struct ReferenceSimulation {
    random: Rng,
    store: Arc<Store>,
    cluster: Cluster,
    exporter: Arc<Exporter>,
    faults: Vec<Arc<Faulty<MemoryRows>>>,
    references: Vec<Reference>,
    /// Removals whose futures are not polled yet.
    late: Vec<(usize, Removed)>,
}

/// Plays every seed, each in a run time of its own.
pub fn run_references(seeds: Range<u64>) -> Result<u64, SimFailure> {
    let count = seeds.end - seeds.start;
    for seed in seeds {
        let failure = |what: String| SimFailure { seed, step: 0, what };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let runtime = runtime.map_err(|error| failure(error.to_string()))?;
        runtime.block_on(play(seed)).map_err(failure)?;
    }
    Ok(count)
}

async fn play(seed: u64) -> Result<(), String> {
    let mut simulation = ReferenceSimulation::new(seed);
    for _ in 0..simulation.random.usize(10..60) {
        simulation.act();
        for _ in 0..simulation.random.usize(..6) {
            tokio::task::yield_now().await;
        }
    }
    simulation.settle().await
}

fn reference(
    sink: Arc<Faulty<MemoryRows>>,
    rows: Arc<MemoryRows>,
    view: &View,
    inventory: &str,
    name: &str,
) -> Reference {
    let spec = BindingSpec {
        id: BindingId {
            inventory: InventoryKey { namespace: "sim".into(), name: inventory.into() },
            sink: SinkKey { family: Family::Database, namespace: "sim".into(), name: name.into() },
        },
        view: view.clone(),
        sink: Sink::Rows(sink),
        min_interval: Duration::ZERO,
        config_version: 1,
        document: None,
        cluster: "".into(),
        sink_type: "memory",
        destination: "memory".to_owned(),
    };
    Reference { spec, rows, is_bound: false }
}

impl ReferenceSimulation {
    fn new(seed: u64) -> Self {
        let mut random = Rng::with_seed(seed);
        let (store, mut cluster) = (Arc::new(Store::new()), Cluster::new());
        for _ in 0..6 {
            cluster.live(&mut random);
        }
        cluster.boot(&store);
        cluster.catch_up(&store);
        let view = View::of(cluster.targets.iter().map(|target| target.key.clone()).collect());
        let settings = ExportSettings::default();
        let exporter = Exporter::new(store.clone(), Arc::new(AlwaysWrite), settings, Arc::new(SilentReporter));
        exporter.start();
        let shared = Arc::new(MemoryRows::default());
        // Each reference has its own client of the same destination.
        let faults: Vec<_> = (0..3).map(|_| Arc::new(Faulty::new(shared.clone()))).collect();
        let named = [("one", "a"), ("one", "b"), ("other", "a")].into_iter().zip(&faults);
        let references =
            named.map(|((of, name), sink)| reference(sink.clone(), shared.clone(), &view, of, name)).collect();
        Self { random, store, cluster, exporter, faults, references, late: Vec::new() }
    }

    fn act(&mut self) {
        let at = self.random.usize(..self.references.len());
        match self.random.u8(..10) {
            0..3 => {
                self.cluster.live(&mut self.random);
                self.cluster.catch_up(&self.store);
            }
            3..5 => self.bind(at),
            // The Secret of the sink is read again: the binding is suspended for a moment.
            5..7 if self.references[at].is_bound => {
                let left = self.exporter.remove_binding(&self.references[at].spec.id, Removal::Leave);
                self.late.push((at, Box::pin(left)));
                if self.random.bool() {
                    self.bind(at);
                } else {
                    self.references[at].is_bound = false;
                }
            }
            7 if self.references[at].is_bound => self.forget(at),
            8 => self.faults[at].faults.plan(&[SinkFault::Terminal]),
            _ => self.late.clear(),
        }
    }

    fn bind(&mut self, at: usize) {
        let reference = &mut self.references[at];
        reference.is_bound = true;
        reference.spec.config_version += u64::from(self.random.u8(..4) == 0);
        self.exporter.set_binding(reference.spec.clone());
    }

    /// The reference leaves the spec.
    fn forget(&mut self, at: usize) {
        self.references[at].is_bound = false;
        let removed = self.exporter.remove_binding(&self.references[at].spec.id, Removal::Forget);
        self.late.push((at, Box::pin(removed)));
    }

    /// Every removal ends, no fault is left, and a failed sink is repaired: destinations with a binding equal the view.
    async fn settle(&mut self) -> Result<(), String> {
        for (_, removed) in std::mem::take(&mut self.late) {
            // A failed removal is repeated below.
            let _ = tokio::time::timeout(PATIENCE, removed).await;
        }
        for sink in &self.faults {
            while sink.faults.next().is_some() {}
        }
        let until = Instant::now() + PATIENCE;
        while let Err(what) = self.compare() {
            if Instant::now() > until {
                return Err(what);
            }
            for reference in &self.references {
                self.exporter.probe_passed(&reference.spec.id.sink);
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        self.exporter.stop(Duration::ZERO).await;
        Ok(())
    }

    fn compare(&self) -> Result<(), String> {
        for Reference { spec, rows, is_bound } in &self.references {
            if self.exporter.status(&spec.id).is_some() != *is_bound {
                return Err(format!("{} is bound: {is_bound}, and the exporter does not agree", spec.id));
            }
            let others =
                self.references.iter().any(|other| other.is_bound && other.spec.id.inventory == spec.id.inventory);
            let (held, wanted) = (rows.rows(&spec.id.inventory), self.store.snapshot(&spec.view));
            let equal = held.len() == wanted.len()
                && wanted.iter().all(|row| held.get(&row.id).is_some_and(|known| known.digest == row.digest));
            if others && !equal {
                let state = self.exporter.status(&spec.id).map(|status| status.state);
                return Err(format!(
                    "{} has {} rows of {}, bound {is_bound}: {state:?}",
                    spec.id,
                    held.len(),
                    wanted.len()
                ));
            }
            if *is_bound && !matches!(self.exporter.status(&spec.id).map(|s| s.state), Some(BindingState::Exported)) {
                return Err(format!("{} does not come to rest", spec.id));
            }
        }
        Ok(())
    }
}

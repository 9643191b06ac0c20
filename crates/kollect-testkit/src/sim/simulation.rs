//! One seed: random steps, then no more changes or faults, then every sink must equal its view.

use super::cluster::{Cluster, NAMESPACES, TARGETS};
use super::files::SimulatedFiles;
use super::report::{Planted, SimFailure, SimReport};
use super::rows::SimulatedRows;
use super::selection::{Selection, expected, may_go, view};
use super::simulated_binding::{SimStep, SimulatedBinding};
use fastrand::Rng;
use kollect_export::Moment;
use kollect_export::layout::{Mode, TemplateError};
use kollect_model::RowId;
use kollect_store::{Dedupe, Store, View};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

struct Simulation {
    random: Rng,
    now: Moment,
    step: u64,
    store: Store,
    cluster: Cluster,
    selections: Vec<Selection>,
    /// By binding: selections for which a request in flight may have been decided.
    earlier: Vec<Vec<Selection>>,
    bindings: [Box<dyn SimulatedBinding>; BINDINGS],
    /// By binding: the store reported a change that was not passed on to the binding yet.
    woken: Vec<bool>,
    planted: Planted,
    /// By binding: rows that could be deleted at some moment since the request in flight was decided.
    excused: Vec<BTreeSet<RowId>>,
    report: SimReport,
}

/// Two row bindings and two file bindings.
const BINDINGS: usize = 4;

/// Dice from here on only advance the time.
const TIME_ONLY: u8 = 94;

/// Plays one seed.
pub(super) fn play(seed: u64, planted: Planted) -> Result<SimReport, SimFailure> {
    let failure = |step, what| SimFailure { seed, step, what };
    let mut simulation = Simulation::new(seed, planted).map_err(|error| failure(0, error.to_string()))?;
    match simulation.run() {
        Ok(()) => Ok(simulation.summary()),
        Err(what) => Err(failure(simulation.step, what)),
    }
}

impl Simulation {
    fn new(seed: u64, planted: Planted) -> Result<Self, TemplateError> {
        let mut random = Rng::with_seed(seed);
        let store = Store::new();
        let mut cluster = Cluster::new();
        for _ in 0..random.usize(..15) {
            cluster.live(&mut random);
        }
        cluster.boot(&store);
        let selection = |dedupe| Selection { targets: [true; TARGETS], namespaces: None, dedupe };
        if random.bool() {
            cluster.list_all(&store);
        }
        let selections: Vec<Selection> =
            [Dedupe::KeepAll, Dedupe::ByResourceUid, Dedupe::KeepAll, Dedupe::ByResourceUid].map(selection).into();
        let views: Vec<View> = selections.iter().map(|selection| view(&cluster, selection)).collect();
        let bindings: [Box<dyn SimulatedBinding>; BINDINGS] = [
            Box::new(SimulatedRows::new(&store, &views[0], Duration::ZERO, planted)),
            Box::new(SimulatedRows::new(&store, &views[1], Duration::from_secs(1), planted)),
            Box::new(SimulatedFiles::new(&store, &views[2], Mode::PerResource)?),
            Box::new(SimulatedFiles::new(&store, &views[3], Mode::Document)?),
        ];
        Ok(Self {
            random,
            now: Duration::ZERO,
            step: 0,
            store,
            cluster,
            selections,
            earlier: vec![Vec::new(); BINDINGS],
            bindings,
            woken: vec![false; BINDINGS],
            planted,
            excused: vec![BTreeSet::new(); BINDINGS],
            report: SimReport::default(),
        })
    }

    fn run(&mut self) -> Result<(), String> {
        for _ in 0..self.random.u64(30..110) {
            self.step += 1;
            self.act()?;
        }
        self.settle()
    }

    fn act(&mut self) -> Result<(), String> {
        self.excuse();
        let (target, namespace) = (self.random.usize(..TARGETS), self.random.usize(..NAMESPACES.len()));
        let dice = self.random.u8(..100);
        match dice {
            0..30 => self.cluster.live(&mut self.random),
            30..60 => drop(self.cluster.deliver(&self.store, target, namespace)),
            60..80 => self.cluster.list(&self.store, target, namespace),
            80..85 => self.cluster.deny(&self.store, target, namespace),
            85..89 => self.relabel(),
            89 => self.cluster.stop_or_go(&self.store, target, self.random.bool()),
            90 => {
                let wants = std::array::from_fn(|_| self.random.u8(..3) > 0);
                self.cluster.want(&self.store, target, wants);
            }
            91 => {
                self.cluster.toggle(&self.store, target);
                self.show_views();
            }
            92 => self.crash()?,
            93 => self.tamper(),
            TIME_ONLY.. => self.now += Duration::from_millis(self.random.u64(..3_000)),
        }
        self.excuse();
        // A wakeup without a change is harmless.
        if dice < TIME_ONLY {
            self.woken.fill(true);
        }
        for _ in 0..self.random.usize(..8) {
            self.drive(true)?;
        }
        Ok(())
    }

    fn drive(&mut self, faults: bool) -> Result<(), String> {
        let at = self.random.usize(..self.bindings.len());
        self.now += Duration::from_millis(self.random.u64(..150));
        self.drive_one(at, faults)
    }

    fn drive_one(&mut self, at: usize, faults: bool) -> Result<(), String> {
        if !self.bindings[at].is_running() && std::mem::take(&mut self.woken[at]) {
            self.bindings[at].binding().changed(self.now);
        }
        let (selection, cluster, deletes) = (&self.selections[at], &self.cluster, &mut self.report.deletes);
        let (excused, earlier) = (&self.excused[at], &self.earlier[at]);
        let mut check = |id: &RowId| {
            *deletes += 1;
            let selections = earlier.iter().chain([selection]);
            if excused.contains(id) || selections.into_iter().any(|selection| may_go(cluster, selection, id)) {
                Ok(())
            } else {
                Err(format!("binding {at} deletes {id} without evidence that it is gone"))
            }
        };
        let step = SimStep { store: &self.store, now: self.now, random: &mut self.random, faults };
        self.bindings[at].step(step, &mut check)?;
        if !self.bindings[at].is_exposed() {
            self.excused[at].clear();
            self.earlier[at].clear();
        }
        Ok(())
    }

    /// A request in flight was decided earlier: a row that could be deleted at any moment since then may be deleted.
    fn excuse(&mut self) {
        for (at, binding) in self.bindings.iter().enumerate().filter(|(_, binding)| binding.is_exposed()) {
            let (excused, cluster, selection) = (&mut self.excused[at], &self.cluster, &self.selections[at]);
            binding.held(&mut |id, _| {
                if !excused.contains(id) && may_go(cluster, selection, id) {
                    excused.insert(id.clone());
                }
            });
        }
    }

    fn relabel(&mut self) {
        let at = self.random.usize(..self.selections.len());
        let random = &mut self.random;
        self.earlier[at].push(self.selections[at].clone());
        self.selections[at].targets = std::array::from_fn(|_| random.u8(..3) > 0);
        self.selections[at].namespaces = random.bool().then(|| std::array::from_fn(|_| random.u8(..3) > 0));
        self.show_views();
    }

    fn show_views(&mut self) {
        for (binding, selection) in self.bindings.iter_mut().zip(&self.selections) {
            binding.set_view(view(&self.cluster, selection), self.now);
        }
    }

    /// The process ends; one next process in three ends during its first lists.
    fn crash(&mut self) -> Result<(), String> {
        self.restart();
        if self.random.u8(..3) == 0 {
            let counts = self.planted == Planted::IncompleteListCounts;
            for part in 0..TARGETS * NAMESPACES.len() {
                let (target, namespace) = (part / NAMESPACES.len(), part % NAMESPACES.len());
                self.cluster.list_with_dead_workers(&self.store, target, namespace, counts);
            }
            for _ in 0..self.random.usize(..40) {
                self.drive(true)?;
            }
            self.restart();
        }
        Ok(())
    }

    fn restart(&mut self) {
        self.report.crashes += 1;
        self.store = Store::new();
        self.cluster.boot(&self.store);
        if self.random.bool() {
            self.cluster.list_all(&self.store);
        }
        for (binding, selection) in self.bindings.iter_mut().zip(&self.selections) {
            binding.crash(&self.store, &view(&self.cluster, selection), self.now);
        }
    }

    /// Another writer changes a sink, or the sink loses everything.
    fn tamper(&mut self) {
        let (at, kind, uid) = (self.random.usize(..self.bindings.len()), self.random.u8(..4), self.random.u64(..15));
        // A UID has one namespace, also for another writer; a UID above all others never existed.
        let known = self.cluster.evidence.get(&uid).map(|(namespace, _)| (uid, *namespace));
        let (foreign_uid, namespace) = known.unwrap_or((uid + 1_000, self.random.usize(..NAMESPACES.len())));
        let foreign = self.cluster.row(self.random.usize(..TARGETS), namespace, foreign_uid, 99);
        self.bindings[at].tamper(kind, uid, &foreign);
    }

    /// Without faults, and with every change delivered, every sink equals its view after some time.
    fn settle(&mut self) -> Result<(), String> {
        self.excuse();
        self.cluster.catch_up(&self.store);
        for binding in &mut self.bindings {
            if !binding.is_intact() {
                // Tampering is detected with the next change, and there is none.
                binding.binding().invalidate_cursor();
            }
            // A probe passes.
            binding.binding().backend_changed(self.now);
        }
        self.woken.fill(true);
        for at in 0..self.bindings.len() {
            let mut patience = 2_000;
            while self.woken[at] || !self.bindings[at].is_idle() {
                self.step += 1;
                self.now += Duration::from_secs(1);
                self.drive_one(at, false)?;
                patience -= 1;
                if patience == 0 {
                    return Err(format!("binding {at} does not come to rest"));
                }
            }
            self.compare(at)?;
        }
        Ok(())
    }

    fn compare(&mut self, at: usize) -> Result<(), String> {
        let wanted = expected(&self.cluster, &self.selections[at]);
        let mut held = BTreeMap::new();
        self.bindings[at].held(&mut |id, digest| held.extend([(id.clone(), digest)]));
        if self.bindings[at].may_be_stopped(&self.store) {
            self.report.refused += 1;
            return Ok(());
        }
        if held == wanted {
            return Ok(());
        }
        let missing: Vec<_> = wanted.iter().filter(|(id, digest)| held.get(id) != Some(*digest)).collect();
        let surplus: Vec<_> = held.keys().filter(|id| !wanted.contains_key(id)).collect();
        Err(format!("sink {at} is not its view: missing or old {missing:?}, surplus {surplus:?}"))
    }

    fn summary(&self) -> SimReport {
        let mut report = self.report;
        for binding in &self.bindings {
            let (cycles, comparisons) = binding.counts();
            report.cycles += cycles;
            report.comparisons += comparisons;
        }
        report
    }
}

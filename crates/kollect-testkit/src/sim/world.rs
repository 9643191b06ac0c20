//! One seed: random steps, then quiet, then the sinks must equal the views.

use super::cluster::{Cluster, NAMESPACES, TARGETS};
use super::drive::{Drive, Step};
use super::driver::Driver;
use super::files::FileDriver;
use super::{Failure, Planted, Report};
use fastrand::Rng;
use kollect_export::Moment;
use kollect_export::layout::{Mode, TemplateError};
use kollect_model::{Digest, RowId};
use kollect_store::{Dedupe, NamespaceFilter, Store, View};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// What an inventory asks for, in the words of the cluster.
#[derive(Clone, Debug)]
struct Wish {
    targets: [bool; TARGETS],
    namespaces: Option<[bool; NAMESPACES.len()]>,
    dedupe: Dedupe,
}

struct World {
    random: Rng,
    now: Moment,
    step: u64,
    store: Store,
    cluster: Cluster,
    wishes: Vec<Wish>,
    /// By driver: wishes that what is on its way may have been decided for.
    earlier: Vec<Vec<Wish>>,
    drivers: Vec<Box<dyn Drive>>,
    /// By driver: the store told of a change that the lane has not seen yet.
    woken: Vec<bool>,
    planted: Planted,
    /// By driver: rows that could go at some moment since what is on its way was decided.
    excused: Vec<BTreeSet<RowId>>,
    report: Report,
}

/// From here on the dice let time pass, and nothing else.
const TIME_ONLY: u8 = 94;

/// Plays one seed.
pub(super) fn play(seed: u64, planted: Planted) -> Result<Report, Failure> {
    let failure = |step, what| Failure { seed, step, what };
    let mut world = World::new(seed, planted).map_err(|error| failure(0, error.to_string()))?;
    match world.run() {
        Ok(()) => Ok(world.summary()),
        Err(what) => Err(failure(world.step, what)),
    }
}

impl World {
    fn new(seed: u64, planted: Planted) -> Result<Self, TemplateError> {
        let mut random = Rng::with_seed(seed);
        let store = Store::new();
        let mut cluster = Cluster::new();
        for _ in 0..random.usize(..15) {
            cluster.live(&mut random);
        }
        cluster.boot(&store);
        let wish = |dedupe| Wish { targets: [true; TARGETS], namespaces: None, dedupe };
        if random.bool() {
            cluster.list_all(&store);
        }
        let wishes: Vec<Wish> =
            [Dedupe::KeepAll, Dedupe::ByResourceUid, Dedupe::KeepAll, Dedupe::ByResourceUid].map(wish).into();
        let views: Vec<View> = wishes.iter().map(|wish| view(&cluster, wish)).collect();
        let drivers: Vec<Box<dyn Drive>> = vec![
            Box::new(Driver::new(&store, &views[0], Duration::ZERO, planted)),
            Box::new(Driver::new(&store, &views[1], Duration::from_secs(1), planted)),
            Box::new(FileDriver::new(&store, &views[2], Mode::PerResource)?),
            Box::new(FileDriver::new(&store, &views[3], Mode::Document)?),
        ];
        let bindings = drivers.len();
        Ok(Self {
            random,
            now: Duration::ZERO,
            step: 0,
            store,
            cluster,
            wishes,
            earlier: vec![Vec::new(); bindings],
            drivers,
            woken: vec![false; bindings],
            planted,
            excused: vec![BTreeSet::new(); bindings],
            report: Report::default(),
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
        // A wake without a change does no harm.
        if dice < TIME_ONLY {
            self.woken.fill(true);
        }
        for _ in 0..self.random.usize(..8) {
            self.drive(true)?;
        }
        Ok(())
    }

    fn drive(&mut self, faults: bool) -> Result<(), String> {
        let at = self.random.usize(..self.drivers.len());
        self.now += Duration::from_millis(self.random.u64(..150));
        self.drive_one(at, faults)
    }

    fn drive_one(&mut self, at: usize, faults: bool) -> Result<(), String> {
        if !self.drivers[at].is_running() && std::mem::take(&mut self.woken[at]) {
            self.drivers[at].binding().changed(self.now);
        }
        let (wish, cluster, deletes) = (&self.wishes[at], &self.cluster, &mut self.report.deletes);
        let (excused, earlier) = (&self.excused[at], &self.earlier[at]);
        let mut check = |id: &RowId| {
            *deletes += 1;
            let wishes = earlier.iter().chain([wish]);
            if excused.contains(id) || wishes.into_iter().any(|wish| may_go(cluster, wish, id)) {
                Ok(())
            } else {
                Err(format!("binding {at} deletes {id} without evidence that it is gone"))
            }
        };
        let step = Step { store: &self.store, now: self.now, random: &mut self.random, faults };
        self.drivers[at].step(step, &mut check)?;
        if !self.drivers[at].is_exposed() {
            self.excused[at].clear();
            self.earlier[at].clear();
        }
        Ok(())
    }

    /// What is on its way to a sink was decided earlier: a row that could go at any moment since then may go.
    fn excuse(&mut self) {
        for (at, driver) in self.drivers.iter().enumerate().filter(|(_, driver)| driver.is_exposed()) {
            let (excused, cluster, wish) = (&mut self.excused[at], &self.cluster, &self.wishes[at]);
            driver.held(&mut |id, _| {
                if !excused.contains(id) && may_go(cluster, wish, id) {
                    excused.insert(id.clone());
                }
            });
        }
    }

    fn relabel(&mut self) {
        let at = self.random.usize(..self.wishes.len());
        let random = &mut self.random;
        self.earlier[at].push(self.wishes[at].clone());
        self.wishes[at].targets = std::array::from_fn(|_| random.u8(..3) > 0);
        self.wishes[at].namespaces = random.bool().then(|| std::array::from_fn(|_| random.u8(..3) > 0));
        self.show_views();
    }

    fn show_views(&mut self) {
        for (driver, wish) in self.drivers.iter_mut().zip(&self.wishes) {
            driver.set_view(view(&self.cluster, wish), self.now);
        }
    }

    /// The process ends; now and then the next one does not live longer than its first lists.
    fn crash(&mut self) -> Result<(), String> {
        self.restart();
        if self.random.u8(..3) == 0 {
            let lies = self.planted == Planted::BarrierThatLies;
            for part in 0..TARGETS * NAMESPACES.len() {
                let (target, namespace) = (part / NAMESPACES.len(), part % NAMESPACES.len());
                self.cluster.list_with_dead_workers(&self.store, target, namespace, lies);
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
        for (driver, wish) in self.drivers.iter_mut().zip(&self.wishes) {
            driver.crash(&self.store, &view(&self.cluster, wish), self.now);
        }
    }

    /// Somebody else writes to a sink, or it loses everything.
    fn tamper(&mut self) {
        let (at, kind, uid) = (self.random.usize(..self.drivers.len()), self.random.u8(..4), self.random.u64(..15));
        // A UID has one namespace, also in the hands of somebody else; a UID above all others never existed.
        let known = self.cluster.evidence.get(&uid).map(|(namespace, _)| (uid, *namespace));
        let (foreign_uid, namespace) = known.unwrap_or((uid + 1_000, self.random.usize(..NAMESPACES.len())));
        let foreign = self.cluster.row(self.random.usize(..TARGETS), namespace, foreign_uid, 99);
        self.drivers[at].tamper(kind, uid, &foreign);
    }

    /// No more faults, everything is seen: after a while every sink equals its view.
    fn settle(&mut self) -> Result<(), String> {
        self.excuse();
        self.cluster.catch_up(&self.store);
        for driver in &mut self.drivers {
            if !driver.is_intact() {
                // Tampering is noticed with the next change; here nothing changes any more.
                driver.binding().doubt();
            }
            // A probe passes, and the last changes are seen.
            driver.binding().backend_changed(self.now);
        }
        self.woken.fill(true);
        for at in 0..self.drivers.len() {
            let mut patience = 2_000;
            while self.woken[at] || !self.drivers[at].is_idle() {
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
        let wanted = expected(&self.cluster, &self.wishes[at]);
        let mut held = BTreeMap::new();
        self.drivers[at].held(&mut |id, digest| held.extend([(id.clone(), digest)]));
        if self.drivers[at].may_stand_still(&self.store) {
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

    fn summary(&self) -> Report {
        let mut report = self.report;
        for driver in &self.drivers {
            let (cycles, comparisons) = driver.counts();
            report.cycles += cycles;
            report.comparisons += comparisons;
        }
        report
    }
}

/// The view that control makes of an inventory: its targets that exist.
fn view(cluster: &Cluster, wish: &Wish) -> View {
    let targets = cluster.targets.iter().zip(wish.targets).filter(|(target, wanted)| target.exists && *wanted);
    let filter = match wish.namespaces {
        None => NamespaceFilter::All,
        Some(wanted) => {
            let names: BTreeSet<Arc<str>> =
                NAMESPACES.iter().zip(wanted).filter(|(_, wanted)| *wanted).map(|(name, _)| Arc::from(*name)).collect();
            NamespaceFilter::Only(Arc::new(names))
        }
    };
    View::new(targets.map(|(target, _)| target.key.clone()).collect(), filter, wish.dedupe)
}

fn in_view(cluster: &Cluster, wish: &Wish, target: usize, namespace: usize) -> bool {
    wish.targets[target]
        && wish.namespaces.is_none_or(|wanted| wanted[namespace])
        && cluster.is_wanted(target, namespace)
}

/// A row may leave a sink only if its part is not in the view, or the latest evidence says that the row is gone, or a
/// later target has the same object and the inventory wants it once.
fn may_go(cluster: &Cluster, wish: &Wish, id: &RowId) -> bool {
    let uid = id.uid.to_string().parse().unwrap_or_default();
    let (Some(target), Some((namespace, exists))) = (cluster.target_of(&id.target), cluster.evidence.get(&uid)) else {
        return true;
    };
    let visible = |target: usize| exists[target] && in_view(cluster, wish, target, *namespace);
    let loses = wish.dedupe == Dedupe::ByResourceUid && (target + 1..TARGETS).any(visible);
    !visible(target) || loses
}

/// The rows of an inventory by the cluster alone.
fn expected(cluster: &Cluster, wish: &Wish) -> BTreeMap<RowId, Digest> {
    let mut rows = BTreeMap::new();
    for (uid, object) in &cluster.objects {
        let mut members =
            (0..TARGETS).filter(|target| object.matches[*target] && in_view(cluster, wish, *target, object.namespace));
        let members: Vec<usize> = match wish.dedupe {
            Dedupe::KeepAll => members.collect(),
            Dedupe::ByResourceUid => members.next_back().into_iter().collect(),
        };
        for target in members {
            let row = cluster.row(target, object.namespace, *uid, object.value);
            rows.insert(row.id.clone(), row.digest);
        }
    }
    rows
}

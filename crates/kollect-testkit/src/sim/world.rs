//! One seed: random steps, then quiet, then the sinks must equal the views.

use super::cluster::{Cluster, NAMESPACES, TARGETS};
use super::driver::Driver;
use super::{Failure, Planted, Report};
use fastrand::Rng;
use kollect_export::memory::StoredRow;
use kollect_export::{Moment, RowBatch};
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
    drivers: Vec<Driver>,
    /// By driver: rows that could go at some moment since what is on its way was decided.
    excused: Vec<BTreeSet<RowId>>,
    report: Report,
}

/// Plays one seed.
pub(super) fn play(seed: u64, planted: Planted) -> Result<Report, Failure> {
    let mut world = World::new(seed, planted);
    match world.run() {
        Ok(()) => Ok(world.summary()),
        Err(what) => Err(Failure { seed, step: world.step, what }),
    }
}

impl World {
    fn new(seed: u64, planted: Planted) -> Self {
        let mut random = Rng::with_seed(seed);
        let store = Store::new();
        let mut cluster = Cluster::new();
        for _ in 0..random.usize(..15) {
            cluster.live(&mut random);
        }
        cluster.boot(&store);
        let wish = |dedupe| Wish { targets: [true; TARGETS], namespaces: None, dedupe };
        let wishes = vec![wish(Dedupe::KeepAll), wish(Dedupe::ByResourceUid)];
        let intervals = [Duration::ZERO, Duration::from_secs(1)];
        let views = wishes.iter().map(|wish| view(&cluster, wish));
        let drivers =
            views.zip(intervals).map(|(view, interval)| Driver::new(&store, &view, interval, planted)).collect();
        let (earlier, excused, report) = (vec![Vec::new(); 2], vec![BTreeSet::new(); 2], Report::default());
        Self { random, now: Duration::ZERO, step: 0, store, cluster, wishes, earlier, drivers, excused, report }
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
        match self.random.u8(..100) {
            0..30 => self.cluster.live(&mut self.random),
            30..60 => drop(self.cluster.deliver(&self.store, target, namespace)),
            60..80 => self.cluster.list(&self.store, target, namespace),
            80..85 => self.cluster.deny(&self.store, target, namespace),
            85..89 => self.relabel(),
            89..91 => {
                let wants = std::array::from_fn(|_| self.random.u8(..3) > 0);
                self.cluster.want(&self.store, target, wants);
            }
            91 => {
                self.cluster.toggle(&self.store, target);
                self.show_views();
            }
            92 => self.crash(),
            93 => self.tamper(),
            _ => self.now += Duration::from_millis(self.random.u64(..3_000)),
        }
        self.excuse();
        // Bindings hear of every change; a wake without one does no harm.
        for driver in &mut self.drivers {
            driver.binding.changed(self.now);
        }
        for _ in 0..self.random.usize(..5) {
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
        let (wish, cluster, deletes) = (&self.wishes[at], &self.cluster, &mut self.report.deletes);
        let (excused, earlier) = (&self.excused[at], &self.earlier[at]);
        let mut check = |id: &RowId| {
            *deletes += 1;
            let wishes = earlier.iter().chain([wish]);
            if excused.contains(id) || wishes.into_iter().any(|wish| may_go(cluster, wish, id)) {
                Ok(())
            } else {
                Err(format!("deletes {id} without evidence that it is gone"))
            }
        };
        self.drivers[at].step(&self.store, self.now, &mut self.random, faults, &mut check)?;
        if !self.drivers[at].is_exposed() {
            self.excused[at].clear();
            self.earlier[at].clear();
        }
        Ok(())
    }

    /// What is on its way to a sink was decided earlier: a row that could go at any moment since then may go.
    fn excuse(&mut self) {
        for (at, driver) in self.drivers.iter().enumerate().filter(|(_, driver)| driver.is_exposed()) {
            let rows = driver.sink.rows(&driver.of);
            let going = rows.into_keys().filter(|id| may_go(&self.cluster, &self.wishes[at], id));
            self.excused[at].extend(going);
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

    fn crash(&mut self) {
        self.report.crashes += 1;
        self.store = Store::new();
        self.cluster.boot(&self.store);
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
        let (sink, of) = (&self.drivers[at].sink, &self.drivers[at].of);
        if kind == 0 {
            sink.wipe();
            return;
        }
        sink.apply_now(of, RowBatch::default());
        sink.tamper(of, |rows| match rows.keys().nth(usize::try_from(uid).unwrap_or_default()).cloned() {
            Some(id) if kind == 1 => drop(rows.remove(&id)),
            Some(id) => drop(rows.get_mut(&id).map(|row| row.digest = Digest([7; 16]))),
            None => drop(rows.insert(foreign.id.clone(), StoredRow::of(&foreign))),
        });
    }

    /// No more faults, everything is seen: after a while every sink equals its view.
    fn settle(&mut self) -> Result<(), String> {
        self.excuse();
        self.cluster.catch_up(&self.store);
        for driver in &mut self.drivers {
            if !driver.sink.intact_now(&driver.of) {
                // Tampering is noticed with the next change; here nothing changes any more.
                driver.binding.doubt();
            }
            driver.binding.changed(self.now);
        }
        for at in 0..self.drivers.len() {
            let mut patience = 2_000;
            while !self.drivers[at].is_idle() {
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

    fn compare(&self, at: usize) -> Result<(), String> {
        let wanted = expected(&self.cluster, &self.wishes[at]);
        let Driver { sink, of, .. } = &self.drivers[at];
        let held: BTreeMap<RowId, Digest> = sink.rows(of).into_iter().map(|(id, row)| (id, row.digest)).collect();
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
            report.cycles += driver.cycles;
            report.comparisons += driver.comparisons;
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

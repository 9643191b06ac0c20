//! The simulated cluster and its collector.
//!
//! Objects exist independently of the process. The collector passes events to the store, late and with gaps. The
//! evidence of all processes is kept beside the store: a row may be deleted from a sink only after evidence.

use fastrand::Rng;
use kollect_model::{Cause, Gvk, ObjectKey, Row, RowId, TargetKey, Uid};
use kollect_store::{Coverage, Store, WantedParts};
use serde_json::value::RawValue;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

pub(super) const TARGETS: usize = 4;
/// The last one is for objects without a namespace.
pub(super) const NAMESPACES: [&str; 4] = ["one", "two", "three", ""];
/// The target whose kind is cluster-scoped, and the namespace of its objects.
const CLUSTER: usize = 3;

/// Whether a target can have objects of the namespace at all.
fn fits(target: usize, namespace: usize) -> bool {
    (target == CLUSTER) == (namespace == CLUSTER)
}

/// One object: its namespace, its content, and which targets it matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Object {
    pub(super) namespace: usize,
    pub(super) value: u64,
    pub(super) matches: [bool; TARGETS],
}

/// How the collector is connected to one part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Link {
    Pending,
    Live,
    Denied,
}

#[derive(Debug)]
struct Watch {
    link: Link,
    /// Events that the cluster has sent and the collector has not yet seen: the object's content, if it still matches.
    events: VecDeque<(u64, Option<u64>)>,
}

/// A target as in its spec.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) key: Arc<TargetKey>,
    /// It exists.
    pub(super) exists: bool,
    /// Which namespaces it wants.
    pub(super) wants: [bool; NAMESPACES.len()],
    /// Why nothing of it can be collected.
    stop: Option<Stop>,
    /// What its spec wants since it was stopped.
    edited: Option<[bool; NAMESPACES.len()]>,
}

/// Why nothing of a target can be collected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    /// Its profile is missing, or the planner does not guess the scope of a kind that is not served.
    Unknowable,
    /// The kind is not served, and the planner takes it for one with namespaces.
    GuessedNamespaces,
}

pub(super) struct Cluster {
    pub(super) objects: BTreeMap<u64, Object>,
    pub(super) targets: Vec<Target>,
    /// By UID: its namespace, and the targets for which the row exists by the latest evidence.
    pub(super) evidence: BTreeMap<u64, (usize, [bool; TARGETS])>,
    watches: Vec<Watch>,
    namespaces: Vec<Arc<str>>,
    gvk: Arc<Gvk>,
    next_uid: u64,
}

impl Cluster {
    pub(super) fn new() -> Self {
        let target = |at: usize| Target {
            key: Arc::new(TargetKey::namespaced("shop", &format!("t{at}"))),
            exists: true,
            wants: std::array::from_fn(|namespace| fits(at, namespace)),
            stop: None,
            edited: None,
        };
        Self {
            objects: BTreeMap::new(),
            targets: (0..TARGETS).map(target).collect(),
            evidence: BTreeMap::new(),
            watches: (0..TARGETS * NAMESPACES.len()).map(|_| new_watch()).collect(),
            namespaces: NAMESPACES.iter().map(|name| Arc::from(*name)).collect(),
            gvk: Arc::new(Gvk::new("", "v1", "ConfigMap")),
            next_uid: 0,
        }
    }

    /// A process starts: nothing is known to its store but the specs.
    pub(super) fn boot(&mut self, store: &Store) {
        self.watches = (0..TARGETS * NAMESPACES.len()).map(|_| new_watch()).collect();
        for at in 0..TARGETS {
            if self.targets[at].exists {
                store.ensure_target(&self.targets[at].key);
                self.place(store, at);
            }
        }
    }

    /// Passes the plan of a target to the store.
    fn place(&self, store: &Store, at: usize) {
        let key = &self.targets[at].key;
        store.set_wanted(key, self.wanted(at));
        if self.targets[at].stop == Some(Stop::GuessedNamespaces) {
            for namespace in &self.namespaces[..CLUSTER] {
                store.set_coverage(key, namespace, Coverage::Lost("not served".into()));
            }
        }
    }

    /// A target can be collected no longer, or again: its profile, or its kind.
    pub(super) fn stop_or_go(&mut self, store: &Store, target: usize, guess: bool) {
        if !self.targets[target].exists {
            return;
        }
        let stop = if guess && target == CLUSTER { Stop::GuessedNamespaces } else { Stop::Unknowable };
        let before = self.targets[target].stop;
        self.targets[target].stop = if before.is_some() { None } else { Some(stop) };
        if let Some(wants) = self.targets[target].edited.take() {
            self.want(store, target, wants);
        }
        for namespace in 0..NAMESPACES.len() {
            self.watches[target * NAMESPACES.len() + namespace] = new_watch();
        }
        self.place(store, target);
    }

    /// Something happens to an object.
    pub(super) fn live(&mut self, random: &mut Rng) {
        let uids: Vec<u64> = self.objects.keys().copied().collect();
        let uid = if uids.is_empty() || (uids.len() < 12 && random.u8(..3) == 0) {
            self.next_uid += 1;
            self.next_uid
        } else {
            uids[random.usize(..uids.len())]
        };
        let known = self.objects.get(&uid).copied();
        let namespace = known.map_or_else(|| random.usize(..NAMESPACES.len()), |object| object.namespace);
        let object = match random.u8(..4) {
            0 if known.is_some() => None,
            1 => {
                let matches = std::array::from_fn(|target| random.bool() && fits(target, namespace));
                Some(Object { namespace, value: known.map_or(0, |object| object.value), matches })
            }
            _ => {
                let likely = |random: &mut Rng, target| random.u8(..3) > 0 && fits(target, namespace);
                let matches =
                    known.map_or_else(|| std::array::from_fn(|target| likely(random, target)), |object| object.matches);
                Some(Object { namespace, value: random.u64(..5), matches })
            }
        };
        match object {
            Some(object) => drop(self.objects.insert(uid, object)),
            None => drop(self.objects.remove(&uid)),
        }
        for target in 0..TARGETS {
            let watch = &mut self.watches[target * NAMESPACES.len() + namespace];
            if watch.link == Link::Live {
                let seen = object.filter(|object| object.matches[target]).map(|object| object.value);
                watch.events.push_back((uid, seen));
            }
        }
    }

    /// The collector sees the oldest event of a part. `false` when there was none.
    pub(super) fn deliver(&mut self, store: &Store, target: usize, namespace: usize) -> bool {
        let watch = &mut self.watches[target * NAMESPACES.len() + namespace];
        let Some((uid, seen)) = watch.events.pop_front() else { return false };
        if let Some(value) = seen {
            store.upsert(self.row(target, namespace, uid, value));
        } else {
            store.remove(&self.targets[target].key, &uid_of(uid), Cause::Observed);
        }
        self.note(target, namespace, uid, seen.is_some());
        true
    }

    /// Access to a part is lost; what happens there now is not seen.
    pub(super) fn deny(&mut self, store: &Store, target: usize, namespace: usize) {
        if self.is_collected(target, namespace) {
            self.watches[target * NAMESPACES.len() + namespace] = Watch { link: Link::Denied, ..new_watch() };
            store.set_coverage(&self.targets[target].key, NAMESPACES[namespace], Coverage::Lost("forbidden".into()));
        }
    }

    /// A part is listed completely: at the start, after a gap, after access came back.
    pub(super) fn list(&mut self, store: &Store, target: usize, namespace: usize) {
        if !self.is_collected(target, namespace) {
            return;
        }
        let found = self.found(target, namespace);
        self.disprove_part(target, namespace);
        for (uid, value) in &found {
            store.upsert(self.row(target, namespace, *uid, *value));
            self.note(target, namespace, *uid, true);
        }
        let seen: BTreeSet<Uid> = found.iter().map(|(uid, _)| uid_of(*uid)).collect();
        store.complete_list(&self.targets[target].key, Some(NAMESPACES[namespace]), &|uid| seen.contains(uid));
        self.watches[target * NAMESPACES.len() + namespace] = Watch { link: Link::Live, ..new_watch() };
    }

    /// A first list during which workers end: some objects make no row. `complete`: the list counts as complete.
    pub(super) fn list_with_dead_workers(&mut self, store: &Store, target: usize, namespace: usize, complete: bool) {
        let at = target * NAMESPACES.len() + namespace;
        if !self.is_collected(target, namespace) || self.watches[at].link != Link::Pending {
            return;
        }
        let found = self.found(target, namespace);
        for (uid, value) in found.iter().step_by(2) {
            store.upsert(self.row(target, namespace, *uid, *value));
            self.note(target, namespace, *uid, true);
        }
        if complete {
            let seen: BTreeSet<Uid> = found.iter().map(|(uid, _)| uid_of(*uid)).collect();
            store.complete_list(&self.targets[target].key, Some(NAMESPACES[namespace]), &|uid| seen.contains(uid));
        }
    }

    /// Every part that can be collected is listed.
    pub(super) fn list_all(&mut self, store: &Store) {
        for part in 0..TARGETS * NAMESPACES.len() {
            self.list(store, part / NAMESPACES.len(), part % NAMESPACES.len());
        }
    }

    fn found(&self, target: usize, namespace: usize) -> Vec<(u64, u64)> {
        self.objects
            .iter()
            .filter(|(_, object)| object.namespace == namespace && object.matches[target])
            .map(|(uid, object)| (*uid, object.value))
            .collect()
    }

    /// The spec of a target asks for other namespaces.
    pub(super) fn want(&mut self, store: &Store, target: usize, wants: [bool; NAMESPACES.len()]) {
        if !self.targets[target].exists {
            return;
        }
        let wants = std::array::from_fn(|namespace| fits(target, namespace) && (target == CLUSTER || wants[namespace]));
        if self.targets[target].stop == Some(Stop::Unknowable) {
            // What a target that cannot be collected has stays as it is; the edit applies when it can be collected again.
            self.targets[target].edited = Some(wants);
            return;
        }
        self.targets[target].wants = wants;
        for namespace in (0..NAMESPACES.len()).filter(|namespace| !wants[*namespace]) {
            self.forget_part(target, namespace);
        }
        self.place(store, target);
    }

    /// A target is deleted, or comes back.
    pub(super) fn toggle(&mut self, store: &Store, target: usize) {
        let exists = !self.targets[target].exists;
        self.targets[target].exists = exists;
        let key = self.targets[target].key.clone();
        if exists {
            store.ensure_target(&key);
            self.place(store, target);
        } else {
            for namespace in 0..NAMESPACES.len() {
                self.forget_part(target, namespace);
            }
            store.remove_target(&key);
        }
    }

    /// Everything is seen: no access is missing, no event is late.
    pub(super) fn catch_up(&mut self, store: &Store) {
        for target in 0..TARGETS {
            if self.targets[target].stop.is_some() {
                self.stop_or_go(store, target, false);
            }
            for namespace in 0..NAMESPACES.len() {
                if self.watches[target * NAMESPACES.len() + namespace].link == Link::Live {
                    while self.deliver(store, target, namespace) {}
                } else {
                    self.list(store, target, namespace);
                }
            }
        }
    }

    /// Whether the collector is at work on the part.
    fn is_collected(&self, target: usize, namespace: usize) -> bool {
        self.is_wanted(target, namespace) && self.targets[target].stop.is_none()
    }

    /// Whether target and namespace are what some spec asks for.
    pub(super) fn is_wanted(&self, target: usize, namespace: usize) -> bool {
        self.targets[target].exists && self.targets[target].wants[namespace]
    }

    pub(super) fn row(&self, target: usize, namespace: usize, uid: u64, value: u64) -> Row {
        let id = RowId { target: self.targets[target].key.clone(), uid: uid_of(uid) };
        let object = ObjectKey {
            gvk: self.gvk.clone(),
            namespace: self.namespaces[namespace].clone(),
            name: format!("cm-{uid}").into(),
        };
        let attributes = RawValue::from_string(format!("{{\"v\":{value}}}")).unwrap_or_default();
        Row::new(id, object, attributes)
    }

    pub(super) fn target_of(&self, key: &TargetKey) -> Option<usize> {
        self.targets.iter().position(|target| *target.key == *key)
    }

    fn note(&mut self, target: usize, namespace: usize, uid: u64, exists: bool) {
        self.evidence.entry(uid).or_insert((namespace, [false; TARGETS])).1[target] = exists;
    }

    fn disprove_part(&mut self, target: usize, namespace: usize) {
        for (of, targets) in self.evidence.values_mut() {
            targets[target] &= *of != namespace;
        }
    }

    fn forget_part(&mut self, target: usize, namespace: usize) {
        self.watches[target * NAMESPACES.len() + namespace] = new_watch();
        self.disprove_part(target, namespace);
    }

    fn wanted(&self, target: usize) -> WantedParts {
        match self.targets[target].stop {
            Some(Stop::Unknowable) => return WantedParts::Unknowable("it cannot be collected".into()),
            Some(Stop::GuessedNamespaces) => {
                return WantedParts::Namespaces(Arc::new(self.namespaces[..CLUSTER].iter().cloned().collect()));
            }
            None if target == CLUSTER => return WantedParts::ClusterScoped,
            None => {}
        }
        let wants = &self.targets[target].wants;
        let names = self.namespaces.iter().zip(wants).filter(|(_, wants)| **wants).map(|(name, _)| name.clone());
        WantedParts::Namespaces(Arc::new(names.collect()))
    }
}

fn new_watch() -> Watch {
    Watch { link: Link::Pending, events: VecDeque::new() }
}

pub(super) fn uid_of(uid: u64) -> Uid {
    Uid::Text(uid.to_string().into())
}

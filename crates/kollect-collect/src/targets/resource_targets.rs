//! The targets of one resource, as readers and workers see them.
//!
//! Separate because it is where the planner and the watches meet: a watch must list again what a target has not seen yet,
//! and may call a part complete only if its list began after the target wanted it. Epochs decide that. One short lock per
//! resource; it must never be held over an `await`.

use crate::failures::Failures;
use crate::plan::{Gvr, NAMESPACE_WATCHES, Reach};
use crate::receiver::Need;
use crate::target::{TargetSpec, WantedNamespaces};
use kollect_extract::{Extractor, FieldMask};
use kollect_model::{Gvk, TargetKey, Uid};
use kollect_store::{Coverage, PartState, Store, Wanted};
use parking_lot::RwLock;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use tokio::sync::watch;

/// Where cluster-scoped objects count as living.
pub(crate) const CLUSTER_SCOPED_HOME: &str = "default";

/// One target of the resource.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) spec: TargetSpec,
    pub(crate) failures: Arc<Failures>,
    namespaces: Arc<BTreeSet<Arc<str>>>,
    /// Since when the target wants its namespaces, in this version.
    base: u64,
    /// Namespaces that joined, or have to be looked at again, later.
    newer: BTreeMap<Arc<str>, u64>,
}

impl Entry {
    fn epoch_of(&self, namespace: &str) -> u64 {
        self.newer.get(namespace).copied().unwrap_or(self.base)
    }

    fn newest(&self) -> u64 {
        self.newer.values().copied().max().unwrap_or(0).max(self.base)
    }
}

/// All targets of the resource at one moment.
#[derive(Debug, Default)]
pub(crate) struct Table {
    epoch: u64,
    entries: Vec<Arc<Entry>>,
    by_key: HashMap<Arc<TargetKey>, u32>,
    by_namespace: HashMap<Arc<str>, Vec<u32>>,
    /// What any of the targets can reach.
    pub(crate) mask: FieldMask,
}

impl Table {
    fn new(epoch: u64, entries: Vec<Arc<Entry>>) -> Self {
        let mut by_namespace: HashMap<Arc<str>, Vec<u32>> = HashMap::new();
        let by_key = (0..).zip(&entries).map(|(at, entry)| (entry.spec.key.clone(), at)).collect();
        let mut mask = FieldMask::default();
        let mut profiles: HashSet<*const Extractor> = HashSet::new();
        for (at, entry) in (0..).zip(&entries) {
            // Many targets share one compiled profile.
            if profiles.insert(Arc::as_ptr(&entry.spec.extractor)) {
                mask = mask.union(entry.spec.extractor.mask());
            }
            mask = entry.spec.matching.masks().fold(mask, |mask, other| mask.union(other));
            for namespace in entry.namespaces.iter() {
                by_namespace.entry(namespace.clone()).or_default().push(at);
            }
        }
        Self { epoch, entries, by_key, by_namespace, mask }
    }

    pub(crate) fn get(&self, key: &TargetKey) -> Option<&Arc<Entry>> {
        self.by_key.get(key).and_then(|at| self.entries.get(*at as usize))
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn entries(&self) -> &[Arc<Entry>] {
        &self.entries
    }

    /// The shared name of a namespace and the targets that want it.
    pub(crate) fn of_namespace(&self, namespace: &str) -> Option<(&Arc<str>, impl Iterator<Item = &Arc<Entry>>)> {
        let (name, at) = self.by_namespace.get_key_value(namespace)?;
        Some((name, at.iter().filter_map(|at| self.entries.get(*at as usize))))
    }

    /// The union of all namespaces.
    pub(crate) fn namespaces(&self) -> BTreeSet<Arc<str>> {
        self.by_namespace.keys().cloned().collect()
    }

    fn of_reach(&self, reach: &Reach) -> Vec<&Arc<Entry>> {
        match reach {
            Reach::Cluster => self.entries.iter().collect(),
            Reach::Namespace(namespace) => self.of_namespace(namespace).into_iter().flat_map(|found| found.1).collect(),
        }
    }
}

/// The targets of one resource.
#[derive(Debug)]
pub(crate) struct Feed {
    pub(crate) gvr: Gvr,
    /// The kind as it is served; lists leave it out of their items.
    pub(crate) kind: Gvk,
    pub(crate) namespaced: bool,
    table: RwLock<Arc<Table>>,
    epoch: watch::Sender<u64>,
}

impl Feed {
    pub(crate) fn new(gvr: Gvr, kind: Gvk, namespaced: bool) -> Self {
        Self { gvr, kind, namespaced, table: RwLock::default(), epoch: watch::Sender::new(0) }
    }

    pub(crate) fn table(&self) -> Arc<Table> {
        self.table.read().clone()
    }

    pub(crate) fn epoch(&self) -> u64 {
        self.table.read().epoch
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<u64> {
        self.epoch.subscribe()
    }

    /// The name of a part in the store.
    fn part<'a>(&self, namespace: &'a str) -> &'a str {
        if self.namespaced { namespace } else { "" }
    }

    /// Takes over the targets. `again` names the namespaces of a target that must be looked at again although neither
    /// target nor namespaces changed; `moved` has the failures of targets that come from a feed of another priority.
    pub(crate) fn set(
        &self,
        specs: &[TargetSpec],
        store: &Store,
        again: &dyn Fn(&TargetSpec) -> BTreeSet<Arc<str>>,
        moved: &HashMap<Arc<TargetKey>, Arc<Failures>>,
    ) {
        let mut table = self.table.write();
        let epoch = table.epoch + 1;
        let mut changed = table.len() != specs.len();
        let entries: Vec<Arc<Entry>> = specs
            .iter()
            .map(|spec| {
                let before = table.get(&spec.key);
                let failures = before.map(|before| &before.failures).or_else(|| moved.get(&spec.key));
                let failures = failures.cloned().unwrap_or_default();
                let entry = self.entry(spec, before, failures, epoch, &again(spec), store);
                changed |= before.is_none_or(|before| !Arc::ptr_eq(before, &entry));
                entry
            })
            .collect();
        if changed {
            *table = Arc::new(Table::new(epoch, entries));
            drop(table);
            self.epoch.send_replace(epoch);
        }
    }

    /// Takes targets out.
    pub(crate) fn remove(&self, gone: &HashSet<Arc<TargetKey>>) {
        let mut table = self.table.write();
        let stay = table.entries.iter().filter(|entry| !gone.contains(&entry.spec.key)).cloned().collect();
        *table = Arc::new(Table::new(table.epoch + 1, stay));
    }

    fn entry(
        &self,
        spec: &TargetSpec,
        before: Option<&Arc<Entry>>,
        failures: Arc<Failures>,
        epoch: u64,
        again: &BTreeSet<Arc<str>>,
        store: &Store,
    ) -> Arc<Entry> {
        let namespaces = match &spec.namespaces {
            WantedNamespaces::Only(namespaces) if self.namespaced => namespaces.clone(),
            WantedNamespaces::Only(namespaces) if namespaces.contains(CLUSTER_SCOPED_HOME) => {
                Arc::new(BTreeSet::from([CLUSTER_SCOPED_HOME.into()]))
            }
            WantedNamespaces::Only(_) | WantedNamespaces::Undecided => Arc::default(),
        };
        let same = before.filter(|before| before.spec.version == spec.version);
        if let Some(before) = same
            && before.spec.namespaces == spec.namespaces
            && again.is_empty()
        {
            return before.clone();
        }
        store.ensure_target(&spec.key);
        store.set_wanted(&spec.key, self.wanted(spec, &namespaces));
        failures.keep(|namespace, _| namespaces.contains(namespace));
        let (base, newer) = if let Some(before) = same {
            let known = before.newer.iter().filter(|(namespace, _)| namespaces.contains(*namespace));
            let mut newer: BTreeMap<_, _> = known.map(|(namespace, at)| (namespace.clone(), *at)).collect();
            let joined = namespaces.difference(&before.namespaces).chain(again.intersection(&namespaces));
            newer.extend(joined.map(|namespace| (namespace.clone(), epoch)));
            (before.base, newer)
        } else {
            for namespace in namespaces.iter() {
                store.set_coverage(&spec.key, self.part(namespace), Coverage::Pending);
            }
            (epoch, BTreeMap::new())
        };
        Arc::new(Entry { spec: spec.clone(), failures, namespaces, base, newer })
    }

    fn wanted(&self, spec: &TargetSpec, namespaces: &Arc<BTreeSet<Arc<str>>>) -> Wanted {
        match spec.namespaces {
            WantedNamespaces::Undecided => Wanted::Undecided,
            WantedNamespaces::Only(_) if self.namespaced || namespaces.is_empty() => {
                Wanted::Namespaces(namespaces.clone())
            }
            WantedNamespaces::Only(_) => Wanted::ClusterScoped,
        }
    }

    /// What a watch that listed at `listed` has to list again, and the epoch up to which this is the answer.
    pub(crate) fn need(&self, reach: &Reach, listed: u64) -> (Need, u64) {
        let table = self.table();
        (self.need_of(&table, reach, listed), table.epoch)
    }

    fn need_of(&self, table: &Table, reach: &Reach, listed: u64) -> Need {
        let mut joined: BTreeSet<Arc<str>> = BTreeSet::new();
        for entry in table.of_reach(reach) {
            match reach {
                Reach::Namespace(namespace) if entry.epoch_of(namespace) > listed => return Need::Everything,
                Reach::Namespace(_) => {}
                Reach::Cluster if !self.namespaced && entry.newest() > listed => return Need::Everything,
                Reach::Cluster if entry.base > listed => joined.extend(entry.namespaces.iter().cloned()),
                Reach::Cluster => {
                    let newer = entry.newer.iter().filter(|(_, at)| **at > listed);
                    joined.extend(newer.map(|(namespace, _)| namespace.clone()));
                }
            }
            if joined.len() > NAMESPACE_WATCHES {
                return Need::Everything;
            }
        }
        if joined.is_empty() { Need::Nothing } else { Need::Namespaces(joined) }
    }

    /// Takes over a complete list of what a watch reaches, or of one namespace of it, that began at `epoch`.
    pub(crate) fn complete(
        &self,
        reach: &Reach,
        namespace: Option<&str>,
        epoch: u64,
        seen: &dyn Fn(&Uid) -> bool,
        store: &Store,
    ) {
        // Held to the end, so that nobody widens what a target wants between the decision and the store.
        let table = self.table.read();
        let only = namespace.or(match reach {
            Reach::Namespace(namespace) => Some(&**namespace),
            Reach::Cluster => None,
        });
        let reached = only.map_or(reach.clone(), |namespace| Reach::Namespace(namespace.into()));
        for entry in table.of_reach(&reached) {
            let key = &entry.spec.key;
            entry.failures.keep(|at, uid| only.is_some_and(|only| only != at) || seen(uid));
            let doubtful = entry.failures.unreadable();
            match only {
                Some(namespace) if entry.epoch_of(namespace) <= epoch => {
                    self.complete_part(entry, namespace, &doubtful, seen, store);
                }
                Some(_) => {}
                None if entry.namespaces.is_empty() => {}
                None if entry.newest() <= epoch && doubtful.is_empty() => store.complete_list(key, None, seen),
                None => {
                    for namespace in entry.namespaces.iter().filter(|n| entry.epoch_of(n) <= epoch) {
                        self.complete_part(entry, namespace, &doubtful, seen, store);
                    }
                }
            }
        }
    }

    /// An object whose metadata cannot be read may be one of which a sink holds a row: its part proves no absence.
    fn complete_part(
        &self,
        entry: &Entry,
        namespace: &str,
        doubtful: &BTreeSet<Arc<str>>,
        seen: &dyn Fn(&Uid) -> bool,
        store: &Store,
    ) {
        let (key, part) = (&entry.spec.key, self.part(namespace));
        if doubtful.contains(namespace) || doubtful.contains("") {
            store.set_coverage(key, part, Coverage::Lost("the metadata of an object cannot be read".into()));
        } else {
            store.complete_list(key, Some(part), seen);
        }
    }

    /// A watch goes on where it was: what it had listed at `epoch` is known again.
    pub(crate) fn regained(&self, reach: &Reach, epoch: u64, store: &Store) {
        self.each_part(reach, &mut |entry, namespace| {
            let key = &entry.spec.key;
            let doubtful = entry.failures.unreadable();
            if entry.epoch_of(namespace) <= epoch
                && !(doubtful.contains(namespace) || doubtful.contains(""))
                && matches!(store.part_state(key, self.part(namespace)), PartState::Lost(_))
            {
                store.set_coverage(key, self.part(namespace), Coverage::Synced);
            }
        });
    }

    /// Parts that cannot be listed; with `pending_only` those that are already known stay so.
    pub(crate) fn lost(&self, reach: &Reach, reason: &Arc<str>, pending_only: bool, store: &Store) {
        self.each_part(reach, &mut |entry, namespace| {
            let (key, part) = (&entry.spec.key, self.part(namespace));
            if !pending_only || store.part_state(key, part) == PartState::Pending {
                store.set_coverage(key, part, Coverage::Lost(reason.clone()));
            }
        });
    }

    /// The targets that want something of what a watch reaches.
    pub(crate) fn targets_of(&self, reach: &Reach) -> Vec<Arc<TargetKey>> {
        self.table.read().of_reach(reach).into_iter().map(|entry| entry.spec.key.clone()).collect()
    }

    /// Parts of targets in which objects fail, or could be; their rows are not known to be all.
    pub(crate) fn lose_failed(&self, reason: &str, store: &Store) {
        for entry in self.table.read().entries() {
            let failed = entry.failures.namespaces();
            // A failure without a namespace may be of any.
            let anywhere = failed.contains("");
            for namespace in entry.namespaces.iter().filter(|namespace| anywhere || failed.contains(*namespace)) {
                store.set_coverage(&entry.spec.key, self.part(namespace), Coverage::Lost(reason.into()));
            }
        }
    }

    fn each_part(&self, reach: &Reach, visit: &mut dyn FnMut(&Entry, &str)) {
        for entry in self.table.read().of_reach(reach) {
            match reach {
                Reach::Namespace(namespace) => visit(entry, namespace),
                Reach::Cluster => entry.namespaces.iter().for_each(|namespace| visit(entry, namespace)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matching::Matching;
    use kollect_extract::ProfileSource;

    fn spec(name: &str, namespaces: &[&str], version: u64) -> TargetSpec {
        let gvk = Gvk::new("", "v1", "ConfigMap");
        let source = ProfileSource {
            gvk: &gvk,
            attributes: &[],
            scrub_keys: &[],
            allow_secret_extraction: false,
            resource: None,
        };
        TargetSpec {
            key: Arc::new(TargetKey::namespaced("team", name)),
            extractor: Arc::new(kollect_extract::Extractor::compile(&source).unwrap()),
            gvk: Arc::new(gvk),
            matching: Arc::new(Matching::default()),
            namespaces: WantedNamespaces::Only(Arc::new(namespaces.iter().map(|n| Arc::from(*n)).collect())),
            created: 0,
            version,
        }
    }

    fn feed() -> (Feed, Store) {
        (Feed::new(Gvr::new("", "v1", "configmaps"), Gvk::new("", "v1", "ConfigMap"), true), Store::new())
    }

    fn set(feed: &Feed, store: &Store, specs: &[TargetSpec]) -> u64 {
        feed.set(specs, store, &|_| BTreeSet::new(), &HashMap::new());
        feed.epoch()
    }

    fn namespaces(names: &[&str]) -> Need {
        Need::Namespaces(names.iter().map(|n| Arc::from(*n)).collect())
    }

    fn state(store: &Store, name: &str, namespace: &str) -> PartState {
        store.part_state(&TargetKey::namespaced("team", name), namespace)
    }

    #[test]
    fn a_watch_lists_again_only_what_joined_since_its_list() {
        let (feed, store) = feed();
        let listed = set(&feed, &store, &[spec("one", &["a", "b"], 1)]);
        assert_eq!(feed.need(&Reach::Cluster, listed).0, Need::Nothing);
        assert_eq!(set(&feed, &store, &[spec("one", &["a", "b"], 1)]), listed, "nothing changed, so no new epoch");
        let joined = set(&feed, &store, &[spec("one", &["a", "b", "c"], 1)]);
        assert_eq!(feed.need(&Reach::Cluster, listed), (namespaces(&["c"]), joined));
        assert_eq!(feed.need(&Reach::Namespace("a".into()), listed).0, Need::Nothing);
        assert_eq!(feed.need(&Reach::Namespace("c".into()), listed).0, Need::Everything);
        let changed = set(&feed, &store, &[spec("one", &["a", "b", "c"], 2)]);
        assert_eq!(feed.need(&Reach::Cluster, joined).0, namespaces(&["a", "b", "c"]));
        feed.set(&[spec("one", &["a", "b", "c"], 2)], &store, &|_| BTreeSet::from([Arc::from("b")]), &HashMap::new());
        assert_eq!(feed.need(&Reach::Cluster, changed).0, namespaces(&["b"]), "a namespace was relabelled");
        let many: Vec<String> = (0..NAMESPACE_WATCHES).map(|n| format!("n{n}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).chain(["a"]).collect();
        let before = feed.epoch();
        set(&feed, &store, &[spec("one", &["a", "b", "c"], 2), spec("two", &many, 1)]);
        assert_eq!(feed.need(&Reach::Cluster, before).0, Need::Everything, "so many are listed as a whole");
    }

    #[test]
    fn a_list_that_began_before_a_target_joined_proves_nothing_to_it() {
        let (feed, store) = feed();
        let began = set(&feed, &store, &[spec("one", &["a", "b"], 1)]);
        set(&feed, &store, &[spec("one", &["a", "b", "c"], 1), spec("two", &["a"], 1)]);
        feed.complete(&Reach::Cluster, None, began, &|_| true, &store);
        assert_eq!(state(&store, "one", "a"), PartState::Synced);
        assert_eq!(state(&store, "one", "c"), PartState::Pending);
        assert_eq!(state(&store, "two", "a"), PartState::Pending);
        feed.complete(&Reach::Cluster, Some("a"), feed.epoch(), &|_| true, &store);
        assert_eq!(state(&store, "two", "a"), PartState::Synced);
        feed.complete(&Reach::Cluster, None, feed.epoch(), &|_| true, &store);
        assert_eq!(state(&store, "one", "c"), PartState::Synced);
    }

    #[test]
    fn a_new_version_is_pending_until_it_is_listed_and_leaves_other_targets_alone() {
        let (feed, store) = feed();
        let began = set(&feed, &store, &[spec("one", &["a"], 1), spec("two", &["a"], 1)]);
        feed.complete(&Reach::Cluster, None, began, &|_| true, &store);
        set(&feed, &store, &[spec("one", &["a"], 2), spec("two", &["a"], 1)]);
        assert_eq!((state(&store, "one", "a"), state(&store, "two", "a")), (PartState::Pending, PartState::Synced));
    }

    #[test]
    fn a_lost_part_is_regained_only_as_far_as_it_was_listed() {
        let (feed, store) = feed();
        let listed = set(&feed, &store, &[spec("one", &["a", "b"], 1)]);
        feed.complete(&Reach::Cluster, None, listed, &|_| true, &store);
        set(&feed, &store, &[spec("one", &["a", "b", "c"], 1)]);
        feed.lost(&Reach::Cluster, &"403".into(), false, &store);
        assert_eq!(state(&store, "one", "a"), PartState::Lost("403".into()));
        feed.regained(&Reach::Cluster, listed, &store);
        assert_eq!(state(&store, "one", "a"), PartState::Synced);
        assert_eq!(state(&store, "one", "c"), PartState::Lost("403".into()));
    }

    #[test]
    fn cluster_scoped_objects_live_in_default_and_their_part_has_no_name() {
        let (feed, store) = (Feed::new(Gvr::new("", "v1", "nodes"), Gvk::new("", "v1", "Node"), false), Store::new());
        let began = set(&feed, &store, &[spec("in", &["a", "default"], 1), spec("out", &["a"], 1)]);
        feed.complete(&Reach::Cluster, None, began, &|_| true, &store);
        assert_eq!(state(&store, "in", ""), PartState::Synced);
        assert_eq!(state(&store, "out", ""), PartState::Outside);
        assert_eq!(feed.table().of_namespace("default").unwrap().1.count(), 1);
    }
}

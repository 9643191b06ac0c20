//! The targets of one resource, shared by planner, watches and workers.
//!
//! Epochs decide what is proven: a watch must list again what a target wants since a later epoch, and may mark a part as
//! listed only if its list began after the target wanted it. The table's lock must not be held over an `await`.

use super::failures::Failures;
use super::spec::{TargetSpec, WantedNamespaces};
use super::target_table::{CLUSTER_SCOPED_NAMESPACE, TableEntry, TargetTable};
use crate::plan::{Gvr, NAMESPACE_WATCHES, Reach};
use crate::watch::event_handler::RelistNeed;
use kollect_model::{Gvk, TargetKey, Uid};
use kollect_store::{Coverage, PartState, Store, WantedParts};
use parking_lot::RwLock;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use tokio::sync::watch;

/// The targets of one resource.
#[derive(Debug)]
pub(crate) struct ResourceTargets {
    pub(crate) gvr: Gvr,
    /// The kind as it is served; items of a list do not contain it.
    pub(crate) kind: Gvk,
    pub(crate) namespaced: bool,
    table: RwLock<Arc<TargetTable>>,
    epoch: watch::Sender<u64>,
}

impl ResourceTargets {
    pub(crate) fn new(gvr: Gvr, kind: Gvk, namespaced: bool) -> Self {
        Self { gvr, kind, namespaced, table: RwLock::default(), epoch: watch::Sender::new(0) }
    }

    pub(crate) fn table(&self) -> Arc<TargetTable> {
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

    /// Replaces the targets. `reevaluate` returns the namespaces of a target that must be evaluated again although neither
    /// target nor namespaces changed; `moved` has the failures of targets that come from another priority.
    pub(crate) fn set(
        &self,
        specs: &[TargetSpec],
        store: &Store,
        reevaluate: &dyn Fn(&TargetSpec) -> BTreeSet<Arc<str>>,
        moved: &HashMap<Arc<TargetKey>, Arc<Failures>>,
    ) {
        let mut table = self.table.write();
        let epoch = table.epoch + 1;
        let mut changed = table.len() != specs.len();
        let entries: Vec<Arc<TableEntry>> = specs
            .iter()
            .map(|spec| {
                let before = table.get(&spec.key);
                let failures = before.map(|before| &before.failures).or_else(|| moved.get(&spec.key));
                let failures = failures.cloned().unwrap_or_default();
                let entry = self.entry(spec, before, failures, epoch, &reevaluate(spec), store);
                changed |= before.is_none_or(|before| !Arc::ptr_eq(before, &entry));
                entry
            })
            .collect();
        if changed {
            *table = Arc::new(TargetTable::new(epoch, entries));
            drop(table);
            self.epoch.send_replace(epoch);
        }
    }

    /// Removes targets.
    pub(crate) fn remove(&self, gone: &HashSet<Arc<TargetKey>>) {
        let mut table = self.table.write();
        let stay = table.entries.iter().filter(|entry| !gone.contains(&entry.spec.key)).cloned().collect();
        *table = Arc::new(TargetTable::new(table.epoch + 1, stay));
    }

    fn entry(
        &self,
        spec: &TargetSpec,
        before: Option<&Arc<TableEntry>>,
        failures: Arc<Failures>,
        epoch: u64,
        reevaluate: &BTreeSet<Arc<str>>,
        store: &Store,
    ) -> Arc<TableEntry> {
        let namespaces = match &spec.namespaces {
            WantedNamespaces::Only(namespaces) if self.namespaced => namespaces.clone(),
            WantedNamespaces::Only(namespaces) if namespaces.contains(CLUSTER_SCOPED_NAMESPACE) => {
                Arc::new(BTreeSet::from([CLUSTER_SCOPED_NAMESPACE.into()]))
            }
            WantedNamespaces::Only(_) | WantedNamespaces::Undecided => Arc::default(),
        };
        let same = before.filter(|before| before.spec.version == spec.version);
        if let Some(before) = same
            && before.spec.namespaces == spec.namespaces
            && reevaluate.is_empty()
        {
            return before.clone();
        }
        store.ensure_target(&spec.key);
        store.set_wanted(&spec.key, self.wanted(spec, &namespaces));
        failures.keep(|namespace, _| namespaces.contains(namespace));
        let (base, newer) = if let Some(before) = same {
            let known = before.newer.iter().filter(|(namespace, _)| namespaces.contains(*namespace));
            let mut newer: BTreeMap<_, _> = known.map(|(namespace, at)| (namespace.clone(), *at)).collect();
            let joined = namespaces.difference(&before.namespaces).chain(reevaluate.intersection(&namespaces));
            newer.extend(joined.map(|namespace| (namespace.clone(), epoch)));
            (before.base, newer)
        } else {
            for namespace in namespaces.iter() {
                store.set_coverage(&spec.key, self.part(namespace), Coverage::Pending);
            }
            (epoch, BTreeMap::new())
        };
        Arc::new(TableEntry { spec: spec.clone(), failures, namespaces, base, newer })
    }

    fn wanted(&self, spec: &TargetSpec, namespaces: &Arc<BTreeSet<Arc<str>>>) -> WantedParts {
        match spec.namespaces {
            WantedNamespaces::Undecided => WantedParts::Undecided,
            WantedNamespaces::Only(_) if self.namespaced || namespaces.is_empty() => {
                WantedParts::Namespaces(namespaces.clone())
            }
            WantedNamespaces::Only(_) => WantedParts::ClusterScoped,
        }
    }

    /// What a watch whose last list began at epoch `listed` must list again, and the epoch for which that is computed.
    pub(crate) fn relist_needed(&self, reach: &Reach, listed: u64) -> (RelistNeed, u64) {
        let table = self.table();
        (self.relist_needed_of(&table, reach, listed), table.epoch)
    }

    fn relist_needed_of(&self, table: &TargetTable, reach: &Reach, listed: u64) -> RelistNeed {
        let mut joined: BTreeSet<Arc<str>> = BTreeSet::new();
        for entry in table.of_reach(reach) {
            match reach {
                Reach::Namespace(namespace) if entry.epoch_of(namespace) > listed => return RelistNeed::Everything,
                Reach::Namespace(_) => {}
                Reach::Cluster if !self.namespaced && entry.newest() > listed => return RelistNeed::Everything,
                Reach::Cluster if entry.base > listed => joined.extend(entry.namespaces.iter().cloned()),
                Reach::Cluster => {
                    let newer = entry.newer.iter().filter(|(_, at)| **at > listed);
                    joined.extend(newer.map(|(namespace, _)| namespace.clone()));
                }
            }
            if joined.len() > NAMESPACE_WATCHES {
                return RelistNeed::Everything;
            }
        }
        if joined.is_empty() { RelistNeed::Nothing } else { RelistNeed::Namespaces(joined) }
    }

    /// Marks parts as listed, after a complete list of `reach` or of one namespace of it that began at `epoch`.
    pub(crate) fn mark_listed(
        &self,
        reach: &Reach,
        namespace: Option<&str>,
        epoch: u64,
        seen: &dyn Fn(&Uid) -> bool,
        store: &Store,
    ) {
        // Locked to the end, so that `set` cannot widen what a target wants between the decision and the store.
        let table = self.table.read();
        let only = namespace.or(match reach {
            Reach::Namespace(namespace) => Some(&**namespace),
            Reach::Cluster => None,
        });
        let reached = only.map_or(reach.clone(), |namespace| Reach::Namespace(namespace.into()));
        for entry in table.of_reach(&reached) {
            let key = &entry.spec.key;
            entry.failures.keep(|at, uid| only.is_some_and(|only| only != at) || seen(uid));
            let unreadable = entry.failures.unreadable();
            match only {
                Some(namespace) if entry.epoch_of(namespace) <= epoch => {
                    self.mark_part_listed(entry, namespace, &unreadable, seen, store);
                }
                Some(_) => {}
                None if entry.namespaces.is_empty() => {}
                None if entry.newest() <= epoch && unreadable.is_empty() => store.complete_list(key, None, seen),
                None => {
                    for namespace in entry.namespaces.iter().filter(|n| entry.epoch_of(n) <= epoch) {
                        self.mark_part_listed(entry, namespace, &unreadable, seen, store);
                    }
                }
            }
        }
    }

    /// An object with invalid metadata may be one of which a sink holds a row: its part proves no absence.
    fn mark_part_listed(
        &self,
        entry: &TableEntry,
        namespace: &str,
        unreadable: &BTreeSet<Arc<str>>,
        seen: &dyn Fn(&Uid) -> bool,
        store: &Store,
    ) {
        let (key, part) = (&entry.spec.key, self.part(namespace));
        if unreadable.contains(namespace) || unreadable.contains("") {
            store.set_coverage(key, part, Coverage::Lost("the metadata of an object cannot be read".into()));
        } else {
            store.complete_list(key, Some(part), seen);
        }
    }

    /// A watch resumed: lost parts that it had listed at `epoch` are listed again.
    pub(crate) fn mark_resumed(&self, reach: &Reach, epoch: u64, store: &Store) {
        self.each_part(reach, &mut |entry, namespace| {
            let key = &entry.spec.key;
            let unreadable = entry.failures.unreadable();
            if entry.epoch_of(namespace) <= epoch
                && !(unreadable.contains(namespace) || unreadable.contains(""))
                && matches!(store.part_state(key, self.part(namespace)), PartState::Lost(_))
            {
                store.set_coverage(key, self.part(namespace), Coverage::Synced);
            }
        });
    }

    /// Marks parts that cannot be listed; with `pending_only` only those that were never listed.
    pub(crate) fn mark_lost(&self, reach: &Reach, reason: &Arc<str>, pending_only: bool, store: &Store) {
        self.each_part(reach, &mut |entry, namespace| {
            let (key, part) = (&entry.spec.key, self.part(namespace));
            if !pending_only || store.part_state(key, part) == PartState::Pending {
                store.set_coverage(key, part, Coverage::Lost(reason.clone()));
            }
        });
    }

    /// The targets that want objects of `reach`.
    pub(crate) fn targets_of(&self, reach: &Reach) -> Vec<Arc<TargetKey>> {
        self.table.read().of_reach(reach).into_iter().map(|entry| entry.spec.key.clone()).collect()
    }

    /// Marks the parts in which objects failed: their rows may be incomplete.
    pub(crate) fn mark_failed_lost(&self, reason: &str, store: &Store) {
        for entry in self.table.read().entries() {
            let failed = entry.failures.namespaces();
            // A failure without a namespace may be in any.
            let anywhere = failed.contains("");
            for namespace in entry.namespaces.iter().filter(|namespace| anywhere || failed.contains(*namespace)) {
                store.set_coverage(&entry.spec.key, self.part(namespace), Coverage::Lost(reason.into()));
            }
        }
    }

    fn each_part(&self, reach: &Reach, visit: &mut dyn FnMut(&TableEntry, &str)) {
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

    fn fixture() -> (ResourceTargets, Store) {
        (ResourceTargets::new(Gvr::new("", "v1", "configmaps"), Gvk::new("", "v1", "ConfigMap"), true), Store::new())
    }

    fn set(targets: &ResourceTargets, store: &Store, specs: &[TargetSpec]) -> u64 {
        targets.set(specs, store, &|_| BTreeSet::new(), &HashMap::new());
        targets.epoch()
    }

    fn namespaces(names: &[&str]) -> RelistNeed {
        RelistNeed::Namespaces(names.iter().map(|n| Arc::from(*n)).collect())
    }

    fn state(store: &Store, name: &str, namespace: &str) -> PartState {
        store.part_state(&TargetKey::namespaced("team", name), namespace)
    }

    #[test]
    fn a_watch_lists_again_only_what_joined_since_its_list() {
        let (targets, store) = fixture();
        let listed = set(&targets, &store, &[spec("one", &["a", "b"], 1)]);
        assert_eq!(targets.relist_needed(&Reach::Cluster, listed).0, RelistNeed::Nothing);
        assert_eq!(set(&targets, &store, &[spec("one", &["a", "b"], 1)]), listed, "nothing changed, so no new epoch");
        let joined = set(&targets, &store, &[spec("one", &["a", "b", "c"], 1)]);
        assert_eq!(targets.relist_needed(&Reach::Cluster, listed), (namespaces(&["c"]), joined));
        assert_eq!(targets.relist_needed(&Reach::Namespace("a".into()), listed).0, RelistNeed::Nothing);
        assert_eq!(targets.relist_needed(&Reach::Namespace("c".into()), listed).0, RelistNeed::Everything);
        let changed = set(&targets, &store, &[spec("one", &["a", "b", "c"], 2)]);
        assert_eq!(targets.relist_needed(&Reach::Cluster, joined).0, namespaces(&["a", "b", "c"]));
        targets.set(
            &[spec("one", &["a", "b", "c"], 2)],
            &store,
            &|_| BTreeSet::from([Arc::from("b")]),
            &HashMap::new(),
        );
        assert_eq!(targets.relist_needed(&Reach::Cluster, changed).0, namespaces(&["b"]), "a namespace was relabelled");
        let many: Vec<String> = (0..NAMESPACE_WATCHES).map(|n| format!("n{n}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).chain(["a"]).collect();
        let before = targets.epoch();
        set(&targets, &store, &[spec("one", &["a", "b", "c"], 2), spec("two", &many, 1)]);
        assert_eq!(
            targets.relist_needed(&Reach::Cluster, before).0,
            RelistNeed::Everything,
            "so many are listed as a whole"
        );
    }

    #[test]
    fn a_list_that_began_before_a_target_joined_proves_nothing_to_it() {
        let (targets, store) = fixture();
        let began = set(&targets, &store, &[spec("one", &["a", "b"], 1)]);
        set(&targets, &store, &[spec("one", &["a", "b", "c"], 1), spec("two", &["a"], 1)]);
        targets.mark_listed(&Reach::Cluster, None, began, &|_| true, &store);
        assert_eq!(state(&store, "one", "a"), PartState::Synced);
        assert_eq!(state(&store, "one", "c"), PartState::Pending);
        assert_eq!(state(&store, "two", "a"), PartState::Pending);
        targets.mark_listed(&Reach::Cluster, Some("a"), targets.epoch(), &|_| true, &store);
        assert_eq!(state(&store, "two", "a"), PartState::Synced);
        targets.mark_listed(&Reach::Cluster, None, targets.epoch(), &|_| true, &store);
        assert_eq!(state(&store, "one", "c"), PartState::Synced);
    }

    #[test]
    fn a_new_version_is_pending_until_it_is_listed_and_leaves_other_targets_alone() {
        let (targets, store) = fixture();
        let began = set(&targets, &store, &[spec("one", &["a"], 1), spec("two", &["a"], 1)]);
        targets.mark_listed(&Reach::Cluster, None, began, &|_| true, &store);
        set(&targets, &store, &[spec("one", &["a"], 2), spec("two", &["a"], 1)]);
        assert_eq!((state(&store, "one", "a"), state(&store, "two", "a")), (PartState::Pending, PartState::Synced));
    }

    #[test]
    fn a_lost_part_is_resumed_only_as_far_as_it_was_listed() {
        let (targets, store) = fixture();
        let listed = set(&targets, &store, &[spec("one", &["a", "b"], 1)]);
        targets.mark_listed(&Reach::Cluster, None, listed, &|_| true, &store);
        set(&targets, &store, &[spec("one", &["a", "b", "c"], 1)]);
        targets.mark_lost(&Reach::Cluster, &"403".into(), false, &store);
        assert_eq!(state(&store, "one", "a"), PartState::Lost("403".into()));
        targets.mark_resumed(&Reach::Cluster, listed, &store);
        assert_eq!(state(&store, "one", "a"), PartState::Synced);
        assert_eq!(state(&store, "one", "c"), PartState::Lost("403".into()));
    }

    #[test]
    fn cluster_scoped_objects_live_in_default_and_their_part_has_no_name() {
        let (targets, store) =
            (ResourceTargets::new(Gvr::new("", "v1", "nodes"), Gvk::new("", "v1", "Node"), false), Store::new());
        let began = set(&targets, &store, &[spec("in", &["a", "default"], 1), spec("out", &["a"], 1)]);
        targets.mark_listed(&Reach::Cluster, None, began, &|_| true, &store);
        assert_eq!(state(&store, "in", ""), PartState::Synced);
        assert_eq!(state(&store, "out", ""), PartState::Outside);
        assert_eq!(targets.table().of_namespace("default").unwrap().1.count(), 1);
    }
}

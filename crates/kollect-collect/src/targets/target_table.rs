//! All targets of one resource and priority at one moment, with what each wants and since when.

use super::failures::Failures;
use super::spec::TargetSpec;
use crate::plan::Reach;
use kollect_extract::{Extractor, FieldMask};
use kollect_model::TargetKey;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

/// The namespace by which cluster-scoped objects are matched.
pub(crate) const CLUSTER_SCOPED_NAMESPACE: &str = "default";

/// One target of the resource.
#[derive(Debug)]
pub(crate) struct TableEntry {
    pub(crate) spec: TargetSpec,
    pub(crate) failures: Arc<Failures>,
    pub(super) namespaces: Arc<BTreeSet<Arc<str>>>,
    /// Table epoch since which the target wants its namespaces, in this version.
    pub(super) base: u64,
    /// Later epochs of namespaces that joined or must be evaluated again.
    pub(super) newer: BTreeMap<Arc<str>, u64>,
}

impl TableEntry {
    pub(super) fn epoch_of(&self, namespace: &str) -> u64 {
        self.newer.get(namespace).copied().unwrap_or(self.base)
    }

    pub(super) fn newest(&self) -> u64 {
        self.newer.values().copied().max().unwrap_or(0).max(self.base)
    }
}

/// The targets, indexed by key and by namespace.
#[derive(Debug, Default)]
pub(crate) struct TargetTable {
    pub(super) epoch: u64,
    pub(super) entries: Vec<Arc<TableEntry>>,
    by_key: HashMap<Arc<TargetKey>, u32>,
    by_namespace: HashMap<Arc<str>, Vec<u32>>,
    /// What any of the targets can reach.
    pub(crate) mask: FieldMask,
}

impl TargetTable {
    pub(super) fn new(epoch: u64, entries: Vec<Arc<TableEntry>>) -> Self {
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

    pub(crate) fn get(&self, key: &TargetKey) -> Option<&Arc<TableEntry>> {
        self.by_key.get(key).and_then(|at| self.entries.get(*at as usize))
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn entries(&self) -> &[Arc<TableEntry>] {
        &self.entries
    }

    /// The shared name of a namespace and the targets that want it.
    pub(crate) fn of_namespace(&self, namespace: &str) -> Option<(&Arc<str>, impl Iterator<Item = &Arc<TableEntry>>)> {
        let (name, at) = self.by_namespace.get_key_value(namespace)?;
        Some((name, at.iter().filter_map(|at| self.entries.get(*at as usize))))
    }

    /// The union of all namespaces.
    pub(crate) fn namespaces(&self) -> BTreeSet<Arc<str>> {
        self.by_namespace.keys().cloned().collect()
    }

    pub(super) fn of_reach(&self, reach: &Reach) -> Vec<&Arc<TableEntry>> {
        match reach {
            Reach::Cluster => self.entries.iter().collect(),
            Reach::Namespace(namespace) => self.of_namespace(namespace).into_iter().flat_map(|found| found.1).collect(),
        }
    }
}

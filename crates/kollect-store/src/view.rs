//! Views: the rows that a reader wants.

use kollect_model::{Row, TargetKey};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The object namespaces of a view.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum NamespaceFilter {
    /// Every namespace, and cluster-scoped objects.
    #[default]
    All,
    /// Only these. The empty namespace selects cluster-scoped objects.
    Only(Arc<BTreeSet<Arc<str>>>),
}

impl NamespaceFilter {
    /// Whether objects of the namespace are in.
    pub fn contains(&self, namespace: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(set) => set.contains(namespace),
        }
    }
}

/// What happens to an object that several targets of a view collect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dedupe {
    /// One row per target and object.
    #[default]
    KeepAll,
    /// One row per object namespace and UID: that of the last target in canonical order.
    ByResourceUid,
}

/// Ordered targets × namespaces × dedupe: the rows of one inventory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// Targets in canonical order, without repetition. [`View::new`] takes care of both.
    pub targets: Arc<[Arc<TargetKey>]>,
    /// Object namespaces.
    pub namespaces: NamespaceFilter,
    /// Treatment of objects that several targets have.
    pub dedupe: Dedupe,
}

impl View {
    /// A view of `targets`, which may come in any order.
    pub fn new(mut targets: Vec<Arc<TargetKey>>, namespaces: NamespaceFilter, dedupe: Dedupe) -> Self {
        targets.sort();
        targets.dedup();
        Self { targets: targets.into(), namespaces, dedupe }
    }

    /// Every row of `targets`.
    pub fn of(targets: Vec<Arc<TargetKey>>) -> Self {
        Self::new(targets, NamespaceFilter::All, Dedupe::KeepAll)
    }

    /// The view without any row: where a delivery starts when nothing is known to be delivered.
    pub fn empty() -> Self {
        Self::of(Vec::new())
    }

    /// The view's own copy of a target's key, if it contains that target.
    pub fn target(&self, key: &TargetKey) -> Option<&Arc<TargetKey>> {
        let at = self.targets.binary_search_by(|target| target.as_ref().cmp(key)).ok()?;
        self.targets.get(at)
    }

    /// Whether the part is in the view.
    pub fn has_part(&self, target: &TargetKey, namespace: &str) -> bool {
        self.namespaces.contains(namespace) && self.target(target).is_some()
    }

    /// Whether the row's part is in the view. Ignores dedupe.
    pub fn has_part_of(&self, row: &Row) -> bool {
        self.has_part(&row.id.target, &row.object.namespace)
    }
}

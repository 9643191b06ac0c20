//! What an inventory selects, and the rows that follow from it by the cluster alone.

use super::cluster::{Cluster, NAMESPACES, TARGETS};
use kollect_model::{Digest, RowId};
use kollect_store::{Dedupe, NamespaceFilter, View};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The targets and namespaces that an inventory selects.
#[derive(Clone, Debug)]
pub(super) struct Selection {
    pub(super) targets: [bool; TARGETS],
    pub(super) namespaces: Option<[bool; NAMESPACES.len()]>,
    pub(super) dedupe: Dedupe,
}

/// The view of an inventory: its existing targets.
pub(super) fn view(cluster: &Cluster, selection: &Selection) -> View {
    let targets = cluster.targets.iter().zip(selection.targets).filter(|(target, wanted)| target.exists && *wanted);
    let filter = match selection.namespaces {
        None => NamespaceFilter::All,
        Some(wanted) => {
            let names: BTreeSet<Arc<str>> =
                NAMESPACES.iter().zip(wanted).filter(|(_, wanted)| *wanted).map(|(name, _)| Arc::from(*name)).collect();
            NamespaceFilter::Only(Arc::new(names))
        }
    };
    View::new(targets.map(|(target, _)| target.key.clone()).collect(), filter, selection.dedupe)
}

fn in_view(cluster: &Cluster, selection: &Selection, target: usize, namespace: usize) -> bool {
    selection.targets[target]
        && selection.namespaces.is_none_or(|wanted| wanted[namespace])
        && cluster.is_wanted(target, namespace)
}

/// A row may be deleted only if its part is not in the view, or by the latest evidence the row is gone, or a later
/// target has the same object and the inventory deduplicates.
pub(super) fn may_go(cluster: &Cluster, selection: &Selection, id: &RowId) -> bool {
    let uid = id.uid.to_string().parse().unwrap_or_default();
    let (Some(target), Some((namespace, exists))) = (cluster.target_of(&id.target), cluster.evidence.get(&uid)) else {
        return true;
    };
    let visible = |target: usize| exists[target] && in_view(cluster, selection, target, *namespace);
    let loses = selection.dedupe == Dedupe::ByResourceUid && (target + 1..TARGETS).any(visible);
    !visible(target) || loses
}

/// The rows of an inventory, from the cluster alone.
pub(super) fn expected(cluster: &Cluster, selection: &Selection) -> BTreeMap<RowId, Digest> {
    let mut rows = BTreeMap::new();
    for (uid, object) in &cluster.objects {
        let mut members = (0..TARGETS)
            .filter(|target| object.matches[*target] && in_view(cluster, selection, *target, object.namespace));
        let members: Vec<usize> = match selection.dedupe {
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

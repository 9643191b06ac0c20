//! `byResourceUID`: one row per object namespace and UID, that of the last target of the view.
//!
//! Members are found shard by shard, one lock at a time; there is no second index.

use crate::change_log::LogSlot;
use crate::changes::{ChangesQuery, Numbered};
use crate::shards::Shards;
use crate::view::View;
use kollect_model::{Cause, Change, Deleted, Row, Uid, Version};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// The rows of an object in a view, in the order of the view's targets, with their versions.
fn members(shards: &Shards, view: &View, namespace: &str, uid: &Uid) -> Vec<(Version, Arc<Row>)> {
    if !view.namespaces.contains(namespace) {
        return Vec::new();
    }
    let rows = shards.of(view).filter_map(|shard| match shard.lock().log.find(uid) {
        Some(entry) => match &entry.slot {
            LogSlot::Live(row) if *row.object.namespace == *namespace => Some((entry.version, row.clone())),
            _ => None,
        },
        None => None,
    });
    rows.collect()
}

/// The row that the view shows for the object.
pub(crate) fn winner(shards: &Shards, view: &View, namespace: &str, uid: &Uid) -> Option<Arc<Row>> {
    members(shards, view, namespace, uid).pop().map(|(_, row)| row)
}

/// Rewrites a page so that each touched object has one upsert, and a delete for every other row a sink may hold.
pub(crate) fn resolve(shards: &Shards, query: &ChangesQuery<'_>, page: Vec<Numbered>) -> Vec<Change> {
    let mut touched = HashSet::new();
    let mut deletes = Vec::new();
    let mut upserts = Vec::new();
    for Numbered { change, .. } in page {
        let (namespace, uid) = match &change {
            Change::Upsert(row) => (row.object.namespace.clone(), row.id.uid.clone()),
            Change::Delete(gone) => {
                let namespace = gone.object.as_ref().map(|object| object.namespace.clone()).unwrap_or_default();
                (namespace, gone.id.uid.clone())
            }
        };
        if let Change::Delete(gone) = change {
            deletes.push(gone);
        }
        if touched.insert((namespace.clone(), uid.clone())) {
            pick_winner(shards, query, &namespace, &uid, &mut upserts, &mut deletes);
        }
    }
    let written: HashSet<_> = upserts.iter().map(|row| row.id.clone()).collect();
    let mut deleted_once = HashSet::new();
    deletes.retain(|deleted| !written.contains(&deleted.id) && deleted_once.insert(deleted.id.clone()));
    deletes.into_iter().map(Change::Delete).chain(upserts.into_iter().map(Change::Upsert)).collect()
}

fn pick_winner(
    shards: &Shards,
    query: &ChangesQuery<'_>,
    namespace: &str,
    uid: &Uid,
    upserts: &mut Vec<Arc<Row>>,
    deletes: &mut Vec<Deleted>,
) {
    let mut members = members(shards, query.new, namespace, uid);
    let Some((version, winner)) = members.pop() else { return };
    for (_, loser) in members {
        // A row whose part was never delivered cannot be in the sink, unless it was the winner for some time after `since`.
        if version > query.since || query.old.has_part_of(&loser) {
            let object = Some(loser.object.clone());
            deletes.push(Deleted { id: loser.id.clone(), object, cause: Cause::SpecChanged });
        }
    }
    if query.skip.is_none_or(|skip| !skip.contains(&version.0)) {
        upserts.push(winner);
    }
}

/// Keeps one row per object namespace and UID. `rows` come in the order of the view's targets.
pub(crate) fn last_of_each(rows: Vec<Arc<Row>>) -> Vec<Arc<Row>> {
    let mut places: HashMap<(Arc<str>, Uid), usize> = HashMap::with_capacity(rows.len());
    let mut kept: Vec<Arc<Row>> = Vec::with_capacity(rows.len());
    for row in rows {
        let place = *places.entry((row.object.namespace.clone(), row.id.uid.clone())).or_insert(kept.len());
        if place == kept.len() {
            kept.push(row);
        } else if let Some(earlier) = kept.get_mut(place) {
            *earlier = row;
        }
    }
    kept
}

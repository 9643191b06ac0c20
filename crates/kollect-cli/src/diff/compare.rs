//! Compares two sets of rows: added, removed and changed ones. Pure.
//!
//! Attributes are parsed only where their JSON texts differ.

use super::read::{DiffKey, RowFields, RowSnapshot};
use serde_json::Value;
use std::collections::BTreeSet;

/// What is different.
#[derive(Debug, Default)]
pub struct SnapshotDifference {
    /// Rows of the later snapshot only.
    pub added: Vec<(DiffKey, RowFields)>,
    /// Rows of the earlier snapshot only.
    pub removed: Vec<(DiffKey, RowFields)>,
    /// Rows of both, with what changed in them.
    pub changed: Vec<(DiffKey, RowFields, Vec<ValueChange>)>,
    /// Number of rows that are the same.
    pub unchanged: usize,
}

/// One value that changed.
#[derive(Clone, Debug, PartialEq)]
pub struct ValueChange {
    /// Path such as `attributes.labels.app`.
    pub path: String,
    /// The earlier value; `None` when there was none.
    pub before: Option<Value>,
    /// The later value; `None` when there is none.
    pub after: Option<Value>,
}

impl SnapshotDifference {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty()
    }
}

/// Compares two snapshots.
pub fn compare(mut before: RowSnapshot, mut after: RowSnapshot) -> SnapshotDifference {
    align_clusters(&mut before, &mut after);
    let mut found = SnapshotDifference::default();
    for (key, row) in after.rows {
        match before.rows.remove(&key) {
            None => found.added.push((key, row)),
            Some(earlier) if earlier == row => found.unchanged += 1,
            Some(earlier) => {
                let changes = changes(&earlier, &row);
                // The same values in another order or layout.
                if changes.is_empty() {
                    found.unchanged += 1;
                } else {
                    found.changed.push((key, row, changes));
                }
            }
        }
    }
    found.removed.extend(before.rows);
    let order = |key: &DiffKey, row: &RowFields| {
        let DiffKey { cluster, target, namespace, kind, uid } = key.clone();
        (cluster, namespace, kind, row.name.clone(), target, uid)
    };
    found.added.sort_by_cached_key(|(key, row)| order(key, row));
    found.removed.sort_by_cached_key(|(key, row)| order(key, row));
    found.changed.sort_by_cached_key(|(key, row, _)| order(key, row));
    found
}

/// Removes the name of the cluster when only one side has it, and has one: not every form of a snapshot contains it.
fn align_clusters(before: &mut RowSnapshot, after: &mut RowSnapshot) {
    let names = |snapshot: &RowSnapshot| -> BTreeSet<String> {
        snapshot
            .rows
            .keys()
            .map(|key| key.cluster.as_str())
            .collect::<BTreeSet<_>>()
            .into_iter()
            .map(String::from)
            .collect()
    };
    let nameless = |names: &BTreeSet<String>| names.iter().all(String::is_empty);
    let (left, right) = (names(before), names(after));
    if nameless(&left) == nameless(&right) || left.len() > 1 || right.len() > 1 {
        return;
    }
    for snapshot in [before, after] {
        let rows = std::mem::take(&mut snapshot.rows);
        snapshot.rows = rows.into_iter().map(|(key, row)| (DiffKey { cluster: String::new(), ..key }, row)).collect();
    }
}

fn changes(before: &RowFields, after: &RowFields) -> Vec<ValueChange> {
    let mut found = Vec::new();
    for (path, before, after) in [("name", &before.name, &after.name), ("version", &before.version, &after.version)] {
        if before != after {
            let text = |text: &str| Some(Value::from(text));
            found.push(ValueChange { path: path.to_owned(), before: text(before), after: text(after) });
        }
    }
    let value =
        |row: &RowFields| serde_json::from_str(&row.attributes).unwrap_or_else(|_| Value::from(&*row.attributes));
    walk("attributes".to_owned(), &value(before), &value(after), &mut found);
    found
}

fn walk(path: String, before: &Value, after: &Value, found: &mut Vec<ValueChange>) {
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => {
            let keys: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
            for key in keys {
                step(member(&path, key), before.get(key), after.get(key), found);
            }
        }
        (Value::Array(before), Value::Array(after)) => {
            for i in 0..before.len().max(after.len()) {
                step(format!("{path}[{i}]"), before.get(i), after.get(i), found);
            }
        }
        (before, after) if before != after => {
            found.push(ValueChange { path, before: Some(before.clone()), after: Some(after.clone()) });
        }
        _ => {}
    }
}

fn step(path: String, before: Option<&Value>, after: Option<&Value>, found: &mut Vec<ValueChange>) {
    match (before, after) {
        (Some(before), Some(after)) => walk(path, before, after, found),
        (before, after) => found.push(ValueChange { path, before: before.cloned(), after: after.cloned() }),
    }
}

fn member(path: &str, key: &str) -> String {
    let simple = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    if simple { format!("{path}.{key}") } else { format!("{path}[{}]", Value::from(key)) }
}

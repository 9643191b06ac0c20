//! Prints differences for people and for programs.

use super::compare::{SnapshotDifference, ValueChange};
use super::read::{DiffKey, RowFields};
use crate::terminal::{ColorChoice, Line, Paper, print_json, print_lines};
use serde_json::{Value, json};
use std::io;

/// Values are cut after this many characters for people.
const SHOWN: usize = 200;

/// For people.
pub(super) fn text(difference: &SnapshotDifference, colour: ColorChoice) -> io::Result<()> {
    print_lines(colour, |out| {
        for (key, row) in &difference.removed {
            out.put(&out.line().red(format_args!("- {}", title(key, row))))?;
        }
        for (key, row) in &difference.added {
            out.put(&out.line().green(format_args!("+ {}", title(key, row))))?;
        }
        for (key, row, changes) in &difference.changed {
            out.put(&out.line().yellow(format_args!("~ {}", title(key, row))))?;
            for change in changes {
                out.put(&line(change, out))?;
            }
        }
        let SnapshotDifference { added, removed, changed, unchanged } = difference;
        let (added, removed, changed) = (added.len(), removed.len(), changed.len());
        let summary = format!("{added} added, {removed} removed, {changed} changed, {unchanged} unchanged");
        out.put(&out.line().text(summary))
    })
}

fn title(key: &DiffKey, row: &RowFields) -> String {
    let cluster = if key.cluster.is_empty() { String::new() } else { format!("{} ", key.cluster) };
    let namespace = if key.namespace.is_empty() { String::new() } else { format!("{}/", key.namespace) };
    let target = if key.target.is_empty() { String::new() } else { format!(" (target {})", key.target) };
    format!("{cluster}{} {namespace}{}{target}", key.kind, row.name)
}

fn line(change: &ValueChange, out: &Paper<'_>) -> Line {
    let line = out.line().text("    ").text(&change.path).text(": ");
    match (&change.before, &change.after) {
        (Some(before), Some(after)) => line.red(short(before)).text(" → ").green(short(after)),
        (Some(before), None) => line.red(short(before)).text(" removed"),
        (None, after) => line.green(after.as_ref().map(short).unwrap_or_default()).text(" added"),
    }
}

fn short(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// For programs.
pub(super) fn json(difference: &SnapshotDifference) -> io::Result<()> {
    let whole = |rows: &[(DiffKey, RowFields)]| -> Vec<Value> {
        rows.iter()
            .map(|(key, row)| {
                let mut shown = identity(key, row);
                shown["attributes"] = serde_json::from_str(&row.attributes).unwrap_or_default();
                shown
            })
            .collect()
    };
    let changed: Vec<Value> = difference
        .changed
        .iter()
        .map(|(key, row, changes)| {
            let mut shown = identity(key, row);
            shown["changes"] = changes.iter().map(change).collect();
            shown
        })
        .collect();
    let all = json!({
        "added": whole(&difference.added),
        "removed": whole(&difference.removed),
        "changed": changed,
        "summary": {
            "added": difference.added.len(),
            "removed": difference.removed.len(),
            "changed": difference.changed.len(),
            "unchanged": difference.unchanged,
        },
    });
    print_json(|out| {
        serde_json::to_writer_pretty(&mut *out, &all)?;
        out.write_all(b"\n")
    })
}

fn identity(key: &DiffKey, row: &RowFields) -> Value {
    json!({
        "cluster": key.cluster,
        "target": key.target,
        "namespace": key.namespace,
        "kind": key.kind,
        "name": row.name,
        "version": row.version,
        "uid": key.uid,
    })
}

/// A value that is not there has no member, so that it differs from null.
fn change(change: &ValueChange) -> Value {
    let mut shown = json!({"path": change.path});
    for (member, value) in [("before", &change.before), ("after", &change.after)] {
        if let Some(value) = value {
            shown[member] = value.clone();
        }
    }
    shown
}

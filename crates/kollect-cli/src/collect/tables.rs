//! Rows on standard output for people: one table per target, an attribute per column.

use super::plan::Planned;
use super::source::CollectedSource;
use crate::terminal::{Paper, table};
use kollect_model::Row;
use kollect_store::View;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

pub(super) fn rows_of(source: &CollectedSource, target: &Planned) -> Vec<Arc<Row>> {
    source.store.snapshot(&View::of(target.keys.clone()))
}

pub(super) fn attributes_of(row: &Row) -> BTreeMap<String, Value> {
    // Attributes of a row are valid JSON.
    serde_json::from_str(row.attributes.get()).unwrap_or_default()
}

/// A value in a cell: text as it is, anything else as JSON; empty when it is missing.
pub(super) fn text_of(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// A value in a cell of a table: a list of plain values as `a, b`.
fn cell_of(value: Option<&Value>) -> String {
    let plain = |value: &Value| !matches!(value, Value::Array(_) | Value::Object(_) | Value::Null);
    match value {
        Some(Value::Array(values)) if !values.is_empty() && values.iter().all(plain) => {
            values.iter().map(|value| text_of(Some(value))).collect::<Vec<_>>().join(", ")
        }
        other => text_of(other),
    }
}

/// A table for people.
pub(super) fn table(
    source: &CollectedSource,
    target: &Planned,
    title: &str,
    width: Option<usize>,
    out: &mut Paper<'_>,
) -> io::Result<()> {
    let rows = rows_of(source, target);
    let count = if rows.len() == 1 { "1 row".to_owned() } else { format!("{} rows", rows.len()) };
    out.put(&out.line().bold(format_args!("{title} ({}, {count})", target.gvk.kind)))?;
    if rows.is_empty() {
        return Ok(());
    }
    let fixed = ["namespace", "name"].into_iter().map(str::to_owned);
    let header: Vec<String> = fixed.chain(target.attributes.iter().cloned()).collect();
    let lines: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            let attributes = attributes_of(row);
            let shown = |text: String| if text.is_empty() { "-".to_owned() } else { text };
            let place = [row.object.namespace.to_string(), row.object.name.to_string()].map(shown);
            let values = target.attributes.iter().map(|name| shown(cell_of(attributes.get(name))));
            place.into_iter().chain(values).collect()
        })
        .collect();
    table::write(out, &header, &lines, width)
}

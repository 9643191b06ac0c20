//! Rows on standard output for people and spreadsheets: one list per target, an attribute per column.
//!
//! Separate from records, which programs read. Values that are no text are shown as JSON.

use super::plan::Planned;
use super::source::Source;
use crate::terminal::{Style, plain, table};
use kollect_model::Row;
use kollect_store::View;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::Arc;

fn rows_of(source: &Source, target: &Planned) -> Vec<Arc<Row>> {
    source.store.snapshot(&View::of(target.keys.clone()))
}

fn attributes_of(row: &Row) -> BTreeMap<String, Value> {
    // The row was made from JSON of ours.
    serde_json::from_str(row.attributes.get()).unwrap_or_default()
}

/// A value in a cell: text as it is, anything else as JSON; empty when it is missing.
fn text_of(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// A table for people.
pub(super) fn table(
    source: &Source,
    target: &Planned,
    title: &str,
    width: Option<usize>,
    style: Style,
    out: &mut dyn Write,
) -> io::Result<()> {
    let rows = rows_of(source, target);
    let count = if rows.len() == 1 { "1 row".to_owned() } else { format!("{} rows", rows.len()) };
    writeln!(out, "{}", style.bold(format_args!("{} ({}, {count})", plain(title), target.gvk.kind)))?;
    if rows.is_empty() {
        return Ok(());
    }
    let header: Vec<String> = ["namespace", "name"]
        .into_iter()
        .map(str::to_owned)
        .chain(target.attributes.iter().map(|a| plain(a)))
        .collect();
    let lines: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            let attributes = attributes_of(row);
            let shown = |text: String| if text.is_empty() { "-".to_owned() } else { plain(&text) };
            let place = [row.object.namespace.to_string(), row.object.name.to_string()].map(shown);
            let values = target.attributes.iter().map(|name| shown(text_of(attributes.get(name))));
            place.into_iter().chain(values).collect()
        })
        .collect();
    table::write(out, &header, &lines, width, style)
}

/// Comma-separated values with a header.
pub(super) fn csv(source: &Source, target: &Planned, out: &mut dyn Write) -> io::Result<()> {
    let fixed = ["context", "targetNamespace", "targetName", "namespace", "name", "kind", "uid"];
    let header = fixed.into_iter().map(str::to_owned).chain(target.attributes.iter().cloned());
    csv_line(header, out)?;
    for row in rows_of(source, target) {
        let attributes = attributes_of(&row);
        let place = [
            source.context.clone(),
            row.id.target.namespace.to_string(),
            row.id.target.name.to_string(),
            row.object.namespace.to_string(),
            row.object.name.to_string(),
            row.object.gvk.kind.to_string(),
            row.id.uid.to_string(),
        ];
        let values = target.attributes.iter().map(|name| text_of(attributes.get(name)));
        csv_line(place.into_iter().chain(values), out)?;
    }
    Ok(())
}

fn csv_line(cells: impl Iterator<Item = String>, out: &mut dyn Write) -> io::Result<()> {
    let mut line = String::new();
    for (at, cell) in cells.enumerate() {
        if at > 0 {
            line.push(',');
        }
        if cell.contains([',', '"', '\n', '\r']) {
            line.push('"');
            line.push_str(&cell.replace('"', "\"\""));
            line.push('"');
        } else {
            line.push_str(&cell);
        }
    }
    line.push_str("\r\n");
    out.write_all(line.as_bytes())
}

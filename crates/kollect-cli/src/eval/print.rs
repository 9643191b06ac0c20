//! Prints values and costs on standard output, and broken paths with a mark on standard error.

use super::input::{Given, path_source};
use super::measure::{AttributeOutcome, AttributeResult};
use crate::source_map::{FindingReport, Severity};
use crate::terminal::{ColorChoice, Paper, Screen, print_json, print_lines};
use kollect_extract::CompileError;
use serde_json::{Value, json};
use std::io;

/// For people.
pub(super) fn text(given: &Given, lines: &[AttributeResult], colour: ColorChoice) -> io::Result<()> {
    let screen = Screen::new(colour);
    for line in lines {
        if let AttributeOutcome::Broken(error) = &line.outcome {
            screen.block(&format!("{}\n", broken(given, line, error, screen.style.has_colours())));
        }
    }
    print_lines(colour, |out| lines.iter().try_for_each(|line| one(out, line)))
}

fn one(out: &mut Paper<'_>, line: &AttributeResult) -> io::Result<()> {
    let attribute = &line.attribute;
    let path = if attribute.path.is_empty() { "copy of the object" } else { &attribute.path };
    let begin = out.line().bold(&attribute.name).text("  ");
    match &line.outcome {
        AttributeOutcome::Broken(_) => Ok(()),
        AttributeOutcome::Compiled => out.put(&begin.green("compiles").text("  ").text(path)),
        AttributeOutcome::Failed(error) => {
            let begin = if attribute.optional { begin.yellow("left out") } else { begin.red("fails") };
            out.put(&begin.text("  ").text(path))?;
            let why = out.line().text(format_args!("    {}: {}", error.class.label(), error.message));
            out.put(&why)?;
            out.put(&out.line())
        }
        AttributeOutcome::Value { value, nanoseconds } => {
            let kind = match (value, attribute.optional) {
                (Value::Null, true) => "null, left out",
                _ => type_of(value),
            };
            out.put(&begin.text(format_args!("{kind}  {}  {path}", duration(*nanoseconds))))?;
            let pretty = serde_json::to_string_pretty(value)?;
            for line in pretty.lines() {
                out.put(&out.line().text("    ").text(line))?;
            }
            out.put(&out.line())
        }
    }
}

fn broken(given: &Given, line: &AttributeResult, error: &CompileError, colours: bool) -> String {
    let title = format!("attribute {}: {}", line.attribute.name, error.message);
    let report = FindingReport { severity: Severity::Error, rule: "", title: &title, note: "", help: "" };
    let Some((source, document, prefix)) = &given.place else {
        let source = path_source(&line.attribute.path);
        let at = error.offset.unwrap_or(0).min(source.text.len());
        let end = if error.offset.is_some() { next_char(&source.text, at) } else { source.text.len() };
        return report.render(&source, at..end, colours);
    };
    let source = &given.set.sources[*source];
    let document = &source.documents[*document];
    let field = match line.number {
        Some(number) => format!("{prefix}spec.attributes[{number}].path"),
        None => format!("{prefix}spec.export"),
    };
    let inside = error.offset.and_then(|offset| document.inside(source, &field, offset));
    let span = match inside {
        Some(at) => at..next_char(&source.text, at),
        None => document.value_span(source, &field),
    };
    report.render(source, span, colours)
}

fn next_char(text: &str, at: usize) -> usize {
    at + text.get(at..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8)
}

/// For programs.
pub(super) fn json(lines: &[AttributeResult]) -> io::Result<()> {
    let attributes: Vec<Value> = lines.iter().map(as_json).collect();
    print_json(|to| {
        serde_json::to_writer_pretty(&mut *to, &json!({"attributes": attributes}))?;
        to.write_all(b"\n")
    })
}

fn as_json(line: &AttributeResult) -> Value {
    let attribute = &line.attribute;
    let mut shown = json!({"name": attribute.name, "path": attribute.path, "optional": attribute.optional});
    match &line.outcome {
        AttributeOutcome::Compiled => {}
        AttributeOutcome::Broken(error) => {
            shown["error"] = json!({"class": "compile", "message": error.message, "offset": error.offset});
        }
        AttributeOutcome::Failed(error) => {
            shown["error"] = json!({"class": error.class.label(), "message": error.message});
        }
        AttributeOutcome::Value { value, nanoseconds } => {
            shown["type"] = json!(type_of(value));
            shown["value"] = value.clone();
            shown["nanoseconds"] = json!(u64::try_from(*nanoseconds).unwrap_or(u64::MAX));
        }
    }
    shown
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn duration(nanoseconds: u128) -> String {
    match nanoseconds {
        0..10_000 => format!("{nanoseconds} ns"),
        10_000..10_000_000 => format!("{} µs", nanoseconds / 1_000),
        _ => format!("{} ms", nanoseconds / 1_000_000),
    }
}

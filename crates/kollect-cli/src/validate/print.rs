//! Findings for people and for programs.
//!
//! Separate so that what is found does not depend on how it is shown.

use super::finding::Finding;
use super::set::{Object, ObjectSet};
use crate::shell::{print, tell};
use crate::source_map::{Report, Severity};
use crate::terminal::{ColorChoice, Style};
use std::io::{self, IsTerminal as _};

/// Findings on standard error; the success line on standard output.
pub(super) fn text(set: &ObjectSet, findings: &[Finding], colour: ColorChoice) -> io::Result<()> {
    let style = Style::of(colour, io::stderr().is_terminal());
    let colours = style != Style::PLAIN;
    for finding in findings {
        tell(&format!("{}\n\n", render(set, finding, colours)));
    }
    let errors = findings.iter().filter(|finding| finding.severity == Severity::Error).count();
    let warnings = findings.len() - errors;
    let ours = set.objects().filter(Object::is_ours).count();
    let others = set.objects().count() - ours;
    let mut looked = format!("{} in {}", count(ours, "Kollect object"), count(set.sources.len(), "file"));
    if others > 0 {
        looked = format!("{looked} ({} not looked into)", count(others, "other object"));
    }
    if errors > 0 {
        let line = format!("{}, {}", count(errors, "error"), count(warnings, "warning"));
        tell(&format!("{} {line} in {looked}\n", style.red("invalid:")));
        return Ok(());
    }
    let style = Style::of(colour, io::stdout().is_terminal());
    let line = if warnings == 0 { String::new() } else { format!(", {}", count(warnings, "warning")) };
    print(|out| writeln!(out, "{} {looked}{line}", style.green("sound:")))
}

fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

fn render(set: &ObjectSet, finding: &Finding, colours: bool) -> String {
    // The mark shows it.
    let message = finding.message.split(" (at byte ").next().unwrap_or_default();
    let (what, help) = message.rsplit_once("; ").unwrap_or((message, ""));
    let title = if finding.field.is_empty() { what.to_owned() } else { format!("{}: {what}", finding.field) };
    let note = match (finding.kind.as_str(), finding.namespace.as_str(), finding.name.as_str()) {
        ("", ..) => String::new(),
        (kind, "", name) => format!("in {kind} {name}"),
        (kind, namespace, name) => format!("in {kind} {namespace}/{name}"),
    };
    let report = Report { severity: finding.severity, rule: &finding.rule, title: &title, note: note.trim_end(), help };
    report.render(&set.sources[finding.source], finding.span.clone(), colours)
}

/// All findings as one array on standard output.
pub(super) fn json(findings: &[Finding]) -> io::Result<()> {
    print(|out| {
        serde_json::to_writer_pretty(&mut *out, findings)?;
        out.write_all(b"\n")
    })
}

//! Prints findings for people and for programs.

use super::args::ValidateArgs;
use super::finding::ValidateFinding;
use crate::documents::{ObjectSet, SetObject};
use crate::source_map::{FindingReport, Severity};
use crate::terminal::{Screen, print_json, print_lines};
use std::io;

/// Findings on standard error; the success line on standard output.
pub(super) fn text(set: &ObjectSet, findings: &[ValidateFinding], args: &ValidateArgs) -> io::Result<()> {
    let screen = Screen::new(args.color).quiet(args.quiet);
    for finding in findings {
        screen.block(&format!("{}\n", render(set, finding, screen.style.has_colours())));
    }
    let errors = findings.iter().filter(|finding| finding.severity == Severity::Error).count();
    let warnings = findings.len() - errors;
    let ours = set.objects().filter(SetObject::is_kollect).count();
    let others: Vec<SetObject<'_>> = set.objects().filter(|object| !object.is_kollect()).collect();
    if args.verbose {
        for object in &others {
            let (file, kind, name) = (&set.sources[object.source].name, object.kind(), object.name());
            screen.info(&screen.line().text(format_args!("not checked: {kind} {name} in {file}")));
        }
    }
    let mut checked = format!("{} in {}", count(ours, "Kollect object"), count(set.sources.len(), "file"));
    if !others.is_empty() {
        checked = format!("{checked} ({} not checked)", count(others.len(), "other object"));
    }
    if errors > 0 {
        let line = format!(" {}, {} in {checked}", count(errors, "error"), count(warnings, "warning"));
        screen.info(&screen.line().red("invalid:").text(line));
        return Ok(());
    }
    if args.quiet {
        return Ok(());
    }
    let line = if warnings == 0 { String::new() } else { format!(", {}", count(warnings, "warning")) };
    print_lines(args.color, |out| {
        let begin = if ours == 0 { out.line().yellow("nothing to check:") } else { out.line().green("sound:") };
        out.put(&begin.text(format_args!(" {checked}{line}")))
    })
}

fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

fn render(set: &ObjectSet, finding: &ValidateFinding, colours: bool) -> String {
    // The mark shows it.
    let message = finding.message.split(" (at byte ").next().unwrap_or_default();
    let (what, help) = message.rsplit_once("; ").unwrap_or((message, ""));
    let title = if finding.field.is_empty() { what.to_owned() } else { format!("{}: {what}", finding.field) };
    let note = match (finding.kind.as_str(), finding.namespace.as_str(), finding.name.as_str()) {
        ("", ..) => String::new(),
        (kind, "", name) => format!("in {kind} {name}"),
        (kind, namespace, name) => format!("in {kind} {namespace}/{name}"),
    };
    let report =
        FindingReport { severity: finding.severity, rule: &finding.rule, title: &title, note: note.trim_end(), help };
    report.render(&set.sources[finding.source], finding.span.clone(), colours)
}

/// All findings as one array on standard output.
pub(super) fn json(findings: &[ValidateFinding]) -> io::Result<()> {
    print_json(|out| {
        serde_json::to_writer_pretty(&mut *out, findings)?;
        out.write_all(b"\n")
    })
}

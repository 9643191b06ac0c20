//! How the command went: the summary for people, and the exit code.

use super::export::Written;
use super::manifests;
use super::source::CollectedSource;
use super::summary_lines::{MOST_LINES, counted, list};
use crate::terminal::Screen;

/// Exit code when nothing is of use.
pub(super) const FAILED: u8 = 2;
/// What counts for the exit code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Verdict {
    /// Exports that were written or printed.
    pub(super) exported: u64,
    /// Something was skipped or failed.
    pub(super) degraded: bool,
    /// Something could not be written.
    pub(super) output_failed: bool,
}

impl Verdict {
    /// 0: everything; 1: a part; 2: nothing, or the output failed.
    pub(super) fn code(self) -> u8 {
        match self {
            Self { output_failed: true, .. } | Self { degraded: true, exported: 0, .. } => FAILED,
            Self { degraded: true, .. } => 1,
            Self { degraded: false, .. } => 0,
        }
    }
}

/// Shows what one source gave and what it did not.
pub(super) fn summarise(source: &CollectedSource, screen: Screen, verbose: bool) {
    let targets = source.planned.iter().filter(|planned| !planned.suspended).count();
    let mut line =
        format!("{}: {} of {}", source.label(), counted(source.rows(), "row"), counted(targets as u64, "target"));
    if let Some(summary) = &source.counts {
        line = format!("{line}; {}", manifests::counts(summary));
    }
    screen.info(&screen.line().text(line));
    if let Some(summary) = &source.counts {
        manifests::details(summary, screen, verbose);
    }
    if source.rows() == 0 && source.counts.as_ref().is_some_and(|counts| counts.objects + counts.unwanted > 0) {
        let why = " no object is one that a target collects: compare kinds, namespaces, labels and rules";
        screen.info(&screen.line().text("  ").yellow("note").text(why));
    }
    for planned in source.planned.iter().filter(|planned| planned.suspended) {
        let why = format!(" {}: spec.suspend is true", planned.title);
        screen.info(&screen.line().text("  ").yellow("off").text(why));
    }
    let stopped = source.planned.iter().filter_map(|planned| {
        let stop = planned.stop.as_ref()?;
        Some(format!("{}: {} ({})", planned.title, stop.reason, stop.message))
    });
    let skipped = source.skipped.iter().map(|skipped| {
        let place =
            if skipped.namespace.is_empty() { String::new() } else { format!(" in namespace {}", skipped.namespace) };
        format!("{}{place}: {} ({})", skipped.target, skipped.skip.reason, skipped.skip.message)
    });
    let most = if verbose { usize::MAX } else { MOST_LINES };
    list(most, stopped.chain(skipped), |line| screen.alarm(&screen.line().text("  ").yellow("skipped").text(line)));
    let failed = |line: String| screen.alarm(&screen.line().text("  ").red("failed").text(line));
    let failures = source.failures.iter().map(|failure| {
        format!("target {}, object {}, uid {}: {}", failure.target, failure.object, failure.uid, failure.reason)
    });
    list(most, failures, failed);
    let unnamed = source.failure_count.saturating_sub(source.failures.len() as u64);
    if unnamed > 0 {
        failed(format!(" {unnamed} more objects"));
    }
}

/// Shows what was written.
pub(super) fn report(written: &Written, screen: Screen, verbose: bool) {
    let (unit, destination) = (&written.unit, &written.destination);
    let failed = |what: String| screen.alarm(&screen.line().text("  ").red("failed").text(what));
    match (&written.result, &written.intent) {
        (Err(error), _) => failed(format!(" {unit} to {destination}: {error}")),
        (Ok(_), Some(intent)) => {
            let (added, changed, removed) = (intent.added.len(), intent.changed.len(), intent.removed.len());
            screen.info(&screen.line().text(format_args!(
                "  would write {unit} to {destination}: {added} added, {changed} changed, {removed} removed"
            )));
            let most = if verbose { usize::MAX } else { MOST_LINES };
            for (mark, entries) in [("+", &intent.added), ("~", &intent.changed), ("-", &intent.removed)] {
                list(most, entries.iter().cloned(), |entry| {
                    screen.info(&screen.line().text(format_args!("    {mark}{entry}")));
                });
            }
        }
        (Ok(receipt), None) => {
            let what = if receipt.rows == 0 {
                "unchanged".to_owned()
            } else {
                format!("{} written", counted(receipt.rows, "change"))
            };
            let line = screen.line().text("  ").green("done");
            screen.info(&line.text(format_args!(" {unit} to {destination}: {what}")));
            for rejected in &receipt.rejected {
                failed(format!(" row {}: {}", rejected.id, rejected.why));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_code_separates_all_a_part_and_nothing() {
        for (exported, degraded, output_failed, code) in [
            (2, false, false, 0),
            (0, false, false, 0),
            (1, true, false, 1),
            (0, true, false, 2),
            (1, true, true, 2),
            (1, false, true, 2),
        ] {
            assert_eq!(Verdict { exported, degraded, output_failed }.code(), code);
        }
    }
}

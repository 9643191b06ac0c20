//! The summary of manifests: counts in its first line, then what cannot be read, and with `-v` all names.

use super::summary_lines::{MOST_LINES, counted, list};
use crate::terminal::Screen;
use kollect_collect::manifests::ManifestSummary;
use std::collections::BTreeMap;
use std::fmt::Display;

/// The end of the first line.
pub(super) fn counts(summary: &ManifestSummary) -> String {
    let (objects, unwanted) = (summary.objects, summary.unwanted);
    let mut line =
        format!("{} read, {unwanted} of kinds that no target collects", counted(objects + unwanted, "object"));
    if summary.repeated.count > 0 {
        line = format!("{line}, {} repeated", summary.repeated.count);
    }
    if summary.strange.count > 0 {
        let mut reasons = BTreeMap::new();
        for strange in &summary.strange.named {
            *reasons.entry(strange.why).or_insert(0_u64) += 1;
        }
        let reasons: Vec<String> = reasons.iter().map(|(why, count)| format!("{count} with {why}")).collect();
        let more = if summary.strange.count > summary.strange.named.len() as u64 { " at least" } else { "" };
        let count = summary.strange.count;
        line = format!("{line}, and {count} that are no Kubernetes objects ({}{more})", reasons.join(", "));
    }
    if summary.faults.count > 0 {
        line = format!("{line}; {} not be read", counted(summary.faults.count, "place") + " could");
    }
    line
}

/// One line for each thing.
pub(super) fn details(summary: &ManifestSummary, screen: Screen, verbose: bool) {
    let most = if verbose { usize::MAX } else { MOST_LINES };
    list(most, texts(&summary.faults.named), |line| screen.alarm(&screen.line().text("  ").red("failed").text(line)));
    if verbose {
        let skipped = |line: String| screen.info(&screen.line().text("  ").yellow("skipped").text(line));
        list(most, texts(&summary.strange.named).map(|one| format!("{one}, so no Kubernetes object")), skipped);
        list(most, texts(&summary.repeated.named), |line| {
            screen.info(&screen.line().text("  ").yellow("repeated").text(line));
        });
    }
}

fn texts<T: Display>(all: &[T]) -> impl Iterator<Item = String> {
    all.iter().map(ToString::to_string)
}

//! How the command went: the summary for people, and the exit code.
//!
//! Separate and pure but for saying it, so that what counts as success has one place.

use super::export::Written;
use super::source::Source;
use crate::terminal::{Screen, plain};

/// Exit code when nothing is of use.
pub(super) const FAILED: u8 = 2;
/// Lines of one kind in the summary.
const MOST_LINES: usize = 20;

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

/// Says what one source gave and what it did not.
pub(super) fn summarise(source: &Source, screen: Screen) {
    let style = screen.style;
    let targets = source.planned.iter().filter(|planned| !planned.suspended).count();
    let mut line = format!(
        "{}: {} of {}",
        plain(source.label()),
        counted(source.rows(), "row"),
        counted(targets as u64, "target")
    );
    if let Some(counts) = source.counts {
        let (objects, unwanted) = (counts.objects, counts.unwanted);
        line = format!(
            "{line}; {} read, {unwanted} of kinds that no target collects",
            counted(objects + unwanted, "object")
        );
        if counts.strange > 0 {
            line = format!("{line}, and {} that are no Kubernetes objects", counts.strange);
        }
    }
    screen.say(line);
    for planned in source.planned.iter().filter(|planned| planned.suspended) {
        screen.say(format_args!("  {} {}: spec.suspend is true", style.yellow("off"), plain(&planned.title)));
    }
    let stopped = source.planned.iter().filter_map(|planned| {
        let stop = planned.stop.as_ref()?;
        Some(format!("{}: {} ({})", plain(&planned.title), stop.reason, plain(&stop.message)))
    });
    let skipped = source.skipped.iter().map(|skipped| {
        let place =
            if skipped.namespace.is_empty() { String::new() } else { format!(" in namespace {}", skipped.namespace) };
        format!("{}{place}: {} ({})", plain(&skipped.target), skipped.skip.reason, plain(&skipped.skip.message))
    });
    lines(screen, &style.yellow("skipped"), stopped.chain(skipped));
    let failures = source.failures.iter().map(|failure| {
        let (target, object) = (plain(&failure.target), plain(&failure.object));
        format!("target {target}, object {object}, uid {}: {}", plain(&failure.uid), plain(&failure.reason))
    });
    lines(screen, &style.red("failed"), failures);
    let unnamed = source.failure_count.saturating_sub(source.failures.len() as u64);
    if unnamed > 0 {
        screen.say(format_args!("  {} {unnamed} more objects", style.red("failed")));
    }
}

fn lines(screen: Screen, mark: &str, all: impl Iterator<Item = String>) {
    let mut more = 0;
    for (at, line) in all.enumerate() {
        if at < MOST_LINES {
            screen.say(format_args!("  {mark} {line}"));
        } else {
            more += 1;
        }
    }
    if more > 0 {
        screen.say(format_args!("  {mark} and {more} more"));
    }
}

/// Says what was written.
pub(super) fn tell(written: &Written, screen: Screen) {
    let style = screen.style;
    match (&written.result, &written.intent) {
        (Err(error), _) => {
            screen.say(format_args!("  {} {} to {}: {error}", style.red("failed"), written.unit, written.destination));
        }
        (Ok(_), Some(intent)) => {
            let (added, changed, removed) = (intent.added.len(), intent.changed.len(), intent.removed.len());
            screen.say(format_args!(
                "  would write {} to {}: {added} added, {changed} changed, {removed} removed",
                written.unit, written.destination
            ));
            for (mark, list) in [("+", &intent.added), ("~", &intent.changed), ("-", &intent.removed)] {
                for entry in list.iter().take(MOST_LINES) {
                    screen.say(format_args!("    {mark} {}", plain(entry)));
                }
                if list.len() > MOST_LINES {
                    screen.say(format_args!("    {mark} and {} more", list.len() - MOST_LINES));
                }
            }
        }
        (Ok(receipt), None) => {
            let what = if receipt.rows == 0 {
                "unchanged".to_owned()
            } else {
                format!("{} written", counted(receipt.rows, "change"))
            };
            screen.say(format_args!("  {} {} to {}: {what}", style.green("done"), written.unit, written.destination));
            for rejected in &receipt.rejected {
                screen.say(format_args!("  {} row {}: {}", style.red("failed"), rejected.id, plain(&rejected.why)));
            }
        }
    }
}

fn counted(count: u64, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_code_says_whether_all_a_part_or_nothing_was_exported() {
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

//! `kollect diff`: compares two exported snapshots, without a cluster or a sink.

mod compare;
mod place;
mod print;
mod printed;
mod read;

pub use compare::{SnapshotDifference, ValueChange, compare};
pub use place::PlaceError;
pub use read::{DiffKey, RowFields, RowSnapshot};

use crate::shell::{FOUND, OK};
use crate::terminal::ReportFormat;
use crate::terminal::{ColorChoice, Screen};
use clap::Args;
use std::path::PathBuf;

/// Files that are no snapshot are named up to this many.
const NAMED: usize = 5;

/// Arguments of `kollect diff`.
#[derive(Args, Clone, Debug)]
#[command(
    after_help = "A and B are files (documents, envelopes, NDJSON, rows), directories of them, git:REV or git:REV:PATH \
of the repository --repo, or - for standard input.\n\n\
Exit status:\n  0  done\n  1  A and B differ, with --exit-code or --quiet\n  2  A or B cannot be read\n\n\
Example:\n  kollect diff monday.json tuesday.json\n  kollect diff --repo ./inventory git:HEAD~1 git:HEAD\n  \
kollect diff --exit-code git:main:inventory ./inventory"
)]
pub struct DiffArgs {
    /// The earlier snapshot
    #[arg(value_name = "A")]
    pub before: String,
    /// The later snapshot
    #[arg(value_name = "B")]
    pub after: String,
    /// Repository of git:REV
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub repo: PathBuf,
    /// Form of the differences
    #[arg(long, short = 'o', visible_alias = "output", value_enum, default_value_t)]
    pub format: ReportFormat,
    /// Exit with 1 when there are differences
    #[arg(long)]
    pub exit_code: bool,
    /// Print nothing; the exit status is 1 when there are differences, as with --exit-code
    #[arg(long, short)]
    pub quiet: bool,
    /// When to colour
    #[arg(long, value_enum, default_value_t, value_name = "WHEN")]
    pub color: ColorChoice,
}

/// Why two snapshots could not be compared.
#[derive(Debug, thiserror::Error)]
pub enum DiffError {
    /// A snapshot cannot be read.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// Writing the differences failed.
    #[error("writing the differences: {0}")]
    Output(#[from] std::io::Error),
}

/// Runs the command; the answer is the exit status.
pub fn run(args: &DiffArgs) -> Result<u8, DiffError> {
    let screen = Screen::new(args.color).quiet(args.quiet);
    if args.before == "-" && args.after == "-" {
        return Err(PlaceError::BothStandardInput.into());
    }
    let (before, after) = if args.before == "-" || args.after == "-" {
        (place::open(&args.before, &args.repo)?, place::open(&args.after, &args.repo)?)
    } else {
        both(args)?
    };
    for (name, snapshot) in [(&args.before, &before), (&args.after, &after)] {
        warn(name, snapshot, screen);
    }
    let difference = compare(before, after);
    match args.format {
        _ if args.quiet => {}
        ReportFormat::Text => print::text(&difference, args.color)?,
        ReportFormat::Json => print::json(&difference)?,
    }
    let by_status = args.exit_code || args.quiet;
    Ok(if by_status && !difference.is_empty() { FOUND } else { OK })
}

/// Reads both at once.
fn both(args: &DiffArgs) -> Result<(RowSnapshot, RowSnapshot), PlaceError> {
    std::thread::scope(|scope| {
        let before = scope.spawn(|| place::open(&args.before, &args.repo));
        let after = place::open(&args.after, &args.repo);
        let before = before.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        Ok((before, after?))
    })
}

fn warn(name: &str, snapshot: &RowSnapshot, screen: Screen) {
    let lists = [
        (&snapshot.skipped, "files without rows of Kollect are left out"),
        (&snapshot.missing, "it is not whole; these files are missing"),
    ];
    for (files, what) in lists.into_iter().filter(|(files, _)| !files.is_empty()) {
        screen.warning(format_args!("{name}: {what}:"));
        for (path, why) in files.iter().take(NAMED) {
            screen.info(&screen.line().text(format_args!("  {path}: {why}")));
        }
        if files.len() > NAMED {
            screen.info(&screen.line().text(format_args!("  and {} more", files.len() - NAMED)));
        }
    }
    if snapshot.has_no_files() {
        screen.warning(format_args!("{name}: no .json, .ndjson, .jsonl, .yaml or .yml file is in it"));
    }
    if snapshot.repeated > 0 {
        let repeated = snapshot.repeated;
        screen.warning(format_args!("{name}: {repeated} rows are there more than once; the last of each counts"));
    }
}

#[cfg(test)]
mod tests;

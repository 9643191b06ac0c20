//! `kollect collect`: collects once and writes once, from clusters or from files.
//!
//! It uses the operator's profiles, matching, rows, layouts and sinks, without cadence and control loops.

mod args;
mod cluster;
mod contexts;
mod csv;
mod destination;
mod dry_run;
mod export;
mod files;
mod manifests;
mod namespaces;
mod outcome;
mod plan;
mod records;
mod run;
mod sink_builders;
mod source;
mod summary_lines;
mod tables;
mod units;

pub use args::{CollectArgs, LogLevel};
pub use sink_builders::{OpenDirectory, SinkBuilders};

use crate::terminal::{Screen, chain};
/// Runs the command; the result is its exit code.
pub fn run(args: &CollectArgs, builders: &SinkBuilders) -> u8 {
    let screen = Screen::new(args.color).quiet(args.quiet);
    match run::run(args, builders, screen) {
        Ok(verdict) => verdict.code(),
        Err(error) => {
            screen.error(chain(error.as_ref()));
            outcome::FAILED
        }
    }
}

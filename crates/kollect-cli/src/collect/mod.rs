//! `kollect collect`: collects once and writes once, from clusters or from files.
//!
//! Separate from the operator, whose parts it uses: the same profiles, matching, rows, layouts and sinks, without
//! cadence and control loops. `contexts` finds clusters, `cluster` and `files` fill a store from one, `plan` turns
//! targets into what is collected, `units` into what is exported, `export` writes, `outcome` judges.

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
mod source;
mod tables;
mod units;

pub use args::{CollectArgs, LogLevel};
pub use destination::OpenDirectory;

use crate::terminal::{Screen, chain};
use kollect_resources::registry::SinkRegistry;
use std::sync::Arc;

/// What the program brings along, so that this crate knows no sink.
#[derive(Clone)]
pub struct Hands {
    /// Builds the sinks of the configuration.
    pub registry: Arc<dyn SinkRegistry>,
    /// Opens a directory as a sink; with `true` it checks and writes nothing.
    pub directory: OpenDirectory,
}

/// Runs the command; the result is its exit code.
pub fn run(args: &CollectArgs, hands: &Hands) -> u8 {
    let screen = Screen::new(args.color).quiet(args.quiet);
    match run::run(args, hands, screen) {
        Ok(verdict) => verdict.code(),
        Err(error) => {
            screen.error(chain(error.as_ref()));
            outcome::FAILED
        }
    }
}

//! The name of the program in help and errors: `kollect`, or `kubectl kollect` when kubectl starts it as a plugin.

use clap::Command;
use std::ffi::OsStr;
use std::path::Path;

const PLUGIN: &str = "kubectl-kollect";

/// Gives the command line the name that it was started by.
pub fn named(command: Command, program: Option<&OsStr>) -> Command {
    let name = program.and_then(|program| Path::new(program).file_stem());
    if name.is_some_and(|name| name == PLUGIN) {
        return command.bin_name("kubectl kollect").display_name("kubectl kollect");
    }
    command
}

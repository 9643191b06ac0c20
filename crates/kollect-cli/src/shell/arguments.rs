//! The arguments as they were typed: Go-style flags, bytes that are no text, and errors that repeat them.

use crate::terminal::{ColorChoice, Screen, is_hostile, plain};
use clap::{ArgMatches, Command};
use std::collections::HashSet;
use std::ffi::OsString;

/// Reads the command line, or shows its error and ends the program.
pub fn parse(command: &dyn Fn() -> Command) -> ArgMatches {
    let flags = long_flags(&command());
    let arguments: Vec<OsString> = double_dashes(std::env::args_os(), &flags).collect();
    let error = match command().try_get_matches_from(&arguments) {
        Ok(matches) => return matches,
        Err(error) => error,
    };
    if !arguments.iter().any(|argument| argument.to_string_lossy().chars().any(is_hostile)) {
        error.exit();
    }
    // The error repeats arguments, so it is made once more of clean ones.
    let clean = arguments.iter().map(|argument| plain(&argument.to_string_lossy()));
    if let Err(error) = command().try_get_matches_from(clean) {
        error.exit();
    }
    Screen::new(ColorChoice::Auto).lines(error.render().to_string().trim_end());
    std::process::exit(error.exit_code())
}

/// Names of all flags of all commands that have a name of more than one letter.
fn long_flags(command: &Command) -> HashSet<String> {
    let own = command.get_arguments().flat_map(|argument| argument.get_long_and_visible_aliases().unwrap_or_default());
    let mut flags: HashSet<String> = own.map(str::to_owned).collect();
    flags.extend(["help", "version"].map(str::to_owned));
    for command in command.get_subcommands() {
        flags.extend(long_flags(command));
    }
    flags
}

/// Go programs take `-flag` as well as `--flag`; manifests in the field use both.
fn double_dashes(arguments: impl Iterator<Item = OsString>, flags: &HashSet<String>) -> impl Iterator<Item = OsString> {
    let mut positional = false;
    arguments.map(move |argument| {
        positional |= argument == "--";
        let name = argument.to_str().and_then(|text| text.strip_prefix('-'));
        let name = name.and_then(|name| name.split('=').next());
        if positional || !name.is_some_and(|name| flags.contains(name)) {
            return argument;
        }
        let mut long = OsString::from("-");
        long.push(argument);
        long
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Arg;

    #[test]
    fn one_dash_is_enough_for_a_flag_and_short_flags_stay_short() {
        let command = Command::new("x").subcommand(
            Command::new("y")
                .arg(Arg::new("leader-elect").long("leader-elect"))
                .arg(Arg::new("o").short('o').long("output")),
        );
        let flags = long_flags(&command);
        let read = |arguments: &[&str]| -> Vec<String> {
            let arguments = arguments.iter().map(OsString::from);
            double_dashes(arguments, &flags).map(|argument| argument.into_string().unwrap()).collect()
        };
        let typed = ["x", "y", "-leader-elect=false", "--output", "-ojson", "-vv", "-", "-5", "-help", "--", "-output"];
        let meant =
            ["x", "y", "--leader-elect=false", "--output", "-ojson", "-vv", "-", "-5", "--help", "--", "-output"];
        assert_eq!(read(&typed), meant);
    }
}

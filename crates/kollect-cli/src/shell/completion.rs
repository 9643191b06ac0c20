//! Completion: the script that a shell loads, and the answers to its queries.
//!
//! The shell runs the program for every press of the tab key, so a query reads the kubeconfig and contacts no cluster.

use crate::cluster::kubeconfig;
use crate::terminal::print;
use clap::{Args, Command, ValueEnum};
use clap_complete::CompleteEnv;
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};
use clap_complete::env::Shells;
use std::ffi::OsStr;
use std::io;

/// Variable that marks a completion query, with the shell as its value.
const VARIABLE: &str = "KOLLECT_COMPLETE";
const PROGRAM: &str = "kollect";

/// A shell that can complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// GNU Bash
    Bash,
    /// Zsh
    Zsh,
    /// Fish
    Fish,
    /// PowerShell
    Powershell,
    /// Elvish
    Elvish,
}

/// Arguments of `kollect completion`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Example:\n  source <(kollect completion bash)\n  \
kollect completion zsh > \"${fpath[1]}/_kollect\"\n  kollect completion fish > ~/.config/fish/completions/kollect.fish\n  \
kollect completion powershell | Out-String | Invoke-Expression")]
pub struct CompletionArgs {
    /// The shell that loads the script
    #[arg(value_enum)]
    pub shell: Shell,
}

/// Prints the script.
pub fn completion(args: &CompletionArgs) -> io::Result<u8> {
    let shell = args.shell.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
    let shells = Shells::builtins();
    let completer = shells.completer(&shell).ok_or_else(|| io::Error::other(format!("no script for {shell}")))?;
    print(|out| completer.write_registration(VARIABLE, PROGRAM, PROGRAM, PROGRAM, out))?;
    Ok(super::OK)
}

/// Answers a shell that asks for completions, and ends the program then. Else returns at once.
pub fn answer(command: impl Fn() -> Command) {
    CompleteEnv::with_factory(|| with_values(command())).var(VARIABLE).complete();
}

/// Lets `--context` of every command complete from the kubeconfig.
fn with_values(command: Command) -> Command {
    let has_context = command.get_arguments().any(|argument| argument.get_id() == "context");
    let command = command.mut_subcommands(with_values);
    if !has_context {
        return command;
    }
    command.mut_arg("context", |argument| argument.add(ArgValueCompleter::new(contexts)))
}

/// Contexts that may follow the last comma.
fn contexts(current: &OsStr) -> Vec<CompletionCandidate> {
    let current = current.to_string_lossy();
    let (before, begun) = match current.rsplit_once(',') {
        Some((before, begun)) => (format!("{before},"), begun),
        None => (String::new(), &*current),
    };
    // A kubeconfig that cannot be read offers nothing; the command itself reports why.
    let Ok(file) = kubeconfig(None) else { return Vec::new() };
    let fits = file.contexts.iter().filter(|context| context.name.starts_with(begun));
    fits.map(|context| CompletionCandidate::new(format!("{before}{}", context.name))).collect()
}

//! The `kollect` program: reads the command line and runs the command.

mod args;
mod client;
mod collect;
mod crds;
mod http;
mod leader_tasks;
mod logging;
mod memory_limit;
mod only_one;
mod operator;
mod part_settings;
mod read_api;
mod readiness;
mod settings;
mod sinks;
mod webhook;

use anyhow::Context as _;
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use kollect_cli::terminal::{ColorChoice, Screen, chain};
use kollect_cli::{diff, eval, init, shell, validate};
use std::process::ExitCode;

#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Keeps a durable, queryable, diffable inventory of what runs in Kubernetes clusters.
#[derive(Parser)]
#[command(
    name = "kollect",
    version,
    after_help = "kollect COMMAND --help has examples and options.\n\n\
Exit status:\n  0  done\n  1  something was found or left out, as the command's --help says; operator: it cannot run\n  \
2  wrong arguments or input, or nothing could be done\n\n\
Example:\n  kollect init --kind Deployment --namespace shop --sample web\n  \
kollect collect --config examples/collect --from examples/manifests\n  \
kollect crds | kubectl apply --server-side -f -\n  kollect operator --leader-elect"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Watch the cluster and keep the sinks equal to it
    Operator(Box<args::OperatorArgs>),
    /// Collect once, from clusters or from manifests, and print or write the rows
    Collect(Box<kollect_cli::collect::CollectArgs>),
    /// Print the CustomResourceDefinitions
    Crds(crds::CrdsArgs),
    /// Check manifests against every rule, without a cluster
    Validate(Box<validate::ValidateArgs>),
    /// Show what the paths of a profile yield for an object
    Eval(Box<eval::EvalArgs>),
    /// Show what changed between two exported snapshots
    Diff(diff::DiffArgs),
    /// Write a config for a kind of a live cluster
    Init(Box<init::InitArgs>),
    /// Print the script that completes kollect in a shell
    Completion(shell::CompletionArgs),
    /// Write the manual pages
    Man(shell::ManArgs),
}

/// Exit status of the operator when it cannot run.
const FAILED: u8 = 1;

fn main() -> ExitCode {
    shell::answer(Cli::command);
    let command = || shell::named(Cli::command(), std::env::args_os().next().as_deref());
    let matches = shell::parse(&command);
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.format(&mut command()).exit());
    let (result, failed) = match cli.command {
        Command::Operator(args) => (operator::run(&args).map(|()| shell::OK), FAILED),
        Command::Collect(args) => (Ok(collect::run(&args)), shell::INVALID),
        Command::Crds(args) => (crds::run(&args).map(|()| shell::OK), shell::INVALID),
        Command::Validate(args) => (validate::run(&args).map_err(Into::into), shell::INVALID),
        Command::Eval(args) => (eval::run(&args).map_err(Into::into), shell::INVALID),
        Command::Diff(args) => (diff::run(&args).map_err(Into::into), shell::INVALID),
        Command::Init(args) => (init::run(&args).map_err(Into::into), shell::INVALID),
        Command::Completion(args) => (shell::completion(&args).context("writing the script"), shell::INVALID),
        Command::Man(args) => (shell::manual(&args, command()).map_err(Into::into), shell::INVALID),
    };
    match result {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            let why = chain(error.as_ref());
            // Where a log was started, it may be JSON for a program.
            if tracing::dispatcher::has_been_set() {
                tracing::error!("{why}");
            } else {
                Screen::new(ColorChoice::Auto).error(why);
            }
            ExitCode::from(failed)
        }
    }
}

//! The `kollect` program: reads the command line and starts what it asks for.

mod args;
mod client;
mod crds;
mod http;
mod logging;
mod operator;
mod settings;
mod sinks;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Keeps a durable, queryable, diffable inventory of what runs in Kubernetes clusters.
#[derive(Parser)]
#[command(
    name = "kollect",
    version,
    after_help = "Example:\n  kollect crds | kubectl apply --server-side -f -\n  kollect operator --leader-elect"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Watch the cluster and keep the sinks equal to it
    Operator(Box<args::OperatorArgs>),
    /// Print the CustomResourceDefinitions
    Crds(crds::CrdsArgs),
}

fn main() -> ExitCode {
    let cli = Cli::parse_from(std::env::args().map(double_dash));
    let result = match cli.command {
        Command::Operator(args) => operator::run(&args),
        Command::Crds(args) => crds::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            eprintln!("kollect: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Go programs take `-flag` as well as `--flag`; manifests in the field use both.
fn double_dash(arg: String) -> String {
    let long = arg.starts_with('-') && !arg.starts_with("--") && arg.len() > 2;
    if long { format!("-{arg}") } else { arg }
}

//! `cargo xtask`: everything a developer or a CI job runs in this repository.
//!
//! Separate and light (no Kubernetes client, no sink), so that it builds in seconds; what needs more is a program of
//! the test kit that this one builds and runs.

mod codegen;
mod env;
mod gate;
mod programs;
mod shell;
mod tidy;

use clap::{Args, Parser, Subcommand};
use std::process::ExitCode;

/// Tasks of this repository
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Get the real servers that the tests need into a cache directory
    Env {
        /// Also print `KUBEBUILDER_ASSETS=…` on standard output, for eval
        #[arg(long)]
        print: bool,
    },
    /// Check everything: format, lints, budgets, generated files, tests
    Test(TestArgs),
    /// Check budgets and the invariants that a program can check
    Tidy,
    /// Write the generated files below deploy/
    Codegen {
        /// Only check whether they are up to date
        #[arg(long)]
        check: bool,
    },
    /// Show the operator at work against real servers on this machine
    #[command(disable_help_flag = true)]
    Demo(Rest),
    /// Measure: `bench extract`, `bench collect`, `bench live --objects N`, `bench faults`; each takes `--json FILE`
    #[command(disable_help_flag = true)]
    Bench(Rest),
}

#[derive(Args)]
struct TestArgs {
    /// Only what needs no server
    #[arg(long, conflicts_with = "soak")]
    fast: bool,
    /// Also the long rounds (tests marked `#[ignore = "soak"]`)
    #[arg(long)]
    soak: bool,
}

#[derive(Args)]
struct Rest {
    /// Arguments of the program
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<String>,
}

fn main() -> ExitCode {
    let done = match Cli::parse().task {
        Task::Env { print } => env::run(print),
        Task::Test(args) => gate::run_all(match (args.fast, args.soak) {
            (true, _) => gate::Tier::Fast,
            (_, true) => gate::Tier::Soak,
            _ => gate::Tier::Default,
        }),
        Task::Tidy => tidy::run(),
        Task::Codegen { check } => codegen::run(check),
        Task::Demo(rest) => programs::demo(&rest.args),
        Task::Bench(rest) => programs::bench(&rest.args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

//! The measuring program behind `cargo xtask bench`.

use clap::{Parser, Subcommand};
use kollect_testkit::bench_live;

/// Measures Kollect on this machine
#[derive(Parser)]
#[command(name = "bench")]
struct Cli {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    Live(bench_live::LiveArgs),
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().what {
        What::Live(args) => {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
            runtime.block_on(bench_live::run(&args))
        }
    }
}

//! The measuring program behind `cargo xtask bench`.

use clap::{Parser, Subcommand};
use kollect_testkit::counting_alloc::CountingAllocator;
use kollect_testkit::{bench_collect, bench_extract, bench_faults, bench_live};
use std::path::PathBuf;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// Measures Kollect on this machine
#[derive(Parser)]
#[command(name = "cargo xtask bench")]
struct Cli {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Measures extraction: time and allocations per object
    Extract {
        /// Write the numbers to this file
        #[arg(long)]
        json: Option<PathBuf>,
    },
    Collect(bench_collect::CollectArgs),
    Live(bench_live::LiveArgs),
    Faults(bench_faults::FaultArgs),
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().what {
        What::Extract { json } => bench_extract::run(json.as_deref()),
        What::Collect(args) => bench_collect::run(&args),
        What::Live(args) => runtime()?.block_on(bench_live::run(&args)),
        What::Faults(args) => runtime()?.block_on(bench_faults::run(&args)),
    }
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()
}

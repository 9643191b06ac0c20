//! The measuring program behind `cargo xtask bench`.

mod bench_cluster;
mod collect;
mod counting_alloc;
mod extract;
mod faults;
mod live;
mod load;

use clap::{Parser, Subcommand};
use counting_alloc::CountingAllocator;
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
    Collect(collect::CollectArgs),
    Live(live::LiveArgs),
    Faults(faults::FaultArgs),
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().what {
        What::Extract { json } => extract::run(json.as_deref()),
        What::Collect(args) => collect::run(&args),
        What::Live(args) => runtime()?.block_on(live::run(&args)),
        What::Faults(args) => runtime()?.block_on(faults::run(&args)),
    }
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()
}

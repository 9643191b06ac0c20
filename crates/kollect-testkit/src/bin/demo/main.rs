//! The program behind `cargo xtask demo`.

mod objects;
mod run;
mod screen;
mod sinks;
mod story;

use clap::Parser as _;

fn main() -> anyhow::Result<()> {
    let args = run::DemoArgs::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(run::run(&args))
}

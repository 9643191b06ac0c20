//! The program behind `cargo xtask demo`.

use clap::Parser as _;
use kollect_testkit::demo;

fn main() -> anyhow::Result<()> {
    let args = demo::DemoArgs::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(demo::run(&args))
}

//! `demo` and `bench`: prepare the servers, build the operator and the program of the test kit, and run it.
//!
//! Thin starters; what is shown and measured is in the test kit.

use crate::env;
use crate::shell::{cargo, run};
use std::path::PathBuf;

pub(crate) fn demo(args: &[String]) -> anyhow::Result<()> {
    let assets = env::prepare()?.assets;
    run(&mut cargo([
        "build",
        "--quiet",
        "--package",
        "kollect",
        "--package",
        "kollect-testkit",
        "--features",
        "kollect-testkit/tools",
        "--bins",
    ]))?;
    let mut demo =
        cargo(["run", "--quiet", "--package", "kollect-testkit", "--features", "tools", "--bin", "demo", "--"]);
    run(demo.args(args).env("KUBEBUILDER_ASSETS", assets).env("KOLLECT_BIN", target_dir().join("debug/kollect")))
}

pub(crate) fn bench(args: &[String]) -> anyhow::Result<()> {
    let mut bench = cargo([
        "run",
        "--quiet",
        "--profile",
        "fast",
        "--package",
        "kollect-testkit",
        "--features",
        "tools",
        "--bin",
        "bench",
        "--",
    ]);
    bench.args(args);
    if args.first().is_some_and(|first| first != "extract") {
        if args[0] != "collect" {
            bench.env("KUBEBUILDER_ASSETS", env::prepare()?.assets);
        }
        // Its own call: the allocator is a feature of the operator's binary and must not leak into the bench's.
        run(&mut cargo(["build", "--profile", "fast", "--package", "kollect", "--features", "jemalloc"]))?;
        bench.env("KOLLECT_BIN", target_dir().join("fast/kollect"));
    }
    run(&mut bench)
}

fn target_dir() -> PathBuf {
    let root = crate::shell::root();
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |dir| root.join(PathBuf::from(dir)))
}

//! `test`: every check, in the order in which failures are cheapest, and the totals of all tests at the end.
//!
//! It decides what belongs to which tier. It knows no test by name.

use crate::shell::{cargo, describe, root, run};
use crate::{codegen, env, tidy};
use anyhow::Context as _;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

/// How much is run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tier {
    /// What needs no server.
    Fast,
    /// All but the long rounds.
    Default,
    /// Everything.
    Soak,
}

/// Crates whose integration tests start no server.
const PURE_CRATES: [&str; 7] =
    ["kollect-model", "kollect-api", "kollect-extract", "kollect-rules", "kollect-store", "kollect-export", "xtask"];

#[derive(Default)]
struct Totals {
    passed: u64,
    failed: u64,
    ignored: u64,
}

pub(crate) fn run_all(tier: Tier) -> anyhow::Result<()> {
    let begun = Instant::now();
    let assets = if tier == Tier::Fast { None } else { Some(env::prepare()?.assets) };
    step("format");
    run(&mut cargo(["fmt", "--all", "--check"])).context("run `cargo fmt --all`")?;
    step("lints");
    run(&mut cargo(["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"]))?;
    // The programs behind `demo` and `bench`, which `--workspace` leaves out.
    let tools = ["clippy", "-p", "kollect-testkit", "--features", "tools", "--all-targets", "--quiet", "--"];
    run(&mut cargo(tools.into_iter().chain(["-D", "warnings"])))?;
    step("tidy");
    tidy::run()?;
    step("generated files");
    codegen::run(true)?;
    step("tests");
    let mut totals = Totals::default();
    let mut green = true;
    for mut command in commands(tier) {
        if let Some(assets) = &assets {
            command.env("KUBEBUILDER_ASSETS", assets);
        }
        green &= count(&mut command, &mut totals)?;
    }
    let Totals { passed, failed, ignored } = totals;
    let left = if ignored > 0 { format!(", {ignored} left to --soak") } else { String::new() };
    eprintln!("==> took {} s{left}", begun.elapsed().as_secs());
    writeln!(std::io::stdout(), "{passed} passed, {failed} failed")?;
    anyhow::ensure!(green && failed == 0, "tests failed");
    Ok(())
}

fn step(name: &str) {
    eprintln!("==> {name}");
}

fn commands(tier: Tier) -> Vec<Command> {
    let base = ["test", "--workspace", "--no-fail-fast", "--quiet"];
    match tier {
        Tier::Default => vec![cargo(base.into_iter().chain(["--tests"]))],
        Tier::Soak => {
            let tools = ["test", "--quiet", "-p", "kollect-testkit", "--features", "tools", "--bins"];
            vec![cargo(base.into_iter().chain(["--tests", "--", "--include-ignored"])), cargo(tools)]
        }
        Tier::Fast => {
            let mut integration = cargo(["test", "--no-fail-fast", "--quiet", "--test", "*"]);
            for name in PURE_CRATES.into_iter().filter(|name| has_integration_tests(name)) {
                integration.args(["-p", name]);
            }
            vec![cargo(base.into_iter().chain(["--lib", "--bins"])), integration]
        }
    }
}

fn has_integration_tests(name: &str) -> bool {
    let tests =
        if name == "xtask" { Path::new("xtask/tests").into() } else { Path::new("crates").join(name).join("tests") };
    root().join(tests).is_dir()
}

/// Runs one `cargo test`, passes its output on, and adds up its result lines.
fn count(command: &mut Command, totals: &mut Totals) -> anyhow::Result<bool> {
    let shown = describe(command);
    let mut child = command.stdout(Stdio::piped()).spawn().with_context(|| format!("could not run `{shown}`"))?;
    let stdout = child.stdout.take().context("the test runner has no output")?;
    let mut out = std::io::stdout();
    for line in BufReader::new(stdout).lines() {
        let line = line?;
        writeln!(out, "{line}")?;
        totals.add(&line);
    }
    Ok(child.wait()?.success())
}

impl Totals {
    /// Reads `test result: ok. 4 passed; 0 failed; 1 ignored; …`.
    fn add(&mut self, line: &str) {
        let Some((_, counts)) = line.split_once("test result: ").and_then(|(_, rest)| rest.split_once(". ")) else {
            return;
        };
        for part in counts.split(';') {
            match part.trim().split_once(' ') {
                Some((number, "passed")) => self.passed += number.parse().unwrap_or(0),
                Some((number, "failed")) => self.failed += number.parse().unwrap_or(0),
                Some((number, "ignored")) => self.ignored += number.parse().unwrap_or(0),
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn result_lines_are_added_up() {
        let mut totals = Totals::default();
        totals.add("test result: ok. 4 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 9.08s");
        totals.add("test result: FAILED. 2 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1s");
        totals.add("test it::test result ... ok");
        assert_eq!((totals.passed, totals.failed, totals.ignored), (6, 3, 1));
    }
}

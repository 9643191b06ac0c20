//! `env`: the real servers that the tests need, each obtained once.
//!
//! It is the only task that changes the machine. What it may not install it names, with the command
//! to run; it never fails a machine that already has everything, and needs no network there.

use crate::shell::{self, command, output, root};
use anyhow::Context as _;
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const KUBE_BINARIES: [&str; 2] = ["kube-apiserver", "etcd"];
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// Where everything is.
pub(crate) struct TestEnv {
    /// Directory with kube-apiserver and etcd.
    pub(crate) assets: PathBuf,
}

/// Obtains what is missing.
pub(crate) fn prepare() -> anyhow::Result<TestEnv> {
    let assets = kube()?;
    packages()?;
    Ok(TestEnv { assets })
}

/// The task: obtains what is missing and reports what it did.
pub(crate) fn run(print: bool) -> anyhow::Result<()> {
    let env = prepare()?;
    if print {
        writeln!(std::io::stdout(), "KUBEBUILDER_ASSETS={}", env.assets.display())?;
    }
    Ok(())
}

fn say(text: &str) {
    eprintln!("env: {text}");
}

fn cache_dir() -> anyhow::Result<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(dir) = set("KOLLECT_TESTENV") {
        return Ok(dir);
    }
    if let Some(dir) = set("XDG_CACHE_HOME") {
        return Ok(dir.join("kollect-testenv"));
    }
    Ok(set("HOME")
        .context("set KOLLECT_TESTENV: there is no home directory to cache in")?
        .join(".cache/kollect-testenv"))
}

fn has_kube(dir: &Path) -> bool {
    KUBE_BINARIES.iter().all(|name| dir.join(name).is_file())
}

fn kube() -> anyhow::Result<PathBuf> {
    if let Some(dir) = std::env::var_os("KUBEBUILDER_ASSETS").filter(|dir| !dir.is_empty()) {
        let dir = PathBuf::from(dir);
        anyhow::ensure!(has_kube(&dir), "KUBEBUILDER_ASSETS={} lacks kube-apiserver or etcd", dir.display());
        say(&format!("Kubernetes API server: using KUBEBUILDER_ASSETS={}", dir.display()));
        return Ok(dir);
    }
    let (cache, version) = (cache_dir()?, kube_version()?);
    if let Some(dir) = built(&cache, &format!("kube-{version}-")) {
        say(&format!("Kubernetes API server {version}: in {}", dir.display()));
        return Ok(dir);
    }
    let go = output(&mut command("go", ["env", "GOVERSION"])).context(
        "the Kubernetes API server is built with Go 1.26 or newer: install it (https://go.dev/dl), \
         or set KUBEBUILDER_ASSETS to a directory with kube-apiserver and etcd",
    )?;
    let dir = cache.join(format!("kube-{version}-{}", go.trim()));
    build_kube(&dir, &version)?;
    Ok(dir)
}

/// A finished build, whatever Go made it.
fn built(cache: &Path, prefix: &str) -> Option<PathBuf> {
    let entries = std::fs::read_dir(cache).ok()?;
    let mut found: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    found.retain(|dir| dir.file_name().is_some_and(|name| name.to_string_lossy().starts_with(prefix)) && has_kube(dir));
    found.sort();
    found.pop()
}

/// The pinned version, from the module that builds it.
fn kube_version() -> anyhow::Result<String> {
    let module = std::fs::read_to_string(root().join("testenv/kube/go.mod"))?;
    let line = module.lines().find_map(|line| line.trim().strip_prefix("k8s.io/kubernetes v"));
    Ok(line.context("testenv/kube/go.mod does not name k8s.io/kubernetes")?.trim().to_owned())
}

fn build_kube(dir: &Path, version: &str) -> anyhow::Result<()> {
    // Without a version stamped in, clients that parse `/version` fail.
    let package = "k8s.io/component-base/version";
    let minor: Vec<&str> = version.split('.').collect();
    let flags = format!(
        "-s -w -X {package}.gitVersion=v{version} -X {package}.gitMajor={} -X {package}.gitMinor={} \
         -X {package}.gitTreeState=clean -X {package}.gitCommit={:040} -X {package}.buildDate=2026-01-01T00:00:00Z",
        minor.first().unwrap_or(&"1"),
        minor.get(1).unwrap_or(&"0"),
        0
    );
    // Built beside its final place, so that an interrupted build is never taken for a finished one.
    let staging = dir.with_extension(format!("partial-{}", std::process::id()));
    std::fs::create_dir_all(&staging)?;
    let mut build = command("go", ["build", "-trimpath", "-ldflags", &flags, "-o"]);
    build.arg(format!("{}/", staging.display())).arg("./cmd/...").current_dir(root().join("testenv/kube"));
    with_progress(&mut build, &format!("building Kubernetes API server {version} (6 to 12 minutes, once)"))?;
    if std::fs::rename(&staging, dir).is_err() {
        anyhow::ensure!(has_kube(dir), "could not move the build to {}", dir.display());
        std::fs::remove_dir_all(&staging)?;
    }
    say(&format!("Kubernetes API server {version}: built into {}", dir.display()));
    Ok(())
}

/// Runs a long command with a clock on a terminal, and one line elsewhere. Its output is shown when it fails.
fn with_progress(command: &mut Command, what: &str) -> anyhow::Result<()> {
    let log = std::env::temp_dir().join(format!("kollect-env-{}.log", std::process::id()));
    let file = std::fs::File::create(&log)?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(file.try_clone()?)
        .stderr(file)
        .spawn()
        .with_context(|| format!("could not start {what}"))?;
    let (begun, live) = (Instant::now(), std::io::stderr().is_terminal());
    if !live {
        say(what);
    }
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if live {
            let seconds = begun.elapsed().as_secs();
            eprint!("\r\x1b[Kenv: {what} … {}:{:02}", seconds / 60, seconds % 60);
        }
        std::thread::sleep(Duration::from_millis(200));
    };
    if live {
        eprint!("\r\x1b[K");
    }
    let text = std::fs::read_to_string(&log).unwrap_or_default();
    let _ = std::fs::remove_file(&log);
    anyhow::ensure!(status.success(), "{what} failed ({status}):\n{text}");
    Ok(())
}

struct Package {
    name: &'static str,
    why: &'static str,
    present: fn() -> bool,
}

const PACKAGES: [Package; 3] = [
    Package { name: "git", why: "Git server and client", present: || in_path("git") },
    Package { name: "openssh-server", why: "Git over ssh", present: || Path::new("/usr/sbin/sshd").is_file() },
    Package { name: "postgresql", why: "PostgreSQL", present: has_postgres },
];

fn in_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(program).is_file())
}

fn has_postgres() -> bool {
    std::fs::read_dir("/usr/lib/postgresql")
        .is_ok_and(|entries| entries.flatten().any(|entry| entry.path().join("bin/initdb").is_file()))
}

fn packages() -> anyhow::Result<()> {
    let (have, missing): (Vec<&Package>, Vec<&Package>) = PACKAGES.iter().partition(|package| (package.present)());
    for package in have {
        say(&format!("{}: installed", package.why));
    }
    if missing.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = missing.iter().map(|package| package.name).collect();
    if !(in_path("apt-get") && output(&mut command("id", ["-u"])).is_ok_and(|id| id.trim() == "0")) {
        for package in &missing {
            say(&format!("{} is missing; its tests will fail", package.why));
        }
        say(&format!("run: sudo apt-get install --no-install-recommends {}", names.join(" ")));
        return Ok(());
    }
    let _policy = NoDaemons::start()?;
    if install(&names).is_err() {
        // Package lists may be old or absent on a fresh machine.
        with_progress(&mut command("apt-get", ["update", "-qq"]), "apt-get update")?;
        install(&names)?;
    }
    for package in missing {
        anyhow::ensure!((package.present)(), "{} was installed, but {} is still missing", package.name, package.why);
        say(&format!("{}: installed package {}", package.why, package.name));
    }
    Ok(())
}

fn install(names: &[&str]) -> anyhow::Result<()> {
    let mut apt = command("apt-get", ["install", "-y", "-qq", "--no-install-recommends"]);
    apt.args(names).env("DEBIAN_FRONTEND", "noninteractive");
    with_progress(&mut apt, &format!("apt-get install {}", names.join(" ")))
}

/// While this exists, packages do not start their daemons.
struct NoDaemons {
    mine: bool,
}

impl NoDaemons {
    fn start() -> anyhow::Result<Self> {
        let mine = !Path::new(POLICY).exists();
        if mine {
            std::fs::write(POLICY, "#!/bin/sh\nexit 101\n")?;
            shell::run(&mut command("chmod", ["755", POLICY]))?;
        }
        Ok(Self { mine })
    }
}

impl Drop for NoDaemons {
    fn drop(&mut self) {
        if self.mine {
            let _ = std::fs::remove_file(POLICY);
        }
    }
}

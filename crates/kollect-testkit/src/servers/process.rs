//! A child process in its own process group that never outlives the test.
//!
//! A small shell waits on a pipe from this process and kills the group when the
//! pipe closes, so that servers in statics, or of a test that was itself killed, go as well.

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process_group};
use std::fmt;
use std::fs::File;
use std::io;
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How a server is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopSignal {
    /// SIGKILL to the whole group.
    Kill,
    /// SIGQUIT: Postgres' immediate shutdown. A killed postmaster leaves backends and shared memory behind for a while.
    Quit,
}

impl StopSignal {
    fn signal(self) -> Signal {
        match self {
            Self::Kill => Signal::KILL,
            Self::Quit => Signal::QUIT,
        }
    }

    fn shell_name(self) -> &'static str {
        match self {
            Self::Kill => "KILL",
            Self::Quit => "QUIT",
        }
    }
}

/// A server that ended by itself; waiting for it any longer is useless.
#[derive(Debug)]
pub struct ServerEnded(String);

impl fmt::Display for ServerEnded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ServerEnded {}

/// A running server. Dropping it stops it.
#[derive(Debug)]
pub struct ServerProcess {
    name: &'static str,
    child: Child,
    guardian: Child,
    log: PathBuf,
    stop: StopSignal,
}

impl ServerProcess {
    /// Starts `command` in its own process group with output to `log` and a scrubbed environment (what `command` sets
    /// itself, plus `PATH`, `HOME` and `TMPDIR`).
    pub fn spawn(name: &'static str, mut command: Command, log: &Path, stop: StopSignal) -> anyhow::Result<Self> {
        let own: Vec<_> = command.get_envs().map(|(k, v)| (k.to_owned(), v.map(ToOwned::to_owned))).collect();
        command.env_clear();
        for key in ["PATH", "HOME", "TMPDIR"] {
            if let Some(value) = std::env::var_os(key) {
                command.env(key, value);
            }
        }
        for (key, value) in own {
            match value {
                Some(value) => command.env(key, value),
                None => command.env_remove(key),
            };
        }
        let out = File::options().create(true).append(true).open(log)?;
        command.process_group(0).stdin(Stdio::null()).stdout(out.try_clone()?).stderr(out);
        let child = command.spawn().with_context(|| format!("could not start {name} ({command:?})"))?;
        let guardian = guard(child.id(), stop)?;
        Ok(Self { name, child, guardian, log: log.to_owned(), stop })
    }

    /// Process id of the server.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The exit status if the server has ended by itself.
    pub fn exited(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// Fails with the end of the log if the server has ended.
    pub fn check_running(&mut self) -> anyhow::Result<()> {
        match self.exited()? {
            None => Ok(()),
            Some(status) => {
                let text = format!("{} ended with {status}; end of its log:\n{}", self.name, self.log_tail());
                Err(ServerEnded(text).into())
            }
        }
    }

    /// The last 2,000 bytes of the log.
    pub fn log_tail(&self) -> String {
        let bytes = std::fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(2000)..]).into_owned()
    }

    /// Sends a signal to the whole group.
    pub fn signal(&self, signal: Signal) {
        signal_group(self.child.id(), signal);
    }

    /// Stops the server and waits for its end. Does nothing when it has ended.
    pub fn kill(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            self.dismiss_guardian();
            return;
        }
        self.dismiss_guardian();
        self.signal(self.stop.signal());
        // A stopped (SIGSTOP) process takes no other signal than KILL until it continues.
        self.signal(Signal::CONT);
        let _ = self.child.wait();
    }

    /// The guardian goes first, so that it cannot hit a process id that was handed out again.
    fn dismiss_guardian(&mut self) {
        let _ = self.guardian.kill();
        let _ = self.guardian.wait();
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        self.kill();
    }
}

fn guard(group: u32, stop: StopSignal) -> anyhow::Result<Child> {
    Command::new("sh")
        .arg("-c")
        .arg(format!("read -r _; kill -s {} -- -{group}", stop.shell_name()))
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("could not start the shell that watches over a server")
}

fn signal_group(group: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(group).ok().and_then(Pid::from_raw) {
        // The group may be gone already, which is what was wanted.
        let _ = kill_process_group(pid, signal);
    }
}

/// A loopback port that was free a moment ago, and that this process hands out only once in a while.
///
/// Below the usual range of outgoing connections: one of those would otherwise take it before its server does.
pub fn free_port() -> anyhow::Result<u16> {
    const PORTS: std::ops::Range<u16> = 10_000..32_000;
    static NEXT: OnceLock<AtomicUsize> = OnceLock::new();
    // Other test processes begin elsewhere.
    let next = NEXT.get_or_init(|| AtomicUsize::new(fastrand::usize(..PORTS.len())));
    for _ in 0..PORTS.len() {
        let offset = u16::try_from(next.fetch_add(1, Ordering::Relaxed) % PORTS.len())?;
        if TcpListener::bind(("127.0.0.1", PORTS.start + offset)).is_ok() {
            return Ok(PORTS.start + offset);
        }
    }
    anyhow::bail!("no free loopback port in {PORTS:?}")
}

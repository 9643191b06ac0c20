//! Git over ssh: a real sshd that lets one key run the two Git verbs.
//!
//! sshd has its own keys and files. It never touches the user's ssh configuration.

use super::{BareRepos, ServerProcess, StopSignal, free_port, wait_for};
use anyhow::Context as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

const GATE: &str = r#"#!/bin/sh
# Git verbs only, paths only below the directory given.
set -eu
verb=${SSH_ORIGINAL_COMMAND%% *}
path=$(printf %s "${SSH_ORIGINAL_COMMAND#* }" | tr -d "'")
case "$verb" in git-upload-pack|git-receive-pack) ;; *) echo "git only" >&2; exit 1 ;; esac
case "$path" in *..*) exit 1 ;; esac
exec "$verb" "$1/${path#/}"
"#;

/// A running sshd. Dropping it stops it.
#[derive(Debug)]
pub struct SshGit {
    /// The repositories it serves.
    pub repos: BareRepos,
    _process: ServerProcess,
    port: u16,
    user: String,
    dir: TempDir,
}

impl SshGit {
    /// Starts sshd on loopback, serving `repos`.
    pub async fn start(repos: BareRepos) -> anyhow::Result<Self> {
        let dir = tempfile::Builder::new().prefix("kollect-ssh-").tempdir()?;
        let port = free_port()?;
        for name in ["host_key", "user_key", "other_key"] {
            keygen(&dir.path().join(name))?;
        }
        write_files(dir.path(), repos.root(), port)?;
        let mut command = Command::new(sshd()?);
        command.args(["-D", "-e", "-f"]).arg(dir.path().join("sshd_config"));
        let mut process = ServerProcess::spawn("sshd", command, &dir.path().join("sshd.log"), StopSignal::Kill)?;
        wait_for("sshd ready", Duration::from_secs(10), async || {
            process.check_running()?;
            Ok(tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok())
        })
        .await?;
        let user = whoami()?;
        Ok(Self { repos, _process: process, port, user, dir })
    }

    /// URL of a repository.
    pub fn url(&self, name: &str) -> String {
        format!("ssh://{}@localhost:{}/{name}", self.user, self.port)
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Private key that is let in (OpenSSH format).
    pub fn user_key(&self) -> anyhow::Result<String> {
        Ok(std::fs::read_to_string(self.dir.path().join("user_key"))?)
    }

    /// Private key that is not let in.
    pub fn unknown_user_key(&self) -> anyhow::Result<String> {
        Ok(std::fs::read_to_string(self.dir.path().join("other_key"))?)
    }

    /// `known_hosts` line of this server.
    pub fn known_hosts(&self) -> anyhow::Result<String> {
        self.known_hosts_of("host_key.pub")
    }

    /// A `known_hosts` line with another server's key, as an impostor's victim would have it.
    pub fn wrong_known_hosts(&self) -> anyhow::Result<String> {
        self.known_hosts_of("other_key.pub")
    }

    fn known_hosts_of(&self, file: &str) -> anyhow::Result<String> {
        let key = std::fs::read_to_string(self.dir.path().join(file))?;
        Ok(format!("[localhost]:{} {key}", self.port))
    }
}

fn sshd() -> anyhow::Result<PathBuf> {
    let path = PathBuf::from("/usr/sbin/sshd");
    anyhow::ensure!(path.is_file(), "sshd is not installed: run `cargo xtask env`");
    if rustix::process::getuid().is_root() {
        // sshd insists on this directory when it runs as root.
        std::fs::create_dir_all("/run/sshd")?;
    }
    Ok(path)
}

fn whoami() -> anyhow::Result<String> {
    let output = Command::new("id").arg("-un").output()?;
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

fn keygen(path: &Path) -> anyhow::Result<()> {
    let output = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", "kollect-test", "-f"])
        .arg(path)
        .output()
        .context("could not run ssh-keygen: run `cargo xtask env`")?;
    anyhow::ensure!(output.status.success(), "ssh-keygen failed: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

fn write_files(dir: &Path, repos: &Path, port: u16) -> anyhow::Result<()> {
    let (at, repos) = (dir.display(), repos.display());
    let gate = dir.join("gate.sh");
    std::fs::write(&gate, GATE)?;
    std::fs::set_permissions(&gate, std::fs::Permissions::from_mode(0o755))?;
    let key = std::fs::read_to_string(dir.join("user_key.pub"))?;
    std::fs::write(dir.join("authorized_keys"), format!("restrict,command=\"{at}/gate.sh {repos}\" {key}"))?;
    let config = format!(
        "Port {port}\nListenAddress 127.0.0.1\nHostKey {at}/host_key\nPidFile {at}/sshd.pid\n\
         AuthorizedKeysFile {at}/authorized_keys\nAuthenticationMethods publickey\nPasswordAuthentication no\n\
         KbdInteractiveAuthentication no\nUsePAM no\nStrictModes no\nPermitRootLogin prohibit-password\n\
         PermitTTY no\nMaxStartups 100\nLogLevel VERBOSE\n"
    );
    Ok(std::fs::write(dir.join("sshd_config"), config)?)
}

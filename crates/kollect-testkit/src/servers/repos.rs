//! Bare Git repositories below one directory, as a forge would keep them.
//!
//! The http and the ssh server serve the same repositories. It runs the `git` program, so that it
//! shares no code with the sink under test.

use anyhow::Context as _;
use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use tempfile::TempDir;

/// A directory of bare repositories. Clones share it.
#[derive(Clone, Debug)]
pub struct BareRepos {
    dir: Arc<TempDir>,
}

impl BareRepos {
    /// Makes an empty directory.
    pub fn new() -> anyhow::Result<Self> {
        Ok(Self { dir: Arc::new(tempfile::Builder::new().prefix("kollect-git-").tempdir()?) })
    }

    /// The directory of all repositories.
    pub fn root(&self) -> &Path {
        self.dir.path()
    }

    /// Directory of a repository named like `team/inventory.git`.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Makes an empty bare repository with the default branch `main` that refuses forced pushes and deletions.
    pub fn create(&self, name: &str) -> anyhow::Result<PathBuf> {
        let path = self.path(name);
        std::fs::create_dir_all(&path)?;
        git(&path, ["init", "--quiet", "--bare", "-b", "main", "."])?;
        git(&path, ["config", "http.receivepack", "true"])?;
        git(&path, ["config", "receive.denyNonFastForwards", "true"])?;
        git(&path, ["config", "receive.denyDeletes", "true"])?;
        Ok(path)
    }

    /// Lets a repository take forced pushes.
    pub fn allow_force_push(&self, name: &str) -> anyhow::Result<()> {
        git(&self.path(name), ["config", "receive.denyNonFastForwards", "false"]).map(|_| ())
    }

    /// Removes a repository and makes an empty one in its place.
    pub fn recreate(&self, name: &str) -> anyhow::Result<()> {
        std::fs::remove_dir_all(self.path(name))?;
        self.create(name).map(|_| ())
    }

    /// Refuses every push with `message`, as branch protection does; `None` takes it away.
    pub fn refuse_pushes(&self, name: &str, message: Option<&str>) -> anyhow::Result<()> {
        let hook = message.map(|message| format!("echo '{}' >&2\nexit 1", message.replace('\'', "")));
        self.set_pre_receive(name, hook.as_deref())
    }

    /// Sets the body of the `pre-receive` hook (a shell script that reads `old new ref` lines); `None` removes it.
    pub fn set_pre_receive(&self, name: &str, body: Option<&str>) -> anyhow::Result<()> {
        let hook = self.path(name).join("hooks/pre-receive");
        let Some(body) = body else {
            return match std::fs::remove_file(&hook) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
                _ => Ok(()),
            };
        };
        std::fs::write(&hook, format!("#!/bin/sh\n{body}\n"))?;
        Ok(std::fs::set_permissions(&hook, std::fs::Permissions::from_mode(0o755))?)
    }

    /// Runs `git` in a repository and returns what it printed.
    pub fn git<'a>(&self, name: &str, args: impl IntoIterator<Item = &'a str>) -> anyhow::Result<String> {
        git(&self.path(name), args)
    }

    /// Commits `files` on top of `branch` as another author, without a work tree.
    pub fn commit_behind(&self, name: &str, branch: &str, files: &[(&str, &str)]) -> anyhow::Result<String> {
        let clone = tempfile::tempdir()?;
        let dir = clone.path();
        git(dir, ["clone", "--quiet", &self.path(name).display().to_string(), "."])?;
        // An empty repository has no branch to check out.
        if git(dir, ["rev-parse", "--verify", "--quiet", &format!("origin/{branch}")]).is_ok() {
            git(dir, ["checkout", "--quiet", branch])?;
        } else {
            git(dir, ["checkout", "--quiet", "-b", branch])?;
        }
        for (path, content) in files {
            let file = dir.join(path);
            std::fs::create_dir_all(file.parent().context("a file needs a directory")?)?;
            std::fs::write(file, content)?;
            git(dir, ["add", path])?;
        }
        git(dir, ["-c", "user.name=Somebody", "-c", "user.email=somebody@example.org", "commit", "-q", "-m", "other"])?;
        git(dir, ["push", "--quiet", "origin", branch])?;
        Ok(git(dir, ["rev-parse", "HEAD"])?.trim().to_owned())
    }
}

/// Runs `git` in `dir`, free of the user's configuration.
pub(crate) fn git<S: AsRef<OsStr>>(dir: &Path, args: impl IntoIterator<Item = S>) -> anyhow::Result<String> {
    let mut command = Command::new("git");
    command.args(args).current_dir(dir).env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null");
    let output = command.output().context("could not run git: run `cargo xtask env`")?;
    let errors = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "{command:?} in {} failed: {errors}", dir.display());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

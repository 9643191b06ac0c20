//! Every commit of a branch, read with the `git` program.
//!
//! It shares no code with the sink, which uses libgit2.

use crate::servers::BareRepos;
use anyhow::{Context as _, ensure};
use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

/// One commit and the files it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitTree {
    /// Commit id.
    pub id: String,
    /// Whole message.
    pub message: String,
    /// Path to blob id.
    pub files: BTreeMap<String, String>,
}

/// All commits of `branch`, oldest first. Empty when the branch does not exist.
pub fn git_commits(repos: &BareRepos, repo: &str, branch: &str) -> anyhow::Result<Vec<CommitTree>> {
    let reference = format!("refs/heads/{branch}");
    if repos.git(repo, ["rev-parse", "--verify", "--quiet", &reference]).is_err() {
        return Ok(Vec::new());
    }
    let ids = repos.git(repo, ["rev-list", "--reverse", "--first-parent", &reference])?;
    ids.lines().map(|id| commit(repos, repo, id)).collect()
}

fn commit(repos: &BareRepos, repo: &str, id: &str) -> anyhow::Result<CommitTree> {
    let message = repos.git(repo, ["log", "-1", "--format=%B", id])?;
    let mut files = BTreeMap::new();
    for line in repos.git(repo, ["ls-tree", "-r", "-z", id])?.split('\0').filter(|line| !line.is_empty()) {
        let (entry, path) = line.split_once('\t').context("unreadable line of git ls-tree")?;
        let blob = entry.split(' ').nth(2).context("a tree entry without an id")?;
        files.insert(path.to_owned(), blob.to_owned());
    }
    Ok(CommitTree { id: id.to_owned(), message, files })
}

/// The contents of a commit's files.
pub fn git_files(repos: &BareRepos, repo: &str, commit: &CommitTree) -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
    let blobs: Vec<&str> = commit.files.values().map(String::as_str).collect();
    let contents = read_blobs(&repos.path(repo), &blobs)?;
    Ok(commit.files.keys().cloned().zip(contents).collect())
}

fn read_blobs(repo: &Path, ids: &[&str]) -> anyhow::Result<Vec<Vec<u8>>> {
    let mut child = Command::new("git")
        .args(["cat-file", "--batch"])
        .current_dir(repo)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("could not run git cat-file")?;
    let (mut stdin, mut stdout) = (child.stdin.take().context("no pipe")?, child.stdout.take().context("no pipe")?);
    let asked = ids.join("\n") + "\n";
    let mut answer = Vec::new();
    std::thread::scope(|scope| {
        // Written beside the reading: both ends may exceed a pipe. The pipe closes when the closure ends.
        scope.spawn(move || stdin.write_all(asked.as_bytes()));
        stdout.read_to_end(&mut answer)
    })?;
    child.wait()?;
    let (mut rest, mut contents) = (answer.as_slice(), Vec::with_capacity(ids.len()));
    for id in ids {
        let end = rest.iter().position(|byte| *byte == b'\n').with_context(|| format!("no answer for {id}"))?;
        let head = std::str::from_utf8(&rest[..end])?;
        let size: usize = head.rsplit(' ').next().unwrap_or_default().parse().with_context(|| head.to_owned())?;
        ensure!(rest.len() > end + size + 1, "git cat-file stopped early");
        contents.push(rest[end + 1..end + 1 + size].to_vec());
        rest = &rest[end + size + 2..];
    }
    Ok(contents)
}

/// Ids of commits that have files below `prefix`, but fewer than `at_least`: a partial inventory.
pub fn partial_commits(commits: &[CommitTree], prefix: &str, at_least: usize) -> Vec<String> {
    let count = |commit: &CommitTree| commit.files.keys().filter(|path| path.starts_with(prefix)).count();
    commits.iter().filter(|commit| (1..at_least).contains(&count(commit))).map(|commit| commit.id.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_commit_is_read_with_its_contents() {
        let repos = BareRepos::new().unwrap();
        repos.create("r.git").unwrap();
        assert!(git_commits(&repos, "r.git", "main").unwrap().is_empty());
        repos.commit_behind("r.git", "main", &[("a/ü.yaml", "one\n"), ("b", "")]).unwrap();
        repos.commit_behind("r.git", "main", &[("a/ü.yaml", "two\n")]).unwrap();
        let commits = git_commits(&repos, "r.git", "main").unwrap();
        let contents = |at: usize| git_files(&repos, "r.git", &commits[at]).unwrap();
        assert_eq!(contents(0)["a/ü.yaml"], b"one\n");
        assert_eq!((contents(1)["a/ü.yaml"].as_slice(), contents(1)["b"].as_slice()), (&b"two\n"[..], &b""[..]));
        assert_eq!(partial_commits(&commits, "a/", 2).len(), 2);
        assert!(partial_commits(&commits, "a/", 1).is_empty());
    }
}

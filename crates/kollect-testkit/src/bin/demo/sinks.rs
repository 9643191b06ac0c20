//! Watches what arrives in Git and in Postgres, read as any user would: by `git log` and SQL.

use crate::screen::Screen;
use anyhow::Context as _;
use kollect_testkit::scene::TABLE;
use kollect_testkit::servers::{BareRepos, GitHttp, Postgres};
use std::path::Path;
use std::process::Command;

/// The repository of the demo.
pub(super) const REPO: &str = "inventory.git";

/// The two sinks and how much of them was shown.
pub(super) struct Sinks {
    repos: BareRepos,
    database: Option<tokio_postgres::Client>,
    commit: Option<String>,
    commits: usize,
    files: usize,
    rows: usize,
    newest: Option<String>,
}

impl Sinks {
    pub(super) async fn new(git: &GitHttp, postgres: Option<&Postgres>) -> anyhow::Result<Self> {
        let database = match postgres {
            Some(postgres) => Some(postgres.admin(Postgres::DATABASE).await?),
            None => None,
        };
        Ok(Self { repos: git.repos.clone(), database, commit: None, commits: 0, files: 0, rows: 0, newest: None })
    }

    /// Whether both had `wanted` objects when they were last read.
    pub(super) fn complete(&self, wanted: usize) -> bool {
        self.files == wanted && (self.database.is_none() || self.rows == wanted)
    }

    /// Shows new commits and changed row counts.
    pub(super) async fn show_arrivals(&mut self, screen: &Screen) -> anyhow::Result<()> {
        self.show_commits(screen)?;
        let Some(database) = &self.database else { return Ok(()) };
        let sql = format!("SELECT count(*), max(exported_at)::text FROM {TABLE}");
        // The table does not exist before the first export.
        let Ok(row) = database.query_one(&sql, &[]).await else { return Ok(()) };
        let (rows, newest) = (usize::try_from(row.get::<_, i64>(0))?, row.get::<_, Option<String>>(1));
        if rows == self.rows && newest == self.newest {
            return Ok(());
        }
        let written = match &self.newest {
            Some(before) => {
                let sql = format!("SELECT count(*) FROM {TABLE} WHERE exported_at > $1::text::timestamptz");
                database.query_one(&sql, &[before]).await?.get::<_, i64>(0)
            }
            None => row.get(0),
        };
        let gone = (i64::try_from(self.rows)? + written - row.get::<_, i64>(0)).max(0);
        let gone = if gone > 0 && rows < self.rows { format!(", {} deleted", self.rows - rows) } else { String::new() };
        screen.arrival("Postgres", &format!("{rows} rows, {written} written{gone}"));
        (self.rows, self.newest) = (rows, newest);
        Ok(())
    }

    fn show_commits(&mut self, screen: &Screen) -> anyhow::Result<()> {
        let Ok(tip) = self.repos.git(REPO, ["rev-parse", "--verify", "--quiet", "refs/heads/main"]) else {
            return Ok(());
        };
        let tip = tip.trim().to_owned();
        if self.commit.as_ref() == Some(&tip) {
            return Ok(());
        }
        let range = self.commit.as_ref().map_or_else(|| tip.clone(), |old| format!("{old}..{tip}"));
        let log = self.repos.git(REPO, ["log", "--reverse", "--shortstat", "--format=%h %s", &range])?;
        let lines: Vec<&str> = log.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let mut at = 0;
        while at < lines.len() {
            let stat = lines.get(at + 1).filter(|line| line.contains("changed")).copied();
            screen.arrival("Git", &format!("{} ({})", lines[at], stat.unwrap_or("no files changed")));
            self.commits += 1;
            at += if stat.is_some() { 2 } else { 1 };
        }
        let files = self.repos.git(REPO, ["ls-tree", "-r", "--name-only", &tip])?;
        self.files = files.lines().filter(|path| !path.trim_start_matches('"').starts_with(".kollect/")).count();
        self.commit = Some(tip);
        Ok(())
    }

    /// Shows one file and one row.
    pub(super) async fn show_sample(&self, screen: &Screen) -> anyhow::Result<()> {
        let files = self.repos.git(REPO, ["ls-tree", "-r", "--name-only", "main"])?;
        if let Some(path) = files.lines().find(|path| path.contains("shop") && path.contains("deployment/cart.")) {
            screen.headline(&format!("a file in Git: {path}"));
            self.repos
                .git(REPO, ["show", &format!("main:{path}")])?
                .lines()
                .for_each(|line| Screen::line(&indent(line)));
        }
        let Some(database) = &self.database else { return Ok(()) };
        let sql = format!(
            "SELECT jsonb_pretty(payload) FROM {TABLE} \
             WHERE payload->>'kind' = 'ConfigMap' ORDER BY payload->>'namespace', payload->>'name' LIMIT 1"
        );
        if let Some(row) = database.query_opt(&sql, &[]).await? {
            screen.headline("a row in Postgres (its password never left the cluster)");
            row.get::<_, String>(0).lines().for_each(|line| Screen::line(&indent(line)));
        }
        Ok(())
    }

    /// Compares the numbers; `false` when they differ.
    pub(super) async fn summary(&mut self, screen: &Screen, objects: usize) -> anyhow::Result<bool> {
        self.show_arrivals(screen).await?;
        screen.headline("summary");
        screen.line_with_time(&format!("cluster:   {objects} objects"));
        screen.line_with_time(&format!("Git:       {} files in {} commits", self.files, self.commits));
        if self.database.is_some() {
            screen.line_with_time(&format!("Postgres:  {} rows", self.rows));
        }
        let equal = self.complete(objects);
        screen.line_with_time(if equal { "all equal" } else { "NOT equal: see the inventory's conditions above" });
        Ok(equal)
    }

    /// Copies the repository to a place that outlives the demo.
    pub(super) fn keep_repository(&self, dir: &Path) -> anyhow::Result<()> {
        let status = Command::new("cp").arg("-a").arg(self.repos.path(REPO)).arg(dir).status();
        anyhow::ensure!(status.context("could not run cp")?.success(), "could not copy the repository");
        Ok(())
    }
}

fn indent(line: &str) -> String {
    format!("           {line}")
}

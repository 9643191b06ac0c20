//! One inventory in Git and in PostgreSQL, several processes of its operator, and the comparison of both sinks by the oracle.
//!
//! The processes share the directory that a restarted container keeps.

use crate::test_cluster::{CLUSTER, Running, SOON, TestCluster, repo};
use kollect_testkit::operator::{Operator, OperatorOptions, SERVICE_ACCOUNT};
use kollect_testkit::scene;
use kollect_testkit::servers::wait_for;
use kollect_testkit::truth::{
    CommitTree, Expectation, ExpectedAttribute, ExpectedTarget, RowKey, compare, document_rows, expected_rows,
    git_commits, path, postgres_rows,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

/// Where the inventory is.
pub(crate) const TEAM: &str = "team";
/// The same pod throughout: a restarted container takes its own lease at once.
const POD_UID: &str = "99999999-2222-3333-4444-555555555555";

/// The sinks of an inventory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sinks {
    Git,
    Postgres,
    Both,
}

impl Sinks {
    fn git(self) -> bool {
        self != Self::Postgres
    }

    fn postgres(self) -> bool {
        self != Self::Git
    }
}

/// Servers, an inventory, and the directory that outlives the operator's processes.
pub(crate) struct ExportScenario {
    pub(crate) cluster: TestCluster,
    sinks: Sinks,
    namespaces: Vec<String>,
    token: String,
    kept: TempDir,
}

impl std::ops::Deref for ExportScenario {
    type Target = TestCluster;

    fn deref(&self) -> &TestCluster {
        &self.cluster
    }
}

impl ExportScenario {
    /// Namespaces with ConfigMaps, and one inventory of them all. No operator yet.
    pub(crate) async fn start(sinks: Sinks, namespaces: &[(&str, &[&str])]) -> anyhow::Result<Self> {
        let cluster = TestCluster::start().await?;
        cluster.grant_everywhere().await?;
        for (namespace, maps) in namespaces {
            cluster.namespace_with(namespace, maps).await?;
        }
        let namespaces: Vec<&str> = namespaces.iter().map(|(namespace, _)| *namespace).collect();
        cluster.pipeline(TEAM, &namespaces).await?;
        cluster.apply([cluster.git_sink(TEAM, "git")?]).await?;
        let (git, postgres) = (sinks.git().then_some("git"), sinks.postgres().then_some("pg"));
        cluster.apply([scene::inventory(TEAM, "all", git, postgres, "0s")]).await?;
        let token = cluster.api.service_account_token(SERVICE_ACCOUNT.0, SERVICE_ACCOUNT.1).await?;
        let namespaces = namespaces.into_iter().map(str::to_owned).collect();
        Ok(Self { cluster, sinks, namespaces, token, kept: tempfile::tempdir()? })
    }

    /// Directory of the local copies of Git repositories, the same for all processes.
    pub(crate) fn mirrors(&self) -> &Path {
        self.kept.path()
    }

    /// Starts the operator and does not wait. `env` is for kill points.
    pub(crate) fn spawn(&self, env: &[(&str, &str)]) -> anyhow::Result<Running> {
        self.spawn_at(&self.api.kubeconfig_for_token(&self.token), env)
    }

    /// The same with another way to the API server.
    pub(crate) fn spawn_through(&self, proxy: &kollect_testkit::fault_proxy::HttpProxy) -> anyhow::Result<Running> {
        self.spawn_at(&proxy.kubeconfig(&self.token), &[])
    }

    fn spawn_at(&self, kubeconfig: &str, env: &[(&str, &str)]) -> anyhow::Result<Running> {
        let mirrors = self.mirrors().display().to_string();
        let own = [("POD_UID", POD_UID), ("KOLLECT_GIT_MIRROR_DIR", mirrors.as_str())];
        let options = OperatorOptions {
            args: Vec::new(),
            env: own.iter().chain(env).map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
            binary: Some(Path::new(env!("CARGO_BIN_EXE_kollect")).to_owned()),
        };
        Ok(Running(Operator::start(kubeconfig, &options)?))
    }

    /// A new value for a ConfigMap.
    pub(crate) async fn set(&self, namespace: &str, name: &str, value: &str) -> anyhow::Result<()> {
        self.patch("ConfigMap", namespace, name, json!({"data": {"value": value}})).await
    }

    /// Waits until both sinks equal the API server by the oracle: nothing missing, extra, stale or doubled.
    pub(crate) async fn in_sync(&self) -> anyhow::Result<()> {
        self.in_sync_within(SOON).await
    }

    pub(crate) async fn in_sync_within(&self, deadline: Duration) -> anyhow::Result<()> {
        wait_for("both sinks equal the API server", deadline, async || self.verdict().await.map(|()| true)).await
    }

    /// Fails with the difference between the API server and the sinks.
    pub(crate) async fn verdict(&self) -> anyhow::Result<()> {
        let expected = expected_rows(&self.client, &self.expectation()).await?;
        if self.sinks.postgres() {
            let stored = postgres_rows(&self.database().await?, scene::TABLE, CLUSTER).await?;
            compare(&expected, stored).check().map_err(|error| error.context("PostgreSQL"))?;
        }
        if self.sinks.git() {
            compare(&expected, self.items_in_git()?).check().map_err(|error| error.context("Git"))?;
        }
        Ok(())
    }

    fn expectation(&self) -> Expectation {
        let target = ExpectedTarget {
            namespace: TEAM.to_owned(),
            name: "maps".to_owned(),
            api_version: "v1".to_owned(),
            kind: "ConfigMap".to_owned(),
            plural: "configmaps".to_owned(),
            object_namespaces: Some(self.namespaces.clone()),
            filter: None,
            attributes: vec![ExpectedAttribute::new("value", path("data.value"))],
        };
        Expectation { namespace: TEAM.to_owned(), name: "all".to_owned(), targets: vec![target] }
    }

    /// The rows in the newest commit's files. A file has one row.
    fn items_in_git(&self) -> anyhow::Result<Vec<(RowKey, Value)>> {
        let mut items = Vec::new();
        for file in self.files(TEAM) {
            let text = self.git.repos.git(&repo(TEAM), ["show", &format!("main:{file}")])?;
            let item: Value = serde_saphyr::from_str(&text)?;
            let at = |key: &str| item[key].as_str().unwrap_or_default().to_owned();
            let own = map_file(&at("namespace"), &at("name"));
            anyhow::ensure!(file == own, "{file} has the row of {own}");
            let document = json!({"itemCount": 1, "items": [item]}).to_string();
            items.extend(document_rows(&format!("{TEAM}/all"), document.as_bytes())?);
        }
        Ok(items)
    }

    /// Every commit, oldest first.
    pub(crate) fn commits(&self) -> anyhow::Result<Vec<CommitTree>> {
        git_commits(&self.git.repos, &repo(TEAM), "main")
    }

    /// Fails if a commit lacks one of the ConfigMaps that existed all the time: a partial inventory.
    pub(crate) fn every_commit_has(&self, steady: &[(&str, &str)]) -> anyhow::Result<()> {
        let commits = self.commits()?;
        anyhow::ensure!(!commits.is_empty(), "no commit at all");
        for commit in commits {
            for (namespace, name) in steady {
                let file = map_file(namespace, name);
                anyhow::ensure!(commit.files.contains_key(&file), "commit {} lacks {file}: {commit:?}", commit.id);
            }
        }
        Ok(())
    }

    /// `namespace/name` of every row with the transaction that wrote it and the time of its export.
    pub(crate) async fn written(&self) -> anyhow::Result<BTreeMap<String, String>> {
        let table = scene::TABLE;
        let sql = format!(
            "SELECT (payload->>'namespace') || '/' || (payload->>'name'), xmin::text || ' ' || exported_at::text FROM {table}"
        );
        let rows = self.database().await?.query(&sql, &[]).await?;
        Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
    }
}

/// A ConfigMap's file in Git.
pub(crate) fn map_file(namespace: &str, name: &str) -> String {
    format!("{CLUSTER}/{namespace}/configmap/{name}.yaml")
}

/// What a commit changed against another, without Kollect's own record: `+` new, `-` gone, `~` other content.
pub(crate) fn differences(before: &CommitTree, after: &CommitTree) -> Vec<String> {
    let own = |path: &&String| !path.starts_with(".kollect/");
    let gone = before.files.keys().filter(own).filter(|path| !after.files.contains_key(*path));
    let mut found: Vec<String> = gone.map(|path| format!("- {path}")).collect();
    for (path, blob) in after.files.iter().filter(|(path, _)| own(path)) {
        match before.files.get(path) {
            None => found.push(format!("+ {path}")),
            Some(old) if old != blob => found.push(format!("~ {path}")),
            Some(_) => {}
        }
    }
    found
}

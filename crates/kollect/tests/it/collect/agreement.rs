//! Operator and command line agree: the same rows, refusals and messages for the same configuration.

use super::CommandFolder;
use crate::test_cluster::{TestCluster, message};
use anyhow::{Context as _, ensure};
use kollect_testkit::scene;
use kollect_testkit::servers::{ADMIN_TOKEN, wait_for};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

/// Forty inventories settle within this time on a busy machine.
const SETTLED: Duration = Duration::from_mins(2);
const NEAR: &str = "agree-near";
const FAR: &str = "agree-far";

/// One configuration: a namespace of its own with a profile, a target and at most one scope.
struct Config {
    team: String,
    profile: Value,
    target: Value,
    scope: Option<Value>,
}

/// Every selection under every scope, with one of two profiles: 40 configurations.
fn configs() -> Vec<Config> {
    let selections = [
        json!({"includedNamespaces": [NEAR]}),
        json!({"includedNamespaces": [NEAR, FAR]}),
        json!({"namespaceSelector": {"matchLabels": {"agree": "yes"}}}),
        json!({"namespaceSelector": {"matchLabels": {"agree": "yes"}}, "excludedNamespaces": [FAR]}),
        json!({"includedNamespaces": [FAR, NEAR], "resourceRules": [
            {"gvk": {"version": "v1", "kind": "ConfigMap"}, "matchPolicy": "object.data.v != '2'"},
        ]}),
    ];
    let scopes = [
        None,
        Some(json!({"deniedNamespaces": [FAR]})),
        Some(json!({"allowedNamespaces": [NEAR]})),
        Some(json!({"allowedGVKs": [{"group": "apps", "version": "v1", "kind": "Deployment"}]})),
    ];
    let profiles = [("$.data.v", "$.metadata.labels.app"), ("cel:object.data.v + '!'", "$.data.*")];
    let mut all = Vec::new();
    for selection in &selections {
        for scope in &scopes {
            for (first, second) in profiles {
                let team = format!("agree-{:02}", all.len());
                let attributes = [("first", first), ("second", second)];
                let profile = scene::profile(&team, "maps", "v1", "ConfigMap", &attributes);
                let mut target = scene::target(&team, "maps", "maps", &[]);
                target["spec"].as_object_mut().unwrap().extend(selection.as_object().unwrap().clone());
                let scope = scope.as_ref().map(|spec| {
                    let metadata = json!({"namespace": team, "name": "limits"});
                    json!({"apiVersion": "kollect.dev/v1alpha1", "kind": "KollectScope", "metadata": metadata, "spec": spec})
                });
                all.push(Config { team, profile, target, scope });
            }
        }
    }
    all
}

/// The rows of a configuration, or the reason and message of its refusal.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Rows(BTreeSet<String>),
    Refused(String),
}

fn row(item: &Value) -> String {
    format!("{}/{} {}", item["namespace"], item["name"], item["attributes"])
}

async fn of_operator(cluster: &TestCluster, config: &Config) -> anyhow::Result<Answer> {
    let team = &config.team;
    let condition = |status: &Value, kind: &str| {
        let all = status["conditions"].as_array().cloned().unwrap_or_default();
        all.into_iter().find(|c| c["type"] == kind)
    };
    let mut refusal = None;
    wait_for(&format!("{team} is exported or refused"), SETTLED, async || {
        let target = cluster.status("KollectTarget", team, "maps").await?;
        let inventory = cluster.status("KollectInventory", team, "all").await?;
        if condition(&target, "Ready")
            .is_some_and(|ready| ready["status"] == "False" && ready["reason"] != "Progressing")
        {
            let ready = condition(&target, "Ready").context("it has the condition")?;
            refusal = Some(format!("{} ({})", ready["reason"].as_str().unwrap_or_default(), message(&target, "Ready")));
            return Ok(true);
        }
        Ok(condition(&inventory, "Ready").is_some_and(|ready| ready["reason"] == "Exported"))
    })
    .await?;
    if let Some(refusal) = refusal {
        return Ok(Answer::Refused(refusal));
    }
    let database = cluster.database().await?;
    let sql = format!("SELECT payload::text FROM {} WHERE inventory_namespace = $1", scene::TABLE);
    let rows = database.query(&sql, &[team]).await?;
    let items = rows.iter().map(|row| serde_json::from_str::<Value>(row.get(0)));
    Ok(Answer::Rows(items.map(|item| Ok(row(&item?))).collect::<anyhow::Result<_>>()?))
}

fn of_command_line(folder: &CommandFolder, config: &Config) -> anyhow::Result<Answer> {
    let ran = folder.run(&["--kubeconfig", "kubeconfig", "--output", "-"]);
    let skipped = format!("skipped {}/maps: ", config.team);
    if let Some(refusal) = ran.stderr.lines().find_map(|line| line.trim_start().strip_prefix(&skipped)) {
        return Ok(Answer::Refused(refusal.to_owned()));
    }
    ensure!(ran.code == 0, "{}", ran.stderr);
    let records = ran.records();
    let items = records.iter().flat_map(|record| record["envelope"]["items"].as_array().cloned().unwrap_or_default());
    Ok(Answer::Rows(items.map(|item| row(&item)).collect()))
}

#[tokio::test(flavor = "multi_thread")]
async fn forty_configurations_give_the_same_rows_and_refusals_in_operator_and_command_line() -> anyhow::Result<()> {
    let cluster = TestCluster::start().await?;
    cluster.grant_everywhere().await?;
    cluster.namespace_with(NEAR, &["one", "two"]).await?;
    cluster.namespace_with(FAR, &["one", "three"]).await?;
    for (namespace, name, v) in [(NEAR, "one", "1"), (NEAR, "two", "2"), (FAR, "one", "1"), (FAR, "three", "3")] {
        cluster.patch("Namespace", "", namespace, json!({"metadata": {"labels": {"agree": "yes"}}})).await?;
        cluster.patch("ConfigMap", namespace, name, json!({"data": {"v": v}})).await?;
    }
    let configs = configs();
    assert_eq!(configs.len(), 40);
    for Config { team, profile, target, scope } in &configs {
        cluster.apply([scene::namespace(team)]).await?;
        cluster.apply(scope.clone()).await?;
        cluster.apply(cluster.postgres_sink(team, "pg")).await?;
        let inventory = scene::inventory(team, "all", None, Some("pg"), "0s");
        cluster.apply([profile.clone(), target.clone(), inventory]).await?;
    }
    let _operator = cluster.operator().await?;
    let mut refused = 0;
    for config in &configs {
        let folder = CommandFolder::new();
        folder.write("kubeconfig", &cluster.api.kubeconfig_for_token(ADMIN_TOKEN));
        let objects: Vec<Value> = [&config.profile, &config.target].into_iter().chain(&config.scope).cloned().collect();
        folder.config("all", &objects);
        let (operator, command) = (of_operator(&cluster, config).await?, of_command_line(&folder, config)?);
        ensure!(
            operator == command,
            "{}: {operator:#?} by the operator, {command:#?} by the command line",
            config.team
        );
        refused += usize::from(matches!(operator, Answer::Refused(_)));
    }
    ensure!((8..=32).contains(&refused), "{refused} of {} configurations are refused", configs.len());
    Ok(())
}

//! The corpus of redaction from end to end: each case is an object of a cluster, and none of its secrets may appear in
//! a log, status, event, metric, row or commit.

use super::outputs::{around, outputs};
use crate::test_cluster::{self, TestCluster};
use kollect_testkit::servers::{GitHttpOptions, wait_for};
use kollect_testkit::{operator, scene};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

const TEAM: &str = "corpus";
const WORK: &str = "corpus-work";
/// Hundreds of objects, two sinks.
const DEADLINE: Duration = Duration::from_mins(2);

/// Ways into every part of an object. Those of the last profile fail over most cases, and their errors are reported.
const WAYS: &[(&str, &str)] = &[
    ("whole", "$"),
    ("spec", "$.spec"),
    ("members", "$.spec.*"),
    ("descent", "$..value"),
    ("args", "$.spec.args[*]"),
    ("filtered", "$.spec.env[?(@.name!=\"x\")].value"),
    ("copied", "cel:[object.spec]"),
];
const JOINS: &[(&str, &str)] = &[
    ("name", "$.metadata.name"),
    ("joined", "cel:has(object.spec.env) ? object.spec.env.map(e, string(e.name) + '=' + string(e.?value)) : []"),
    ("text", "cel:has(object.spec.text) ? string(object.spec.text).lowerAscii() : ''"),
];
const FAILING: &[(&str, &str)] = &[
    ("number", "cel:int(object.spec.text)"),
    ("time", "cel:timestamp(string(object.spec.env[0].value))"),
    ("added", "cel:object.spec.args + 1"),
];

#[tokio::test]
async fn no_secret_of_the_corpus_appears_in_rows_commits_logs_statuses_events_or_metrics() -> anyhow::Result<()> {
    let cluster = TestCluster::start_with(GitHttpOptions::default()).await?;
    operator::grant_read(&cluster.client, &[("example.org", "samples")]).await?;
    let cases = corpus();
    plant(&cluster, &cases).await?;
    pipelines(&cluster).await?;
    let operator = cluster.operator_with(&["--zap-log-level=debug"]).await?;
    let wanted: BTreeSet<String> = (0..cases.len()).map(|at| format!("{WORK}/case-{at}")).collect();
    for inventory in ["ways", "joins", "copies"] {
        let mut missing = BTreeSet::new();
        wait_for(&format!("the rows of {inventory}"), DEADLINE, async || {
            missing = &wanted - &cluster.rows(TEAM, inventory).await?;
            Ok(missing.is_empty())
        })
        .await
        .map_err(|error| error.context(format!("missing: {missing:?}")))?;
    }
    cluster.files_become(TEAM, cases.len()).await?;
    cluster.shows("KollectTarget", TEAM, "failing", &["Degraded=True/ExtractionFailed"]).await?;

    let outputs = outputs(&cluster, &operator, TEAM).await?;
    for place in ["postgres", "git"] {
        assert!(outputs[place].contains("kept-mode"), "{place} lacks the value that is not secret");
    }
    for place in ["logs", "statuses"] {
        assert!(outputs[place].contains("ExtractionFailed"), "{place} lacks the target that fails");
    }
    let secrets: BTreeSet<&String> = cases.iter().flat_map(|case| &case.secrets).collect();
    assert!(secrets.len() > 20, "{secrets:?}");
    let mut leaks = Vec::new();
    for (place, text) in &outputs {
        let found = |secret: &&&String| text.contains(secret.as_str());
        let show = |secret: &&String| {
            format!("{secret} in {place}: …{}…", around(text, text.find(secret.as_str()).unwrap_or(0)))
        };
        leaks.extend(secrets.iter().filter(found).map(show));
    }
    assert!(leaks.is_empty(), "{} leaks: {leaks:#?}", leaks.len());
    Ok(())
}

struct Case {
    spec: Value,
    secrets: Vec<String>,
}

fn corpus() -> Vec<Case> {
    include_str!("../../../../kollect-extract/tests/redaction.jsonl")
        .lines()
        .filter_map(|line| {
            let case: Value = serde_json::from_str(line).expect("a line of the corpus is JSON");
            let secrets = case["secrets"].as_array()?.iter();
            let secrets = secrets.filter_map(|text| text.as_str().map(str::to_owned)).collect();
            Some(Case { spec: case["spec"].clone(), secrets })
        })
        .collect()
}

async fn plant(cluster: &TestCluster, cases: &[Case]) -> anyhow::Result<()> {
    let definition = test_cluster::definition("sample", "Sample");
    cluster.apply([scene::namespace(TEAM), scene::namespace(WORK), definition]).await?;
    let sample = |at: usize, case: &Case| {
        json!({
            "apiVersion": "example.org/v1", "kind": "Sample",
            "metadata": {"namespace": WORK, "name": format!("case-{at}")}, "spec": case.spec,
        })
    };
    wait_for("samples are served", DEADLINE, async || {
        Ok(operator::apply(&cluster.client, sample(0, &cases[0])).await.is_ok())
    })
    .await?;
    cluster.apply(cases.iter().enumerate().map(|(at, case)| sample(at, case))).await
}

async fn pipelines(cluster: &TestCluster) -> anyhow::Result<()> {
    for (name, attributes) in [("ways", WAYS), ("joins", JOINS), ("failing", FAILING)] {
        let mut profile = scene::profile(TEAM, name, "example.org/v1", "Sample", attributes);
        for attribute in profile["spec"]["attributes"].as_array_mut().into_iter().flatten() {
            attribute["optional"] = json!(name != "failing");
        }
        cluster.apply([profile, scene::target(TEAM, name, name, &[WORK])]).await?;
    }
    let mut copies = scene::profile(TEAM, "copies", "example.org/v1", "Sample", &[]);
    copies["metadata"]["annotations"] = json!({"kollect.dev/allow-full-resource-export": "true"});
    copies["spec"]["export"] = json!({"mode": "Resource", "include": "All", "prune": {"defaults": false}});
    cluster.apply([copies, scene::target(TEAM, "copies", "copies", &[WORK])]).await?;
    cluster.apply(cluster.postgres_sink(TEAM, "pg")).await?;
    cluster.apply([cluster.git_sink(TEAM, "git")?]).await?;
    for name in ["ways", "joins", "copies"] {
        let git = (name == "copies").then_some("git");
        let mut inventory = scene::inventory(TEAM, name, git, Some("pg"), "0s");
        inventory["spec"]["targetRefs"] = json!([name]);
        cluster.apply([inventory]).await?;
    }
    Ok(())
}

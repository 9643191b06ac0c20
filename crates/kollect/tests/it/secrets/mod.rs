//! Nothing secret leaves the cluster: not in rows, files, commits, logs, statuses or events.

mod corpus;
mod outputs;

use crate::test_cluster::{self, SOON, TestCluster};
use kollect_testkit::servers::{GitHttpOptions, Postgres, wait_for};
use kollect_testkit::{operator, scene};
use outputs::{around, outputs};
use serde_json::{Value, json};

const TEAM: &str = "team";
const GIT_TOKEN: &str = "ghp-planted-git-token";
/// Every one of these is somewhere that the operator reads.
const PLANTED: [(&str, &str); 12] = [
    ("data of a Secret", "planted-secret-data"),
    ("data of a Secret, as the API has it", "cGxhbnRlZC1zZWNyZXQtZGF0YQ=="),
    ("a password in a map", "planted-map-password"),
    ("a password deeper in a map", "planted-deep-token"),
    ("an entry of an env list", "planted-env-password"),
    ("a URL with credentials", "planted-url-password"),
    ("a URL with credentials inside a text", "planted-inline-password"),
    ("the last applied configuration", "planted-last-applied"),
    ("the password of PostgreSQL", Postgres::PASSWORD),
    ("the token of Git", GIT_TOKEN),
    ("a wrong password of PostgreSQL", "planted-wrong-password"),
    ("a password in a DSN that does not parse", "planted-mangled-password"),
];
const VISIBLE: &str = "not-a-secret";

#[tokio::test]
async fn a_planted_secret_appears_in_no_output() -> anyhow::Result<()> {
    let credentials = Some(("x-access-token".to_owned(), GIT_TOKEN.to_owned()));
    let cluster = TestCluster::start_with(GitHttpOptions { credentials, ..GitHttpOptions::default() }).await?;
    operator::grant_read(&cluster.client, &[("", "configmaps"), ("", "secrets"), ("apps", "deployments")]).await?;
    plant(&cluster).await?;
    pipelines(&cluster).await?;
    let operator = cluster.operator_with(&["--zap-log-level=debug"]).await?;
    cluster.rows_become(TEAM, "all", &["work/settings", "work/shop", "work/login"]).await?;
    cluster.rows_become(TEAM, "copies", &["work/settings", "work/shop", "work/login"]).await?;
    cluster.files_become(TEAM, 3).await?;
    let partial = ["Ready=True/PartiallySynced", "Degraded=True/SinkInvalid"];
    cluster.inventory_shows(TEAM, &partial).await?;
    // A change while a sink is unavailable, so that its errors are reported more than once.
    cluster.patch("ConfigMap", "work", "settings", json!({"data": {"mode": "other"}})).await?;
    cluster.shows("KollectDatabaseSink", TEAM, "refused", &["Degraded=True/ConnectionTestFailed"]).await?;
    cluster.shows("KollectDatabaseSink", TEAM, "mangled", &["Degraded=True/SinkInvalid"]).await?;
    let names_refused = |(_, note): &(String, String)| note.contains("database/refused");
    wait_for("an event names the refused sink", SOON, async || {
        Ok(cluster.events(TEAM, "all").await?.iter().any(names_refused))
    })
    .await?;

    let outputs = outputs(&cluster, &operator, TEAM).await?;
    for place in ["postgres", "git"] {
        assert!(outputs[place].contains(VISIBLE), "{place} lacks the value that is not secret");
    }
    for place in ["logs", "statuses", "events"] {
        assert!(outputs[place].contains("database/refused"), "{place} lacks the refused sink");
    }
    let leaks: Vec<String> = PLANTED
        .iter()
        .flat_map(|(what, secret)| outputs.iter().map(move |(place, text)| (what, place, text.find(secret), text)))
        .filter_map(|(what, place, at, text)| Some(format!("{what} in {place}: …{}…", around(text, at?))))
        .collect();
    assert!(leaks.is_empty(), "{leaks:#?}");
    Ok(())
}

async fn plant(cluster: &TestCluster) -> anyhow::Result<()> {
    let applied = json!({"data": {"note": "planted-last-applied"}}).to_string();
    let annotations = json!({"kubectl.kubernetes.io/last-applied-configuration": applied, "note": VISIBLE});
    let env = json!([
        {"name": "DB_PASSWORD", "value": "planted-env-password"}, {"name": "MODE", "value": VISIBLE},
        {"name": "FEED", "value": "https://bot:planted-url-password@feed.example/x"},
    ]);
    cluster
        .apply([
            scene::namespace("work"),
            scene::secret("work", "login", &[("key", "planted-secret-data")]),
            json!({
                "apiVersion": "v1", "kind": "ConfigMap",
                "metadata": {"namespace": "work", "name": "settings", "annotations": annotations},
                "data": {
                    "password": "planted-map-password", "mode": VISIBLE,
                    "apiToken": "planted-deep-token",
                    "url": "https://bot:planted-url-password@host.example/path",
                    "text": "connect to amqp://bot:planted-inline-password@mq.example:5672/ and wait",
                },
            }),
            json!({
                "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"namespace": "work", "name": "shop"},
                "spec": {
                    "selector": {"matchLabels": {"app": "shop"}},
                    "template": {
                        "metadata": {"labels": {"app": "shop"}},
                        "spec": {"containers": [{"name": "main", "image": "shop:1", "env": env}]},
                    },
                },
            }),
        ])
        .await
}

/// Name, API version, kind and attributes.
type Profile<'a> = (&'a str, &'a str, &'a str, &'a [(&'a str, &'a str)]);

/// Every expression language and every way into the planted values; two sinks that work and two that fail.
async fn pipelines(cluster: &TestCluster) -> anyhow::Result<()> {
    let containers = "$.spec.template.spec.containers";
    let profiles: [Profile<'_>; 5] = [
        (
            "maps",
            "v1",
            "ConfigMap",
            &[
                ("all", "$.data"),
                ("cel", "cel:object.data"),
                ("url", "$.data.url"),
                ("text", "$.data.text"),
                ("annotations", "$.metadata.annotations"),
                ("metadata", "cel:object.metadata"),
                ("mode", "$.data.mode"),
                ("applied", r"$.metadata.annotations.kubectl\.kubernetes\.io/last-applied-configuration"),
            ],
        ),
        (
            "deployments",
            "apps/v1",
            "Deployment",
            &[
                ("env", &format!("{containers}[*].env")),
                ("entries", &format!("{containers}[*].env[*]")),
                ("cel", "cel:object.spec.template.spec.containers.map(c, c.env)"),
                ("spec", "$.spec"),
            ],
        ),
        ("secrets", "v1", "Secret", &[("metadata", "$.metadata"), ("cel", "cel:object.metadata"), ("type", "$.type")]),
        ("refused", "v1", "Secret", &[("data", "$.data"), ("key", "cel:object.data.key")]),
        ("whole", "v1", "Secret", &[("whole", "cel:object"), ("all", "$")]),
    ];
    let scope = json!({
        "apiVersion": "kollect.dev/v1alpha1", "kind": "KollectScope", "metadata": {"namespace": TEAM, "name": "work"},
        "spec": {"allowedNamespaces": ["work"]},
    });
    cluster.apply([scene::namespace(TEAM), scope]).await?;
    for (name, api_version, kind, attributes) in profiles {
        cluster.apply([scene::profile(TEAM, name, api_version, kind, attributes)]).await?;
        cluster.apply([scene::target(TEAM, name, name, &["work"])]).await?;
    }
    copies(cluster).await?;
    cluster.apply(cluster.postgres_sink(TEAM, "pg")).await?;
    let right = cluster.postgres.url(Postgres::DATABASE);
    for (name, dsn) in [
        ("refused", right.replace(Postgres::PASSWORD, "planted-wrong-password")),
        ("mangled", "postgres://kollect:planted-mangled-password@local host:port/x?sslmode=none".to_owned()),
    ] {
        cluster.apply(cluster.postgres_sink(TEAM, name)).await?;
        cluster.patch("Secret", TEAM, &format!("{name}-credentials"), json!({"stringData": {"dsn": dsn}})).await?;
    }
    let mut git = cluster.git_sink(TEAM, "git")?;
    git["spec"]["secretRef"] = json!({"name": "git-credentials"});
    cluster.apply([scene::secret(TEAM, "git-credentials", &[("token", GIT_TOKEN)]), git]).await?;
    let mut inventory = scene::inventory(TEAM, "all", Some("git"), Some("pg"), "0s");
    inventory["spec"]["databaseSinkRefs"] = json!(["pg", "refused", "mangled"]);
    inventory["spec"]["targetRefs"] = json!(["maps", "deployments", "secrets", "refused", "whole"]);
    cluster.apply([inventory]).await
}

/// Copies of whole objects, of Secrets with the annotation that allows it.
async fn copies(cluster: &TestCluster) -> anyhow::Result<()> {
    for (kind, api_version) in [("Secret", "v1"), ("ConfigMap", "v1"), ("Deployment", "apps/v1")] {
        let name = format!("copies-of-{}s", kind.to_lowercase());
        let mut profile = scene::profile(TEAM, &name, api_version, kind, &[]);
        profile["metadata"]["annotations"] = json!({"kollect.dev/allow-full-resource-export": "true"});
        profile["spec"]["export"] = json!({"mode": "Resource", "include": "All", "prune": {"defaults": false}});
        cluster.apply([profile, scene::target(TEAM, &name, &name, &["work"])]).await?;
    }
    // In Git, two targets of one object would have one path.
    let mut copies = scene::inventory(TEAM, "copies", None, Some("pg"), "0s");
    copies["spec"]["targetRefs"] = json!(["copies-of-secrets", "copies-of-configmaps", "copies-of-deployments"]);
    cluster.apply([copies]).await
}

#[tokio::test]
async fn a_corrected_secret_brings_a_refused_sink_back_without_touching_the_sink() -> anyhow::Result<()> {
    let cluster = TestCluster::shared().await?;
    let team = "rotation";
    cluster.namespace_with("rotation-work", &["one", "two"]).await?;
    cluster.apply([scene::namespace(team)]).await?;
    let right = cluster.postgres.url(Postgres::DATABASE);
    let wrong = right.replace(Postgres::PASSWORD, "wrong");
    let [secret, sink, binding]: [Value; 3] =
        cluster.postgres_sink(team, "pg").try_into().expect("a Secret, a sink, a RoleBinding");
    cluster.apply([secret, binding]).await?;
    cluster.patch("Secret", team, "pg-credentials", json!({"stringData": {"dsn": wrong}})).await?;
    cluster
        .apply([
            sink,
            test_cluster::map_profile(team),
            scene::target(team, "maps", "maps", &["rotation-work"]),
            scene::inventory(team, "all", None, Some("pg"), "0s"),
        ])
        .await?;
    let refused = ["Ready=False/ExportTerminal", "Synced=False/ExportTerminal", "Degraded=True/ExportTerminal"];
    cluster.inventory_shows(team, &refused).await?;
    let before = cluster.objects("KollectDatabaseSink", team).get("pg").await?;
    cluster.patch("Secret", team, "pg-credentials", json!({"stringData": {"dsn": right}})).await?;
    cluster.inventory_shows(team, &["Ready=True/Exported", "Synced=True/Exported", "!Degraded"]).await?;
    cluster.rows_become(team, "all", &["rotation-work/one", "rotation-work/two"]).await?;
    cluster.shows("KollectDatabaseSink", team, "pg", &["Ready=True/ConnectionOK", "!Degraded"]).await?;
    let after = cluster.objects("KollectDatabaseSink", team).get("pg").await?;
    assert_eq!(before.metadata.generation, after.metadata.generation, "the sink was edited");
    Ok(())
}

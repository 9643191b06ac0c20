//! Nothing secret leaves the cluster: not in rows, files, commits, logs, statuses or events.

mod corpus;
mod outputs;

use crate::stage::{self, SOON, Stage};
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
const VISIBLE: &str = "seen-by-everybody";

#[tokio::test]
async fn a_planted_secret_appears_in_no_output() -> anyhow::Result<()> {
    let credentials = Some(("x-access-token".to_owned(), GIT_TOKEN.to_owned()));
    let stage = Stage::start_with(GitHttpOptions { credentials, ..GitHttpOptions::default() }).await?;
    operator::grant_read(&stage.client, &[("", "configmaps"), ("", "secrets"), ("apps", "deployments")]).await?;
    plant(&stage).await?;
    pipelines(&stage).await?;
    let operator = stage.operator_with(&["--zap-log-level=debug"]).await?;
    stage.rows_become(TEAM, "all", &["work/settings", "work/shop", "work/login"]).await?;
    stage.rows_become(TEAM, "copies", &["work/settings", "work/shop", "work/login"]).await?;
    stage.files_become(TEAM, 3).await?;
    let partial = ["Ready=True/PartiallySynced", "Degraded=True/SinkInvalid"];
    stage.inventory_shows(TEAM, &partial).await?;
    // A change while a sink is ill, so that its errors are told more than once.
    stage.patch("ConfigMap", "work", "settings", json!({"data": {"mode": "other"}})).await?;
    stage.shows("KollectDatabaseSink", TEAM, "refused", &["Degraded=True/ConnectionTestFailed"]).await?;
    stage.shows("KollectDatabaseSink", TEAM, "mangled", &["Degraded=True/SinkInvalid"]).await?;
    let names_refused = |(_, note): &(String, String)| note.contains("database/refused");
    wait_for("an event names the refused sink", SOON, async || {
        Ok(stage.events(TEAM, "all").await?.iter().any(names_refused))
    })
    .await?;

    let outputs = outputs(&stage, &operator, TEAM).await?;
    for place in ["postgres", "git"] {
        assert!(outputs[place].contains(VISIBLE), "{place} lacks what everybody may see");
    }
    for place in ["logs", "statuses", "events"] {
        assert!(outputs[place].contains("database/refused"), "{place} does not tell of the refused sink");
    }
    let leaks: Vec<String> = PLANTED
        .iter()
        .flat_map(|(what, secret)| outputs.iter().map(move |(place, text)| (what, place, text.find(secret), text)))
        .filter_map(|(what, place, at, text)| Some(format!("{what} in {place}: …{}…", around(text, at?))))
        .collect();
    assert!(leaks.is_empty(), "{leaks:#?}");
    Ok(())
}

async fn plant(stage: &Stage) -> anyhow::Result<()> {
    let applied = json!({"data": {"note": "planted-last-applied"}}).to_string();
    let annotations = json!({"kubectl.kubernetes.io/last-applied-configuration": applied, "note": VISIBLE});
    let env = json!([
        {"name": "DB_PASSWORD", "value": "planted-env-password"}, {"name": "MODE", "value": VISIBLE},
        {"name": "FEED", "value": "https://bot:planted-url-password@feed.example/x"},
    ]);
    stage
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
async fn pipelines(stage: &Stage) -> anyhow::Result<()> {
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
    stage.apply([scene::namespace(TEAM), scope]).await?;
    for (name, api_version, kind, attributes) in profiles {
        stage.apply([scene::profile(TEAM, name, api_version, kind, attributes)]).await?;
        stage.apply([scene::target(TEAM, name, name, &["work"])]).await?;
    }
    copies(stage).await?;
    stage.apply(stage.postgres_sink(TEAM, "pg")).await?;
    let right = stage.postgres.url(Postgres::DATABASE);
    for (name, dsn) in [
        ("refused", right.replace(Postgres::PASSWORD, "planted-wrong-password")),
        ("mangled", "postgres://kollect:planted-mangled-password@local host:port/x?sslmode=none".to_owned()),
    ] {
        stage.apply(stage.postgres_sink(TEAM, name)).await?;
        stage.patch("Secret", TEAM, &format!("{name}-credentials"), json!({"stringData": {"dsn": dsn}})).await?;
    }
    let mut git = stage.git_sink(TEAM, "git")?;
    git["spec"]["secretRef"] = json!({"name": "git-credentials"});
    stage.apply([scene::secret(TEAM, "git-credentials", &[("token", GIT_TOKEN)]), git]).await?;
    let mut inventory = scene::inventory(TEAM, "all", Some("git"), Some("pg"), "0s");
    inventory["spec"]["databaseSinkRefs"] = json!(["pg", "refused", "mangled"]);
    inventory["spec"]["targetRefs"] = json!(["maps", "deployments", "secrets", "refused", "whole"]);
    stage.apply([inventory]).await
}

/// Copies of whole objects, of Secrets with the annotation that allows it.
async fn copies(stage: &Stage) -> anyhow::Result<()> {
    for (kind, api_version) in [("Secret", "v1"), ("ConfigMap", "v1"), ("Deployment", "apps/v1")] {
        let name = format!("copies-of-{}s", kind.to_lowercase());
        let mut profile = scene::profile(TEAM, &name, api_version, kind, &[]);
        profile["metadata"]["annotations"] = json!({"kollect.dev/allow-full-resource-export": "true"});
        profile["spec"]["export"] = json!({"mode": "Resource", "include": "All", "prune": {"defaults": false}});
        stage.apply([profile, scene::target(TEAM, &name, &name, &["work"])]).await?;
    }
    // In Git, two targets of one object would have one path.
    let mut copies = scene::inventory(TEAM, "copies", None, Some("pg"), "0s");
    copies["spec"]["targetRefs"] = json!(["copies-of-secrets", "copies-of-configmaps", "copies-of-deployments"]);
    stage.apply([copies]).await
}

#[tokio::test]
async fn a_corrected_secret_brings_a_refused_sink_back_without_touching_the_sink() -> anyhow::Result<()> {
    let stage = Stage::shared().await?;
    let team = "rotation";
    stage.namespace_with("rotation-work", &["one", "two"]).await?;
    stage.apply([scene::namespace(team)]).await?;
    let right = stage.postgres.url(Postgres::DATABASE);
    let wrong = right.replace(Postgres::PASSWORD, "wrong");
    let [secret, sink, binding]: [Value; 3] =
        stage.postgres_sink(team, "pg").try_into().expect("a Secret, a sink, a RoleBinding");
    stage.apply([secret, binding]).await?;
    stage.patch("Secret", team, "pg-credentials", json!({"stringData": {"dsn": wrong}})).await?;
    stage
        .apply([
            sink,
            stage::map_profile(team),
            scene::target(team, "maps", "maps", &["rotation-work"]),
            scene::inventory(team, "all", None, Some("pg"), "0s"),
        ])
        .await?;
    let refused = ["Ready=False/ExportTerminal", "Synced=False/ExportTerminal", "Degraded=True/ExportTerminal"];
    stage.inventory_shows(team, &refused).await?;
    let before = stage.objects("KollectDatabaseSink", team).get("pg").await?;
    stage.patch("Secret", team, "pg-credentials", json!({"stringData": {"dsn": right}})).await?;
    stage.inventory_shows(team, &["Ready=True/Exported", "Synced=True/Exported", "!Degraded"]).await?;
    stage.rows_become(team, "all", &["rotation-work/one", "rotation-work/two"]).await?;
    stage.shows("KollectDatabaseSink", team, "pg", &["Ready=True/ConnectionOK", "!Degraded"]).await?;
    let after = stage.objects("KollectDatabaseSink", team).get("pg").await?;
    assert_eq!(before.metadata.generation, after.metadata.generation, "nobody touched the sink");
    Ok(())
}

//! What commands learn from a real API server.

use super::{Ran, kollect, write};
use kollect_testkit::operator::{apply, install};
use kollect_testkit::scene;
use kollect_testkit::servers::{ApiServer, ApiServerOptions};
use serde_json::{Value, json};
use std::path::Path;

/// Runs the program on a blocking thread, since it needs nothing of the runtime.
async fn run(dir: &Path, arguments: &[&str]) -> Ran {
    let dir = dir.to_owned();
    let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
    tokio::task::spawn_blocking(move || {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        kollect(&dir, &arguments)
    })
    .await
    .expect("it ran")
}

/// Rule, field and message of every finding.
fn findings(ran: &Ran) -> Vec<(String, String, String)> {
    let all = ran.json();
    let text = |finding: &Value, member: &str| finding[member].as_str().expect("a text").to_owned();
    all.as_array()
        .expect("an array")
        .iter()
        .map(|f| (text(f, "severity"), text(f, "field"), text(f, "message")))
        .collect()
}

fn deployment() -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"namespace": "shop", "name": "web"},
        "spec": {
            "replicas": 3, "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "web", "image": "registry.example/web:1"}]},
            },
        },
    })
}

#[tokio::test]
async fn a_cluster_adds_findings_that_files_alone_cannot() -> anyhow::Result<()> {
    let api = ApiServer::start(ApiServerOptions::default()).await?;
    let client = api.admin().await?;
    let dir = tempfile::tempdir()?;
    write(dir.path(), "admin", &api.admin_kubeconfig());
    let sound = [
        scene::profile("team", "maps", "v1", "ConfigMap", &[("name", "$.metadata.name")]),
        scene::target("team", "all", "maps", &["team"]),
    ];
    write(dir.path(), "sound.yaml", &stream(&sound));
    let check = ["validate", "--cluster", "--kubeconfig", "admin", "--format", "json"];

    let ran = run(dir.path(), &[&check[..], &["sound.yaml"]].concat()).await;
    let found = findings(&ran);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found.iter().all(|(_, field, why)| field == "kind" && why.contains("kollect crds")), "{found:?}");

    install(&api).await?;
    let ran = run(dir.path(), &[&check[..], &["sound.yaml"]].concat()).await;
    assert_eq!((ran.status, findings(&ran)), (0, Vec::new()), "{}", ran.stderr);

    apply(&client, scene::namespace("team")).await?;
    apply(&client, scene::profile("team", "there", "v1", "ConfigMap", &[("name", "$.metadata.name")])).await?;
    let sink = |secret: &str| {
        json!({
            "apiVersion": "kollect.dev/v1alpha1", "kind": "KollectDatabaseSink",
            "metadata": {"namespace": "team", "name": secret},
            "spec": {"type": "postgres", "postgres": {"databaseRef": {"name": secret}, "table": "t"}},
        })
    };
    apply(&client, scene::secret("team", "present", &[("dsn", "x")])).await?;
    let mixed = [
        scene::target("team", "one", "there", &["team"]),
        scene::target("team", "two", "nowhere", &["team"]),
        scene::profile("team", "widgets", "example.com/v1", "Widget", &[("name", "$.metadata.name")]),
        scene::target("team", "three", "widgets", &[]),
        sink("present"),
        sink("absent"),
    ];
    write(dir.path(), "mixed.yaml", &stream(&mixed));
    let ran = run(dir.path(), &[&check[..], &["mixed.yaml"]].concat()).await;
    let found = findings(&ran);
    let fields: Vec<(&str, &str)> = found.iter().map(|(level, field, _)| (level.as_str(), field.as_str())).collect();
    let wanted =
        [("error", "spec.profileRef"), ("error", "spec.targetGVK.kind"), ("error", "spec.postgres.databaseRef.name")];
    assert_eq!((ran.status, fields.as_slice()), (2, &wanted[..]), "{found:?}");

    warns_of_paths_that_objects_never_have(dir.path(), &check).await;

    // A user without rights gets a warning for each right that is missing.
    let token = api.service_account_token("team", "powerless").await?;
    write(dir.path(), "powerless", &api.kubeconfig_for_token(&token));
    let check = ["validate", "--cluster", "--kubeconfig", "powerless", "--format", "json", "sound.yaml"];
    let ran = run(dir.path(), &check).await;
    let found = findings(&ran);
    assert_eq!(ran.status, 0, "{found:?}");
    for verb in ["list", "watch"] {
        assert!(found.iter().any(|(_, _, why)| why.contains(&format!("may not {verb} configmaps"))), "{found:?}");
    }
    Ok(())
}

/// Of a built-in kind and of a Kollect kind.
async fn warns_of_paths_that_objects_never_have(dir: &Path, check: &[&str]) {
    let typos = [
        scene::profile(
            "team",
            "apps",
            "apps/v1",
            "Deployment",
            &[
                ("good", "$.spec.template.spec.containers[*].image"),
                ("bad", "$.spec.replica"),
                ("worse", "cel:object.spec.template.spec.containers.map(c, c.img)"),
            ],
        ),
        scene::profile("team", "sinks", "kollect.dev/v1alpha1", "KollectTarget", &[("bad", "$.spec.profileReference")]),
    ];
    write(dir, "typos.yaml", &stream(&typos));
    let ran = run(dir, &[check, &["typos.yaml"]].concat()).await;
    let found = findings(&ran);
    let lines: Vec<_> = found.iter().map(|(level, field, why)| format!("{level} {field}: {why}")).collect();
    assert_eq!((ran.status, lines.len()), (0, 3), "{lines:?}");
    assert!(
        lines[0].starts_with("warning spec.attributes[1].path") && lines[0].contains("did you mean replicas?"),
        "{lines:?}"
    );
    assert!(lines[1].starts_with("warning spec.attributes[2].path") && lines[1].contains("has no img"), "{lines:?}");
    assert!(
        lines[2].starts_with("warning spec.attributes[0].path") && lines[2].contains("has no profileReference"),
        "{lines:?}"
    );
}

fn stream(objects: &[Value]) -> String {
    objects.iter().map(|object| format!("---\n{object}\n")).collect::<Vec<_>>().concat()
}

#[tokio::test]
async fn a_config_made_from_a_live_object_is_sound_and_evaluates() -> anyhow::Result<()> {
    let api = ApiServer::start(ApiServerOptions::default()).await?;
    let client = api.admin().await?;
    apply(&client, scene::namespace("shop")).await?;
    apply(&client, deployment()).await?;
    let dir = tempfile::tempdir()?;
    write(dir.path(), "admin", &api.admin_kubeconfig());
    let init = ["init", "--kubeconfig", "admin", "--kind", "deployments", "--namespace", "shop", "--yes"];

    let ran = run(dir.path(), &[&init[..], &["--sample", "gone"]].concat()).await;
    assert_eq!((ran.status, ran.stdout.as_str()), (2, ""));
    assert!(!dir.path().join("collect-config").exists());
    let ran = run(dir.path(), &[&init[..], &["--sample", "web"]].concat()).await;
    assert_eq!((ran.status, ran.stderr.as_str()), (0, ""));
    assert!(ran.stdout.contains("kollect collect --config ./collect-config"), "{}", ran.stdout);
    let ran = run(dir.path(), &init).await;
    assert!(ran.status == 2 && ran.stderr.contains("--force"), "{}", ran.stderr);

    let ran = run(dir.path(), &["validate", "--config", "collect-config", "--deny-warnings"]).await;
    assert_eq!((ran.status, ran.stderr.as_str()), (0, ""));
    let object = ["--kubeconfig", "admin", "--namespace", "shop", "--name", "web", "--format", "json"];
    let ran = run(dir.path(), &[&["eval", "--profile", "collect-config/profile.yaml"][..], &object].concat()).await;
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let shown = ran.json();
    let value = |name: &str| {
        shown["attributes"]
            .as_array()
            .and_then(|all| all.iter().find(|a| a["name"] == name))
            .map(|a| a["value"].clone())
    };
    assert_eq!(value("replicas"), Some(3.into()), "{shown}");
    assert!(value("images").is_some_and(|images| images.to_string().contains("registry.example/web:1")), "{shown}");

    let path = ["eval", "--path", "$.spec.replicas", "--kind", "Deployment"];
    let ran = run(dir.path(), &[&path[..], &object].concat()).await;
    assert_eq!((ran.status, &ran.json()["attributes"][0]["value"]), (0, &3.into()), "{}", ran.stderr);
    let ran = run(dir.path(), &[&path[..3], &["--kind", "Nothing"], &object].concat()).await;
    assert!(ran.status == 2 && ran.stderr.contains("Nothing"), "{}", ran.stderr);
    Ok(())
}

//! Every command of the README, as the README has it.
//!
//! The lines come from its `sh` blocks and run in Bash, on a terminal, where `kollect` is the program and `kubectl` a
//! stub: it prints what the API server has, and `kubectl apply` is done by the test.

use crate::terminal::on_a_terminal;
use anyhow::Context as _;
use kollect_testkit::operator::{apply, apply_yaml, install_crds};
use kollect_testkit::scene;
use kollect_testkit::servers::{ApiServer, ApiServerOptions};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// What is not run, and why. Each must be in the README.
const NOT_RUN: [(&str, &str); 3] = [
    ("cargo xtask demo", "starts servers of its own for a minute; it has tests of its own"),
    ("cargo xtask test", "runs the tests, and this is one"),
    ("cargo install --path crates/kollect", "compiles the program in release mode; the one that Cargo built is tried"),
];

/// Printed by `kubectl` for the README's only query.
const QUERY: &str = "get namespaces,deployments,configmaps -A -o json";

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the repository is there")
}

fn readme() -> String {
    fs::read_to_string(repository().join("README.md")).expect("the README can be read")
}

/// The blocks of a language.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut open: Option<(bool, String)> = None;
    for line in text.lines() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(name), None) => open = Some((name == language, String::new())),
            (Some(_), Some(_)) => blocks.extend(open.take().filter(|(wanted, _)| *wanted).map(|(_, block)| block)),
            (None, Some((_, block))) => block.extend([line, "\n"]),
            (None, None) => {}
        }
    }
    blocks
}

/// The lines of all `sh` blocks.
fn commands() -> Vec<String> {
    let blocks = blocks(&readme(), "sh");
    let lines = blocks.iter().flat_map(|block| block.lines());
    lines.filter(|line| !line.trim().is_empty() && !line.starts_with('#')).map(str::to_owned).collect()
}

/// A folder with what the README's commands name.
fn folder() -> anyhow::Result<TempDir> {
    let dir = tempfile::tempdir()?;
    let path = |name: &str| dir.path().join(name);
    let root = repository();
    for name in ["examples", "deploy"] {
        std::os::unix::fs::symlink(root.join(name), path(name))?;
    }
    fs::create_dir_all(path("bin"))?;
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_kollect"), path("bin/kollect"))?;
    fs::create_dir(path("my-config"))?;
    for name in ["profile.yaml", "target.yaml"] {
        fs::copy(root.join("examples/collect").join(name), path("my-config").join(name))?;
    }
    fs::copy(root.join("examples/collect/profile.yaml"), path("profile.yaml"))?;
    fs::write(path("deployment.yaml"), deployment("shop", "web").to_string())?;
    let snapshot = |replicas: u64| {
        let row = json!({"targetNamespace": "platform", "targetName": "workloads", "namespace": "shop", "name": "web",
            "group": "apps", "version": "v1", "kind": "Deployment", "uid": "1", "attributes": {"replicas": replicas}});
        format!("{row}\n")
    };
    for (name, replicas) in [("monday", 1), ("friday", 2)] {
        fs::create_dir(path(name))?;
        fs::write(path(name).join("rows.ndjson"), snapshot(replicas))?;
    }
    Ok(dir)
}

fn deployment(namespace: &str, name: &str) -> Value {
    let labels = json!({"app": name});
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"namespace": namespace, "name": name, "labels": labels},
        "spec": {
            "replicas": 3, "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "main", "image": "registry.example/web:1"}]},
            },
        },
    })
}

/// Two contexts of one cluster with a Deployment, and a `kubectl` that prints it.
async fn cluster(dir: &Path) -> anyhow::Result<ApiServer> {
    let server = ApiServer::start(ApiServerOptions::default()).await?;
    let client = server.admin().await?;
    let mut shop = scene::namespace("shop");
    shop["metadata"]["labels"] = json!({"env": "production"});
    let web = deployment("shop", "web");
    let items = json!({"apiVersion": "v1", "kind": "List", "items": [shop, web]});
    apply(&client, shop).await?;
    apply(&client, web).await?;
    fs::write(dir.join("list.json"), items.to_string())?;
    let kubectl = format!(
        "#!/bin/sh\ncase \"$*\" in\n\"{QUERY}\") cat list.json ;;\napply\\ *) echo \"$*\" >> applied ;;\n\
         *) echo \"kubectl $*: not known to the test\" >&2; exit 1 ;;\nesac\n"
    );
    let program = dir.join("bin/kubectl");
    fs::write(&program, kubectl)?;
    fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    let mut config: Value = serde_saphyr::from_str(&server.admin_kubeconfig())?;
    let context = config["contexts"][0]["context"].clone();
    let named = |name: &str| json!({"name": name, "context": context});
    config["contexts"] = json!([named("prod-east"), named("prod-west"), named("stage")]);
    config["current-context"] = json!("prod-east");
    fs::create_dir(dir.join(".kube"))?;
    fs::write(dir.join(".kube/config"), config.to_string())?;
    Ok(server)
}

/// Does what `kubectl apply -f A -f B` was asked for.
async fn apply_files(client: &kube::Client, dir: &Path, arguments: &str) -> anyhow::Result<()> {
    let words: Vec<&str> = arguments.split_whitespace().collect();
    let files = words.windows(2).filter(|pair| pair[0] == "-f").map(|pair| dir.join(pair[1]));
    for file in files {
        let done = if file.is_dir() {
            install_crds(client, &file).await
        } else {
            apply_yaml(client, &fs::read_to_string(&file).with_context(|| format!("{}", file.display()))?).await
        };
        done.with_context(|| format!("kubectl {arguments}: {}", file.display()))?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_of_the_readme_works_as_written() -> anyhow::Result<()> {
    let dir = folder()?;
    let server = cluster(dir.path()).await?;
    let client = server.admin().await?;
    let mut run = 0;
    for line in commands() {
        if NOT_RUN.iter().any(|(command, _)| line.starts_with(command)) {
            continue;
        }
        let (home, path) = (dir.path().to_owned(), format!("{}/bin:/usr/bin:/bin", dir.path().display()));
        let command = line.clone();
        // Agrees to what is asked.
        let seen = tokio::task::spawn_blocking(move || {
            on_a_terminal(&home, &command, &[("PATH", &path), ("COLUMNS", "200")], "y\n")
        })
        .await?;
        assert_eq!(seen.status, 0, "{line}\n{}", seen.text);
        if let Ok(applied) = fs::read_to_string(dir.path().join("applied")) {
            for arguments in applied.lines() {
                apply_files(&client, dir.path(), arguments).await?;
            }
            fs::remove_file(dir.path().join("applied"))?;
        }
        shows_what_it_should(&line, &seen.text, dir.path());
        run += 1;
    }
    assert!(run >= 10, "only {run} commands were found");
    Ok(())
}

/// What a command shows or leaves behind beside its exit status.
fn shows_what_it_should(line: &str, seen: &str, dir: &Path) {
    let shows = |text: &str| assert!(seen.contains(text), "{line}: no {text:?} in\n{seen}");
    if line.starts_with("kollect collect --config examples/collect") {
        shows("NAMESPACE  NAME ");
        shows("IMAGES ");
        shows("REPLICAS  TEAM");
    } else if line.contains("| kollect collect") {
        shows("\"namespace\":\"shop\",\"name\":\"web\"");
    } else if line.contains("--output inventory/") {
        for context in ["prod-east", "prod-west"] {
            let file = dir.join("inventory").join(context);
            assert!(file.is_dir(), "{line}: no {}\n{seen}", file.display());
        }
        assert!(!dir.join("inventory/stage").exists(), "{line}");
    } else if line.starts_with("kollect validate") {
        shows("4 Kollect objects in 2 files");
    } else if line.starts_with("kollect eval") {
        shows("\"registry.example/web:1\"");
        shows("3\n");
    } else if line.starts_with("kollect diff") {
        shows("0 added, 0 removed, 1 changed, 0 unchanged");
    } else if line.starts_with("kollect init") {
        shows("kollect validate --config ./collect-config");
        assert!(dir.join("collect-config/profile.yaml").is_file());
    } else {
        assert!(line.starts_with("kubectl apply"), "nothing is known of what this shows: {line}");
    }
}

#[test]
fn what_is_not_run_is_in_the_readme_and_needs_the_whole_repository() {
    let commands = commands();
    for (command, why) in NOT_RUN {
        assert!(commands.iter().any(|line| line.starts_with(command)), "{command} ({why}) is not in the README");
        assert!(command.starts_with("cargo "), "{command}");
    }
}

#[test]
fn the_manifests_of_the_readme_are_sound() {
    let dir = tempfile::tempdir().unwrap();
    let manifests = blocks(&readme(), "yaml");
    assert!(manifests.len() >= 2, "{}", manifests.len());
    fs::write(dir.path().join("readme.yaml"), manifests.join("---\n")).unwrap();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_kollect"))
        .args(["validate", "readme.yaml"])
        .current_dir(dir.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn every_subcommand_that_the_readme_names_is_there() {
    let text = readme();
    let named = text.split('`').filter_map(|code| code.strip_prefix("kollect ")).filter_map(|code| {
        let word = code.split_whitespace().next()?;
        word.chars().all(|c| c.is_ascii_lowercase()).then_some(word)
    });
    let named: std::collections::BTreeSet<&str> = named.collect();
    assert!(named.contains("completion") && named.contains("man"), "{named:?}");
    for command in named {
        let output =
            std::process::Command::new(env!("CARGO_BIN_EXE_kollect")).args([command, "--help"]).output().unwrap();
        assert!(output.status.success(), "kollect {command} --help");
    }
}

//! Checks of the dependency graph: which crate may know which, one TLS provider, a fixed toolchain.
//!
//! Only normal dependencies count; tests may use anything.

use super::finding::Finding;
use crate::shell::{cargo, output};
use serde_json::Value;
use std::path::Path;

const KUBERNETES: [&str; 2] = ["kube", "k8s-openapi"];
const RUN_TIME: [&str; 4] = ["tokio", "hyper", "axum", "reqwest"];

/// What a crate must not use. A name that ends in `*` is a prefix.
fn forbidden(name: &str) -> Vec<&'static str> {
    let mut never = match name {
        "kollect-model" | "kollect-manifest" => [&KUBERNETES[..], &RUN_TIME, &["kollect-*"]].concat(),
        "kollect-api" | "kollect-rules" => RUN_TIME.to_vec(),
        "kollect-extract" => [&RUN_TIME[..], &["kube"]].concat(),
        "kollect-store" => [&KUBERNETES[..], &RUN_TIME, &["kollect-api", "kollect-export", "kollect-collect"]].concat(),
        "kollect-collect" => vec!["kollect-export"],
        "kollect-export" => [&KUBERNETES[..], &["kollect-api", "kollect-collect", "kollect-control"]].concat(),
        "kollect-net" => [&KUBERNETES[..], &["kollect-export", "kollect-api"]].concat(),
        "kollect-spec" => [&KUBERNETES[..1], &RUN_TIME, &["kollect-control", "kollect-resources"]].concat(),
        "kollect-resources" | "kollect-cli" | "kollect-read-api" | "kollect-admission" => vec!["kollect-control"],
        "xtask" => [&KUBERNETES[..], &RUN_TIME, &["kollect*"]].concat(),
        _ if name.starts_with("kollect-sink-") => {
            [&KUBERNETES[..1], &["kollect-collect", "kollect-control", "kollect-resources", "kollect-rules"]].concat()
        }
        _ => Vec::new(),
    };
    if name != "kollect" {
        never.push("kollect-sink-*");
    }
    if name != "kollect-testkit" {
        never.push("kollect-testkit");
    }
    if name != "kollect-manifest" {
        // One reader of YAML, with its limits.
        never.push("granit-parser");
    }
    never
}

pub(crate) fn metadata() -> anyhow::Result<Value> {
    let text = output(&mut cargo(["metadata", "--format-version", "1", "--no-deps"]))?;
    Ok(serde_json::from_str(&text)?)
}

/// Every crate keeps to what the architecture lets it know.
pub(crate) fn crate_rules(metadata: &Value) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in array(metadata, "packages") {
        let (name, manifest) = (text(package, "name"), text(package, "manifest_path"));
        let never = forbidden(name);
        for dependency in array(package, "dependencies").filter(|dependency| dependency["kind"].is_null()) {
            let used = text(dependency, "name");
            let hit = never.iter().any(|rule| match rule.strip_suffix('*') {
                Some(prefix) => used.starts_with(prefix),
                None => used == *rule,
            });
            if hit {
                findings.push(Finding::new(format!("{manifest}:1"), format!("{name} must not depend on {used}")));
            }
        }
    }
    findings
}

fn array<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value[key].as_array().into_iter().flatten()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// Two providers in one process make rustls panic at its first use, unless one is installed by hand.
pub(crate) fn one_tls_provider(lock: &str) -> Vec<Finding> {
    let second = ["aws-lc-sys", "aws-lc-rs", "openssl-sys", "native-tls"];
    let lines = lock.lines().enumerate();
    lines
        .filter_map(|(at, line)| Some((at, line.strip_prefix("name = \"")?.strip_suffix('"')?)))
        .filter(|(_, name)| second.contains(name))
        .map(|(at, name)| Finding::new(format!("Cargo.lock:{}", at + 1), format!("{name} is a second TLS provider")))
        .collect()
}

/// The compiler's version is written down, as a number.
pub(crate) fn pinned_toolchain(root: &Path) -> Vec<Finding> {
    let mut findings = Vec::new();
    let manifest = std::fs::read_to_string(root.join("Cargo.toml")).unwrap_or_default();
    if !manifest.lines().any(|line| line.starts_with("rust-version = \"1.")) {
        findings.push(Finding::new("Cargo.toml:1", "[workspace.package] has no rust-version"));
    }
    let file = "rust-toolchain.toml";
    if let Ok(toolchain) = std::fs::read_to_string(root.join(file)) {
        for (at, line) in toolchain.lines().enumerate().filter(|(_, line)| line.trim_start().starts_with("channel")) {
            if !line.contains("\"1.") {
                findings.push(Finding::new(format!("{file}:{}", at + 1), "the channel must be a version number"));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn depends(name: &str, on: &str, kind: &Value) -> usize {
        let package = json!({"name": name, "manifest_path": "x", "dependencies": [{"name": on, "kind": kind}]});
        crate_rules(&json!({"packages": [package]})).len()
    }

    #[test]
    fn crates_keep_to_their_side() {
        assert_eq!(depends("kollect-model", "tokio", &Value::Null), 1);
        assert_eq!(depends("kollect-export", "kollect-sink-git", &Value::Null), 1);
        assert_eq!(depends("kollect-sink-git", "kollect-sink-postgres", &Value::Null), 1);
        assert_eq!(depends("kollect", "kollect-sink-git", &Value::Null), 0);
        assert_eq!(depends("kollect-model", "serde", &Value::Null), 0);
        assert_eq!(depends("kollect-cli", "granit-parser", &Value::Null), 1);
        assert_eq!(depends("kollect-manifest", "granit-parser", &Value::Null), 0);
        assert_eq!(depends("kollect-sink-git", "kollect-testkit", &json!("dev")), 0);
        assert_eq!(depends("kollect-sink-git", "kollect-testkit", &Value::Null), 1);
    }

    #[test]
    fn a_second_tls_provider_is_found() {
        assert_eq!(one_tls_provider("[[package]]\nname = \"ring\"\n").len(), 0);
        assert_eq!(
            one_tls_provider("[[package]]\nname = \"aws-lc-sys\"\n")[0].to_string(),
            "Cargo.lock:2: aws-lc-sys is a second TLS provider"
        );
    }
}

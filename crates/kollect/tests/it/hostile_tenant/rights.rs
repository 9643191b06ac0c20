//! What `deploy/` grants on Secrets, read from the files.

use serde_json::Value;
use std::path::Path;

fn documents() -> Vec<Value> {
    let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy");
    let files = std::fs::read_dir(deploy).unwrap().map(|entry| entry.unwrap().path());
    let yaml = files.filter(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    let texts: Vec<String> = yaml.map(|path| std::fs::read_to_string(path).unwrap()).collect();
    let parts = texts.iter().flat_map(|text| text.split("\n---"));
    let full = parts.filter(|part| part.lines().any(|line| !line.trim().is_empty() && !line.starts_with('#')));
    full.map(|part| serde_saphyr::from_str(part).unwrap()).collect()
}

fn words(value: &Value) -> Vec<&str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

/// Verbs on Secrets that a role grants, with the names they are limited to.
fn on_secrets(role: &Value) -> Vec<(Vec<&str>, Vec<&str>)> {
    let rules = role["rules"].as_array().into_iter().flatten();
    let about = rules.filter(|rule| words(&rule["resources"]).iter().any(|one| ["secrets", "*"].contains(one)));
    about.map(|rule| (words(&rule["verbs"]), words(&rule["resourceNames"]))).collect()
}

#[test]
fn secrets_are_read_by_name_everywhere_and_listed_nowhere_without_a_role_binding_of_the_administrator() {
    let all = documents();
    let bound: Vec<&str> = all
        .iter()
        .filter(|one| ["ClusterRoleBinding", "RoleBinding"].contains(&one["kind"].as_str().unwrap_or_default()))
        .filter_map(|binding| binding["roleRef"]["name"].as_str())
        .collect();
    assert!(!bound.contains(&"kollect-sink-secrets"), "binding it is the administrator's choice");
    let roles = all.iter().filter(|one| ["ClusterRole", "Role"].contains(&one["kind"].as_str().unwrap_or_default()));
    let mut offered = false;
    for role in roles {
        let name = role["metadata"]["name"].as_str().unwrap();
        for (verbs, names) in on_secrets(role) {
            if name == "kollect-sink-secrets" {
                assert_eq!((verbs, names), (vec!["get", "list", "watch"], vec![]));
                offered = true;
            } else if names.is_empty() {
                assert_eq!(verbs, ["get"], "{name}");
            } else {
                assert_eq!((verbs, names), (vec!["get", "update"], vec!["webhook-server-cert"]), "{name}");
            }
        }
    }
    assert!(offered);
}

#[test]
fn the_secret_of_the_webhook_is_there_before_the_operator_and_empty() {
    let all = documents();
    let secrets: Vec<&Value> = all.iter().filter(|one| one["kind"] == "Secret").collect();
    assert_eq!(secrets.len(), 1);
    assert_eq!(secrets[0]["metadata"]["name"], "webhook-server-cert");
    assert!(secrets[0].get("data").is_none() && secrets[0].get("stringData").is_none());
}

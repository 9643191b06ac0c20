//! The operator of one team: installed with `deploy/tenant-role.yaml`, without any cluster-wide right.
//!
//! Its rights are not those of the operator for all namespaces.

use crate::operator::{SERVICE_ACCOUNT, apply_yaml, install_crds};
use crate::servers::ApiServer;
use anyhow::Context as _;
use std::path::Path;

/// The namespace that `deploy/tenant-role.yaml` is written for.
const PLACEHOLDER: &str = "team-a";

/// User name of the operator of a team, e.g. for the audit log.
pub fn user(team: &str) -> String {
    format!("system:serviceaccount:{team}:{}", SERVICE_ACCOUNT.1)
}

/// `deploy/tenant-role.yaml` for the namespace `team`, by `deploy/README.md`.
pub fn role(team: &str) -> anyhow::Result<String> {
    let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy");
    let text = std::fs::read_to_string(deploy.join("tenant-role.yaml")).context("reading deploy/tenant-role.yaml")?;
    anyhow::ensure!(text.contains(PLACEHOLDER), "deploy/tenant-role.yaml does not name {PLACEHOLDER}");
    Ok(text.replace(PLACEHOLDER, team))
}

/// Applies the CRDs and these rights, and returns a token of the team's operator.
pub async fn install(server: &ApiServer, team: &str, role: &str) -> anyhow::Result<String> {
    let client = server.admin().await?;
    let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy");
    install_crds(&client, &deploy.join("crds")).await?;
    let token = server.service_account_token(team, SERVICE_ACCOUNT.1).await?;
    apply_yaml(&client, role).await?;
    Ok(token)
}

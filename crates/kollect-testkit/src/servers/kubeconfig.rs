//! Kubeconfig files for the test API server.
//!
//! The operator under test, the fault proxy and the tests each need one of their own.

use anyhow::Context as _;
use base64::Engine as _;
use kube::config::{KubeConfigOptions, Kubeconfig};

/// A kubeconfig for `url` with this CA and bearer token.
pub fn kubeconfig(url: &str, ca_pem: &str, token: &str) -> String {
    let ca = base64::engine::general_purpose::STANDARD.encode(ca_pem);
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: test\n\
         clusters: [{{name: test, cluster: {{server: \"{url}\", certificate-authority-data: {ca}}}}}]\n\
         users: [{{name: test, user: {{token: \"{token}\"}}}}]\n\
         contexts: [{{name: test, context: {{cluster: test, user: test}}}}]\n"
    )
}

/// A client for a kubeconfig text.
pub async fn client_from_kubeconfig(text: &str) -> anyhow::Result<kube::Client> {
    let parsed = Kubeconfig::from_yaml(text).context("the kubeconfig of the test server does not parse")?;
    let config = kube::Config::from_custom_kubeconfig(parsed, &KubeConfigOptions::default()).await?;
    Ok(kube::Client::try_from(config)?)
}

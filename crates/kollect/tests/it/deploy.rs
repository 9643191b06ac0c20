//! What the files of `deploy/` promise beside what other tests install from them.

use crate::test_cluster::TestCluster;
use anyhow::{Context as _, ensure};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kollect_testkit::{operator, scene};
use kube::api::Api;
use std::path::Path;

const NAMESPACE: &str = "kollect-system";

#[tokio::test]
async fn the_network_policy_lets_only_the_monitoring_read_metrics_and_no_pod_the_read_api() -> anyhow::Result<()> {
    let cluster = TestCluster::shared().await?;
    let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy");
    cluster.apply([scene::namespace(NAMESPACE)]).await?;
    operator::apply_yaml(&cluster.client, &std::fs::read_to_string(deploy.join("network-policy.yaml"))?).await?;
    let policies: Api<NetworkPolicy> = Api::namespaced(cluster.client.clone(), NAMESPACE);
    let policy = policies.get("kollect-controller-manager").await?.spec.context("a spec")?;
    ensure!(policy.policy_types == Some(vec!["Ingress".to_owned()]), "what is not named must be denied");
    let selected = policy.pod_selector.and_then(|pods| pods.match_labels).unwrap_or_default();
    let deployment = std::fs::read_to_string(deploy.join("operator.yaml"))?;
    for (key, value) in &selected {
        ensure!(deployment.contains(&format!("{key}: {value}")), "the policy selects no pod of deploy/operator.yaml");
    }
    let mut open = Vec::new();
    for rule in policy.ingress.unwrap_or_default() {
        let ports: Vec<String> =
            rule.ports.unwrap_or_default().into_iter().filter_map(|port| port.port).map(shown).collect();
        ensure!(!ports.is_empty(), "a rule without ports opens all of them");
        for port in &ports {
            ensure!(deployment.contains(&format!("name: {port}")), "{port} is no port of deploy/operator.yaml");
        }
        match rule.from {
            Some(peers) => {
                ensure!(ports == ["metrics"] && peers.len() == 1, "{ports:?} from {peers:?}");
                let namespace = peers[0].namespace_selector.as_ref().and_then(|of| of.match_labels.as_ref());
                let name = namespace.and_then(|labels| labels.get("kubernetes.io/metadata.name"));
                ensure!(name.is_some_and(|name| name == "monitoring"), "{peers:?}");
            }
            None => open.extend(ports),
        }
    }
    open.sort_unstable();
    ensure!(open == ["probes", "webhook"], "{open:?} are open to all");
    Ok(())
}

fn shown(port: IntOrString) -> String {
    match port {
        IntOrString::Int(number) => number.to_string(),
        IntOrString::String(name) => name,
    }
}

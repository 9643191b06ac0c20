//! The objects of the demo's cluster.
//!
//! Deterministic, so that every run shows the same.

use anyhow::Context as _;
use kube::api::{Api, DynamicObject, ListParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};

pub(super) const NAMESPACES: [&str; 5] = ["shop", "payments", "search", "media", "data"];
const APPS: [&str; 11] =
    ["api", "web", "worker", "cart", "orders", "ledger", "index", "gateway", "mailer", "thumbs", "reports"];

/// About 300 objects of several kinds.
pub(super) fn first() -> Vec<Value> {
    NAMESPACES.iter().flat_map(|name| of_namespace(name, 22, 18, 14, 6)).collect()
}

/// A namespace with its objects.
pub(super) fn of_namespace(name: &str, deployments: usize, services: usize, maps: usize, jobs: usize) -> Vec<Value> {
    let app = |n: usize| {
        let base = APPS[n % APPS.len()];
        if n < APPS.len() { base.to_owned() } else { format!("{base}-canary") }
    };
    let mut objects =
        vec![json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {"demo": "true"}}})];
    objects.extend((0..deployments).map(|n| deployment(name, &app(n), n)));
    objects.extend((0..services).map(|n| service(name, &app(n), n)));
    objects.extend((0..maps).map(|n| config_map(name, &app(n), n)));
    objects.extend((0..jobs).map(|n| cron_job(name, &app(n), n)));
    objects
}

pub(super) fn deployment(namespace: &str, app: &str, n: usize) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"namespace": namespace, "name": app, "labels": {"app": app, "team": namespace}},
        "spec": {
            "replicas": 1 + n % 5,
            "selector": {"matchLabels": {"app": app}},
            "template": {
                "metadata": {"labels": {"app": app}},
                "spec": {"containers": [
                    {
                        "name": "main", "image": format!("registry.example/{namespace}/{app}:1.{}.{}", n % 7, n % 4),
                        "ports": [{"containerPort": 8080}],
                        "env": [{"name": "LOG_LEVEL", "value": "info"}, {"name": "REGION", "value": "eu-1"}],
                        "resources": {
                            "requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "256Mi"},
                        },
                        "readinessProbe": {"httpGet": {"path": "/healthz", "port": 8080}},
                    },
                    {"name": "proxy", "image": "registry.example/mesh/proxy:2.4.1"},
                ]},
            },
        },
    })
}

fn service(namespace: &str, app: &str, n: usize) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"namespace": namespace, "name": app, "labels": {"app": app}},
        "spec": {
            "selector": {"app": app}, "type": if n % 6 == 5 { "NodePort" } else { "ClusterIP" },
            "ports": [{"name": "http", "port": 80, "targetPort": 8080}],
        },
    })
}

fn config_map(namespace: &str, app: &str, n: usize) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"namespace": namespace, "name": format!("{app}-config"), "labels": {"app": app}},
        "data": {
            "mode": if n.is_multiple_of(3) { "strict" } else { "lenient" }, "workers": (2 + n).to_string(),
            "password": "not-for-the-inventory",
        },
    })
}

fn cron_job(namespace: &str, app: &str, n: usize) -> Value {
    let container = json!({"name": "main", "image": format!("registry.example/{namespace}/{app}-job:3.{n}")});
    json!({
        "apiVersion": "batch/v1", "kind": "CronJob",
        "metadata": {"namespace": namespace, "name": format!("{app}-nightly")},
        "spec": {
            "schedule": format!("{} 3 * * *", n * 5), "suspend": n % 4 == 3,
            "jobTemplate": {"spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [container]}}}},
        },
    })
}

/// Number of objects of these kinds in namespaces with `demo=true`.
pub(super) async fn count(client: &kube::Client, kinds: &[(&str, &str)]) -> anyhow::Result<usize> {
    let list = async |group: &str, plural: &str, labels: &str| -> anyhow::Result<Vec<DynamicObject>> {
        let gvk = GroupVersionKind::gvk(group, "v1", plural);
        let api: Api<DynamicObject> = Api::all_with(client.clone(), &ApiResource::from_gvk_with_plural(&gvk, plural));
        let found = api.list(&ListParams::default().labels(labels)).await;
        Ok(found.with_context(|| format!("listing {plural}"))?.items)
    };
    let names: Vec<_> = list("", "namespaces", "demo=true").await?.into_iter().map(|ns| ns.metadata.name).collect();
    let mut total = 0;
    for (group, plural) in kinds {
        let objects = list(group, plural, "").await?;
        total += objects.iter().filter(|object| names.contains(&object.metadata.namespace)).count();
    }
    Ok(total)
}

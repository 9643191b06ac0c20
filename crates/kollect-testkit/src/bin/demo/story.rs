//! What happens to the demo's cluster after the first export.

use crate::objects;
use kollect_testkit::operator;
use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};

/// One step.
pub(super) struct Step {
    pub(super) what: &'static str,
    changes: Vec<Change>,
}

enum Change {
    Patch { kind: &'static str, namespace: &'static str, name: &'static str, patch: Value },
    Delete { kind: &'static str, namespace: &'static str, name: &'static str },
    Apply(Vec<Value>),
}

pub(super) fn steps() -> Vec<Step> {
    let patch = |kind, namespace, name, patch| Change::Patch { kind, namespace, name, patch };
    let delete = |kind, namespace, name| Change::Delete { kind, namespace, name };
    let image = json!({"spec": {"template": {"spec": {"containers": [
        {"name": "main", "image": "registry.example/payments/api:2.0.0"},
        {"name": "proxy", "image": "registry.example/mesh/proxy:2.4.1"},
    ]}}}});
    vec![
        Step {
            what: "shop/cart is scaled to 7 replicas",
            changes: vec![patch("Deployment", "shop", "cart", json!({"spec": {"replicas": 7}}))],
        },
        Step { what: "payments/api gets a new image", changes: vec![patch("Deployment", "payments", "api", image)] },
        Step {
            what: "an annotation that no profile asks for changes: nothing is exported",
            changes: vec![patch("Deployment", "data", "api", json!({"metadata": {"annotations": {"note": "hello"}}}))],
        },
        Step {
            what: "five Services of media are deleted",
            changes: ["api", "web", "worker", "cart", "orders"].map(|name| delete("Service", "media", name)).into(),
        },
        Step {
            what: "a new namespace comes with 12 objects",
            changes: vec![Change::Apply(objects::of_namespace("checkout", 4, 4, 3, 1))],
        },
        Step {
            what: "search/web is deleted, with its Service and its ConfigMap",
            changes: vec![
                delete("Deployment", "search", "web"),
                delete("Service", "search", "web"),
                delete("ConfigMap", "search", "web-config"),
            ],
        },
    ]
}

pub(super) async fn take(client: &kube::Client, step: Step) -> anyhow::Result<()> {
    for change in step.changes {
        match change {
            Change::Patch { kind, namespace, name, patch } => {
                api(client, kind, namespace).patch(name, &PatchParams::default(), &Patch::Merge(patch)).await?;
            }
            Change::Delete { kind, namespace, name } => {
                api(client, kind, namespace).delete(name, &DeleteParams::default()).await?;
            }
            Change::Apply(objects) => {
                for object in objects {
                    operator::apply(client, object).await?;
                }
            }
        }
    }
    Ok(())
}

fn api(client: &kube::Client, kind: &str, namespace: &str) -> Api<DynamicObject> {
    let group = if kind == "Deployment" { "apps" } else { "" };
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, "v1", kind));
    Api::namespaced_with(client.clone(), namespace, &resource)
}

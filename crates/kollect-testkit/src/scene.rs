//! Kollect objects as users write them: profile, target, inventory and sinks of one namespace.
//!
//! Plain JSON on purpose: the operator must take what a user types,
//! not what our own types print.

use crate::servers::Postgres;
use serde_json::{Value, json};

/// Table that [`postgres_sink`] writes.
pub const TABLE: &str = "inventory_items";

fn object(kind: &str, namespace: &str, name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "kollect.dev/v1alpha1", "kind": kind,
        "metadata": {"namespace": namespace, "name": name}, "spec": spec,
    })
}

/// A namespace.
pub fn namespace(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {"kollect-test": "true"}}})
}

/// A Secret with text values.
pub fn secret(namespace: &str, name: &str, data: &[(&str, &str)]) -> Value {
    let data: serde_json::Map<String, Value> =
        data.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect();
    json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"namespace": namespace, "name": name}, "stringData": data,
    })
}

/// A profile of a kind (`apps/v1`, `Deployment`) with attributes `(name, path)`.
pub fn profile(namespace: &str, name: &str, api_version: &str, kind: &str, attributes: &[(&str, &str)]) -> Value {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let attributes: Vec<_> = attributes.iter().map(|(name, path)| json!({"name": name, "path": path})).collect();
    let gvk = json!({"group": group, "version": version, "kind": kind});
    object("KollectProfile", namespace, name, &json!({"targetGVK": gvk, "attributes": attributes}))
}

/// A target that collects from `included` namespaces (empty: all).
pub fn target(namespace: &str, name: &str, profile: &str, included: &[&str]) -> Value {
    let mut spec = json!({"profileRef": profile});
    if !included.is_empty() {
        spec["includedNamespaces"] = json!(included);
    }
    object("KollectTarget", namespace, name, &spec)
}

/// An inventory with one snapshot and one database sink at most, and this interval (`0s` = no spacing).
pub fn inventory(namespace: &str, name: &str, snapshot: Option<&str>, database: Option<&str>, interval: &str) -> Value {
    let refs = |sink: Option<&str>| sink.map(|sink| json!({"name": sink})).into_iter().collect::<Vec<_>>();
    let spec = json!({
        "snapshotSinkRefs": refs(snapshot), "databaseSinkRefs": refs(database), "exportMinInterval": interval,
    });
    object("KollectInventory", namespace, name, &spec)
}

/// A Postgres sink and its Secret, verifying the server by its own CA.
pub fn postgres_sink(server: &Postgres, namespace: &str, name: &str, database: &str, cluster: &str) -> Vec<Value> {
    postgres_sink_at(server, "localhost", server.port(), namespace, name, database, cluster)
}

/// The same through another address, e.g. a fault proxy.
pub fn postgres_sink_at(
    server: &Postgres,
    host: &str,
    port: u16,
    namespace: &str,
    name: &str,
    database: &str,
    cluster: &str,
) -> Vec<Value> {
    let secret_name = format!("{name}-credentials");
    let spec = json!({
        "type": "postgres", "cluster": cluster,
        "tls": {"caSecretRef": {"name": secret_name}},
        "postgres": {"databaseRef": {"name": secret_name}, "table": TABLE},
    });
    let url = server.url_at(host, port, database);
    vec![
        secret(namespace, &secret_name, &[("dsn", &url), ("ca.crt", server.ca_pem())]),
        object("KollectDatabaseSink", namespace, name, &spec),
        sink_secrets(namespace),
    ]
}

/// Lets the operator watch the Secrets of sinks in a namespace, so that a rotated one is used within seconds.
pub fn sink_secrets(namespace: &str) -> Value {
    let (of, account) = crate::operator::SERVICE_ACCOUNT;
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": {"namespace": namespace, "name": "kollect-sink-secrets"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "kollect-sink-secrets"},
        "subjects": [{"kind": "ServiceAccount", "namespace": of, "name": account}],
    })
}

/// A Git sink without credentials. `layout` is the sink's `spec.layout`, if any.
pub fn git_sink(namespace: &str, name: &str, url: &str, cluster: &str, layout: Option<Value>) -> Value {
    let mut spec = json!({"type": "git", "endpoint": url, "cluster": cluster, "git": {"branch": "main"}});
    if let Some(layout) = layout {
        spec["layout"] = layout;
    }
    object("KollectSnapshotSink", namespace, name, &spec)
}

/// A ConfigMap of about `size` bytes; its `data.value` is what changes.
pub fn config_map(namespace: &str, name: &str, value: &str, size: usize) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"namespace": namespace, "name": name, "labels": {"app": "bench", "tier": "web"}},
        "data": {"value": value, "filler": "x".repeat(size.saturating_sub(200))},
    })
}

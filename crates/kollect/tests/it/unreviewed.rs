//! Without a webhook: what review would have refused is refused by the CRD, or degrades at run time, and leaks nothing.

use crate::test_cluster::{SOON, TestCluster, message};
use anyhow::ensure;
use kollect_testkit::servers::wait_for;
use kollect_testkit::{operator, scene};
use serde_json::{Value, json};

const TEAM: &str = "unreviewed";
const PLANTED: [&str; 2] = ["planted-without-opt-in", "cGxhbnRlZC13aXRob3V0LW9wdC1pbg=="];

fn secret_profile(name: &str, spec: &Value) -> Value {
    let mut all = json!({"targetGVK": {"version": "v1", "kind": "Secret"}});
    for (key, value) in spec.as_object().into_iter().flatten() {
        all[key] = value.clone();
    }
    json!({
        "apiVersion": "kollect.dev/v1alpha1", "kind": "KollectProfile",
        "metadata": {"namespace": TEAM, "name": name}, "spec": all,
    })
}

fn attribute(path: &str) -> Value {
    json!({"attributes": [{"name": "value", "path": path, "optional": true}]})
}

/// Creates an object; the API server's own refusal is as good as a degraded object.
async fn stored(cluster: &TestCluster, object: Value) -> anyhow::Result<bool> {
    match operator::apply(&cluster.client, object).await {
        Ok(_) => Ok(true),
        Err(error) if format!("{error:#}").contains("Invalid") => Ok(false),
        Err(error) => Err(error),
    }
}

async fn cluster() -> anyhow::Result<TestCluster> {
    let cluster = TestCluster::start().await?;
    operator::grant_read(&cluster.client, &[("", "configmaps"), ("", "secrets")]).await?;
    cluster.namespace_with("work", &["a"]).await?;
    cluster.apply([scene::secret("work", "login", &[("key", PLANTED[0])])]).await?;
    cluster.pipeline(TEAM, &["work"]).await?;
    Ok(cluster)
}

/// All outputs of the operator.
async fn everything(cluster: &TestCluster, logs: &str) -> anyhow::Result<String> {
    let mut all = logs.to_owned();
    for kind in ["KollectProfile", "KollectTarget", "KollectInventory", "KollectDatabaseSink", "Event"] {
        let list = cluster.objects(kind, "").list(&kube::api::ListParams::default()).await?;
        all.push_str(&serde_json::to_string(&list.items)?);
    }
    for row in cluster.database().await?.query(&format!("SELECT payload::text FROM {}", scene::TABLE), &[]).await? {
        all.push_str(row.get(0));
    }
    Ok(all)
}

#[tokio::test]
async fn secret_data_without_opt_in_never_leaves_however_it_is_asked_for() -> anyhow::Result<()> {
    let cluster = cluster().await?;
    let operator = cluster.operator().await?;
    cluster.rows_become(TEAM, "all", &["work/a"]).await?;
    let asked = [
        ("dotted", attribute("$.data.key")),
        ("bracket", attribute("$['data']['key']")),
        ("string-data", attribute("$.stringData.key")),
        ("cel", attribute("cel:object.data.key")),
        ("whole", attribute("cel:object")),
        ("wildcard", attribute("$.*")),
        ("recursive", attribute("$..key")),
        ("copy", json!({"export": {"mode": "Resource", "include": "All"}})),
    ];
    for (name, spec) in &asked {
        let profile = secret_profile(name, spec);
        if stored(&cluster, profile).await? {
            cluster.apply([scene::target(TEAM, name, name, &["work"])]).await?;
            wait_for(&format!("{name} is reviewed"), SOON, async || {
                let status = cluster.status("KollectTarget", TEAM, name).await?;
                let ready = status["conditions"].as_array().into_iter().flatten().any(|c| c["type"] == "Ready");
                Ok(ready)
            })
            .await?;
        }
    }
    for name in ["dotted", "bracket", "string-data", "cel", "copy"] {
        let status = cluster.shows("KollectTarget", TEAM, name, &["Ready=False/InvalidPath"]).await?;
        ensure!(message(&status, "Ready").contains("kollect.dev/allow-"), "{name}: {status:#}");
        cluster.shows("KollectProfile", TEAM, name, &["Ready=False/InvalidPath"]).await?;
    }
    // A change that arrives proves that everything before it was seen.
    cluster.apply([scene::config_map("work", "b", "first", 0)]).await?;
    wait_for("another change is exported", SOON, async || Ok(cluster.rows(TEAM, "all").await?.contains("work/b")))
        .await?;
    let outputs = everything(&cluster, &operator.logs()).await?;
    for secret in PLANTED {
        ensure!(!outputs.contains(secret), "{secret} leaked: …{}…", {
            let at = outputs.find(secret).unwrap_or_default();
            outputs.get(at.saturating_sub(200)..(at + 40).min(outputs.len())).unwrap_or_default()
        });
    }
    Ok(())
}

#[tokio::test]
async fn references_across_namespaces_and_bad_expressions_degrade_where_they_are_written() -> anyhow::Result<()> {
    let cluster = cluster().await?;
    let _operator = cluster.operator().await?;
    cluster.rows_become(TEAM, "all", &["work/a"]).await?;
    let kollect = |kind: &str, name: &str, spec: Value| {
        json!({
            "apiVersion": "kollect.dev/v1alpha1", "kind": kind,
            "metadata": {"namespace": TEAM, "name": name}, "spec": spec,
        })
    };
    let cases = [
        ("KollectTarget", "foreign-profile", json!({"profileRef": "other/maps"}), "ProfileNotFound", "other/maps"),
        (
            "KollectInventory",
            "foreign-sink",
            json!({"databaseSinkRefs": [{"name": "pg", "namespace": "other"}]}),
            "InvalidSpec",
            "namespace",
        ),
        (
            "KollectInventory",
            "unknown-key",
            json!({"databaseSinkRefs": ["pg", {"name": "pg"}]}),
            "InvalidSpec",
            "databaseSinkRefs",
        ),
        (
            "KollectTarget",
            "bad-policy",
            json!({"profileRef": "maps", "resourceRules": [
                {"gvk": {"version": "v1", "kind": "ConfigMap"}, "matchPolicy": "object.metadata.("},
            ]}),
            "InvalidSpec",
            "matchPolicy",
        ),
        (
            "KollectProfile",
            "bad-cel",
            json!({"targetGVK": {"version": "v1", "kind": "ConfigMap"}, "attributes": [
                {"name": "x", "path": "cel:object.data.("}, {"name": "y", "path": "cel:nosuch(object)"},
            ]}),
            "InvalidPath",
            "spec.attributes[0].path",
        ),
    ];
    for (kind, name, spec, reason, word) in cases {
        if stored(&cluster, kollect(kind, name, spec)).await? {
            let status = cluster.shows(kind, TEAM, name, &[&format!("Ready=False/{reason}")]).await?;
            ensure!(message(&status, "Ready").contains(word), "{kind} {name}: {status:#}");
        }
    }
    // None of that affects the pipeline beside it.
    cluster.apply([scene::config_map("work", "b", "first", 0)]).await?;
    cluster.rows_become(TEAM, "all", &["work/a", "work/b"]).await
}

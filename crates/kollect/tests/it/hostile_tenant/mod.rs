//! What a tenant may try on the data of others, and the reason why each try is refused: in tenant mode, under scopes, and
//! without either.

mod rights;
mod tries;

use crate::test_cluster::{Running, TestCluster, message};
use anyhow::ensure;
use kollect_testkit::servers::wait_for;
use kollect_testkit::{operator, scene, tenant};
use serde_json::{Value, json};
use std::time::Duration;
use tries::{Expected, Try};

/// The tenant's namespace.
const TENANT: &str = "tenant";
/// Everything that must never be seen outside of where it was planted.
const PLANTED: [&str; 4] =
    ["planted-victim-secret", "planted-victim-map", "planted-platform-token", "planted-dsn-pass"];
/// All tries together; a loaded machine takes its time.
const SOON: Duration = Duration::from_mins(2);

#[derive(Clone, Copy)]
enum Mode {
    /// One operator for all, no scope: what the operator may read is the boundary.
    Open,
    /// One operator for all; the administrator's scope, and one of the tenant that allows everything.
    Scoped,
    /// The tenant's own operator.
    Tenant,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_try_on_the_data_of_others_succeeds_without_scopes() -> anyhow::Result<()> {
    let cluster = TestCluster::start().await?;
    shared(&cluster).await?;
    let operator = cluster.operator().await?;
    refused(&cluster, &operator, Mode::Open).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_try_on_the_data_of_others_succeeds_under_scopes_and_a_second_scope_loosens_none() -> anyhow::Result<()> {
    let cluster = TestCluster::start().await?;
    shared(&cluster).await?;
    let loose = json!({"secretExtraction": "Allow"});
    let strict = json!({"allowedNamespaces": [TENANT], "secretExtraction": "Deny"});
    cluster.apply([tries::kollect("KollectScope", "a", loose), tries::kollect("KollectScope", "z", strict)]).await?;
    let operator = cluster.operator().await?;
    for name in ["a", "z"] {
        cluster.shows("KollectScope", TENANT, name, &["Ready=True/Enforced"]).await?;
    }
    refused(&cluster, &operator, Mode::Scoped).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_try_on_the_data_of_others_succeeds_in_tenant_mode() -> anyhow::Result<()> {
    let cluster = TestCluster::of_tenant(TENANT, &tenant::role(TENANT)?).await?;
    cluster.apply([scene::namespace("kollect-system")]).await?;
    plant(&cluster).await?;
    let operator = cluster.operator_with(&["--tenant-mode", "--watch-namespaces=tenant"]).await?;
    refused(&cluster, &operator, Mode::Tenant).await
}

/// An operator for all, which may read every Secret and the ConfigMaps of the tenant.
async fn shared(cluster: &TestCluster) -> anyhow::Result<()> {
    plant(cluster).await?;
    operator::grant_read(&cluster.client, &[("", "secrets")]).await?;
    cluster.grant_in(TENANT).await
}

async fn plant(cluster: &TestCluster) -> anyhow::Result<()> {
    cluster.namespace_with(TENANT, &["own"]).await?;
    cluster.apply([scene::namespace("victim"), scene::secret("victim", "db", &[("password", PLANTED[0])])]).await?;
    cluster.apply([scene::config_map("victim", "map", PLANTED[1], 0)]).await?;
    cluster.apply(tries::platform_secrets(PLANTED[2], PLANTED[3])).await?;
    cluster.apply([scene::secret(TENANT, "own", &[("token", "own-token")])]).await
}

async fn refused(cluster: &TestCluster, operator: &Running, mode: Mode) -> anyhow::Result<()> {
    let tries = tries::all();
    ensure!(tries.len() >= 60, "there are only {} tries", tries.len());
    let mut stored = Vec::new();
    let mut wrong = Vec::new();
    for one in &tries {
        match store(cluster, one).await? {
            None if one.expected(mode) == Expected::Api => {}
            None => {
                wrong.push(format!("{}: the API server refused it, but expected {:?}", one.name, one.expected(mode)));
            }
            Some(()) => stored.push(one),
        }
    }
    let mut seen = Vec::new();
    let all_refused = wait_for("every try is refused", SOON, async || {
        seen.clear();
        for one in &stored {
            if let Some(other) = differs(cluster, one, one.expected(mode)).await? {
                seen.push(other);
            }
        }
        Ok(seen.is_empty())
    });
    if all_refused.await.is_err() {
        wrong.append(&mut seen);
    }
    ensure!(wrong.is_empty(), "{wrong:#?}");
    one_answer_about_secrets(cluster, &stored).await?;
    nothing_planted_is_seen(cluster, operator).await
}

/// `None` when the API server refuses it.
async fn store(cluster: &TestCluster, one: &Try) -> anyhow::Result<Option<()>> {
    for object in &one.objects {
        match operator::apply(&cluster.client, object.clone()).await {
            Ok(_) => {}
            Err(error) if format!("{error:#}").contains("Invalid") => return Ok(None),
            Err(error) => return Err(error.context(one.name.clone())),
        }
    }
    Ok(Some(()))
}

/// What the object of a try shows instead of what is expected.
async fn differs(cluster: &TestCluster, one: &Try, expected: Expected) -> anyhow::Result<Option<String>> {
    let (kind, name) = one.shown();
    let status = cluster.status(kind, TENANT, name).await?;
    let condition = |kind: &str| {
        let all = status["conditions"].as_array();
        all.and_then(|all| all.iter().find(|one| one["type"] == kind)).cloned().unwrap_or(Value::Null)
    };
    let (ready, degraded) = (condition("Ready"), condition("Degraded"));
    let fits = match expected {
        Expected::Reason(reason) => ready["status"] == "False" && ready["reason"] == reason,
        Expected::OwnNamespaceOnly => {
            let effective = status["effectiveNamespaces"].as_array();
            ready["reason"] == "Collecting" && effective.is_none_or(|all| all.iter().all(|one| one == TENANT))
        }
        Expected::Api => false,
    };
    Ok((!fits).then(|| format!("{}: expected {expected:?}, but {ready} {degraded}", one.name)))
}

/// A Secret that exists and one that does not get the same answer.
async fn one_answer_about_secrets(cluster: &TestCluster, stored: &[&Try]) -> anyhow::Result<()> {
    let mut answers = Vec::new();
    for one in stored.iter().filter(|one| one.probes_existence) {
        let (kind, name) = one.shown();
        let status = cluster.status(kind, TENANT, name).await?;
        let secret = one.objects[0]["spec"]["secretRef"]["name"].as_str().unwrap_or_default();
        answers.push(message(&status, "Ready").replace(secret, "SECRET"));
    }
    ensure!(answers.len() >= 3 && answers.windows(2).all(|two| two[0] == two[1]), "{answers:#?}");
    Ok(())
}

async fn nothing_planted_is_seen(cluster: &TestCluster, operator: &Running) -> anyhow::Result<()> {
    let mut outputs = operator.logs();
    for kind in ["KollectProfile", "KollectTarget", "KollectInventory", "KollectSnapshotSink", "KollectDatabaseSink"] {
        for object in cluster.objects(kind, TENANT).list(&kube::api::ListParams::default()).await? {
            outputs += &object.data.get("status").unwrap_or(&Value::Null).to_string();
        }
    }
    for event in cluster.objects("Event", TENANT).list(&kube::api::ListParams::default()).await? {
        outputs += &serde_json::to_string(&event)?;
    }
    for planted in PLANTED {
        ensure!(!outputs.contains(planted), "{planted} is seen");
    }
    Ok(())
}

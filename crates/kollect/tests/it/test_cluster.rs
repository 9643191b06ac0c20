//! A cluster with Git, PostgreSQL and the operator, and waits with deadlines for what it should show.

use anyhow::Context as _;
use kollect_testkit::fault_proxy::HttpProxy;
use kollect_testkit::operator::{self, Operator, OperatorOptions, SERVICE_ACCOUNT};
use kollect_testkit::servers::{
    ApiServer, ApiServerOptions, AuditEntry, GitHttp, GitHttpOptions, Postgres, PostgresOptions, read_audit_log,
    wait_for,
};
use kollect_testkit::{scene, tenant};
use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::sync::OnceCell;

/// The sinks' `spec.cluster`.
pub(crate) const CLUSTER: &str = "east";
/// Long enough for anything that should happen "at once", on a busy machine.
pub(crate) const SOON: Duration = Duration::from_secs(30);
/// The pod's UID of [`TestCluster::operator`]: a restarted operator takes its own lease at once.
const POD_UID: &str = "11111111-2222-3333-4444-555555555555";

/// What runs beside the operator.
pub(crate) struct Servers {
    pub(crate) api: ApiServer,
    pub(crate) postgres: Postgres,
    pub(crate) git: GitHttp,
    operator: Identity,
}

/// The user of the operator.
struct Identity {
    namespace: String,
    user: String,
    token: String,
}

/// An operator whose log is shown with a failed test.
pub(crate) struct Running(pub(crate) Operator);

impl std::ops::Deref for Running {
    type Target = Operator;

    fn deref(&self) -> &Operator {
        &self.0
    }
}

impl std::ops::DerefMut for Running {
    fn deref_mut(&mut self) -> &mut Operator {
        &mut self.0
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let logs = self.0.logs();
        let lines: Vec<&str> = logs.lines().collect();
        eprintln!("the operator's log ends with:");
        lines[lines.len().saturating_sub(40)..].iter().for_each(|line| eprintln!("  {line}"));
    }
}

/// Everything but the operator.
pub(crate) struct TestCluster {
    servers: Arc<Servers>,
    pub(crate) client: kube::Client,
}

impl std::ops::Deref for TestCluster {
    type Target = Servers;

    fn deref(&self) -> &Servers {
        &self.servers
    }
}

impl Servers {
    async fn start(git: GitHttpOptions) -> anyhow::Result<Self> {
        let servers = Self::without_rights(git, SERVICE_ACCOUNT.0, operator::USER.to_owned()).await?;
        let token = operator::install(&servers.api).await?;
        Ok(servers.with(token))
    }

    async fn without_rights(git: GitHttpOptions, namespace: &str, user: String) -> anyhow::Result<Self> {
        let options = ApiServerOptions { audit_users: vec![user.clone()], ..ApiServerOptions::default() };
        let (api, postgres, git) = tokio::try_join!(
            ApiServer::start(options),
            Postgres::start(PostgresOptions::default()),
            GitHttp::start(git)
        )?;
        let operator = Identity { namespace: namespace.to_owned(), user, token: String::new() };
        Ok(Self { api, postgres, git, operator })
    }

    fn with(self, token: String) -> Self {
        Self { operator: Identity { token, ..self.operator }, ..self }
    }
}

impl TestCluster {
    /// Servers of its own, for a test that breaks them or counts requests.
    pub(crate) async fn start() -> anyhow::Result<Self> {
        Self::start_with(GitHttpOptions::default()).await
    }

    pub(crate) async fn start_with(git: GitHttpOptions) -> anyhow::Result<Self> {
        Self::over(Arc::new(Servers::start(git).await?)).await
    }

    /// Servers for the operator of one team, which has the rights of this text and no other.
    pub(crate) async fn of_tenant(team: &str, role: &str) -> anyhow::Result<Self> {
        let servers = Servers::without_rights(GitHttpOptions::default(), team, tenant::user(team)).await?;
        let token = tenant::install(&servers.api, team, role).await?;
        Self::over(Arc::new(servers.with(token))).await
    }

    /// Servers and an operator that all tests share which keep to a namespace of their own. It may read ConfigMaps.
    pub(crate) async fn shared() -> anyhow::Result<Self> {
        static RUNTIME: OnceCell<Runtime> = OnceCell::const_new();
        static SHARED: OnceCell<(Arc<Servers>, Running)> = OnceCell::const_new();
        let servers = SHARED.get_or_try_init(async || {
            // Each test has a runtime of its own; this one lives as long as the process.
            let runtime = RUNTIME.get_or_try_init(async || Runtime::new()).await?;
            let start = || {
                runtime.block_on(async {
                    let cluster = Self::start().await?;
                    cluster.grant_everywhere().await?;
                    let operator = cluster.operator().await?;
                    anyhow::Ok((cluster.servers, operator))
                })
            };
            tokio::task::spawn_blocking(start).await?
        });
        Self::over(servers.await?.0.clone()).await
    }

    /// A client belongs to the runtime of one test.
    async fn over(servers: Arc<Servers>) -> anyhow::Result<Self> {
        let client = servers.api.admin().await?;
        Ok(Self { servers, client })
    }

    /// Starts the operator and waits until it is ready.
    pub(crate) async fn operator(&self) -> anyhow::Result<Running> {
        self.operator_with(&[]).await
    }

    pub(crate) async fn operator_with(&self, args: &[&str]) -> anyhow::Result<Running> {
        self.operator_as(POD_UID, args).await
    }

    /// The same as a pod with this UID.
    pub(crate) async fn operator_as(&self, pod: &str, args: &[&str]) -> anyhow::Result<Running> {
        let mut operator = self.spawn_as(pod, args)?;
        operator.wait_ready(SOON).await?;
        Ok(operator)
    }

    /// Starts the operator and does not wait, as the kubelet does.
    pub(crate) fn spawn_operator(&self, args: &[&str]) -> anyhow::Result<Running> {
        self.spawn_as(POD_UID, args)
    }

    /// The same through a proxy before the API server.
    pub(crate) fn spawn_through(&self, proxy: &HttpProxy) -> anyhow::Result<Running> {
        self.spawn_at(&proxy.kubeconfig(&self.operator.token), POD_UID, &[])
    }

    fn spawn_as(&self, pod: &str, args: &[&str]) -> anyhow::Result<Running> {
        self.spawn_at(&self.api.kubeconfig_for_token(&self.operator.token), pod, args)
    }

    fn spawn_at(&self, kubeconfig: &str, pod: &str, args: &[&str]) -> anyhow::Result<Running> {
        Ok(Running(Operator::start(kubeconfig, &options(&self.operator.namespace, pod, args))?))
    }

    pub(crate) async fn apply(&self, objects: impl IntoIterator<Item = Value>) -> anyhow::Result<()> {
        for object in objects {
            operator::apply(&self.client, object).await?;
        }
        Ok(())
    }

    /// A namespace with ConfigMaps of these names.
    pub(crate) async fn namespace_with(&self, namespace: &str, maps: &[&str]) -> anyhow::Result<()> {
        self.apply([scene::namespace(namespace)]).await?;
        self.apply(maps.iter().map(|name| scene::config_map(namespace, name, "first", 0))).await
    }

    /// Profile `maps`, target `maps` (of `included` namespaces), sink `pg` and inventory `all` at no interval.
    pub(crate) async fn pipeline(&self, team: &str, included: &[&str]) -> anyhow::Result<()> {
        self.apply([scene::namespace(team)]).await?;
        self.apply(self.postgres_sink(team, "pg")).await?;
        self.apply([
            map_profile(team),
            scene::target(team, "maps", "maps", included),
            scene::inventory(team, "all", None, Some("pg"), "0s"),
        ])
        .await
    }

    pub(crate) fn postgres_sink(&self, namespace: &str, name: &str) -> Vec<Value> {
        scene::postgres_sink(&self.postgres, namespace, name, Postgres::DATABASE, CLUSTER)
    }

    /// A Git sink with one file per object, into a repository of its own.
    pub(crate) fn git_sink(&self, namespace: &str, name: &str) -> anyhow::Result<Value> {
        let repo = repo(namespace);
        self.git.repos.create(&repo)?;
        let layout = json!({"mode": "perResource"});
        Ok(scene::git_sink(namespace, name, &self.git.url(&repo), CLUSTER, Some(layout)))
    }

    pub(crate) fn objects(&self, kind: &str, namespace: &str) -> Api<DynamicObject> {
        let kollect = kind.starts_with("Kollect");
        let group = match kind {
            _ if kollect => "kollect.dev",
            "Deployment" => "apps",
            "Role" | "RoleBinding" | "ClusterRole" | "ClusterRoleBinding" => "rbac.authorization.k8s.io",
            "Event" => "events.k8s.io",
            "Lease" => "coordination.k8s.io",
            "CustomResourceDefinition" => "apiextensions.k8s.io",
            _ => "",
        };
        let resource =
            ApiResource::from_gvk(&GroupVersionKind::gvk(group, if kollect { "v1alpha1" } else { "v1" }, kind));
        if namespace.is_empty() {
            Api::all_with(self.client.clone(), &resource)
        } else {
            Api::namespaced_with(self.client.clone(), namespace, &resource)
        }
    }

    pub(crate) async fn patch(&self, kind: &str, namespace: &str, name: &str, patch: Value) -> anyhow::Result<()> {
        let api = self.objects(kind, namespace);
        api.patch(name, &PatchParams::default(), &Patch::Merge(patch))
            .await
            .with_context(|| format!("patching {kind} {namespace}/{name}"))?;
        Ok(())
    }

    pub(crate) async fn delete(&self, kind: &str, namespace: &str, name: &str) -> anyhow::Result<()> {
        let api = self.objects(kind, namespace);
        api.delete(name, &DeleteParams::default())
            .await
            .with_context(|| format!("deleting {kind} {namespace}/{name}"))?;
        Ok(())
    }

    /// Waits until a deleted object is really gone.
    pub(crate) async fn gone(&self, kind: &str, namespace: &str, name: &str) -> anyhow::Result<()> {
        let api = self.objects(kind, namespace);
        wait_for(&format!("{kind} {namespace}/{name} gone"), SOON, async || Ok(api.get_opt(name).await?.is_none()))
            .await
    }

    pub(crate) async fn status(&self, kind: &str, namespace: &str, name: &str) -> anyhow::Result<Value> {
        let object = self.objects(kind, namespace).get(name).await?;
        Ok(object.data.get("status").cloned().unwrap_or(Value::Null))
    }

    /// Waits until the conditions of an object are these, written like `Ready=True/Exported`; `!Degraded` is absence.
    pub(crate) async fn shows(
        &self,
        kind: &str,
        namespace: &str,
        name: &str,
        wanted: &[&str],
    ) -> anyhow::Result<Value> {
        let mut last = Value::Null;
        let seen = wait_for(&format!("{kind} {namespace}/{name} shows {wanted:?}"), SOON, async || {
            last = self.status(kind, namespace, name).await?;
            Ok(wanted.iter().all(|wanted| holds(&last, wanted)))
        })
        .await;
        seen.with_context(|| format!("status is {last:#}"))?;
        Ok(last)
    }

    /// `shows` for the inventory `all`.
    pub(crate) async fn inventory_shows(&self, team: &str, wanted: &[&str]) -> anyhow::Result<Value> {
        self.shows("KollectInventory", team, "all", wanted).await
    }

    /// `shows` for the target `maps`.
    pub(crate) async fn target_shows(&self, team: &str, wanted: &[&str]) -> anyhow::Result<Value> {
        self.shows("KollectTarget", team, "maps", wanted).await
    }

    pub(crate) async fn database(&self) -> anyhow::Result<tokio_postgres::Client> {
        self.postgres.admin(Postgres::DATABASE).await
    }

    /// `namespace/name` of every row of an inventory in Postgres; a doubled row fails.
    pub(crate) async fn rows(&self, team: &str, inventory: &str) -> anyhow::Result<BTreeSet<String>> {
        let database = self.database().await?;
        let sql = format!(
            "SELECT payload->>'namespace', payload->>'name', target_name FROM {} \
             WHERE inventory_namespace = $1 AND inventory_name = $2",
            scene::TABLE
        );
        let rows = match database.query(&sql, &[&team, &inventory]).await {
            Ok(rows) => rows,
            // The table comes with the first export.
            Err(error) if error.code() == Some(&tokio_postgres::error::SqlState::UNDEFINED_TABLE) => Vec::new(),
            Err(error) => return Err(error.into()),
        };
        let mut found = BTreeSet::new();
        let mut keys = BTreeSet::new();
        for row in rows {
            let (namespace, name, target): (String, String, String) = (row.get(0), row.get(1), row.get(2));
            anyhow::ensure!(keys.insert((target, namespace.clone(), name.clone())), "{namespace}/{name} is doubled");
            found.insert(format!("{namespace}/{name}"));
        }
        Ok(found)
    }

    /// Waits until the inventory's rows are these.
    pub(crate) async fn rows_become(&self, team: &str, inventory: &str, wanted: &[&str]) -> anyhow::Result<()> {
        let wanted: BTreeSet<String> = wanted.iter().map(|name| (*name).to_owned()).collect();
        let mut last = BTreeSet::new();
        let seen = wait_for(&format!("rows of {team}/{inventory} are {wanted:?}"), SOON, async || {
            last = self.rows(team, inventory).await?;
            Ok(last == wanted)
        })
        .await;
        seen.with_context(|| format!("the rows are {last:?}"))
    }

    /// Paths of the newest commit, without Kollect's own record.
    pub(crate) fn files(&self, team: &str) -> BTreeSet<String> {
        let listed = self.git.repos.git(&repo(team), ["ls-tree", "-r", "--name-only", "main"]).unwrap_or_default();
        listed.lines().filter(|path| !path.starts_with(".kollect/")).map(str::to_owned).collect()
    }

    /// Waits until the number of files is this.
    pub(crate) async fn files_become(&self, team: &str, wanted: usize) -> anyhow::Result<()> {
        let what = format!("{wanted} files of {team} in Git");
        let seen = wait_for(&what, SOON, async || Ok(self.files(team).len() == wanted)).await;
        seen.with_context(|| format!("the files are {:?}", self.files(team)))
    }

    /// The operator's requests from byte `from` of the audit log on, and where to go on.
    pub(crate) fn requests(&self, from: u64) -> anyhow::Result<(Vec<AuditEntry>, u64)> {
        read_audit_log(&self.api.audit_log(), from, &self.operator.user)
    }

    /// Notes of all events about an object.
    pub(crate) async fn events(&self, namespace: &str, name: &str) -> anyhow::Result<Vec<(String, String)>> {
        let all = self.objects("Event", namespace).list(&kube::api::ListParams::default()).await?;
        let text = |event: &DynamicObject, at: &str| {
            event.data.pointer(at).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let about = all.items.iter().filter(|event| text(event, "/regarding/name") == name);
        Ok(about.map(|event| (text(event, "/reason"), text(event, "/note"))).collect())
    }

    /// Lets the operator read ConfigMaps everywhere.
    pub(crate) async fn grant_everywhere(&self) -> anyhow::Result<()> {
        operator::grant_read(&self.client, &[("", "configmaps")]).await
    }

    /// Lets the operator read ConfigMaps in one namespace.
    pub(crate) async fn grant_in(&self, namespace: &str) -> anyhow::Result<()> {
        let api = "rbac.authorization.k8s.io";
        let meta = json!({"namespace": namespace, "name": "collect"});
        self.apply([
            json!({
                "apiVersion": format!("{api}/v1"), "kind": "Role", "metadata": meta,
                "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list", "watch"]}],
            }),
            json!({
                "apiVersion": format!("{api}/v1"), "kind": "RoleBinding", "metadata": meta,
                "roleRef": {"apiGroup": api, "kind": "Role", "name": "collect"},
                "subjects": [
                    {"kind": "ServiceAccount", "namespace": SERVICE_ACCOUNT.0, "name": SERVICE_ACCOUNT.1},
                ],
            }),
        ])
        .await
    }

    pub(crate) async fn revoke_in(&self, namespace: &str) -> anyhow::Result<()> {
        self.delete("RoleBinding", namespace, "collect").await
    }
}

fn options(namespace: &str, pod: &str, args: &[&str]) -> OperatorOptions {
    OperatorOptions {
        args: args.iter().map(|arg| (*arg).to_owned()).collect(),
        env: vec![
            ("POD_NAMESPACE".to_owned(), namespace.to_owned()),
            ("POD_UID".to_owned(), pod.to_owned()),
            // The operator's own directory, so that runs share no mirror.
            ("KOLLECT_GIT_MIRROR_DIR".to_owned(), "git-mirrors".to_owned()),
        ],
        binary: Some(Path::new(env!("CARGO_BIN_EXE_kollect")).to_owned()),
    }
}

/// Repository of [`TestCluster::git_sink`].
pub(crate) fn repo(namespace: &str) -> String {
    format!("{namespace}.git")
}

/// The profile of [`TestCluster::pipeline`].
pub(crate) fn map_profile(namespace: &str) -> Value {
    scene::profile(namespace, "maps", "v1", "ConfigMap", &[("value", "$.data.value")])
}

fn condition<'a>(status: &'a Value, kind: &str) -> Option<&'a Value> {
    status["conditions"].as_array()?.iter().find(|condition| condition["type"] == kind)
}

fn holds(status: &Value, wanted: &str) -> bool {
    if let Some(absent) = wanted.strip_prefix('!') {
        // A status without conditions is not written yet.
        return condition(status, "Ready").is_some() && condition(status, absent).is_none();
    }
    let Some((kind, rest)) = wanted.split_once('=') else { return false };
    condition(status, kind).is_some_and(|found| {
        let text = |key: &str| found[key].as_str().unwrap_or_default();
        format!("{}/{}", text("status"), text("reason")) == rest
    })
}

/// The message of a condition.
pub(crate) fn message(status: &Value, kind: &str) -> String {
    condition(status, kind).and_then(|found| found["message"].as_str()).unwrap_or_default().to_owned()
}

/// The entry of a binding in `status.sinkExports`.
pub(crate) fn sink_export<'a>(status: &'a Value, name: &str) -> Option<&'a Value> {
    status["sinkExports"].as_array()?.iter().find(|entry| entry["name"] == name)
}

/// `True/Exported` and the like of a binding's entry; empty when there is none.
pub(crate) fn binding_synced(status: &Value, name: &str) -> String {
    let found = sink_export(status, name).and_then(|entry| condition(entry, "Synced"));
    found.map_or_else(String::new, |c| {
        format!("{}/{}", c["status"].as_str().unwrap_or_default(), c["reason"].as_str().unwrap_or_default())
    })
}

/// A namespaced kind of the group `example.org` whose objects may hold anything.
pub(crate) fn definition(singular: &str, kind: &str) -> Value {
    let plural = format!("{singular}s");
    let schema = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.example.org")},
        "spec": {
            "group": "example.org", "scope": "Namespaced",
            "names": {"plural": plural, "singular": singular, "kind": kind, "listKind": format!("{kind}List")},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}}],
        },
    })
}

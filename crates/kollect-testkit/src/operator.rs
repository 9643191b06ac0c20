//! The operator as a process, under its own ServiceAccount's rights.
//!
//! It installs what `deploy/` has and nothing more: tests
//! that collect a kind grant it by [`grant_read`].

use crate::servers::{ApiServer, ServerProcess, StopSignal, free_port, wait_for};
use anyhow::Context as _;
use http_body_util::{BodyExt as _, Empty};
use hyper_util::rt::TokioIo;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;
use tempfile::TempDir;

/// Namespace and name of the operator's ServiceAccount, as `deploy/rbac.yaml` has them.
pub const SERVICE_ACCOUNT: (&str, &str) = ("kollect-system", "kollect-controller-manager");
/// The operator's user name, e.g. for the audit log.
pub const USER: &str = "system:serviceaccount:kollect-system:kollect-controller-manager";

const FIELD_MANAGER: &str = "kollect-testkit";

/// Applies the CRDs and the RBAC of `deploy/`, and returns a token of the operator's ServiceAccount.
pub async fn install(server: &ApiServer) -> anyhow::Result<String> {
    let client = server.admin().await?;
    let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy");
    install_crds(&client, &deploy.join("crds")).await?;
    let token = server.service_account_token(SERVICE_ACCOUNT.0, SERVICE_ACCOUNT.1).await?;
    let rbac = std::fs::read_to_string(deploy.join("rbac.yaml")).context("reading deploy/rbac.yaml")?;
    apply_yaml(&client, &rbac).await?;
    Ok(token)
}

/// Applies every file of `dir` and waits until the API server serves the kinds.
#[expect(clippy::disallowed_methods, reason = "files of this repository")]
pub async fn install_crds(client: &kube::Client, dir: &Path) -> anyhow::Result<()> {
    let api = Api::<CustomResourceDefinition>::all(client.clone());
    let mut names = Vec::new();
    let entries = std::fs::read_dir(dir).with_context(|| format!("{}: run `cargo xtask codegen`", dir.display()))?;
    for entry in entries {
        let crd: Value = serde_saphyr::from_str(&std::fs::read_to_string(entry?.path())?)?;
        let name = crd.pointer("/metadata/name").and_then(Value::as_str).context("a CRD without a name")?.to_owned();
        api.patch(&name, &PatchParams::apply(FIELD_MANAGER).force(), &Patch::Apply(crd)).await?;
        names.push(name);
    }
    for name in names {
        wait_for(&format!("CRD {name} established"), Duration::from_secs(30), async || {
            let conditions = api.get(&name).await?.status.and_then(|status| status.conditions).unwrap_or_default();
            Ok(conditions.iter().any(|c| c.type_ == "Established" && c.status == "True"))
        })
        .await?;
    }
    Ok(())
}

/// Applies every document of a YAML text, server-side.
#[expect(clippy::disallowed_methods, reason = "files of this repository")]
pub async fn apply_yaml(client: &kube::Client, text: &str) -> anyhow::Result<()> {
    for document in text.split("\n---").map(|part| part.trim_start_matches("---")) {
        if document.lines().any(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#')) {
            apply(client, serde_saphyr::from_str(document).context("unreadable YAML")?).await?;
        }
    }
    Ok(())
}

/// The collection an object belongs to.
pub fn api_of(client: &kube::Client, object: &Value) -> Api<DynamicObject> {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (api_version, kind, namespace) = (text("/apiVersion"), text("/kind"), text("/metadata/namespace"));
    let (group, version) = api_version.split_once('/').unwrap_or(("", &api_version));
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, &kind));
    if namespace.is_empty() {
        Api::all_with(client.clone(), &resource)
    } else {
        Api::namespaced_with(client.clone(), &namespace, &resource)
    }
}

/// Applies one object, server-side.
pub async fn apply(client: &kube::Client, object: Value) -> anyhow::Result<DynamicObject> {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (kind, name, namespace) = (text("/kind"), text("/metadata/name"), text("/metadata/namespace"));
    let params = PatchParams::apply(FIELD_MANAGER).force();
    api_of(client, &object)
        .patch(&name, &params, &Patch::Apply(object))
        .await
        .with_context(|| format!("applying {kind} {namespace}/{name}"))
}

/// Lets the operator list and watch these resources (`(group, plural)`) in all namespaces.
pub async fn grant_read(client: &kube::Client, resources: &[(&str, &str)]) -> anyhow::Result<()> {
    let name = "kollect-collect-test";
    let rule = |(group, resource): &(&str, &str)| json!({"apiGroups": [group], "resources": [resource], "verbs": ["get", "list", "watch"]});
    apply(
        client,
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": name},
            "rules": resources.iter().map(rule).collect::<Vec<_>>(),
        }),
    )
    .await?;
    apply(
        client,
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
            "subjects": [{"kind": "ServiceAccount", "namespace": SERVICE_ACCOUNT.0, "name": SERVICE_ACCOUNT.1}],
        }),
    )
    .await?;
    Ok(())
}

/// The operator's program: `KOLLECT_BIN`, else `kollect` in the target directory this program was built into.
pub fn binary() -> anyhow::Result<PathBuf> {
    if let Some(path) = std::env::var_os("KOLLECT_BIN").filter(|path| !path.is_empty()) {
        return Ok(path.into());
    }
    let own = std::env::current_exe()?;
    let places = own.ancestors().skip(1).take(2).map(|dir| dir.join("kollect"));
    let found = places.into_iter().find(|path| path.is_file());
    found.context("the program kollect is not built: run `cargo build -p kollect`, or set KOLLECT_BIN")
}

/// What differs from run to run.
#[derive(Clone, Debug, Default)]
pub struct OperatorOptions {
    /// More flags.
    pub args: Vec<String>,
    /// More environment, e.g. `KOLLECT_KILL_AT`.
    pub env: Vec<(String, String)>,
    /// Another program than [`binary`], e.g. `CARGO_BIN_EXE_kollect` in the operator's own tests.
    pub binary: Option<PathBuf>,
}

/// A running operator. Dropping it kills it.
#[derive(Debug)]
pub struct Operator {
    process: ServerProcess,
    health: u16,
    metrics: u16,
    dir: TempDir,
}

/// Asks an operator whether it lives.
#[derive(Clone, Copy, Debug)]
pub struct HealthProbe {
    port: u16,
}

impl HealthProbe {
    /// One probe; an error when the answer is not 200.
    pub async fn ask(&self) -> anyhow::Result<()> {
        get(self.port, "/healthz").await.map(drop)
    }
}

/// CPU time and memory of a process.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// User and system time.
    pub cpu: Duration,
    /// Resident, in KiB.
    pub rss_kb: u64,
    /// Highest resident so far, in KiB.
    pub peak_kb: u64,
    /// Resident anonymous memory, in KiB.
    pub anon_kb: u64,
    /// Resident pages of files, in KiB.
    pub file_kb: u64,
}

impl Operator {
    /// Starts the operator with a kubeconfig text; does not wait. `--leader-elect` and loopback sinks are on;
    /// the webhook is on when a flag speaks of it.
    pub fn start(kubeconfig: &str, options: &OperatorOptions) -> anyhow::Result<Self> {
        let dir = tempfile::Builder::new().prefix("kollect-operator-").tempdir()?;
        let (health, metrics) = (free_port()?, free_port()?);
        let file = dir.path().join("kubeconfig");
        std::fs::write(&file, kubeconfig)?;
        let mut command = Command::new(options.binary.clone().map_or_else(binary, Ok)?);
        command.current_dir(dir.path()).arg("operator").arg("--kubeconfig").arg(file);
        command.args([
            "--leader-elect=true".to_owned(),
            "--metrics-secure=false".to_owned(),
            format!("--metrics-bind-address=127.0.0.1:{metrics}"),
            format!("--health-probe-bind-address=127.0.0.1:{health}"),
        ]);
        let says = |flag: &str| options.args.iter().any(|arg| arg.starts_with(flag));
        if !says("--webhook-") && !says("--validating-webhooks-enabled") {
            command.arg("--validating-webhooks-enabled=false");
        }
        if !says("--allow-loopback-sinks") {
            command.arg("--allow-loopback-sinks");
        }
        command.args(&options.args).env("POD_NAMESPACE", SERVICE_ACCOUNT.0).env("TMPDIR", dir.path());
        command.envs(options.env.iter().map(|(key, value)| (key, value)));
        let process = ServerProcess::spawn("kollect", command, &dir.path().join("operator.log"), StopSignal::Kill)?;
        Ok(Self { process, health, metrics, dir })
    }

    /// Waits until `/readyz` answers 200.
    pub async fn wait_ready(&mut self, deadline: Duration) -> anyhow::Result<()> {
        let health = self.health;
        let ready = wait_for("operator ready", deadline, async || {
            self.process.check_running()?;
            get(health, "/readyz").await.map(|_| true)
        })
        .await;
        ready.with_context(|| format!("end of the operator's log:\n{}", self.process.log_tail()))
    }

    /// Asks `/healthz` from anywhere.
    pub fn health_probe(&self) -> HealthProbe {
        HealthProbe { port: self.health }
    }

    /// Whether `/readyz` answers 200 now, and its sentence.
    pub async fn readiness(&self) -> anyhow::Result<(bool, String)> {
        let (status, text) = fetch(self.health, "/readyz").await?;
        Ok((status.is_success(), text))
    }

    /// `/metrics`, as text.
    pub async fn metrics(&self) -> anyhow::Result<String> {
        get(self.metrics, "/metrics").await
    }

    /// Sum of all series of a metric, e.g. `kollect_export_bytes_total`.
    pub async fn metric(&self, name: &str) -> anyhow::Result<f64> {
        let text = self.metrics().await?;
        let of_name = |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']));
        let value = |line: &str| line.rsplit(' ').next().and_then(|value| value.parse::<f64>().ok());
        Ok(text.lines().filter(of_name).filter_map(value).sum())
    }

    /// Everything the operator has logged.
    pub fn logs(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("operator.log")).unwrap_or_default()
    }

    /// The state directory: kubeconfig, log, and the operator's temporary files.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Process id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// The exit status if it has ended.
    pub fn exited(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        Ok(self.process.exited()?)
    }

    /// Waits until it has ended by itself, e.g. at a kill point.
    pub async fn wait_exit(&mut self, deadline: Duration) -> anyhow::Result<ExitStatus> {
        let mut status = None;
        wait_for("operator ended", deadline, async || {
            status = self.process.exited()?;
            Ok(status.is_some())
        })
        .await?;
        status.context("the operator ended without a status")
    }

    /// `kill -9`.
    pub fn kill9(mut self) {
        self.process.kill();
    }

    /// Halts (SIGSTOP) or continues (SIGCONT) the process, as a frozen node would.
    pub fn freeze(&self, frozen: bool) {
        self.process.signal(if frozen { Signal::STOP } else { Signal::CONT });
    }

    /// SIGTERM, then waits for the end.
    pub async fn terminate(&mut self, deadline: Duration) -> anyhow::Result<ExitStatus> {
        self.process.signal(Signal::TERM);
        self.wait_exit(deadline).await
    }

    /// CPU and memory now.
    pub fn usage(&self) -> anyhow::Result<Usage> {
        usage(self.pid())
    }
}

/// CPU and memory of a process, from `/proc`.
pub fn usage(pid: u32) -> anyhow::Result<Usage> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The second field is the name in parentheses and may contain spaces.
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let kib = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
    };
    Ok(Usage {
        // Linux counts in hundredths of a second towards programs, whatever the kernel's own clock.
        cpu: Duration::from_millis((ticks(11) + ticks(12)) * 10),
        rss_kb: kib("VmRSS"),
        peak_kb: kib("VmHWM"),
        anon_kb: kib("RssAnon"),
        file_kb: kib("RssFile"),
    })
}

async fn get(port: u16, path: &str) -> anyhow::Result<String> {
    let (status, text) = fetch(port, path).await?;
    anyhow::ensure!(status.is_success(), "{path} answered {status}: {text}");
    Ok(text)
}

async fn fetch(port: u16, path: &str) -> anyhow::Result<(http::StatusCode, String)> {
    let stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let driver = tokio::spawn(connection);
    let request = http::Request::get(path).header("host", "127.0.0.1").body(Empty::<bytes::Bytes>::new())?;
    let response = sender.send_request(request).await?;
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    driver.abort();
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}

//! A real kube-apiserver on a real etcd, with RBAC.
//!
//! Every end-to-end test runs on it. It has no controllers: a deleted namespace
//! stays `Terminating` (use a fresh name per test), and aggregated cluster roles have no rules.

use super::{Certs, ServerProcess, StopSignal, client_from_kubeconfig, free_port, kube_assets, kubeconfig, wait_for};
use anyhow::Context as _;
use base64::Engine as _;
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use kube::api::{Api, Patch, PatchParams, PostParams};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

/// Bearer token of a member of `system:masters`. For the test itself; the operator gets its own ServiceAccount's.
pub const ADMIN_TOKEN: &str = "test-admin-token";

/// What differs from test to test.
#[derive(Clone, Debug, Default)]
pub struct ApiServerOptions {
    /// Users whose requests go to the audit log, e.g. `system:serviceaccount:kollect-system:kollect`. Empty: no log.
    pub audit_users: Vec<String>,
    /// More flags for kube-apiserver.
    pub extra_args: Vec<String>,
}

/// A running API server. Dropping it kills it and removes its data.
#[derive(Debug)]
pub struct ApiServer {
    // Declared before etcd: an API server that loses its etcd first takes very long to end.
    process: Mutex<Option<ServerProcess>>,
    _etcd: ServerProcess,
    port: u16,
    etcd_port: u16,
    options: ApiServerOptions,
    certs: Certs,
    assets: PathBuf,
    dir: TempDir,
}

impl ApiServer {
    /// Starts etcd and the API server and waits until it is ready and has the `default` namespace.
    pub async fn start(options: ApiServerOptions) -> anyhow::Result<Self> {
        let dir = tempfile::Builder::new().prefix("kollect-api-").tempdir()?;
        let assets = kube_assets()?;
        let certs = Certs::new()?;
        write_files(dir.path(), &certs, &options)?;
        let (port, etcd_port) = (free_port()?, free_port()?);
        let etcd = start_etcd(&assets, dir.path(), etcd_port)?;
        let server = Self { process: Mutex::new(None), _etcd: etcd, port, etcd_port, options, certs, assets, dir };
        server.restart().await?;
        Ok(server)
    }

    /// `https://127.0.0.1:<port>`
    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// The server's port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Certificate authority of the server, PEM.
    pub fn ca_pem(&self) -> &str {
        &self.certs.ca
    }

    /// A kubeconfig with all rights.
    pub fn admin_kubeconfig(&self) -> String {
        self.kubeconfig_for_token(ADMIN_TOKEN)
    }

    /// A kubeconfig with the rights of whom the token belongs to.
    pub fn kubeconfig_for_token(&self, token: &str) -> String {
        kubeconfig(&self.url(), &self.certs.ca, token)
    }

    /// A client with all rights. Make one per test: a client belongs to the run time that made it.
    pub async fn admin(&self) -> anyhow::Result<kube::Client> {
        client_from_kubeconfig(&self.admin_kubeconfig()).await
    }

    /// Makes the namespace and the ServiceAccount where missing and returns a token for it, good for one day.
    pub async fn service_account_token(&self, namespace: &str, name: &str) -> anyhow::Result<String> {
        let client = self.admin().await?;
        let apply = PatchParams::apply("kollect-testkit").force();
        let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
        Api::<Namespace>::all(client.clone()).patch(namespace, &apply, &Patch::Apply(body)).await?;
        let accounts = Api::<ServiceAccount>::namespaced(client, namespace);
        let body = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}});
        accounts.patch(name, &apply, &Patch::Apply(body)).await?;
        let request = TokenRequest {
            spec: Some(TokenRequestSpec { expiration_seconds: Some(86_400), ..TokenRequestSpec::default() }),
            ..TokenRequest::default()
        };
        let answer = accounts.create_token_request(name, &PostParams::default(), &request).await?;
        let token = answer.status.and_then(|status| status.token);
        token.context("the API server answered a token request without a token")
    }

    /// Path of the audit log; it exists once a listed user has asked for something.
    pub fn audit_log(&self) -> PathBuf {
        self.dir.path().join("audit.log")
    }

    /// Kills the API server (not etcd), as an outage does.
    pub fn stop(&self) {
        // Taken out first, so that the lock is not held while waiting for the process to end.
        let process = self.process.lock().take();
        drop(process);
    }

    /// Starts the API server on the same port and data and waits until it is ready. Stops a running one first.
    pub async fn restart(&self) -> anyhow::Result<()> {
        self.stop();
        *self.process.lock() = Some(self.spawn()?);
        let client = self.admin().await?;
        wait_for("kube-apiserver ready", Duration::from_mins(1), async || {
            if let Some(process) = self.process.lock().as_mut() {
                process.check_running()?;
            }
            let request = http::Request::get("/readyz").body(Vec::new())?;
            client.request_text(request).await?;
            Api::<Namespace>::all(client.clone()).get("default").await?;
            Ok(true)
        })
        .await
    }

    /// Compacts etcd's whole history. Watches that resume from before it get 410 once the API server's own watch cache
    /// is gone, which is after a [`ApiServer::restart`].
    pub async fn compact(&self) -> anyhow::Result<()> {
        let key = base64::engine::general_purpose::STANDARD.encode("/");
        let answer = self.etcd("/v3/kv/range", &json!({"key": key, "count_only": true})).await?;
        let revision = answer.pointer("/header/revision").context("etcd answered without a revision")?.clone();
        self.etcd("/v3/kv/compaction", &json!({"revision": revision, "physical": true})).await?;
        Ok(())
    }

    async fn etcd(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        let stream = tokio::net::TcpStream::connect(("127.0.0.1", self.etcd_port)).await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let driver = tokio::spawn(connection);
        let request = http::Request::post(path)
            .header("host", "127.0.0.1")
            .body(Full::new(bytes::Bytes::from(body.to_string())))?;
        let response = tokio::time::timeout(Duration::from_secs(10), sender.send_request(request)).await??;
        let status = response.status();
        let bytes = response.into_body().collect().await?.to_bytes();
        driver.abort();
        anyhow::ensure!(status.is_success(), "etcd answered {status} to {path}: {}", String::from_utf8_lossy(&bytes));
        Ok(serde_json::from_slice(&bytes)?)
    }

    fn spawn(&self) -> anyhow::Result<ServerProcess> {
        let dir = self.dir.path();
        let file = |name: &str| dir.join(name).display().to_string();
        let mut command = Command::new(self.assets.join("kube-apiserver"));
        command.current_dir(dir).args([
            format!("--etcd-servers=http://127.0.0.1:{}", self.etcd_port),
            format!("--secure-port={}", self.port),
            format!("--cert-dir={}", file("pki")),
            format!("--tls-cert-file={}", file("server.crt")),
            format!("--tls-private-key-file={}", file("server.key")),
            format!("--client-ca-file={}", file("ca.crt")),
            format!("--token-auth-file={}", file("tokens.csv")),
            format!("--service-account-key-file={}", file("sa.pub")),
            format!("--service-account-signing-key-file={}", file("sa.key")),
        ]);
        command.args([
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            "--endpoint-reconciler-type=none",
            "--service-cluster-ip-range=10.0.0.0/24",
            "--allow-privileged=true",
            "--authorization-mode=RBAC",
            "--disable-admission-plugins=ServiceAccount",
            "--service-account-issuer=https://localhost/",
        ]);
        if !self.options.audit_users.is_empty() {
            command.arg(format!("--audit-log-path={}", file("audit.log")));
            command.arg(format!("--audit-policy-file={}", file("audit-policy.json")));
        }
        command.args(&self.options.extra_args);
        ServerProcess::spawn("kube-apiserver", command, &dir.join("kube-apiserver.log"), StopSignal::Kill)
    }
}

fn start_etcd(assets: &Path, dir: &Path, port: u16) -> anyhow::Result<ServerProcess> {
    let client_url = format!("http://127.0.0.1:{port}");
    let mut command = Command::new(assets.join("etcd"));
    command
        .current_dir(dir)
        .arg("--data-dir")
        .arg(dir.join("etcd"))
        .args(["--listen-client-urls", &client_url, "--advertise-client-urls", &client_url])
        .args(["--listen-peer-urls", &format!("http://127.0.0.1:{}", free_port()?)])
        .args(["--unsafe-no-fsync", "--log-level", "warn"]);
    ServerProcess::spawn("etcd", command, &dir.join("etcd.log"), StopSignal::Kill)
}

fn write_files(dir: &Path, certs: &Certs, options: &ApiServerOptions) -> anyhow::Result<()> {
    certs.write_to(dir)?;
    std::fs::write(dir.join("tokens.csv"), format!("{ADMIN_TOKEN},admin,admin,\"system:masters\"\n"))?;
    let signing = rcgen::KeyPair::generate()?;
    std::fs::write(dir.join("sa.key"), signing.serialize_pem())?;
    std::fs::write(dir.join("sa.pub"), signing.public_key_pem())?;
    let policy = json!({
        "apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"],
        "rules": [{"level": "Metadata", "users": options.audit_users}, {"level": "None"}],
    });
    std::fs::write(dir.join("audit-policy.json"), policy.to_string())?;
    Ok(())
}

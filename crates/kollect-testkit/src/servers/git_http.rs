//! Git over http or https: axum in front of the real `git http-backend`.
//!
//! The backend is a CGI program and this file is the CGI part. It must not understand Git's protocol.

use super::{BareRepos, Certs, TlsListener};
use anyhow::Context as _;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use bytes::Bytes;
use http::StatusCode;
use http_body_util::BodyExt as _;
use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// What differs from test to test.
#[derive(Clone, Debug, Default)]
pub struct GitHttpOptions {
    /// Serve https with the server certificate of this private authority; `None` serves plain http. The caller may
    /// keep it, so that a server that comes back is still trusted.
    pub certs: Option<Arc<Certs>>,
    /// User and password to ask for (basic auth); `None` lets every client in. A token is the password of any user.
    pub credentials: Option<(String, String)>,
    /// Repositories to serve; `None` makes an empty directory.
    pub repos: Option<BareRepos>,
    /// Port to listen on; 0 takes a free one. For a server that comes back on the same port.
    pub port: u16,
}

/// A running Git server. Dropping it stops it.
#[derive(Debug)]
pub struct GitHttp {
    /// The repositories it serves.
    pub repos: BareRepos,
    certs: Option<Arc<Certs>>,
    port: u16,
    requests: Arc<AtomicU64>,
    serving: JoinHandle<()>,
}

#[derive(Clone)]
struct Backend {
    repos: BareRepos,
    credentials: Option<(String, String)>,
    requests: Arc<AtomicU64>,
}

impl GitHttp {
    /// Starts a server on loopback.
    pub async fn start(options: GitHttpOptions) -> anyhow::Result<Self> {
        let repos = options.repos.map_or_else(BareRepos::new, Ok)?;
        let listener = TcpListener::bind(("127.0.0.1", options.port)).await?;
        let port = listener.local_addr()?.port();
        let requests = Arc::new(AtomicU64::new(0));
        let backend = Backend { repos: repos.clone(), credentials: options.credentials, requests: requests.clone() };
        let app = Router::new().fallback(answer).with_state(backend);
        let serving = if let Some(certs) = &options.certs {
            let listener = TlsListener::new(listener, &certs.server)?;
            tokio::spawn(async move { drop(axum::serve(listener, app).await) })
        } else {
            tokio::spawn(async move { drop(axum::serve(listener, app).await) })
        };
        Ok(Self { repos, certs: options.certs, port, requests, serving })
    }

    /// URL of a repository, e.g. `http://localhost:1234/git/team/inventory.git`.
    pub fn url(&self, name: &str) -> String {
        let scheme = if self.certs.is_some() { "https" } else { "http" };
        format!("{scheme}://localhost:{}/git/{name}", self.port)
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Certificate authority, when the server speaks https.
    pub fn ca_pem(&self) -> Option<&str> {
        self.certs.as_ref().map(|certs| certs.ca.as_str())
    }

    /// Number of requests so far.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }
}

impl Drop for GitHttp {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn answer(State(backend): State<Backend>, request: Request) -> Response {
    backend.requests.fetch_add(1, Ordering::Relaxed);
    if !authorised(backend.credentials.as_ref(), &request) {
        let ask = [("www-authenticate", "Basic realm=\"git\"")];
        return (StatusCode::UNAUTHORIZED, ask, "HTTP Basic: Access denied\n").into_response();
    }
    match cgi(backend.repos, request).await {
        Ok(response) => response,
        Err(error) => (StatusCode::BAD_GATEWAY, format!("{error:#}\n")).into_response(),
    }
}

fn authorised(credentials: Option<&(String, String)>, request: &Request) -> bool {
    let Some((user, password)) = credentials else { return true };
    let header = request.headers().get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let wanted = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
    header.strip_prefix("Basic ").is_some_and(|given| given == wanted)
}

async fn cgi(repos: BareRepos, request: Request) -> anyhow::Result<Response> {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().strip_prefix("/git/").context("repositories are below /git/")?;
    anyhow::ensure!(!path.contains(".."), "a path must not go upwards");
    let header = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let body = body.collect().await?.to_bytes();
    let mut command = Command::new("git");
    command
        .arg("http-backend")
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("GIT_PROJECT_ROOT", repos.root())
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("REQUEST_METHOD", parts.method.as_str())
        .env("PATH_INFO", format!("/{path}"))
        .env("QUERY_STRING", parts.uri.query().unwrap_or_default())
        .env("CONTENT_TYPE", header("content-type"))
        .env("CONTENT_LENGTH", body.len().to_string())
        .env("HTTP_CONTENT_ENCODING", header("content-encoding"))
        .env("GIT_PROTOCOL", header("git-protocol"))
        .env("REMOTE_USER", "bot")
        .env("REMOTE_ADDR", "127.0.0.1");
    let output = tokio::task::spawn_blocking(move || run(command, &body)).await??;
    parse(output)
}

/// Feeds the request and reads the answer at the same time: either may be larger than a pipe.
fn run(mut command: Command, body: &Bytes) -> anyhow::Result<Vec<u8>> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .context("could not run git http-backend: run `cargo xtask env`")?;
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    let mut answer = Vec::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // The backend may answer and close before it has read everything.
            stdin.map(|mut pipe| pipe.write_all(body))
        });
        stdout.map_or(Ok(0), |mut pipe| pipe.read_to_end(&mut answer))
    })?;
    child.wait()?;
    Ok(answer)
}

fn parse(output: Vec<u8>) -> anyhow::Result<Response> {
    let end = output.windows(4).position(|w| w == b"\r\n\r\n").context("git http-backend answered without headers")?;
    let mut response = Response::builder();
    for line in std::str::from_utf8(&output[..end])?.lines() {
        let (name, value) = line.split_once(':').context("git http-backend answered an unreadable header")?;
        let value = value.trim();
        if name.eq_ignore_ascii_case("status") {
            response = response.status(value.split(' ').next().unwrap_or("500").parse::<u16>()?);
        } else {
            response = response.header(name, value);
        }
    }
    Ok(response.body(Body::from(Bytes::from(output).slice(end + 4..)))?)
}

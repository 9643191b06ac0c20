//! A real PostgreSQL with TLS, password and certificate roles.
//!
//! The initialised data
//! directory is made once, kept in the environment cache, and copied per server.

use super::process::{ServerProcess, StopSignal, free_port};
use super::{Certs, KeyPairPem, cache_dir, wait_for};
use anyhow::Context as _;
use parking_lot::Mutex;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;
use tokio_postgres::{Client, NoTls};

/// Changes when the content of the template changes.
const TEMPLATE: &str = "postgres-template-2";

/// What differs from test to test.
#[derive(Clone, Debug, Default)]
pub struct PostgresOptions {
    /// More lines for `postgresql.conf`.
    pub settings: Vec<String>,
}

/// A running PostgreSQL. Roles: [`Postgres::USER`] by password, [`Postgres::CERT_USER`] by client certificate only.
/// Connections without TLS are refused. Dropping it stops it and removes its data.
#[derive(Debug)]
pub struct Postgres {
    process: Mutex<Option<ServerProcess>>,
    port: u16,
    certs: Certs,
    owner: Owner,
    dir: TempDir,
}

/// The user a server runs as: `postgres` when this process is root (the server refuses root), else this user.
#[derive(Clone, Copy, Debug)]
struct Owner(Option<(u32, u32)>);

impl Postgres {
    /// Role that owns the databases; logs in by password.
    pub const USER: &'static str = "kollect";
    /// Password of [`Postgres::USER`]; unlike anything else, so that a test can search logs for it.
    pub const PASSWORD: &'static str = "pg-Secr3t-of-kollect";
    /// Role that logs in by a client certificate with its name as common name.
    pub const CERT_USER: &'static str = "kollect_cert";
    /// Database that exists from the start.
    pub const DATABASE: &'static str = "kollect";

    /// Starts a server on a free port with a fresh copy of the template.
    pub async fn start(options: PostgresOptions) -> anyhow::Result<Self> {
        let owner = Owner::find()?;
        let template = template(owner).await?;
        let dir = state_dir(owner)?;
        let data = dir.path().join("data");
        run(Command::new("cp").args(["-a", "--reflink=auto"]).arg(&template).arg(&data))?;
        let (certs, port) = (Certs::new()?, free_port()?);
        write_config(&data, owner, &certs, port, dir.path(), &options)?;
        let server = Self { process: Mutex::new(None), port, certs, owner, dir };
        server.restart().await?;
        Ok(server)
    }

    /// The server's port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Certificate authority of the server's certificate, PEM.
    pub fn ca_pem(&self) -> &str {
        &self.certs.ca
    }

    /// A client certificate for [`Postgres::CERT_USER`], or for another common name.
    pub fn client_cert(&self, common_name: &str) -> anyhow::Result<KeyPairPem> {
        self.certs.client(common_name, None)
    }

    /// Connection URL with password for `database`, verifying the server fully.
    pub fn url(&self, database: &str) -> String {
        self.url_at("localhost", self.port, database)
    }

    /// The same through another address, e.g. a fault proxy.
    pub fn url_at(&self, host: &str, port: u16, database: &str) -> String {
        format!("postgres://{}:{}@{host}:{port}/{database}?sslmode=verify-full", Self::USER, Self::PASSWORD)
    }

    /// A superuser connection over the local socket, without TLS or password. For the test, not for the code under test.
    pub async fn admin(&self, database: &str) -> anyhow::Result<Client> {
        connect(self.dir.path(), self.port, database).await
    }

    /// Makes an empty database that [`Postgres::USER`] owns, so that tests can share one server.
    pub async fn create_database(&self, name: &str) -> anyhow::Result<()> {
        let admin = self.admin("postgres").await?;
        admin.batch_execute(&format!("CREATE DATABASE \"{name}\" OWNER {}", Self::USER)).await?;
        admin.batch_execute(&format!("GRANT ALL ON DATABASE \"{name}\" TO {}", Self::CERT_USER)).await?;
        Ok(())
    }

    /// Number of committed transactions of `database`, as its statistics know it.
    pub async fn transactions(&self, database: &str) -> anyhow::Result<i64> {
        let admin = self.admin("postgres").await?;
        let row = admin
            .query_one("SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = $1", &[&database])
            .await?;
        Ok(row.get(0))
    }

    /// Stops the server at once, as an outage does.
    pub fn stop(&self) {
        let process = self.process.lock().take();
        drop(process);
    }

    /// Starts the server on the same port and data. Stops a running one first.
    pub async fn restart(&self) -> anyhow::Result<()> {
        self.stop();
        let dir = self.dir.path();
        *self.process.lock() = Some(spawn(self.owner, dir, &dir.join("data"))?);
        wait_for("PostgreSQL ready", Duration::from_secs(30), async || {
            if let Some(process) = self.process.lock().as_mut() {
                process.check_running()?;
            }
            self.admin("postgres").await.map(|_| true)
        })
        .await
    }
}

impl Owner {
    fn find() -> anyhow::Result<Self> {
        if !rustix::process::getuid().is_root() {
            return Ok(Self(None));
        }
        let users = std::fs::read_to_string("/etc/passwd")?;
        let line = users.lines().find(|line| line.starts_with("postgres:"));
        let mut ids = line.context("there is no user postgres: run `cargo xtask env`")?.split(':').skip(2);
        let mut id = || ids.next().and_then(|id| id.parse().ok()).context("unreadable line of postgres in /etc/passwd");
        Ok(Self(Some((id()?, id()?))))
    }

    fn apply(self, command: &mut Command) {
        if let Some((uid, gid)) = self.0 {
            command.uid(uid).gid(gid);
        }
    }

    fn give(self, path: &Path) -> anyhow::Result<()> {
        match self.0 {
            Some((uid, gid)) => Ok(chown(path, Some(uid), Some(gid))?),
            None => Ok(()),
        }
    }
}

/// Newest installed server binaries.
fn bin_dir() -> anyhow::Result<PathBuf> {
    let mut versions: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .map(|entries| entries.flatten().map(|entry| entry.path().join("bin")).collect())
        .unwrap_or_default();
    versions.retain(|bin| bin.join("postgres").is_file() && bin.join("initdb").is_file());
    versions.sort();
    versions.pop().context("PostgreSQL is not installed in /usr/lib/postgresql: run `cargo xtask env`")
}

/// A directory that the server's user can write, short enough for a socket path.
fn state_dir(owner: Owner) -> anyhow::Result<TempDir> {
    let dir = tempfile::Builder::new().prefix("kollect-pg-").tempdir()?;
    owner.give(dir.path())?;
    Ok(dir)
}

async fn template(owner: Owner) -> anyhow::Result<PathBuf> {
    let kept = cache_dir()?.join(TEMPLATE);
    if kept.join("PG_VERSION").is_file() {
        return Ok(kept);
    }
    let dir = state_dir(owner)?;
    let data = dir.path().join("data");
    let mut initdb = Command::new(bin_dir()?.join("initdb"));
    initdb.current_dir(dir.path()).arg("-D").arg(&data).args(["-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8"]);
    initdb.args(["--auth-local=trust", "--auth-host=scram-sha-256", "--no-sync"]);
    owner.apply(&mut initdb);
    run(&mut initdb)?;
    let port = free_port()?;
    write_config(&data, owner, &Certs::new()?, port, dir.path(), &PostgresOptions::default())?;
    let mut process = spawn(owner, dir.path(), &data)?;
    wait_for("PostgreSQL template ready", Duration::from_secs(30), async || {
        process.check_running()?;
        connect(dir.path(), port, "postgres").await.map(|_| true)
    })
    .await?;
    let admin = connect(dir.path(), port, "postgres").await?;
    let (user, password, cert_user) = (Postgres::USER, Postgres::PASSWORD, Postgres::CERT_USER);
    admin.batch_execute(&format!("CREATE ROLE {user} LOGIN PASSWORD '{password}'")).await?;
    admin.batch_execute(&format!("CREATE ROLE {cert_user} LOGIN IN ROLE {user}")).await?;
    admin.batch_execute(&format!("CREATE DATABASE {} OWNER {user}", Postgres::DATABASE)).await?;
    drop(admin);
    // A fast shutdown writes a checkpoint, so that a copy starts without recovery.
    process.signal(rustix::process::Signal::INT);
    wait_for("PostgreSQL template stopped", Duration::from_secs(30), async || Ok(process.exited()?.is_some())).await?;
    keep(&data, &kept)?;
    Ok(kept)
}

/// Moves the finished template into the cache in one step, since several test processes may be making it.
fn keep(data: &Path, kept: &Path) -> anyhow::Result<()> {
    let parent = kept.parent().context("the template has no parent directory")?;
    std::fs::create_dir_all(parent)?;
    let staging = tempfile::Builder::new().prefix("postgres-staging-").tempdir_in(parent)?;
    let staged = staging.path().join("data");
    run(Command::new("cp").args(["-a", "--reflink=auto"]).arg(data).arg(&staged))?;
    match std::fs::rename(&staged, kept) {
        Err(_) if kept.join("PG_VERSION").is_file() => Ok(()),
        moved => moved.context("could not put the PostgreSQL template into the cache"),
    }
}

fn write_config(
    data: &Path,
    owner: Owner,
    certs: &Certs,
    port: u16,
    socket_dir: &Path,
    options: &PostgresOptions,
) -> anyhow::Result<()> {
    certs.write_to(data)?;
    for name in ["ca.crt", "server.crt", "server.key"] {
        std::fs::set_permissions(data.join(name), std::fs::Permissions::from_mode(0o600))?;
        owner.give(&data.join(name))?;
    }
    // Without fsync, but with synchronous commits: what was acknowledged survives the end of the process.
    let settings = format!(
        "listen_addresses = '127.0.0.1'\nport = {port}\nunix_socket_directories = '{}'\nssl = on\n\
         ssl_cert_file = 'server.crt'\nssl_key_file = 'server.key'\nssl_ca_file = 'ca.crt'\n\
         fsync = off\nfull_page_writes = off\nmax_connections = 100\n\
         shared_buffers = 32MB\ndynamic_shared_memory_type = posix\n{}\n",
        socket_dir.display(),
        options.settings.join("\n"),
    );
    std::fs::write(data.join("postgresql.conf"), settings)?;
    let hba = format!(
        "local all all trust\nhostssl all {} 127.0.0.1/32 cert\n\
         hostssl all all 127.0.0.1/32 scram-sha-256\nhostnossl all all 127.0.0.1/32 reject\n",
        Postgres::CERT_USER
    );
    std::fs::write(data.join("pg_hba.conf"), hba)?;
    Ok(())
}

fn spawn(owner: Owner, dir: &Path, data: &Path) -> anyhow::Result<ServerProcess> {
    let mut command = Command::new(bin_dir()?.join("postgres"));
    command.current_dir(dir).arg("-D").arg(data);
    owner.apply(&mut command);
    ServerProcess::spawn("postgres", command, &dir.join("postgres.log"), StopSignal::Quit)
}

async fn connect(socket_dir: &Path, port: u16, database: &str) -> anyhow::Result<Client> {
    let (client, connection) = tokio_postgres::Config::new()
        .host_path(socket_dir)
        .port(port)
        .user("postgres")
        .dbname(database)
        .connect_timeout(Duration::from_secs(5))
        .connect(NoTls)
        .await?;
    tokio::spawn(connection);
    Ok(client)
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let output = command.output().with_context(|| format!("could not run {command:?}"))?;
    let errors = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "{command:?} failed with {}: {errors}", output.status);
    Ok(())
}

//! Opens connections through the address guard; an open connection caches its prepared statements.

use crate::config::PostgresConfig;
use crate::dsn::{Dsn, ServerAddress};
use crate::error::{StatementError, describe, from_net_error, timed_out};
use kollect_export::{Cycle, SinkError};
use kollect_net::{GuardedDialer, Insecure, NetError};
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::future::Future;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Client, SimpleQueryMessage, Statement};
use tokio_postgres_rustls::MakeRustlsConnect;

/// Opens the connections of one pool.
pub(crate) struct Connector {
    dsn: Dsn,
    tls: MakeRustlsConnect,
    dialer: GuardedDialer,
    connect_timeout: Duration,
    statement_timeout: Duration,
}

impl Connector {
    pub(crate) fn new(config: &PostgresConfig) -> Result<Self, SinkError> {
        let mut dsn = Dsn::parse(config.dsn.expose(), &config.tls)?;
        if dsn.driver.get_application_name().is_none() {
            dsn.driver.application_name(config.application_name.clone());
        }
        let tls = dsn.tls.client_config().map_err(|error| from_net_error("tls", &error))?;
        Ok(Self {
            tls: MakeRustlsConnect::new((*tls).clone()),
            dialer: GuardedDialer::new(config.guard.clone()),
            connect_timeout: dsn.driver.get_connect_timeout().copied().unwrap_or(config.connect_timeout),
            statement_timeout: config.statement_timeout,
            dsn,
        })
    }

    /// A short hash that distinguishes servers and databases without naming them: they are part of the Secret.
    pub(crate) fn server(&self) -> String {
        let mut hash = Sha256::new();
        for address in &self.dsn.servers {
            hash.update(format!("{}:{};", address.name, address.port));
        }
        hash.update(self.dsn.driver.get_dbname().or(self.dsn.driver.get_user()).unwrap_or_default());
        kollect_model::hex(&hash.finalize()[..4])
    }

    /// Why the connections are not safe, if so.
    pub(crate) fn insecure(&self) -> Option<Insecure> {
        self.dsn.insecure
    }

    /// Host and port of every server, by its name and by the address that is dialled.
    pub(crate) fn servers(&self) -> Vec<(String, u16)> {
        let both =
            self.dsn.servers.iter().flat_map(|address| [(&address.name, address.port), (&address.dial, address.port)]);
        let mut servers: Vec<(String, u16)> = both.map(|(host, port)| (host.clone(), port)).collect();
        servers.dedup();
        servers
    }

    /// Opens a connection to the first server that takes one.
    pub(crate) async fn open(&self) -> Result<Connection, SinkError> {
        let mut last = SinkError::transient("connect", "the connection string names no server");
        for address in &self.dsn.servers {
            match self.open_at(address).await {
                Ok(connection) => return Ok(connection),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    async fn open_at(&self, address: &ServerAddress) -> Result<Connection, SinkError> {
        let end = Instant::now() + self.connect_timeout;
        let stream = self
            .dialer
            .connect(&address.dial, address.port, self.connect_timeout)
            .await
            .map_err(|error| from_net_error("connect", &error))?;
        let quotable = self.dialer.may_quote(&stream);
        match tokio::time::timeout_at(end, self.log_in(address, stream, quotable)).await {
            Ok(outcome) => outcome,
            Err(_) if quotable => Err(timed_out("connect", self.connect_timeout)),
            Err(_) => {
                let late = NetError::Timeout { what: "the login", after: self.connect_timeout };
                Err(from_net_error("connect", &late.withheld(&address.dial, false)))
            }
        }
    }

    async fn log_in(
        &self,
        address: &ServerAddress,
        stream: TcpStream,
        quotable: bool,
    ) -> Result<Connection, SinkError> {
        let name = self.dsn.tls.server_name.as_deref().unwrap_or(&address.name);
        let tls = <MakeRustlsConnect as MakeTlsConnect<TcpStream>>::make_tls_connect(&mut self.tls.clone(), name)
            .map_err(|_| SinkError::terminal("connect", "the connection string names no valid host"))?;
        // Without a SQLSTATE, the error would disclose which other service listens at a private address.
        let refused = |error: tokio_postgres::Error| match error.code() {
            None if !quotable => {
                let cause = NetError::from_connection(&address.dial, &error);
                from_net_error("connect", &cause.withheld(&address.dial, false))
            }
            _ => describe("connect", &error),
        };
        let (client, io) = self.dsn.driver.connect_raw(stream, tls).await.map_err(refused)?;
        // When this task ends, the client is closed and its next statement fails.
        let driver = tokio::spawn(async move {
            let _ = io.await;
        });
        let connection = Connection { client, statements: Mutex::default(), last_bulk: None, driver };
        let limit = self.statement_timeout.as_millis();
        let settings = format!(
            "SET statement_timeout = {limit}; SET idle_in_transaction_session_timeout = {limit}; SHOW transaction_read_only"
        );
        let answers = connection.client.simple_query(&settings).await.map_err(refused)?;
        let read_only = answers.iter().any(|m| matches!(m, SimpleQueryMessage::Row(row) if row.get(0) == Some("on")));
        if self.dsn.read_write && read_only {
            return Err(SinkError::transient(
                "connect",
                "the server is read-only and target_session_attrs wants another",
            ));
        }
        Ok(connection)
    }
}

/// An open connection. Dropping it closes it; the server then rolls back an open transaction.
pub(crate) struct Connection {
    pub(crate) client: Client,
    statements: Mutex<HashMap<String, Statement>>,
    /// When it last sent more than the pool's bulk size.
    pub(crate) last_bulk: Option<Instant>,
    driver: JoinHandle<()>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Connection {
    /// The prepared form of `sql`. The number of different statements is small and fixed per table.
    pub(crate) async fn prepared(&self, deadline: &Deadline<'_>, sql: &str) -> Result<Statement, StatementError> {
        let known = self.statements.lock().get(sql).cloned();
        if let Some(statement) = known {
            return Ok(statement);
        }
        let statement = deadline.run("prepare", self.client.prepare(sql)).await?;
        self.statements.lock().insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }
}

/// Limits each exchange with the server in time, and ends it when its cycle is cancelled.
#[derive(Clone, Copy)]
pub(crate) struct Deadline<'a> {
    pub(crate) cycle: &'a Cycle<'a>,
    pub(crate) limit: Duration,
}

impl Deadline<'_> {
    pub(crate) async fn run<T>(
        &self,
        stage: &'static str,
        exchange: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, StatementError> {
        tokio::select! {
            biased;
            answer = exchange => {
                self.cycle.progress.tick();
                answer.map_err(|error| StatementError::refused(stage, error))
            }
            () = self.cycle.cancel.cancelled() => {
                Err(SinkError::transient("cancelled", "the export was stopped").into())
            }
            () = tokio::time::sleep(self.limit) => Err(timed_out(stage, self.limit).into()),
        }
    }
}

//! One open connection: dialled through the guard, with a time limit for statements and a cache of prepared ones.

use crate::config::Config;
use crate::dsn::{Dsn, Place};
use crate::error::{Failure, describe, from_net_error, timed_out};
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

/// How to open connections; equal for all connections of a pool.
pub(crate) struct Opener {
    dsn: Dsn,
    tls: MakeRustlsConnect,
    dialer: GuardedDialer,
    connect_timeout: Duration,
    statement_timeout: Duration,
}

impl Opener {
    pub(crate) fn new(config: &Config) -> Result<Self, SinkError> {
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

    /// Tells servers and databases apart without naming them: they are part of the Secret.
    pub(crate) fn server(&self) -> String {
        let mut hash = Sha256::new();
        for place in &self.dsn.places {
            hash.update(format!("{}:{};", place.name, place.port));
        }
        hash.update(self.dsn.driver.get_dbname().or(self.dsn.driver.get_user()).unwrap_or_default());
        kollect_model::hex(&hash.finalize()[..4])
    }

    /// Why the connections are not safe, if so.
    pub(crate) fn insecure(&self) -> Option<Insecure> {
        self.dsn.insecure
    }

    /// Host and port of every place, by its name and by what is dialled.
    pub(crate) fn servers(&self) -> Vec<(String, u16)> {
        let both = self.dsn.places.iter().flat_map(|place| [(&place.name, place.port), (&place.dial, place.port)]);
        let mut servers: Vec<(String, u16)> = both.map(|(host, port)| (host.clone(), port)).collect();
        servers.dedup();
        servers
    }

    /// Opens a connection to the first server that takes one.
    pub(crate) async fn open(&self) -> Result<Connection, SinkError> {
        let mut last = SinkError::transient("connect", "the connection string names no server");
        for place in &self.dsn.places {
            match self.open_at(place).await {
                Ok(connection) => return Ok(connection),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    async fn open_at(&self, place: &Place) -> Result<Connection, SinkError> {
        let end = Instant::now() + self.connect_timeout;
        let stream = self
            .dialer
            .connect(&place.dial, place.port, self.connect_timeout)
            .await
            .map_err(|error| from_net_error("connect", &error))?;
        let quotable = self.dialer.may_quote(&stream);
        match tokio::time::timeout_at(end, self.log_in(place, stream, quotable)).await {
            Ok(outcome) => outcome,
            Err(_) if quotable => Err(timed_out("connect", self.connect_timeout)),
            Err(_) => {
                let late = NetError::Timeout { what: "the login", after: self.connect_timeout };
                Err(from_net_error("connect", &late.withheld(&place.dial, false)))
            }
        }
    }

    async fn log_in(&self, place: &Place, stream: TcpStream, quotable: bool) -> Result<Connection, SinkError> {
        let name = self.dsn.tls.server_name.as_deref().unwrap_or(&place.name);
        let tls = <MakeRustlsConnect as MakeTlsConnect<TcpStream>>::make_tls_connect(&mut self.tls.clone(), name)
            .map_err(|_| SinkError::terminal("connect", "the connection string names no valid host"))?;
        // Without a code, the error says what listens at the address, and that it is not PostgreSQL.
        let refused = |error: tokio_postgres::Error| match error.code() {
            None if !quotable => {
                let cause = NetError::from_connection(&place.dial, &error);
                from_net_error("connect", &cause.withheld(&place.dial, false))
            }
            _ => describe("connect", &error),
        };
        let (client, io) = self.dsn.driver.connect_raw(stream, tls).await.map_err(refused)?;
        // Its end shows as a closed client; whoever uses the client then gets the error.
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

/// An open connection. Dropping it closes it; the server then undoes an open transaction.
pub(crate) struct Connection {
    pub(crate) client: Client,
    statements: Mutex<HashMap<String, Statement>>,
    /// When it last carried much at once.
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
    pub(crate) async fn prepared(&self, step: &Step<'_>, sql: &str) -> Result<Statement, Failure> {
        let known = self.statements.lock().get(sql).cloned();
        if let Some(statement) = known {
            return Ok(statement);
        }
        let statement = step.run("prepare", self.client.prepare(sql)).await?;
        self.statements.lock().insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }
}

/// Runs single exchanges with the server under the deadline and the cancellation of a cycle.
#[derive(Clone, Copy)]
pub(crate) struct Step<'a> {
    pub(crate) cycle: &'a Cycle<'a>,
    pub(crate) deadline: Duration,
}

impl Step<'_> {
    pub(crate) async fn run<T>(
        &self,
        stage: &'static str,
        exchange: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, Failure> {
        tokio::select! {
            biased;
            answer = exchange => {
                self.cycle.progress.tick();
                answer.map_err(|error| Failure::refused(stage, error))
            }
            () = self.cycle.cancel.cancelled() => {
                Err(SinkError::transient("cancelled", "the export was stopped").into())
            }
            () = tokio::time::sleep(self.deadline) => Err(timed_out(stage, self.deadline).into()),
        }
    }
}

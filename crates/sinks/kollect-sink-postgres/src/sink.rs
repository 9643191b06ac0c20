//! Implements the row sink contract over pool, schema and transaction.

use crate::config::{PostgresConfig, Provisioning};
use crate::connection::Deadline;
use crate::error::{StatementError, timed_out};
use crate::pool::{ConnectionPool, ConnectionPools, PooledConnection};
use crate::rows::SortedBatch;
use crate::schema::{self, TableCapabilities, TableIdentity};
use crate::statements::Statements;
use crate::write::{Transaction, WriteStrategy};
use kollect_export::{BindingId, Cycle, HeldRow, Probe, ReadBack, Receipt, RowBatch, RowSink, SinkError};
use kollect_net::Insecure;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The client's limit exceeds the server's by this much, so that the server's timeout error arrives.
const GRACE: Duration = Duration::from_secs(5);

/// A PostgreSQL table as a destination of rows.
pub struct PostgresSink {
    pub(crate) config: PostgresConfig,
    pub(crate) statements: Statements,
    pool: Arc<ConnectionPool>,
    capabilities: Mutex<Option<TableCapabilities>>,
    pub(crate) compared: Mutex<HashMap<BindingId, TableIdentity>>,
}

impl std::fmt::Debug for PostgresSink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresSink").field("config", &self.config).finish_non_exhaustive()
    }
}

impl PostgresSink {
    /// Checks the settings and makes the sink. Nothing is connected yet.
    pub fn new(config: PostgresConfig, pools: &ConnectionPools) -> Result<Self, SinkError> {
        config.check()?;
        let pool = pools.get(&config)?;
        Ok(Self {
            statements: Statements::new(&config),
            config,
            pool,
            capabilities: Mutex::default(),
            compared: Mutex::default(),
        })
    }

    /// Where rows go, for `status`: table, cluster and a hash that distinguishes databases. No credentials, no host.
    pub fn destination(&self) -> String {
        let PostgresConfig { schema, table, cluster, .. } = &self.config;
        format!("{schema}.{table} (database {}, cluster {cluster:?})", self.pool.server())
    }

    /// Why the connection is not safe, if so.
    pub fn insecure(&self) -> Option<Insecure> {
        self.pool.insecure()
    }

    /// Every host and port that a connection may be opened to: of the name and, where given, of its address.
    pub fn servers(&self) -> Vec<(String, u16)> {
        self.pool.servers()
    }

    async fn acquire(&self, cycle: &Cycle<'_>) -> Result<PooledConnection, SinkError> {
        tokio::select! {
            connection = self.pool.acquire(|| cycle.progress.tick()) => connection,
            () = cycle.cancel.cancelled() => {
                Err(SinkError::transient("cancelled", "the export was stopped").local())
            }
        }
    }

    fn deadline<'a>(&self, cycle: &'a Cycle<'a>) -> Deadline<'a> {
        Deadline { cycle, limit: self.config.statement_timeout + GRACE }
    }

    fn transaction<'a>(
        &'a self,
        connection: &'a PooledConnection,
        deadline: Deadline<'a>,
        capabilities: TableCapabilities,
    ) -> Transaction<'a> {
        Transaction {
            connection,
            deadline,
            config: &self.config,
            statements: &self.statements,
            inventory: &deadline.cycle.of.inventory,
            fenced: capabilities.fenced,
        }
    }

    /// Prepares the table once per sink, and again after it vanished.
    pub(crate) async fn capabilities(
        &self,
        connection: &PooledConnection,
        deadline: &Deadline<'_>,
    ) -> Result<TableCapabilities, StatementError> {
        let known = *self.capabilities.lock();
        if let Some(capabilities) = known {
            return Ok(capabilities);
        }
        let capabilities = schema::prepare_table(connection, deadline, &self.config).await?;
        *self.capabilities.lock() = Some(capabilities);
        Ok(capabilities)
    }

    /// The error for the engine. After a missing table, the next cycle prepares the table again.
    fn final_error(&self, failure: StatementError) -> SinkError {
        if !failure.is_missing_table() {
            return failure.into_sink();
        }
        *self.capabilities.lock() = None;
        self.compared.lock().clear();
        match self.config.mode {
            Provisioning::Existing => failure.into_sink(),
            Provisioning::Ensure => {
                SinkError::transient("table", "the table was dropped or changed; it will be created again")
            }
        }
    }

    /// Rolls back a failed transaction; the connection returns to the pool only if that succeeds.
    async fn roll_back(&self, connection: PooledConnection, deadline: &Deadline<'_>) {
        // If the server does not answer within a second, the connection is closed, which ends the transaction.
        let deadline = Deadline { limit: Duration::from_secs(1), ..*deadline };
        if deadline.run("rollback", connection.client.batch_execute("ROLLBACK")).await.is_ok() {
            connection.give_back();
        }
    }

    async fn write(
        &self,
        connection: &PooledConnection,
        deadline: Deadline<'_>,
        sorted: &SortedBatch<'_>,
    ) -> Result<Receipt, StatementError> {
        let capabilities = self.capabilities(connection, &deadline).await?;
        let transaction = self.transaction(connection, deadline, capabilities);
        let mut strategy = WriteStrategy::for_changes(sorted.len());
        loop {
            let failure = match transaction.write(sorted, strategy).await {
                Ok(receipt) => return Ok(receipt),
                Err(failure) => failure,
            };
            strategy = match strategy {
                // Staging needs the privilege to create temporary tables; arrays do not.
                WriteStrategy::Copy
                    if failure.code() == Some(&tokio_postgres::error::SqlState::INSUFFICIENT_PRIVILEGE) =>
                {
                    WriteStrategy::Arrays
                }
                WriteStrategy::Copy | WriteStrategy::Arrays if failure.is_about_rows() => WriteStrategy::Bisect,
                _ => return Err(failure),
            };
            deadline.run("rollback", connection.client.batch_execute("ROLLBACK")).await?;
        }
    }

    async fn forget_rows(
        &self,
        connection: &PooledConnection,
        deadline: Deadline<'_>,
    ) -> Result<Receipt, StatementError> {
        let names = [self.config.table_sql(), self.config.writer_sql()];
        let sql = "SELECT to_regclass($1) IS NOT NULL, to_regclass($2) IS NOT NULL";
        let found = deadline.run("inspect table", connection.client.query_one(sql, &[&names[0], &names[1]])).await?;
        let there = |at| found.try_get::<_, bool>(at).map_err(|error| StatementError::refused("inspect table", error));
        if !there(0)? {
            return Ok(Receipt::default());
        }
        self.transaction(connection, deadline, TableCapabilities { fenced: there(1)? }).forget().await
    }
}

#[async_trait::async_trait]
impl RowSink for PostgresSink {
    async fn held(&self, cycle: &Cycle<'_>, each: &mut (dyn FnMut(HeldRow) + Send)) -> Result<ReadBack, SinkError> {
        let deadline = self.deadline(cycle);
        let mut connection = self.acquire(cycle).await?;
        match self.compare(&mut connection, &deadline, each).await {
            Ok(()) => {
                connection.give_back();
                Ok(ReadBack::Complete)
            }
            Err(failure) => {
                self.roll_back(connection, &deadline).await;
                Err(self.final_error(failure))
            }
        }
    }

    async fn apply(&self, cycle: &Cycle<'_>, batch: RowBatch) -> Result<Receipt, SinkError> {
        let deadline = self.deadline(cycle);
        let mut sorted = SortedBatch::from(&batch.changes);
        let mut rejected = std::mem::take(&mut sorted.rejected);
        if sorted.is_empty() {
            return Ok(Receipt { rejected, ..Receipt::default() });
        }
        let mut connection = self.acquire(cycle).await?;
        connection.carries(sorted.bytes());
        match self.write(&connection, deadline, &sorted).await {
            Ok(mut receipt) => {
                connection.give_back();
                rejected.append(&mut receipt.rejected);
                Ok(Receipt { rejected, ..receipt })
            }
            Err(failure) => {
                self.roll_back(connection, &deadline).await;
                Err(self.final_error(failure))
            }
        }
    }

    async fn intact(&self, cycle: &Cycle<'_>) -> Result<bool, SinkError> {
        let deadline = self.deadline(cycle);
        let known = self.compared.lock().get(cycle.of).cloned();
        let capabilities = *self.capabilities.lock();
        let (Some(known), Some(capabilities)) = (known, capabilities) else { return Ok(false) };
        let connection = self.acquire(cycle).await?;
        let intact = match self.identity(&connection, &deadline, capabilities).await {
            Ok(now) => {
                connection.give_back();
                now.as_ref() == Some(&known)
            }
            Err(failure) if failure.is_missing_table() => false,
            Err(failure) => return Err(failure.into_sink()),
        };
        if !intact {
            // The next comparison prepares the table again.
            *self.capabilities.lock() = None;
        }
        Ok(intact)
    }

    async fn forget(&self, cycle: &Cycle<'_>) -> Result<Receipt, SinkError> {
        let deadline = self.deadline(cycle);
        let connection = self.acquire(cycle).await?;
        match self.forget_rows(&connection, deadline).await {
            Ok(receipt) => {
                self.compared.lock().remove(cycle.of);
                connection.give_back();
                Ok(receipt)
            }
            Err(failure) => {
                self.roll_back(connection, &deadline).await;
                Err(failure.into_sink())
            }
        }
    }

    async fn probe(&self, cancel: &CancellationToken) -> Result<Probe, SinkError> {
        let limit = self.config.connect_timeout;
        let asking = async {
            // A new connection checks the login too, and does not wait for exports that use all of the pool.
            let connection = self.pool.open().await?;
            connection
                .client
                .simple_query("SELECT 1")
                .await
                .map_err(|e| StatementError::refused("ping", e).into_sink())?;
            Ok(Probe { message: "PostgreSQL ping succeeded".into() })
        };
        tokio::select! {
            answer = asking => answer,
            () = cancel.cancelled() => Err(SinkError::transient("ping", "the probe was stopped")),
            () = tokio::time::sleep(limit * 2) => Err(timed_out("ping", limit * 2)),
        }
    }
}

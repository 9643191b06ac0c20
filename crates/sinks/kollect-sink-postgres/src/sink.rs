//! The sink itself: what the export engine calls.

use crate::config::{Config, Mode};
use crate::connection::Step;
use crate::error::{Failure, timed_out};
use crate::held::{Decoder, Piece};
use crate::pool::{Lease, Pool, Pools};
use crate::rows::Sorted;
use crate::schema::{self, Shape};
use crate::statements::Statements;
use crate::write::{Way, Writing, outranked};
use kollect_export::{BindingId, Cycle, HeldRow, InventoryKey, Probe, ReadBack, Receipt, RowBatch, RowSink, SinkError};
use kollect_net::Insecure;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_postgres::types::ToSql;
use tokio_util::sync::CancellationToken;

/// The client waits this much longer than the server's own limit, so that the server's answer arrives.
const GRACE: Duration = Duration::from_secs(5);

/// A PostgreSQL table as a destination of rows.
pub struct PostgresSink {
    config: Config,
    statements: Statements,
    pool: Arc<Pool>,
    shape: Mutex<Option<Shape>>,
    seen: Mutex<HashMap<BindingId, Seen>>,
}

/// What identified the table when it was last compared.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    /// Changes when the table is dropped and created.
    oid: u32,
    /// Changes when the table is truncated or rewritten; absent for partitioned tables.
    file: Option<u32>,
    /// Changes when somebody else compared, or the fence went with a restored backup.
    token: Option<String>,
}

impl std::fmt::Debug for PostgresSink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresSink").field("config", &self.config).finish_non_exhaustive()
    }
}

impl PostgresSink {
    /// Checks the settings and makes the sink. Nothing is connected yet.
    pub fn new(config: Config, pools: &Pools) -> Result<Self, SinkError> {
        config.check()?;
        let pool = pools.get(&config)?;
        Ok(Self { statements: Statements::new(&config), config, pool, shape: Mutex::default(), seen: Mutex::default() })
    }

    /// Where rows go, for `status`: table, cluster and a mark that tells databases apart. No credentials, no host.
    pub fn destination(&self) -> String {
        let Config { schema, table, cluster, .. } = &self.config;
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

    async fn lease(&self, cycle: &Cycle<'_>) -> Result<Lease, SinkError> {
        tokio::select! {
            lease = self.pool.lease(|| cycle.progress.tick()) => lease,
            () = cycle.cancel.cancelled() => {
                Err(SinkError::transient("cancelled", "the export was stopped").local())
            }
        }
    }

    fn step<'a>(&self, cycle: &'a Cycle<'a>) -> Step<'a> {
        Step { cycle, deadline: self.config.statement_timeout + GRACE }
    }

    fn writing<'a>(&'a self, lease: &'a Lease, step: Step<'a>, shape: Shape) -> Writing<'a> {
        Writing {
            connection: lease,
            step,
            config: &self.config,
            statements: &self.statements,
            inventory: &step.cycle.of.inventory,
            fenced: shape.fenced,
        }
    }

    fn key<'a>(&'a self, inventory: &'a InventoryKey) -> [&'a str; 3] {
        [&self.config.cluster, &inventory.namespace, &inventory.name]
    }

    /// Looks at the table unless that was done, and creates it if need be.
    async fn settled(&self, lease: &Lease, step: &Step<'_>) -> Result<Shape, Failure> {
        let known = *self.shape.lock();
        if let Some(shape) = known {
            return Ok(shape);
        }
        let shape = schema::settle(lease, step, &self.config).await?;
        *self.shape.lock() = Some(shape);
        Ok(shape)
    }

    /// The final error. A table that vanished is looked at again, and in `ensure` mode comes back by itself.
    fn final_error(&self, failure: Failure) -> SinkError {
        if !failure.is_missing_table() {
            return failure.into_sink();
        }
        *self.shape.lock() = None;
        self.seen.lock().clear();
        match self.config.mode {
            Mode::Existing => failure.into_sink(),
            Mode::Ensure => SinkError::transient("table", "the table was dropped or changed; it will be created again"),
        }
    }

    /// Ends a failed transaction; the connection is kept only if that worked.
    async fn undo(&self, lease: Lease, step: &Step<'_>) {
        // A server that has just been silent gets one more second; then the connection goes, and the transaction with it.
        let step = Step { deadline: Duration::from_secs(1), ..*step };
        if step.run("rollback", lease.client.batch_execute("ROLLBACK")).await.is_ok() {
            lease.give_back();
        }
    }

    async fn identity(&self, lease: &Lease, step: &Step<'_>, shape: Shape) -> Result<Option<Seen>, Failure> {
        let table = self.config.table_sql();
        let key = self.key(&step.cycle.of.inventory);
        let fenced: [&(dyn ToSql + Sync); 5] = [&key[0], &key[1], &key[2], &self.config.table, &table];
        let (sql, parameters) = if shape.fenced {
            (&self.statements.identity_and_token, &fenced[..])
        } else {
            (&self.statements.identity, &fenced[4..])
        };
        let statement = lease.prepared(step, sql).await?;
        let row = step.run("look at table", lease.client.query_opt(&statement, parameters)).await?;
        let read =
            |row: tokio_postgres::Row| Ok(Seen { oid: row.try_get(0)?, file: row.try_get(1)?, token: row.try_get(2)? });
        row.map(read).transpose().map_err(|error| Failure::refused("look at table", error))
    }

    /// Takes the fence for a comparison, so that a former leader cannot write what this one does not see.
    async fn claim(&self, lease: &Lease, step: &Step<'_>) -> Result<(), Failure> {
        step.cycle.check_right()?;
        let statement = lease.prepared(step, &self.statements.claim).await?;
        let key = self.key(&step.cycle.of.inventory);
        let fence = i64::try_from(step.cycle.fence).unwrap_or(i64::MAX);
        let parameters: [&(dyn ToSql + Sync); 5] = [&key[0], &key[1], &key[2], &self.config.table, &fence];
        if step.run("fence", lease.client.query_opt(&statement, &parameters)).await?.is_some() {
            return Ok(());
        }
        let names = [key[0], key[1], key[2], &self.config.table];
        Err(outranked(step, &lease.client, &self.statements, names).await.into())
    }

    async fn compare(
        &self,
        lease: &mut Lease,
        step: &Step<'_>,
        each: &mut (dyn FnMut(HeldRow) + Send),
    ) -> Result<(), Failure> {
        let shape = self.settled(lease, step).await?;
        if shape.fenced {
            self.claim(lease, step).await?;
        }
        let identity = self.identity(lease, step, shape).await?;
        self.read_held(lease, step, each).await?;
        let mut seen = self.seen.lock();
        match identity {
            Some(identity) => seen.insert(step.cycle.of.clone(), identity),
            None => seen.remove(step.cycle.of),
        };
        Ok(())
    }

    /// Reads in pieces. The time limit of a statement is one of each piece, so a large inventory takes as long as it
    /// needs while the server keeps answering.
    async fn read_held(
        &self,
        lease: &mut Lease,
        step: &Step<'_>,
        each: &mut (dyn FnMut(HeldRow) + Send),
    ) -> Result<(), Failure> {
        const STAGE: &str = "read rows";
        let inventory = &step.cycle.of.inventory;
        let statement = lease.prepared(step, &self.statements.held).await?;
        let transaction = step.run(STAGE, lease.client.transaction()).await?;
        let [cluster, namespace, name] = self.key(inventory);
        let key: [&(dyn ToSql + Sync); 3] = [&cluster, &namespace, &name];
        let portal = step.run(STAGE, transaction.bind(&statement, &key)).await?;
        let mut decoder = Decoder::new(inventory);
        let mut piece = Piece::new(self.config.statement_timeout);
        loop {
            let since = Instant::now();
            let rows = step.run(STAGE, transaction.query_portal(&portal, piece.rows)).await?;
            for row in &rows {
                each(decoder.decode(row).map_err(|error| Failure::refused(STAGE, error))?);
            }
            if rows.len() < usize::try_from(piece.rows).unwrap_or(usize::MAX) {
                break;
            }
            piece.took(since.elapsed());
        }
        step.run(STAGE, transaction.commit()).await
    }

    async fn write(&self, lease: &Lease, step: Step<'_>, sorted: &Sorted<'_>) -> Result<Receipt, Failure> {
        let shape = self.settled(lease, &step).await?;
        let writing = self.writing(lease, step, shape);
        let mut way = Way::for_changes(sorted.len());
        loop {
            let failure = match writing.write(sorted, way).await {
                Ok(receipt) => return Ok(receipt),
                Err(failure) => failure,
            };
            way = match way {
                // Without the right to create a temporary table the arrays must do.
                Way::Copy if failure.code() == Some(&tokio_postgres::error::SqlState::INSUFFICIENT_PRIVILEGE) => {
                    Way::Arrays
                }
                Way::Copy | Way::Arrays if failure.is_about_rows() => Way::Search,
                _ => return Err(failure),
            };
            step.run("rollback", lease.client.batch_execute("ROLLBACK")).await?;
        }
    }

    async fn forget_rows(&self, lease: &Lease, step: Step<'_>) -> Result<Receipt, Failure> {
        let names = [self.config.table_sql(), self.config.writer_sql()];
        let look = "SELECT to_regclass($1) IS NOT NULL, to_regclass($2) IS NOT NULL";
        let found = step.run("look at table", lease.client.query_one(look, &[&names[0], &names[1]])).await?;
        let there = |at| found.try_get::<_, bool>(at).map_err(|error| Failure::refused("look at table", error));
        if !there(0)? {
            return Ok(Receipt::default());
        }
        self.writing(lease, step, Shape { fenced: there(1)? }).forget().await
    }
}

#[async_trait::async_trait]
impl RowSink for PostgresSink {
    async fn held(&self, cycle: &Cycle<'_>, each: &mut (dyn FnMut(HeldRow) + Send)) -> Result<ReadBack, SinkError> {
        let step = self.step(cycle);
        let mut lease = self.lease(cycle).await?;
        match self.compare(&mut lease, &step, each).await {
            Ok(()) => {
                lease.give_back();
                Ok(ReadBack::Complete)
            }
            Err(failure) => {
                self.undo(lease, &step).await;
                Err(self.final_error(failure))
            }
        }
    }

    async fn apply(&self, cycle: &Cycle<'_>, batch: RowBatch) -> Result<Receipt, SinkError> {
        let step = self.step(cycle);
        let mut sorted = Sorted::from(&batch.changes);
        let mut rejected = std::mem::take(&mut sorted.rejected);
        if sorted.is_empty() {
            return Ok(Receipt { rejected, ..Receipt::default() });
        }
        let mut lease = self.lease(cycle).await?;
        lease.carries(sorted.bytes());
        match self.write(&lease, step, &sorted).await {
            Ok(mut receipt) => {
                lease.give_back();
                rejected.append(&mut receipt.rejected);
                Ok(Receipt { rejected, ..receipt })
            }
            Err(failure) => {
                self.undo(lease, &step).await;
                Err(self.final_error(failure))
            }
        }
    }

    async fn intact(&self, cycle: &Cycle<'_>) -> Result<bool, SinkError> {
        let step = self.step(cycle);
        let known = self.seen.lock().get(cycle.of).cloned();
        let shape = *self.shape.lock();
        let (Some(known), Some(shape)) = (known, shape) else { return Ok(false) };
        let lease = self.lease(cycle).await?;
        let intact = match self.identity(&lease, &step, shape).await {
            Ok(now) => {
                lease.give_back();
                now.as_ref() == Some(&known)
            }
            Err(failure) if failure.is_missing_table() => false,
            Err(failure) => return Err(failure.into_sink()),
        };
        if !intact {
            // The next comparison looks at the table again, and creates it if it is gone.
            *self.shape.lock() = None;
        }
        Ok(intact)
    }

    async fn forget(&self, cycle: &Cycle<'_>) -> Result<Receipt, SinkError> {
        let step = self.step(cycle);
        let lease = self.lease(cycle).await?;
        match self.forget_rows(&lease, step).await {
            Ok(receipt) => {
                self.seen.lock().remove(cycle.of);
                lease.give_back();
                Ok(receipt)
            }
            Err(failure) => {
                self.undo(lease, &step).await;
                Err(failure.into_sink())
            }
        }
    }

    async fn probe(&self, cancel: &CancellationToken) -> Result<Probe, SinkError> {
        let limit = self.config.connect_timeout;
        let asking = async {
            // A new connection: it checks the login too, and busy exports do not make a healthy server look ill.
            let connection = self.pool.open().await?;
            connection.client.simple_query("SELECT 1").await.map_err(|e| Failure::refused("ping", e).into_sink())?;
            Ok(Probe { message: "PostgreSQL ping succeeded".into() })
        };
        tokio::select! {
            answer = asking => answer,
            () = cancel.cancelled() => Err(SinkError::transient("ping", "the probe was stopped")),
            () = tokio::time::sleep(limit * 2) => Err(timed_out("ping", limit * 2)),
        }
    }
}

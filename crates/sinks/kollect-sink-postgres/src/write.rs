//! Writes a batch in one transaction: fence, deletes, upserts, check of the right to write, commit.

use crate::config::PostgresConfig;
use crate::connection::{Connection, Deadline};
use crate::error::StatementError;
use crate::rows::{Columns, Jsonb, SortedBatch, chunk, resource_namespace};
use crate::statements::Statements;
use futures_util::future::{join_all, join4, ready};
use kollect_export::{InventoryKey, Receipt, Rejected, SinkError, kill_point};
use kollect_model::{Row, RowId, item_bytes};
use std::pin::pin;
use tokio_postgres::Statement;
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::{ToSql, Type};

/// From this many changes on, COPY is faster than arrays.
const COPY_FROM: usize = 2_000;
/// Up to this many deletes are sent one by one, each an index scan. A fresh table has no statistics, so the planner may
/// read the whole inventory for a join with the keys.
const SINGLE_DELETES: usize = 1_000;
/// Keys of one delete statement.
const DELETE_KEYS: usize = 10_000;
/// Rows between two checks of the cancellation while copying.
const COPY_ROWS: usize = 500;
const STAGED: [Type; 6] = [Type::TEXT, Type::TEXT, Type::TEXT, Type::TEXT, Type::JSONB, Type::BYTEA];

/// How rows are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WriteStrategy {
    /// As array parameters.
    Arrays,
    /// Through the staging table.
    Copy,
    /// As arrays under savepoints; a refused part is halved until it is one row.
    Bisect,
}

impl WriteStrategy {
    pub(crate) fn for_changes(count: usize) -> Self {
        if count >= COPY_FROM { Self::Copy } else { Self::Arrays }
    }
}

/// One write of one inventory.
pub(crate) struct Transaction<'a> {
    pub(crate) connection: &'a Connection,
    pub(crate) deadline: Deadline<'a>,
    pub(crate) config: &'a PostgresConfig,
    pub(crate) statements: &'a Statements,
    pub(crate) inventory: &'a InventoryKey,
    /// The writer table exists, so the fence is taken.
    pub(crate) fenced: bool,
}

/// Statements of the first exchange.
struct Prepared {
    fence: Option<Statement>,
    delete: Option<Statement>,
    upsert: Option<Statement>,
}

impl Transaction<'_> {
    /// Writes a batch. The transaction is over on `Ok`; on `Err` it may be open.
    pub(crate) async fn write(
        &self,
        sorted: &SortedBatch<'_>,
        strategy: WriteStrategy,
    ) -> Result<Receipt, StatementError> {
        let mut receipt = Receipt::default();
        self.write_uncommitted(sorted, strategy, &mut receipt).await?;
        self.commit().await?;
        Ok(receipt)
    }

    async fn write_uncommitted(
        &self,
        sorted: &SortedBatch<'_>,
        strategy: WriteStrategy,
        receipt: &mut Receipt,
    ) -> Result<(), StatementError> {
        let (first_rows, mut more_rows) =
            if strategy == WriteStrategy::Arrays { chunk(&sorted.upserts) } else { (&[][..], &sorted.upserts[..]) };
        let (first_keys, more_keys) = sorted.deletes.split_at(sorted.deletes.len().min(DELETE_KEYS));
        let prepared = self.prepare(first_keys, first_rows).await?;
        receipt.rows += self.open(&prepared, first_keys, first_rows, strategy, &mut receipt.bytes).await?;
        for keys in more_keys.chunks(DELETE_KEYS) {
            receipt.rows += self.delete(prepared.delete.as_ref(), keys).await?;
        }
        match strategy {
            WriteStrategy::Arrays => {
                while !more_rows.is_empty() {
                    let (rows, rest) = chunk(more_rows);
                    receipt.rows += self.upsert(rows, &mut receipt.bytes).await?;
                    more_rows = rest;
                }
            }
            WriteStrategy::Copy => receipt.rows += self.copy(more_rows, &mut receipt.bytes).await?,
            WriteStrategy::Bisect => self.bisect(more_rows, receipt).await?,
        }
        kill_point("sent");
        Ok(())
    }

    async fn commit(&self) -> Result<(), StatementError> {
        self.deadline.cycle.check_right()?;
        // Without the answer to COMMIT, the transaction may or may not be durable.
        let committed = self.deadline.run("commit", self.connection.client.batch_execute("COMMIT")).await;
        committed.map_err(|failure| StatementError::Final(failure.into_sink().maybe_landed()))?;
        kill_point("acked");
        Ok(())
    }

    async fn prepare(&self, keys: &[&RowId], rows: &[&Row]) -> Result<Prepared, StatementError> {
        let get = async |wanted: bool, sql: &str| {
            if wanted { self.connection.prepared(&self.deadline, sql).await.map(Some) } else { Ok(None) }
        };
        Ok(Prepared {
            fence: get(self.fenced, &self.statements.fence).await?,
            delete: get(!keys.is_empty(), self.delete_sql(keys)).await?,
            upsert: get(!rows.is_empty(), &self.statements.upsert).await?,
        })
    }

    /// Pipelines BEGIN, fence, first deletes and first upserts.
    async fn open(
        &self,
        prepared: &Prepared,
        keys: &[&RowId],
        rows: &[&Row],
        strategy: WriteStrategy,
        bytes: &mut u64,
    ) -> Result<u64, StatementError> {
        let client = &self.connection.client;
        let mut begin = Statements::begin(&self.deadline.cycle.id());
        if strategy == WriteStrategy::Copy {
            begin.push_str("; ");
            begin.push_str(&self.statements.create_staging);
        }
        let (names, uids) = key_columns(keys);
        let columns = Columns::of(rows, &self.inventory.namespace);
        *bytes += columns.bytes;
        let fence_number = i64::try_from(self.deadline.cycle.fence).unwrap_or(i64::MAX);
        let key = self.key();
        let fence = async {
            let Some(statement) = &prepared.fence else { return Ok(true) };
            let own = client.query(statement, &[&key[0], &key[1], &key[2], &self.config.table, &fence_number]).await?;
            Ok(!own.is_empty())
        };
        let delete = async {
            let Some(statement) = &prepared.delete else { return ready(Ok(0)).await };
            if keys.len() > SINGLE_DELETES {
                return client.execute(statement, &[&key[0], &key[1], &key[2], &names, &uids]).await;
            }
            let one = async |at: usize| {
                let parameters: [&(dyn ToSql + Sync); 5] = [&key[0], &key[1], &key[2], &names[at], &uids[at]];
                client.execute(statement, &parameters).await
            };
            join_all((0..keys.len()).map(one)).await.into_iter().sum()
        };
        let upsert = async {
            let Some(statement) = &prepared.upsert else { return Ok(0) };
            client.execute(statement, &upsert_parameters(&key, &columns)).await
        };
        let all = async { Ok(join4(client.batch_execute(&begin), fence, delete, upsert).await) };
        let (opened, own, deleted, upserted) = self.deadline.run("write rows", all).await?;
        opened.map_err(|error| StatementError::refused("begin", error))?;
        if !own.map_err(|error| StatementError::refused("fence", error))? {
            let names = [key[0], key[1], key[2], &self.config.table];
            return Err(outranked(&self.deadline, client, self.statements, names).await.into());
        }
        let deleted = deleted.map_err(|error| StatementError::refused("delete rows", error))?;
        Ok(deleted + upserted.map_err(|error| StatementError::refused("write rows", error))?)
    }

    fn key(&self) -> [&str; 3] {
        self.config.key(self.inventory)
    }

    fn delete_sql(&self, keys: &[&RowId]) -> &str {
        if keys.len() > SINGLE_DELETES { &self.statements.delete } else { &self.statements.delete_one }
    }

    async fn delete(&self, statement: Option<&Statement>, keys: &[&RowId]) -> Result<u64, StatementError> {
        let Some(statement) = statement else { return Ok(0) };
        let (names, uids) = key_columns(keys);
        let key = self.key();
        let parameters: [&(dyn ToSql + Sync); 5] = [&key[0], &key[1], &key[2], &names, &uids];
        self.deadline.run("delete rows", self.connection.client.execute(statement, &parameters)).await
    }

    async fn upsert(&self, rows: &[&Row], bytes: &mut u64) -> Result<u64, StatementError> {
        let statement = self.connection.prepared(&self.deadline, &self.statements.upsert).await?;
        let columns = Columns::of(rows, &self.inventory.namespace);
        *bytes += columns.bytes;
        let key = self.key();
        let parameters = upsert_parameters(&key, &columns);
        self.deadline.run("write rows", self.connection.client.execute(&statement, &parameters)).await
    }

    async fn copy(&self, rows: &[&Row], bytes: &mut u64) -> Result<u64, StatementError> {
        let client = &self.connection.client;
        let statement = self.connection.prepared(&self.deadline, &self.statements.copy).await?;
        let sink = self.deadline.run("copy rows", client.copy_in(&statement)).await?;
        let mut writer = pin!(BinaryCopyInWriter::new(sink, &STAGED));
        for rows in rows.chunks(COPY_ROWS) {
            let sending = async {
                for row in rows {
                    let payload = Jsonb(item_bytes(row));
                    *bytes += payload.0.len() as u64;
                    let target = &row.id.target;
                    let namespace = resource_namespace(row, &self.inventory.namespace);
                    let (uid, digest) = (row.id.uid.to_string(), &row.digest.0[..]);
                    let values: [&(dyn ToSql + Sync); 6] =
                        [&&*target.namespace, &&*target.name, &uid, &namespace, &payload, &digest];
                    writer.as_mut().write(&values).await?;
                }
                Ok(())
            };
            self.deadline.run("copy rows", sending).await?;
        }
        self.deadline.run("copy rows", writer.finish()).await?;
        let merge = self.connection.prepared(&self.deadline, &self.statements.merge).await?;
        let key = self.key();
        self.deadline.run("merge rows", client.execute(&merge, &[&key[0], &key[1], &key[2]])).await
    }

    /// Writes the rows that the server accepts and reports the rest. Every refusal halves a part, so this ends.
    async fn bisect(&self, rows: &[&Row], receipt: &mut Receipt) -> Result<(), StatementError> {
        let client = &self.connection.client;
        let mut parts = Vec::new();
        let mut rest = rows;
        while !rest.is_empty() {
            let (part, more) = chunk(rest);
            parts.push(part);
            rest = more;
        }
        while let Some(part) = parts.pop() {
            self.deadline.run("savepoint", client.batch_execute("SAVEPOINT part")).await?;
            match self.upsert(part, &mut receipt.bytes).await {
                Ok(written) => {
                    receipt.rows += written;
                    self.deadline.run("savepoint", client.batch_execute("RELEASE SAVEPOINT part")).await?;
                }
                Err(failure) if failure.is_about_rows() => {
                    self.deadline.run("savepoint", client.batch_execute("ROLLBACK TO SAVEPOINT part")).await?;
                    match part {
                        [row] => {
                            let why = failure.into_sink().message;
                            receipt.rejected.push(Rejected { id: row.id.clone(), why });
                        }
                        _ => parts.extend(<[&[&Row]; 2]>::from(part.split_at(part.len() / 2))),
                    }
                }
                Err(failure) => return Err(failure),
            }
        }
        Ok(())
    }

    /// Deletes every row of the inventory and its fence.
    pub(crate) async fn forget(&self) -> Result<Receipt, StatementError> {
        let prepared = self.prepare(&[], &[]).await?;
        let mut receipt = Receipt::default();
        self.open(&prepared, &[], &[], WriteStrategy::Arrays, &mut receipt.bytes).await?;
        let key = self.key();
        let client = &self.connection.client;
        let parameters: [&(dyn ToSql + Sync); 4] = [&key[0], &key[1], &key[2], &self.config.table];
        let rows = client.execute(&self.statements.forget_rows, &parameters[..3]);
        receipt.rows = self.deadline.run("forget rows", rows).await?;
        if self.fenced {
            self.deadline.run("forget rows", client.execute(&self.statements.forget_fence, &parameters)).await?;
        }
        kill_point("sent");
        self.commit().await?;
        Ok(receipt)
    }
}

fn upsert_parameters<'p>(key: &'p [&str; 3], columns: &'p Columns<'_>) -> [&'p (dyn ToSql + Sync); 9] {
    [
        &key[0],
        &key[1],
        &key[2],
        &columns.target_namespaces,
        &columns.target_names,
        &columns.uids,
        &columns.namespaces,
        &columns.payloads,
        &columns.digests,
    ]
}

fn key_columns<'a>(keys: &[&'a RowId]) -> (Vec<&'a str>, Vec<String>) {
    (keys.iter().map(|id| &*id.target.name).collect(), keys.iter().map(|id| id.uid.to_string()).collect())
}

/// The error when the table has a higher fence. Passes that fence to the right to write, which may continue above it.
pub(crate) async fn outranked(
    deadline: &Deadline<'_>,
    client: &tokio_postgres::Client,
    statements: &Statements,
    names: [&str; 4],
) -> SinkError {
    let parameters = names.each_ref().map(|name| name as &(dyn ToSql + Sync));
    if let Ok(Some(row)) = deadline.run("fence", client.query_opt(&statements.held_fence, &parameters)).await
        && let Ok(held) = row.try_get::<_, i64>(0)
    {
        deadline.cycle.right.outranked(u64::try_from(held).unwrap_or(0));
    }
    SinkError::transient("fence", "another leader writes these rows now, so nothing was written")
}

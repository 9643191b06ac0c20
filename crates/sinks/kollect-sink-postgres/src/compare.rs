//! Reads back what the table holds, under the fence of the binding.

use crate::connection::Deadline;
use crate::error::StatementError;
use crate::held::{Decoder, PageSize};
use crate::pool::PooledConnection;
use crate::schema::{TableCapabilities, TableIdentity};
use crate::sink::PostgresSink;
use crate::write::outranked;
use kollect_export::HeldRow;
use std::time::Instant;
use tokio_postgres::types::ToSql;

impl PostgresSink {
    /// `None`: the table does not exist.
    pub(crate) async fn identity(
        &self,
        connection: &PooledConnection,
        deadline: &Deadline<'_>,
        capabilities: TableCapabilities,
    ) -> Result<Option<TableIdentity>, StatementError> {
        let table = self.config.table_sql();
        let key = self.config.key(&deadline.cycle.of.inventory);
        let fenced: [&(dyn ToSql + Sync); 5] = [&key[0], &key[1], &key[2], &self.config.table, &table];
        let (sql, parameters) = if capabilities.fenced {
            (&self.statements.identity_and_token, &fenced[..])
        } else {
            (&self.statements.identity, &fenced[4..])
        };
        let statement = connection.prepared(deadline, sql).await?;
        let row = deadline.run("inspect table", connection.client.query_opt(&statement, parameters)).await?;
        let read = |row: tokio_postgres::Row| {
            Ok(TableIdentity { oid: row.try_get(0)?, file: row.try_get(1)?, token: row.try_get(2)? })
        };
        row.map(read).transpose().map_err(|error| StatementError::refused("inspect table", error))
    }

    /// Takes the fence before reading, so that a former leader cannot write rows that this comparison misses.
    async fn claim(&self, connection: &PooledConnection, deadline: &Deadline<'_>) -> Result<(), StatementError> {
        deadline.cycle.check_right()?;
        let statement = connection.prepared(deadline, &self.statements.claim).await?;
        let key = self.config.key(&deadline.cycle.of.inventory);
        let fence = i64::try_from(deadline.cycle.fence).unwrap_or(i64::MAX);
        let parameters: [&(dyn ToSql + Sync); 5] = [&key[0], &key[1], &key[2], &self.config.table, &fence];
        if deadline.run("fence", connection.client.query_opt(&statement, &parameters)).await?.is_some() {
            return Ok(());
        }
        let names = [key[0], key[1], key[2], &self.config.table];
        Err(outranked(deadline, &connection.client, &self.statements, names).await.into())
    }

    /// Reads the held rows and remembers the identity of the table.
    pub(crate) async fn compare(
        &self,
        connection: &mut PooledConnection,
        deadline: &Deadline<'_>,
        each: &mut (dyn FnMut(HeldRow) + Send),
    ) -> Result<(), StatementError> {
        let capabilities = self.capabilities(connection, deadline).await?;
        if capabilities.fenced {
            self.claim(connection, deadline).await?;
        }
        let identity = self.identity(connection, deadline, capabilities).await?;
        self.read_held(connection, deadline, each).await?;
        let mut compared = self.compared.lock();
        match identity {
            Some(identity) => compared.insert(deadline.cycle.of.clone(), identity),
            None => compared.remove(deadline.cycle.of),
        };
        Ok(())
    }

    /// Reads in pages. The time limit applies to each page, so a large inventory may take longer than one statement.
    async fn read_held(
        &self,
        connection: &mut PooledConnection,
        deadline: &Deadline<'_>,
        each: &mut (dyn FnMut(HeldRow) + Send),
    ) -> Result<(), StatementError> {
        const STAGE: &str = "read rows";
        let inventory = &deadline.cycle.of.inventory;
        let statement = connection.prepared(deadline, &self.statements.held).await?;
        let transaction = deadline.run(STAGE, connection.client.transaction()).await?;
        let [cluster, namespace, name] = self.config.key(inventory);
        let key: [&(dyn ToSql + Sync); 3] = [&cluster, &namespace, &name];
        let portal = deadline.run(STAGE, transaction.bind(&statement, &key)).await?;
        let mut decoder = Decoder::new(inventory);
        let mut page = PageSize::new(self.config.statement_timeout);
        loop {
            let since = Instant::now();
            let rows = deadline.run(STAGE, transaction.query_portal(&portal, page.rows)).await?;
            for row in &rows {
                each(decoder.decode(row).map_err(|error| StatementError::refused(STAGE, error))?);
            }
            if rows.len() < usize::try_from(page.rows).unwrap_or(usize::MAX) {
                break;
            }
            page.took(since.elapsed());
        }
        deadline.run(STAGE, transaction.commit()).await
    }
}

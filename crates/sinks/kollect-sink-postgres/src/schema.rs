//! Inspects the table, and in `ensure` mode creates or migrates it. Only this module sends DDL.
//!
//! A table that needs no change gets no DDL, so a user without the privilege to create can write to a prepared one.

use crate::config::{PostgresConfig, Provisioning};
use crate::connection::{Connection, Deadline};
use crate::error::StatementError;
use kollect_export::SinkError;
use tokio_postgres::error::SqlState;

/// What the table supports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TableCapabilities {
    /// The table that fences writers exists.
    pub(crate) fenced: bool,
}

/// What identifies the table, to detect that it is not the one that was last compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TableIdentity {
    /// Changes when the table is dropped and created.
    pub(crate) oid: u32,
    /// Changes when the table is truncated or rewritten; absent for partitioned tables.
    pub(crate) file: Option<u32>,
    /// Changes when another process compared, or when a restored backup lacks the fence.
    pub(crate) token: Option<String>,
}

/// Columns of the table, with their types as `format_type` returns them.
const COLUMNS: [(&str, &str); 10] = [
    ("cluster", "text"),
    ("inventory_namespace", "text"),
    ("inventory_name", "text"),
    ("target_namespace", "text"),
    ("target_name", "text"),
    ("source_uid", "text"),
    ("resource_namespace", "text"),
    ("payload", "jsonb"),
    ("digest", "bytea"),
    ("exported_at", "timestamp with time zone"),
];
/// Columns that a table of an older version lacks.
const ADDED: [&str; 2] = ["target_namespace", "digest"];
const KEY: &str = "cluster,inventory_name,inventory_namespace,source_uid,target_name";
/// Attempts when another client creates the same table without the advisory lock.
const ATTEMPTS: usize = 3;

const INSPECT_COLUMNS: &str = "SELECT a.attname::text, format_type(a.atttypid, NULL) FROM pg_attribute a \
     WHERE a.attrelid = to_regclass($1)::oid AND a.attnum > 0 AND NOT a.attisdropped";
const INSPECT_KEYS: &str = "SELECT string_agg(a.attname::text, ',' ORDER BY a.attname::text COLLATE \"C\") FROM pg_index i \
     JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey) \
     WHERE i.indrelid = to_regclass($1)::oid AND i.indisunique AND i.indpred IS NULL AND i.indexprs IS NULL \
     GROUP BY i.indexrelid";
const INSPECT_PRIMARY: &str =
    "SELECT conname::text FROM pg_constraint WHERE conrelid = to_regclass($1)::oid AND contype = 'p'";

/// The columns and keys of the table.
#[derive(Debug, Default)]
struct TableState {
    columns: Vec<(String, String)>,
    has_key: bool,
    writer: bool,
}

impl TableState {
    fn exists(&self) -> bool {
        !self.columns.is_empty()
    }

    /// Names of columns that are missing or have another type.
    fn wrong(&self) -> Vec<&'static str> {
        let fits = |name: &str, ty: &str| {
            self.columns.iter().any(|(n, t)| n == name && (t == ty || (ty == "text" && t == "character varying")))
        };
        COLUMNS.iter().filter(|(name, ty)| !fits(name, ty)).map(|(name, _)| *name).collect()
    }
}

/// Checks the destination, and creates or migrates it when the mode allows that.
pub(crate) async fn prepare_table(
    connection: &Connection,
    deadline: &Deadline<'_>,
    config: &PostgresConfig,
) -> Result<TableCapabilities, StatementError> {
    let found = inspect(connection, deadline, config).await?;
    match config.mode {
        Provisioning::Existing => check_existing(&found, config),
        Provisioning::Ensure if found.wrong().is_empty() && found.has_key && found.writer => {
            Ok(TableCapabilities { fenced: true })
        }
        Provisioning::Ensure => ensure(connection, deadline, config).await,
    }
}

async fn inspect(
    connection: &Connection,
    deadline: &Deadline<'_>,
    config: &PostgresConfig,
) -> Result<TableState, StatementError> {
    let (table, writer) = (config.table_sql(), config.writer_sql());
    let client = &connection.client;
    let columns = deadline.run("inspect table", client.query(INSPECT_COLUMNS, &[&table])).await?;
    let keys = deadline.run("inspect table", client.query(INSPECT_KEYS, &[&table])).await?;
    let writer = deadline.run("inspect table", client.query(INSPECT_COLUMNS, &[&writer])).await?;
    let column = |row: &tokio_postgres::Row| {
        row.try_get(0)
            .and_then(|name| Ok((name, row.try_get(1)?)))
            .map_err(|e| StatementError::refused("inspect table", e))
    };
    Ok(TableState {
        columns: columns.iter().map(column).collect::<Result<_, _>>()?,
        has_key: keys.iter().any(|row| row.try_get::<_, String>(0).is_ok_and(|key| key == KEY)),
        writer: !writer.is_empty(),
    })
}

fn check_existing(found: &TableState, config: &PostgresConfig) -> Result<TableCapabilities, StatementError> {
    let fault = if !found.exists() {
        "does not exist or cannot be seen by the user".to_owned()
    } else if !found.wrong().is_empty() {
        format!("lacks these columns, or they have other types: {}", found.wrong().join(", "))
    } else if !found.has_key {
        "has no primary key (cluster, inventory_namespace, inventory_name, target_name, source_uid)".to_owned()
    } else {
        return Ok(TableCapabilities { fenced: found.writer });
    };
    let error = SinkError::terminal(
        "inspect table",
        format!(
            "the table {}.{} {fault}; change it, or set provisioning.mode to ensure to have that done",
            config.schema, config.table
        ),
    );
    Err(if found.exists() { error } else { error.of_absent_destination() }.into())
}

async fn ensure(
    connection: &Connection,
    deadline: &Deadline<'_>,
    config: &PostgresConfig,
) -> Result<TableCapabilities, StatementError> {
    let mut attempt = 1;
    loop {
        match ensure_once(connection, deadline, config).await {
            // A client without the advisory lock created the same table after it was inspected.
            Err(failure) if attempt < ATTEMPTS && is_race(&failure) => attempt += 1,
            other => return other.map(|()| TableCapabilities { fenced: true }),
        }
        deadline.run("rollback", connection.client.batch_execute("ROLLBACK")).await?;
    }
}

fn is_race(failure: &StatementError) -> bool {
    failure.code().is_some_and(|code| {
        [SqlState::UNIQUE_VIOLATION, SqlState::DUPLICATE_TABLE, SqlState::DUPLICATE_COLUMN, SqlState::DUPLICATE_OBJECT]
            .contains(code)
    })
}

async fn ensure_once(
    connection: &Connection,
    deadline: &Deadline<'_>,
    config: &PostgresConfig,
) -> Result<(), StatementError> {
    deadline.cycle.check_right()?;
    let client = &connection.client;
    // One lock for all tables of a schema, because they share the writer table.
    deadline.run("lock schema", client.batch_execute("BEGIN; SET LOCAL client_min_messages = warning")).await?;
    let lock = "SELECT pg_advisory_xact_lock(hashtext('kollect'), hashtext($1))";
    deadline.run("lock schema", client.query(lock, &[&config.schema])).await?;
    let found = inspect(connection, deadline, config).await?;
    let mut ddl = Vec::new();
    if !found.writer {
        ddl.push(create_writer(config));
    }
    if !found.exists() {
        ddl.push(create_table(config));
    } else if !found.wrong().is_empty() || !found.has_key {
        ddl.extend(migrate(connection, deadline, config, &found).await?);
    }
    if !ddl.is_empty() {
        tracing::info!(schema = config.schema, table = config.table, "create or migrate the table");
        deadline.run("create table", client.batch_execute(&ddl.join("; "))).await?;
    }
    deadline.cycle.check_right()?;
    deadline.run("create table", client.batch_execute("COMMIT")).await
}

fn create_table(config: &PostgresConfig) -> String {
    format!(
        "CREATE TABLE IF NOT EXISTS {} (\
         cluster text NOT NULL DEFAULT '', inventory_namespace text NOT NULL, inventory_name text NOT NULL, \
         target_namespace text NOT NULL DEFAULT '', target_name text NOT NULL, source_uid text NOT NULL, \
         resource_namespace text NOT NULL DEFAULT '', payload jsonb NOT NULL, digest bytea, \
         exported_at timestamptz NOT NULL, \
         PRIMARY KEY (cluster, inventory_namespace, inventory_name, target_name, source_uid))",
        config.table_sql()
    )
}

fn create_writer(config: &PostgresConfig) -> String {
    format!(
        "CREATE TABLE IF NOT EXISTS {} (\
         table_name text NOT NULL, cluster text NOT NULL, inventory_namespace text NOT NULL, \
         inventory_name text NOT NULL, fence bigint NOT NULL, token text NOT NULL, \
         written_at timestamptz NOT NULL DEFAULT now(), \
         PRIMARY KEY (table_name, cluster, inventory_namespace, inventory_name))",
        config.writer_sql()
    )
}

/// DDL that migrates a table of an older version (no `target_namespace`, no `digest`, no cluster in the key).
async fn migrate(
    connection: &Connection,
    deadline: &Deadline<'_>,
    config: &PostgresConfig,
    found: &TableState,
) -> Result<Vec<String>, StatementError> {
    let wrong = found.wrong();
    let foreign: Vec<&str> = wrong.iter().copied().filter(|name| !ADDED.contains(name)).collect();
    let clash = found.columns.iter().any(|(name, _)| ADDED.contains(&name.as_str()) && wrong.contains(&name.as_str()));
    if !foreign.is_empty() || clash {
        return Err(SinkError::terminal(
            "inspect table",
            format!(
                "the table {}.{} is not one of ours, and it stays as it is: these columns are missing or have other \
                 types: {}; choose another postgres.table",
                config.schema,
                config.table,
                wrong.join(", ")
            ),
        )
        .into());
    }
    let table = config.table_sql();
    let mut ddl = Vec::new();
    if wrong.contains(&"target_namespace") {
        ddl.push(format!("ALTER TABLE {table} ADD COLUMN target_namespace text NOT NULL DEFAULT ''"));
        ddl.push(format!("UPDATE {table} SET target_namespace = coalesce(payload->>'targetNamespace', '')"));
    }
    if wrong.contains(&"digest") {
        ddl.push(format!("ALTER TABLE {table} ADD COLUMN digest bytea"));
    }
    if !found.has_key {
        let old = deadline.run("inspect table", connection.client.query(INSPECT_PRIMARY, &[&table])).await?;
        for row in &old {
            let name: String = row.try_get(0).map_err(|e| StatementError::refused("inspect table", e))?;
            ddl.push(format!("ALTER TABLE {table} DROP CONSTRAINT \"{}\"", name.replace('"', "\"\"")));
        }
        ddl.push(format!(
            "ALTER TABLE {table} ADD PRIMARY KEY (cluster, inventory_namespace, inventory_name, target_name, source_uid)"
        ));
    }
    Ok(ddl)
}

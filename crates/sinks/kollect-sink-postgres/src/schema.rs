//! Looks at the destination, and in `ensure` mode makes it what it should be.
//!
//! Separate because it is the only place that sends DDL. What is already right is left alone, so a user without the
//! right to create anything can still write to a prepared table.

use crate::config::{Config, Mode};
use crate::connection::{Connection, Step};
use crate::error::Failure;
use kollect_export::SinkError;
use tokio_postgres::error::SqlState;

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    /// There is a table that fences writers.
    pub(crate) fenced: bool,
}

/// Columns of the table and their types as `format_type` names them.
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
/// Columns that a table of the older shape lacks.
const ADDED: [&str; 2] = ["target_namespace", "digest"];
const KEY: &str = "cluster,inventory_name,inventory_namespace,source_uid,target_name";
/// Attempts when somebody creates the same table without taking our lock.
const ATTEMPTS: usize = 3;

const LOOK_COLUMNS: &str = "SELECT a.attname::text, format_type(a.atttypid, NULL) FROM pg_attribute a \
     WHERE a.attrelid = to_regclass($1)::oid AND a.attnum > 0 AND NOT a.attisdropped";
const LOOK_KEYS: &str = "SELECT string_agg(a.attname::text, ',' ORDER BY a.attname::text COLLATE \"C\") FROM pg_index i \
     JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey) \
     WHERE i.indrelid = to_regclass($1)::oid AND i.indisunique AND i.indpred IS NULL AND i.indexprs IS NULL \
     GROUP BY i.indexrelid";
const LOOK_PRIMARY: &str =
    "SELECT conname::text FROM pg_constraint WHERE conrelid = to_regclass($1)::oid AND contype = 'p'";

/// The state of a table.
#[derive(Debug, Default)]
struct Found {
    columns: Vec<(String, String)>,
    has_key: bool,
    writer: bool,
}

impl Found {
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
pub(crate) async fn settle(connection: &Connection, step: &Step<'_>, config: &Config) -> Result<Shape, Failure> {
    let found = look(connection, step, config).await?;
    match config.mode {
        Mode::Existing => check_existing(&found, config),
        Mode::Ensure if found.wrong().is_empty() && found.has_key && found.writer => Ok(Shape { fenced: true }),
        Mode::Ensure => ensure(connection, step, config).await,
    }
}

async fn look(connection: &Connection, step: &Step<'_>, config: &Config) -> Result<Found, Failure> {
    let (table, writer) = (config.table_sql(), config.writer_sql());
    let client = &connection.client;
    let columns = step.run("look at table", client.query(LOOK_COLUMNS, &[&table])).await?;
    let keys = step.run("look at table", client.query(LOOK_KEYS, &[&table])).await?;
    let writer = step.run("look at table", client.query(LOOK_COLUMNS, &[&writer])).await?;
    let column = |row: &tokio_postgres::Row| {
        row.try_get(0).and_then(|name| Ok((name, row.try_get(1)?))).map_err(|e| Failure::refused("look at table", e))
    };
    Ok(Found {
        columns: columns.iter().map(column).collect::<Result<_, _>>()?,
        has_key: keys.iter().any(|row| row.try_get::<_, String>(0).is_ok_and(|key| key == KEY)),
        writer: !writer.is_empty(),
    })
}

fn check_existing(found: &Found, config: &Config) -> Result<Shape, Failure> {
    let fault = if !found.exists() {
        "does not exist or cannot be seen by the user".to_owned()
    } else if !found.wrong().is_empty() {
        format!("lacks these columns, or they have other types: {}", found.wrong().join(", "))
    } else if !found.has_key {
        "has no primary key (cluster, inventory_namespace, inventory_name, target_name, source_uid)".to_owned()
    } else {
        return Ok(Shape { fenced: found.writer });
    };
    let error = SinkError::terminal(
        "look at table",
        format!(
            "the table {}.{} {fault}; change it, or set provisioning.mode to ensure to have that done",
            config.schema, config.table
        ),
    );
    Err(if found.exists() { error } else { error.of_absent_destination() }.into())
}

async fn ensure(connection: &Connection, step: &Step<'_>, config: &Config) -> Result<Shape, Failure> {
    let mut attempt = 1;
    loop {
        match ensure_once(connection, step, config).await {
            // Somebody without our lock created the same table between the look and the creation.
            Err(failure) if attempt < ATTEMPTS && is_race(&failure) => attempt += 1,
            other => return other.map(|()| Shape { fenced: true }),
        }
        step.run("rollback", connection.client.batch_execute("ROLLBACK")).await?;
    }
}

fn is_race(failure: &Failure) -> bool {
    failure.code().is_some_and(|code| {
        [SqlState::UNIQUE_VIOLATION, SqlState::DUPLICATE_TABLE, SqlState::DUPLICATE_COLUMN, SqlState::DUPLICATE_OBJECT]
            .contains(code)
    })
}

async fn ensure_once(connection: &Connection, step: &Step<'_>, config: &Config) -> Result<(), Failure> {
    step.cycle.check_right()?;
    let client = &connection.client;
    // One lock for all tables of a schema, because they share the writer table.
    step.run("lock schema", client.batch_execute("BEGIN; SET LOCAL client_min_messages = warning")).await?;
    let lock = "SELECT pg_advisory_xact_lock(hashtext('kollect'), hashtext($1))";
    step.run("lock schema", client.query(lock, &[&config.schema])).await?;
    let found = look(connection, step, config).await?;
    let mut ddl = Vec::new();
    if !found.writer {
        ddl.push(create_writer(config));
    }
    if !found.exists() {
        ddl.push(create_table(config));
    } else if !found.wrong().is_empty() || !found.has_key {
        ddl.extend(migrate(connection, step, config, &found).await?);
    }
    if !ddl.is_empty() {
        tracing::info!(schema = config.schema, table = config.table, "create or migrate the table");
        step.run("create table", client.batch_execute(&ddl.join("; "))).await?;
    }
    step.cycle.check_right()?;
    step.run("create table", client.batch_execute("COMMIT")).await
}

fn create_table(config: &Config) -> String {
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

fn create_writer(config: &Config) -> String {
    format!(
        "CREATE TABLE IF NOT EXISTS {} (\
         table_name text NOT NULL, cluster text NOT NULL, inventory_namespace text NOT NULL, \
         inventory_name text NOT NULL, fence bigint NOT NULL, token text NOT NULL, \
         written_at timestamptz NOT NULL DEFAULT now(), \
         PRIMARY KEY (table_name, cluster, inventory_namespace, inventory_name))",
        config.writer_sql()
    )
}

/// Steps from the older shape (no `target_namespace`, no `digest`, no cluster in the key) to ours.
async fn migrate(
    connection: &Connection,
    step: &Step<'_>,
    config: &Config,
    found: &Found,
) -> Result<Vec<String>, Failure> {
    let wrong = found.wrong();
    let foreign: Vec<&str> = wrong.iter().copied().filter(|name| !ADDED.contains(name)).collect();
    let clash = found.columns.iter().any(|(name, _)| ADDED.contains(&name.as_str()) && wrong.contains(&name.as_str()));
    if !foreign.is_empty() || clash {
        return Err(SinkError::terminal(
            "look at table",
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
        let old = step.run("look at table", connection.client.query(LOOK_PRIMARY, &[&table])).await?;
        for row in &old {
            let name: String = row.try_get(0).map_err(|e| Failure::refused("look at table", e))?;
            ddl.push(format!("ALTER TABLE {table} DROP CONSTRAINT \"{}\"", name.replace('"', "\"\"")));
        }
        ddl.push(format!(
            "ALTER TABLE {table} ADD PRIMARY KEY (cluster, inventory_namespace, inventory_name, target_name, source_uid)"
        ));
    }
    Ok(ddl)
}

//! Settings of the sink and the quoted names of its tables.

use kollect_export::{InventoryKey, SinkError};
use kollect_net::{Guard, SecretString, TlsSpec};
use std::time::Duration;

/// Name of the table that fences writers, in the schema of the destination.
pub(crate) const WRITER_TABLE: &str = "kollect_writer";

/// Whether the destination may be created.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Provisioning {
    /// Create or migrate the table when needed; never destructive.
    #[default]
    Ensure,
    /// The table must exist with all columns and the key; no DDL is sent.
    Existing,
}

/// Settings of one sink.
#[derive(Clone, Debug)]
pub struct PostgresConfig {
    /// Connection string, `postgres://…` or `key=value …`.
    pub dsn: SecretString,
    /// Schema of the table; never created.
    pub schema: String,
    /// Table.
    pub table: String,
    /// Whether the table may be created.
    pub mode: Provisioning,
    /// Cluster identity, the first part of the key.
    pub cluster: String,
    /// Trust and client certificate; `sslmode` of the connection string decides how strictly the server is verified.
    pub tls: TlsSpec,
    /// Limit of one statement, on the server and in the client, and of waiting for a free connection.
    pub statement_timeout: Duration,
    /// Limit of opening a connection to one server.
    pub connect_timeout: Duration,
    /// Addresses that may be dialled.
    pub guard: Guard,
    /// `application_name` between cycles.
    pub application_name: String,
    /// Connections that all sinks with the same connection settings share.
    pub max_connections: usize,
}

impl PostgresConfig {
    /// Settings with the usual limits for `public.<table>`.
    pub fn new(dsn: SecretString, table: impl Into<String>) -> Self {
        Self {
            dsn,
            schema: "public".into(),
            table: table.into(),
            mode: Provisioning::Ensure,
            cluster: String::new(),
            tls: TlsSpec::default(),
            statement_timeout: Duration::from_mins(1),
            connect_timeout: Duration::from_secs(10),
            guard: Guard::default(),
            application_name: "kollect".into(),
            max_connections: 8,
        }
    }

    pub(crate) fn check(&self) -> Result<(), SinkError> {
        for (field, name) in [("postgres.schema", &self.schema), ("postgres.table", &self.table)] {
            if name.trim().is_empty() || name.len() > 63 || name.contains('\0') {
                return Err(refused(format!("{field} must have 1 to 63 bytes and no NUL")));
            }
        }
        if self.table == WRITER_TABLE {
            return Err(refused(format!("postgres.table must not be {WRITER_TABLE}: that table fences the writers")));
        }
        if self.cluster.contains('\0') {
            return Err(refused("spec.cluster must not contain NUL".into()));
        }
        Ok(())
    }

    /// Cluster and inventory: the first three parameters of most statements.
    pub(crate) fn key<'a>(&'a self, inventory: &'a InventoryKey) -> [&'a str; 3] {
        [&self.cluster, &inventory.namespace, &inventory.name]
    }

    /// `"schema"."table"`.
    pub(crate) fn table_sql(&self) -> String {
        format!("{}.{}", quote(&self.schema), quote(&self.table))
    }

    /// `"schema"."kollect_writer"`.
    pub(crate) fn writer_sql(&self) -> String {
        format!("{}.{}", quote(&self.schema), quote(WRITER_TABLE))
    }
}

fn refused(why: String) -> SinkError {
    SinkError::terminal("config", why)
}

/// An identifier in double quotes.
fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text literal, for statements that take no parameters.
pub(crate) fn literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    if quoted.contains('\\') { format!("E'{}'", quoted.replace('\\', "\\\\")) } else { format!("'{quoted}'") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_break_out_of_their_quotes() {
        let mut config = PostgresConfig::new("".into(), "a\"; DROP TABLE x; --");
        assert_eq!(config.table_sql(), "\"public\".\"a\"\"; DROP TABLE x; --\"");
        assert_eq!(literal("it's \\"), "E'it''s \\\\'");
        assert!(config.check().is_ok());
        for bad in ["", " ", "kollect_writer", "a\0b", &"x".repeat(64)] {
            config.table = bad.to_owned();
            assert!(config.check().is_err(), "{bad:?}");
        }
    }
}

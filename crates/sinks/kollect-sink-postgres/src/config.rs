//! What a sink is told, and the names it writes to.

use kollect_export::SinkError;
use kollect_net::{Guard, SecretString, TlsSpec};
use std::time::Duration;

/// Name of the table that fences writers; it stands beside the destination.
pub(crate) const WRITER_TABLE: &str = "kollect_writer";

/// Whether the destination may be created.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Create or migrate the table when needed; never destructive.
    #[default]
    Ensure,
    /// The table must be there in the right shape; no DDL is ever sent.
    Existing,
}

/// Settings of one sink.
#[derive(Clone, Debug)]
pub struct Config {
    /// Connection string, `postgres://…` or `key=value …`.
    pub dsn: SecretString,
    /// Schema of the table; never created.
    pub schema: String,
    /// Table.
    pub table: String,
    /// Whether the table may be created.
    pub mode: Mode,
    /// Cluster identity, the first part of the key.
    pub cluster: String,
    /// Trust and client certificate of the sink; the connection string says how strictly to use them.
    pub tls: TlsSpec,
    /// Limit of one statement, on the server and here, and of waiting for a free connection.
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

impl Config {
    /// Settings with the usual limits for `public.<table>`.
    pub fn new(dsn: SecretString, table: impl Into<String>) -> Self {
        Self {
            dsn,
            schema: "public".into(),
            table: table.into(),
            mode: Mode::Ensure,
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

/// A text literal for places where no parameter can stand.
pub(crate) fn literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    if quoted.contains('\\') { format!("E'{}'", quoted.replace('\\', "\\\\")) } else { format!("'{quoted}'") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_break_out_of_their_quotes() {
        let mut config = Config::new("".into(), "a\"; DROP TABLE x; --");
        assert_eq!(config.table_sql(), "\"public\".\"a\"\"; DROP TABLE x; --\"");
        assert_eq!(literal("it's \\"), "E'it''s \\\\'");
        assert!(config.check().is_ok());
        for bad in ["", " ", "kollect_writer", "a\0b", &"x".repeat(64)] {
            config.table = bad.to_owned();
            assert!(config.check().is_err(), "{bad:?}");
        }
    }
}

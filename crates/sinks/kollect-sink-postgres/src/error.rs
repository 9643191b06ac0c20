//! Maps errors of the driver and the network to `SinkError`, by SQLSTATE and typed causes.
//!
//! The server's own text is never repeated: it quotes users, databases, hosts and row values.

use kollect_export::{Class, SinkError};
use kollect_net::NetError;
use std::error::Error as _;
use std::io;
use std::time::Duration;
use tokio_postgres::error::SqlState;

/// Why a statement failed.
#[derive(Debug)]
pub(crate) enum StatementError {
    /// Already mapped.
    Final(SinkError),
    /// Rejected by the server, or the connection failed.
    Refused { stage: &'static str, error: Box<tokio_postgres::Error> },
}

impl From<SinkError> for StatementError {
    fn from(error: SinkError) -> Self {
        Self::Final(error)
    }
}

impl StatementError {
    pub(crate) fn refused(stage: &'static str, error: tokio_postgres::Error) -> Self {
        Self::Refused { stage, error: Box::new(error) }
    }

    pub(crate) fn code(&self) -> Option<&SqlState> {
        match self {
            Self::Final(_) => None,
            Self::Refused { error, .. } => error.code(),
        }
    }

    /// The server refused the content of a row, or the statement has one key twice.
    pub(crate) fn is_about_rows(&self) -> bool {
        self.code().is_some_and(|code| {
            let class = code.code().get(..2);
            matches!(class, Some("22" | "54")) || *code == SqlState::CARDINALITY_VIOLATION
        })
    }

    /// The table, or a column of it, does not exist any more.
    pub(crate) fn is_missing_table(&self) -> bool {
        self.code().is_some_and(|code| {
            [SqlState::UNDEFINED_TABLE, SqlState::UNDEFINED_COLUMN, SqlState::INVALID_COLUMN_REFERENCE].contains(code)
        })
    }

    pub(crate) fn into_sink(self) -> SinkError {
        match self {
            Self::Final(error) => error,
            Self::Refused { stage, error } => describe(stage, &error),
        }
    }
}

pub(crate) fn timed_out(stage: &'static str, after: Duration) -> SinkError {
    SinkError::transient(stage, format!("the database server did not answer within {after:?}"))
}

/// The sink's view of a failed connection attempt or statement.
pub(crate) fn describe(stage: &'static str, error: &tokio_postgres::Error) -> SinkError {
    if let Some(code) = error.code() {
        return by_state(stage, code);
    }
    let cause = error.source();
    let from_net = cause.is_some_and(|c| c.is::<io::Error>() || c.is::<rustls::Error>());
    match cause {
        Some(cause) if from_net => from_net_error(stage, &NetError::from_connection("the database server", cause)),
        // Only settings make the driver fail with a cause of its own: no TLS offered, no password given.
        Some(_) => SinkError::terminal(
            stage,
            "the server and the connection string do not fit together: check sslmode (does the server offer TLS?), \
             password and channel_binding",
        ),
        None => SinkError::transient(stage, "the connection to the database server was closed"),
    }
}

/// A network error without the host, which is part of the connection string.
pub(crate) fn from_net_error(stage: &'static str, error: &NetError) -> SinkError {
    let message = match error {
        NetError::Denied { why, .. } => format!("the address in the connection string is not allowed: {why}"),
        NetError::Resolve { .. } => "the host name in the connection string could not be resolved".to_owned(),
        NetError::Connect { why, .. } => format!("could not connect to the database server: {why}"),
        NetError::PrivateServer { .. } => "no usable answer from the database server, which has a private address; check \
             host, port, sslmode, spec.tls and the password, and that the server is up (the operator's log has the cause)"
            .to_owned(),
        NetError::TlsVerify { .. } => {
            "the server's TLS certificate was not accepted; check spec.tls and the host name".to_owned()
        }
        NetError::TlsRefused { .. } => "the server refused the TLS client certificate, or wants one".to_owned(),
        NetError::Tls { why, .. } => format!("the TLS handshake failed: {why}"),
        NetError::Broken { why, .. } => format!("the connection to the database server broke: {why}"),
        other => other.to_string(),
    };
    if error.is_terminal() { SinkError::terminal(stage, message) } else { SinkError::transient(stage, message) }
}

fn by_state(stage: &'static str, code: &SqlState) -> SinkError {
    let text = code.code();
    let class = if is_transient(text) { Class::Transient { retry_after: None } } else { Class::Terminal };
    let meaning = match text {
        "28000" | "28P01" => "the server refused the login; check user, password and client certificate",
        "3D000" => "the database does not exist",
        "3F000" => "the schema does not exist; create it, it is never created for you",
        "42501" => "the user lacks a privilege on the table or its schema",
        "42P01" => "the table does not exist",
        "42703" => "the table lacks a column",
        "42P10" => "the table has no unique key over the columns that identify a row",
        "40001" | "40P01" => "the transaction lost against another one",
        "53300" => "the server has no free connection",
        "53100" => "the server's disk is full",
        "55P03" => "a lock was not free in time",
        "57014" => "the statement was cancelled, probably by its time limit",
        "57P01" | "57P02" | "57P03" => "the server is starting or stopping",
        "25006" => "the server is read-only, probably a standby",
        _ => match text.get(..2).unwrap_or_default() {
            "08" => "the connection failed",
            "22" => "the server did not accept a value",
            "23" => "a constraint of the table refused the row",
            "53" => "the server is out of resources",
            "57" => "an operator intervened on the server",
            "58" | "XX" => "the server has an internal problem",
            _ => "the server refused the statement",
        },
    };
    SinkError { class, ..SinkError::transient(stage, format!("{meaning} (SQLSTATE {text})")) }
}

/// Classes that a retry can resolve: connections, lost transactions, resources, locks, restarts, recovery.
fn is_transient(code: &str) -> bool {
    code == "25006" || matches!(code.get(..2), Some("08" | "40" | "53" | "55" | "57" | "58" | "XX" | "25"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sqlstate_decides_the_class() {
        for code in ["40001", "40P01", "53300", "57P01", "57014", "08006", "55P03", "25006", "XX000"] {
            assert!(matches!(by_state("x", &SqlState::from_code(code)).class, Class::Transient { .. }), "{code}");
        }
        for code in ["28P01", "28000", "3D000", "3F000", "42501", "42P01", "22P05", "23502", "0A000"] {
            assert_eq!(by_state("x", &SqlState::from_code(code)).class, Class::Terminal, "{code}");
        }
    }
}

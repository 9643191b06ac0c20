//! Why `kollect init` writes no config.

use super::write::WriteError;
use crate::cluster::{AskError, ConnectError};
use std::io;

/// Why there is no config.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// The user declined.
    #[error("cancelled; nothing was written")]
    Cancelled,
    /// No terminal to ask at.
    #[error(
        "kollect init asks questions and needs a terminal; without one, name what to collect: \
         kollect init --kind Deployment --yes (kollect init --help shows more)"
    )]
    NoTerminal,
    /// Files are in the way.
    #[error("{0} exists; --force replaces it, --output-dir writes elsewhere")]
    Exists(String),
    /// What was asked for is not there.
    #[error("{0}")]
    Choice(String),
    /// No connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// No answer.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// The files.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// Reading or writing.
    #[error("{0}")]
    Io(#[from] io::Error),
}

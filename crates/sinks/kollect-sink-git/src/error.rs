//! Errors of the Git sink, and their one mapping to `SinkError`.
//!
//! libgit2 returns errors of the crate's transport as text; `OpenConversation::explain` replaces it by the typed error.

use kollect_export::{Class, DependsOn, SinkError};
use kollect_model::Reason;
use kollect_net::NetError;
use std::path::PathBuf;
use std::time::Duration;

/// A failed step.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GitError {
    #[error("{0}")]
    Config(String),
    #[error("the export was stopped")]
    Cancelled,
    /// A cycle lost its right to write. The push is repeated without it.
    #[error("a part of the push was stopped")]
    LeftOut,
    #[error("{0}; check the credentials in the Secret and what they are allowed to do")]
    Auth(String),
    #[error("{0}")]
    Net(#[source] NetError),
    #[error("the server answered {status}{advice}")]
    Status { status: u16, advice: &'static str, retry_after: Option<Duration> },
    #[error("{0}")]
    Protocol(String),
    #[error("{0}")]
    HostKey(String),
    #[error("ssh: {0}")]
    Ssh(String),
    /// The server sends more than a repository of inventories needs.
    #[error("the repository holds {0}; give the inventories a repository or a branch of their own")]
    TooMuch(String),
    /// The server is slower than the limits allow.
    #[error("the server answers too slowly: the conversation waited {0:?} for it")]
    Slow(Duration),
    /// The server refused the update; its message.
    #[error("{0}")]
    Rejected(String),
    /// Every attempt found the branch at another commit.
    #[error("the branch {0} kept moving while Kollect pushed")]
    Moved(String),
    /// Another writer changed files that this binding owns.
    #[error("files of this inventory were changed by another writer; they are compared and written again")]
    Disturbed,
    #[error("{path} is owned by {owner}; use another path template, or remove the file there")]
    Collision { path: String, owner: String },
    #[error("{path:?} is not a path that Git can hold")]
    Path { path: String },
    #[error("the content of {path} could not be made: {why}")]
    Body { path: String, why: String },
    #[error(
        "the record {path} in the repository cannot be read ({why}); repair it, or delete it together with its files"
    )]
    Record { path: String, why: String },
    #[error(
        "the record {path} lists more files than fit into {limit} bytes; split the inventory with spec.targetRefs, or \
         delete the record together with its files if something else wrote it"
    )]
    RecordSize { path: String, limit: u64 },
    #[error("the mirror directory {path} cannot be used: {why}")]
    MirrorRoot { path: PathBuf, why: String },
    #[error(
        "the mirrors of all repositories take {used} bytes, and {limit} are allowed; give the operator fewer or smaller repositories"
    )]
    Full { used: u64, limit: u64 },
    /// A local step of libgit2 failed, so the mirror may be damaged.
    #[error("the local mirror failed: {0}")]
    Mirror(String),
    /// The background task ended without a result.
    #[error("the Git task ended unexpectedly")]
    Task,
}

impl GitError {
    /// Whether a fresh mirror may resolve it.
    pub(crate) fn is_local(&self) -> bool {
        matches!(self, Self::Mirror(_))
    }

    /// The error for the engine. `sent`: the server may have taken the push.
    pub(crate) fn into_sink_error(self, stage: &'static str, sent: bool) -> SinkError {
        let error = match self {
            Self::Auth(_) => SinkError::terminal(stage, format!("git auth failed: {self}")),
            Self::Rejected(_) => SinkError::terminal(stage, format!("git push rejected: {self}")),
            Self::Collision { .. } => SinkError::terminal(stage, self.to_string()).with_reason(Reason::LayoutCollision),
            Self::Config(_) | Self::HostKey(_) => {
                SinkError::terminal(stage, format!("git: {self}")).depending_on(DependsOn::Spec)
            }
            Self::Path { .. } | Self::Body { .. } | Self::RecordSize { .. } => {
                SinkError::terminal(stage, format!("git: {self}")).depending_on(DependsOn::Rows)
            }
            Self::TooMuch(_) | Self::Record { .. } => SinkError::terminal(stage, format!("git: {self}")),
            Self::MirrorRoot { .. } => SinkError::terminal(stage, self.to_string()),
            Self::Net(ref net) if net.is_terminal() => SinkError::terminal(stage, format!("git transport: {self}")),
            Self::Status { retry_after, .. } => {
                let class = Class::Transient { retry_after };
                SinkError { class, ..SinkError::transient(stage, format!("{}: {self}", transport(stage))) }
            }
            Self::Disturbed => SinkError::transient(stage, format!("git: {self}")).maybe_landed(),
            Self::Cancelled | Self::LeftOut | Self::Full { .. } | Self::Task => {
                SinkError::transient(stage, format!("{}: {self}", transport(stage))).local()
            }
            Self::Net(_) | Self::Slow(_) | Self::Protocol(_) | Self::Ssh(_) | Self::Mirror(_) | Self::Moved(_) => {
                SinkError::transient(stage, format!("{}: {self}", transport(stage)))
            }
        };
        if sent { error.maybe_landed() } else { error }
    }
}

fn transport(stage: &str) -> &'static str {
    if stage == "push" { "git push" } else { "git transport" }
}

/// An error of a local libgit2 call. Calls with network use `OpenConversation::explain`.
#[expect(clippy::needless_pass_by_value, reason = "used with map_err")]
pub(crate) fn local(error: git2::Error) -> GitError {
    local_message(error.message())
}

pub(crate) fn local_message(message: &str) -> GitError {
    GitError::Mirror(kollect_net::scrub(message, &[]))
}

/// An I/O error in the mirror directory.
#[expect(clippy::needless_pass_by_value, reason = "used with map_err")]
pub(crate) fn disk(error: std::io::Error) -> GitError {
    GitError::Mirror(error.to_string())
}

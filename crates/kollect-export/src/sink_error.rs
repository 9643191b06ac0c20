//! Why an attempt failed, and what has to change before the next one.
//!
//! Decided where the error is born, from typed errors; everything downstream reads these fields and never the text.

use crate::LARGEST_READ;
use kollect_model::Reason;
use std::time::Duration;

/// What kind of trouble; decides everything downstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Goes away by itself. Retried with back-off.
    Transient {
        /// The backend's own wish, if it said one.
        retry_after: Option<Duration>,
    },
    /// Does not go away by itself: [`DependsOn`] says what has to change.
    Terminal,
    /// Kubernetes refused access.
    Forbidden,
}

impl Class {
    /// The value of the `error_class` label and log key.
    pub fn label(self) -> &'static str {
        match self {
            Self::Transient { .. } => "transient",
            Self::Terminal => "terminal",
            Self::Forbidden => "forbidden",
        }
    }
}

/// What a terminal failure depends on: the binding stops until that changes. A changed spec or Secret always ends it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DependsOn {
    /// The sink, the inventory, or a Secret.
    Spec,
    /// The rows of the view: the next change of the view is tried, with back-off.
    Rows,
    /// The backend (a right, a foreign file, a schema): tried again after a passed probe, and rarely without one.
    #[default]
    Backend,
}

/// Whether a failed attempt may have changed the backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Landed {
    /// Certainly nothing changed.
    No,
    /// It may have: compare before the next write.
    Unknown,
}

/// A failed attempt. The message must already be free of credentials and values.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{stage}: {message}")]
pub struct SinkError {
    /// What decides the reaction.
    pub class: Class,
    /// What ends a terminal failure.
    pub depends_on: DependsOn,
    /// Whether something may have been written.
    pub landed: Landed,
    /// What was attempted, e.g. `connect`, `git push`, `commit`.
    pub stage: &'static str,
    /// Stable reason of a terminal error, e.g. `LayoutCollision`; `None` means `ExportTerminal`.
    pub reason: Option<Reason>,
    /// What happened and what to do, in plain words.
    pub message: String,
    /// The destination itself is not there, so nothing is held in it.
    pub absent: bool,
    /// Caused inside this process (its own connection pool is busy, the cycle was cancelled, another process leads): says
    /// nothing about the backend, so the breaker does not count it.
    pub local: bool,
}

impl SinkError {
    /// An error that goes away by itself; nothing landed.
    pub fn transient(stage: &'static str, message: impl Into<String>) -> Self {
        Self {
            class: Class::Transient { retry_after: None },
            depends_on: DependsOn::default(),
            landed: Landed::No,
            stage,
            reason: None,
            message: message.into(),
            absent: false,
            local: false,
        }
    }
    /// An error that needs a change, of the backend unless [`Self::depending_on`] says otherwise; nothing landed.
    pub fn terminal(stage: &'static str, message: impl Into<String>) -> Self {
        Self { class: Class::Terminal, ..Self::transient(stage, message) }
    }
    /// A file that is too large to be read back.
    pub fn too_large_to_read(path: &str, size: u64) -> Self {
        let why = "and Kollect reads back at most";
        let advice = "delete it, or have everything in it permitted and served again, and set a smaller maxExportBytes";
        Self::terminal("read", format!("{path} has {size} bytes {why} {LARGEST_READ}: {advice}"))
    }
    /// The same error with a stable reason.
    #[must_use]
    pub fn with_reason(mut self, reason: Reason) -> Self {
        self.reason = Some(reason);
        self
    }
    /// The same error, ended by a change of something else.
    #[must_use]
    pub fn depending_on(mut self, what: DependsOn) -> Self {
        self.depends_on = what;
        self
    }
    /// The same error because the destination itself is not there.
    #[must_use]
    pub fn of_absent_destination(mut self) -> Self {
        self.absent = true;
        self
    }
    /// The same error when the attempt may have changed the backend.
    #[must_use]
    pub fn maybe_landed(mut self) -> Self {
        self.landed = Landed::Unknown;
        self
    }
    /// Whether the breaker of the sink counts it as a failure of the backend.
    pub fn counts_on_breaker(&self) -> bool {
        !self.local && matches!(self.class, Class::Transient { .. })
    }
    /// The same error when its cause is inside this process.
    #[must_use]
    pub fn local(mut self) -> Self {
        self.local = true;
        self
    }
}

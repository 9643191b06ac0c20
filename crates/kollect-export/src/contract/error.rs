//! Why an attempt failed, and what has to change before the next one.
//!
//! Set where the error occurs, from typed errors; the engine reads these fields and never the text.

use kollect_model::Reason;
use std::time::Duration;

/// Class of an error; decides how the engine reacts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Temporary: retried with back-off.
    Transient {
        /// The delay that the backend asked for, if any.
        retry_after: Option<Duration>,
    },
    /// Ends when its cause changes: [`DependsOn`] names the cause.
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
    /// Decides how the engine reacts.
    pub class: Class,
    /// What ends a terminal failure.
    pub depends_on: DependsOn,
    /// Whether something may have been written.
    pub landed: Landed,
    /// What was attempted, e.g. `connect`, `git push`, `commit`.
    pub stage: &'static str,
    /// Stable reason of a terminal error, e.g. `LayoutCollision`; `None` means `ExportTerminal`.
    pub reason: Option<Reason>,
    /// What happened and what to do.
    pub message: String,
    /// The destination itself does not exist, so it holds nothing.
    pub absent: bool,
    /// Caused inside this process (its own connection pool is busy, the cycle was cancelled, another process leads):
    /// the breaker does not count it.
    pub local: bool,
}

impl SinkError {
    /// A temporary error; nothing landed.
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
    /// An error that ends with a change of the backend, or of what [`Self::depending_on`] names; nothing landed.
    pub fn terminal(stage: &'static str, message: impl Into<String>) -> Self {
        Self { class: Class::Terminal, ..Self::transient(stage, message) }
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
    /// The same error because the destination itself does not exist.
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

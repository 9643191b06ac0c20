//! Reasons of conditions and events: one list for the code, the documentation and the generated reference page.
//!
//! Users build alerts on these names, so a name never changes. It lives here because conditions, sink errors and layouts
//! all carry one.

use std::fmt;

macro_rules! reasons {
    ($($(#[doc = $meaning:literal])+ $name:ident,)+) => {
        /// Why a condition has its status, or an event was recorded.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Reason {
            $($(#[doc = $meaning])+ $name,)+
        }

        impl Reason {
            /// Every reason, in the order of the reference page.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The name as conditions and events carry it.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)+
                }
            }

            /// What the reason means, as the reference page has it.
            pub const fn meaning(self) -> &'static str {
                match self {
                    $(Self::$name => concat!($($meaning),+).trim_ascii_start(),)+
                }
            }
        }
    };
}

reasons! {
    /// Everything that the target selects and may read is collected.
    Collecting,
    /// `spec.suspend` is true.
    Suspended,
    /// Work is on its way, or is retried after a transient failure.
    Progressing,
    /// The operator lacks list or watch of the kind in the named namespaces.
    Forbidden,
    /// Synced although some namespaces are denied: the others are collected.
    ScopeForbidden,
    /// Some objects have no row, because an expression fails on them.
    ExtractionFailed,
    /// The target names no profile.
    MissingProfileRef,
    /// The profile of the target does not exist.
    ProfileNotFound,
    /// The profile does not compile.
    InvalidPath,
    /// The spec breaks a rule that admission would refuse.
    InvalidSpec,
    /// A kind that limits this object cannot be listed.
    ScopeLookupFailed,
    /// A scope does not allow the kind.
    ScopeGVKDenied,
    /// A scope does not allow a namespace.
    ScopeNamespaceDenied,
    /// The data of Secrets was requested, and its owner did not agree.
    SecretExtractionDenied,
    /// The kind is not served, or its list or watch fails for minutes.
    InformerRegistrationFailed,
    /// The rows of the target do not fit below `--max-store-bytes`.
    StoreLimitExceeded,
    /// The API server did not answer whether the operator may list and watch.
    AccessCheckFailed,
    /// An error inside the operator was caught; the object is tried again.
    ReconcilePanic,
    /// The profile compiles.
    Compiled,
    /// The scope is applied.
    Enforced,
    /// No inventory of the namespace refers to a sink.
    NoSinksInNamespace,
    /// The inventory refers to no sink.
    NoSinksConfigured,
    /// Every sink that is referred to exists, and none fails.
    SinksReachable,
    /// The sink that is referred to does not exist.
    SinkNotFound,
    /// The operator may not use the sink.
    SinkForbidden,
    /// The newest connection test or export of the sink failed.
    SinkUnreachable,
    /// The spec or the Secrets of the sink make no usable sink.
    SinkInvalid,
    /// A scope does not allow sinks of the namespace.
    SinkNamespaceDenied,
    /// A scope does not allow the sink.
    ScopeSinkDenied,
    /// The sink holds what the inventory has.
    Exported,
    /// Some bindings are in sync, and others wait or fail.
    PartiallySynced,
    /// The inventory refers to no sink: rows are collected and not exported.
    NoExport,
    /// Changes wait for `exportMinInterval`.
    Debounced,
    /// An export succeeded after the object was not in sync.
    ExportSucceeded,
    /// An export failed and is retried.
    ExportFailed,
    /// An export failed and needs a change by the user.
    ExportTerminal,
    /// A row or document exceeds the limit of its sink.
    PayloadTooLarge,
    /// A document above 1 MiB needs an `s3` or `gcs` sink, because partitioning is disabled.
    SpillRequired,
    /// Two rows, or two owners, have the same path.
    LayoutCollision,
    /// Exported data could not be removed and stays in its sink.
    CleanupTerminal,
    /// The rows of the inventory approach the size at which it should be split.
    ApproachingExportCap,
    /// A binding writes to another place than before; what the earlier place holds stays there.
    DestinationChanged,
    /// The inventory selects no cluster target.
    NoTargets,
    /// A cluster target of the inventory cannot be collected.
    TargetDegraded,
    /// The connection test succeeded.
    ConnectionOK,
    /// The connection test failed.
    ConnectionTestFailed,
    /// The connection test of a `KollectConnectionTest` succeeded.
    ProbeSucceeded,
    /// The test does not refer to exactly one sink.
    InvalidSinkRef,
    /// A Secret that the sink refers to cannot be used.
    SecretResolveFailed,
    /// Certificates are not verified.
    InsecureSkipVerify,
    /// Credentials are sent without encryption.
    PlaintextCredentials,
    /// The connection string does not ask for a verified server.
    ServerNotVerified,
    /// `connectionTest` is false.
    NotProbed,
}

impl Reason {
    /// Whether the reason takes the rows of a target out of the sinks. A fault that may be a mistake leaves them there.
    pub const fn is_denial(self) -> bool {
        matches!(self, Self::ScopeGVKDenied | Self::ScopeNamespaceDenied | Self::SecretExtractionDenied)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_written_as_its_name_and_names_are_unique() {
        assert_eq!(Reason::ScopeGVKDenied.to_string(), "ScopeGVKDenied");
        let names: std::collections::BTreeSet<_> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
        assert_eq!(names.len(), Reason::ALL.len());
        assert_eq!(Reason::Exported.meaning(), "The sink holds what the inventory has.");
    }

    /// `UPDATE_SNAPSHOTS=1` writes the page.
    #[test]
    fn the_committed_page_lists_the_reasons() {
        let mut page = "# Reasons\n\nReasons of conditions and events. The names never change.\n\n\
            | Reason | Meaning |\n| --- | --- |\n"
            .to_owned();
        for reason in Reason::ALL {
            page = format!("{page}| `{reason}` | {} |\n", reason.meaning());
        }
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/reasons.md");
        if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
            std::fs::write(path, &page).unwrap();
        }
        assert_eq!(std::fs::read_to_string(path).unwrap(), page, "run the test with UPDATE_SNAPSHOTS=1");
    }
}

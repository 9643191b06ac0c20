//! Keys and words that appear on the wire: finalizers, labels, annotations, condition types and reasons.

/// Finalizers.
pub mod finalizer {
    /// On targets: stop collecting and drop the rows.
    pub const TARGET: &str = "kollect.dev/target-cleanup";
    /// On inventories: clean up what was exported, as `deletionPolicy` says.
    pub const INVENTORY: &str = "kollect.dev/inventory-cleanup";
    /// On cluster targets: stop collecting and drop the rows.
    pub const CLUSTER_TARGET: &str = "kollect.dev/cluster-target-cleanup";
    /// On cluster inventories: clean up what was exported, as `deletionPolicy` says.
    pub const CLUSTER_INVENTORY: &str = "kollect.dev/cluster-inventory-cleanup";
}

/// Labels.
pub mod label {
    /// On namespaces and collected objects: [`super::ENABLED`] or [`super::DISABLED`].
    pub const WATCH: &str = "kollect.dev/watch";
    /// Set by Kubernetes on every namespace.
    pub const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";
}

/// Annotations.
pub mod annotation {
    /// On namespaces: [`super::ENABLED`] or [`super::DISABLED`] for all objects in it.
    pub const NAMESPACE_WATCH: &str = "kollect.dev/namespace-watch";
    /// On sinks with `connectionTest: false`: probe once.
    pub const TEST_CONNECTION: &str = "kollect.dev/test-connection";
    /// On sinks: fill `status.preview`.
    pub const PREVIEW: &str = "kollect.dev/preview";
    /// On profiles: allow attributes to read the data of Secrets.
    pub const ALLOW_SECRET_EXTRACTION: &str = "kollect.dev/allow-secret-extraction";
    /// On profiles: allow `export.mode: Resource` on Secrets.
    pub const ALLOW_FULL_RESOURCE_EXPORT: &str = "kollect.dev/allow-full-resource-export";
    /// On Secrets: namespaces, separated by commas, whose sinks may use it; `*` = all.
    pub const ALLOWED_NAMESPACES: &str = "kollect.dev/allowed-namespaces";
    /// On Secrets: hosts, separated by commas and with a port where it is not the usual one, to which sinks of other
    /// namespaces may send it.
    pub const ALLOWED_HOSTS: &str = "kollect.dev/allowed-hosts";
    /// On any Kollect object: reconcile now.
    pub const REQUESTED_AT: &str = "kollect.dev/requestedAt";
}

/// Value of the watch label and annotation that opts in.
pub const ENABLED: &str = "enabled";
/// Value of the watch label and annotation that opts out.
pub const DISABLED: &str = "disabled";
/// Exact value of the opt-in annotations on profiles.
pub const TRUE: &str = "true";

/// Condition types.
pub mod condition {
    pub const READY: &str = "Ready";
    pub const SYNCED: &str = "Synced";
    pub const DEGRADED: &str = "Degraded";
    pub const SINK_REACHABLE: &str = "SinkReachable";
    pub const EXPORT_SHARD_WARNING: &str = "ExportShardWarning";
    pub const CONNECTION_VERIFIED: &str = "ConnectionVerified";
    pub const TLS_INSECURE: &str = "TLSInsecure";
}

/// Condition and event reasons.
pub mod reason {
    // Targets.
    pub const COLLECTING: &str = "Collecting";
    pub const SUSPENDED: &str = "Suspended";
    pub const FORBIDDEN: &str = "Forbidden";
    pub const SCOPE_FORBIDDEN: &str = "ScopeForbidden";
    pub const EXTRACTION_FAILED: &str = "ExtractionFailed";
    pub const MISSING_PROFILE_REF: &str = "MissingProfileRef";
    pub const PROFILE_NOT_FOUND: &str = "ProfileNotFound";
    pub const SCOPE_LOOKUP_FAILED: &str = "ScopeLookupFailed";
    pub const SCOPE_GVK_DENIED: &str = "ScopeGVKDenied";
    pub const SCOPE_NAMESPACE_DENIED: &str = "ScopeNamespaceDenied";
    /// The profile asks for the data of Secrets, and the owner does not agree.
    pub const SECRET_EXTRACTION_DENIED: &str = "SecretExtractionDenied";
    pub const INFORMER_REGISTRATION_FAILED: &str = "InformerRegistrationFailed";
    pub const STORE_LIMIT_EXCEEDED: &str = "StoreLimitExceeded";
    pub const ACCESS_CHECK_FAILED: &str = "AccessCheckFailed";
    pub const INVENTORY_LIST_FAILED: &str = "InventoryListFailed";
    pub const RECONCILE_PANIC: &str = "ReconcilePanic";
    /// The spec breaks a rule that admission would have refused.
    pub const INVALID_SPEC: &str = "InvalidSpec";
    // Profiles and scopes.
    pub const COMPILED: &str = "Compiled";
    pub const INVALID_PATH: &str = "InvalidPath";
    pub const ENFORCED: &str = "Enforced";
    // Sinks as seen from targets and inventories.
    pub const NO_SINKS_IN_NAMESPACE: &str = "NoSinksInNamespace";
    pub const NO_SINKS_CONFIGURED: &str = "NoSinksConfigured";
    pub const SINKS_REACHABLE: &str = "SinksReachable";
    pub const SINK_NOT_FOUND: &str = "SinkNotFound";
    pub const SINK_FORBIDDEN: &str = "SinkForbidden";
    pub const SINK_LOOKUP_FAILED: &str = "SinkLookupFailed";
    pub const SINK_UNREACHABLE: &str = "SinkUnreachable";
    // Inventories.
    pub const EXPORTED: &str = "Exported";
    pub const PARTIALLY_SYNCED: &str = "PartiallySynced";
    pub const PROGRESSING: &str = "Progressing";
    pub const NO_EXPORT: &str = "NoExport";
    pub const DEBOUNCED: &str = "Debounced";
    pub const EXPORT_SUCCEEDED: &str = "ExportSucceeded";
    pub const EXPORT_FAILED: &str = "ExportFailed";
    pub const EXPORT_TERMINAL: &str = "ExportTerminal";
    pub const SCOPE_SINK_DENIED: &str = "ScopeSinkDenied";
    pub const PAYLOAD_TOO_LARGE: &str = "PayloadTooLarge";
    pub const SPILL_REQUIRED: &str = "SpillRequired";
    pub const LAYOUT_COLLISION: &str = "LayoutCollision";
    pub const CLEANUP_TERMINAL: &str = "CleanupTerminal";
    pub const APPROACHING_EXPORT_CAP: &str = "ApproachingExportCap";
    // Sinks.
    pub const CONNECTION_OK: &str = "ConnectionOK";
    pub const CONNECTION_TEST_FAILED: &str = "ConnectionTestFailed";
    pub const SECRET_RESOLVE_FAILED: &str = "SecretResolveFailed";
    pub const INSECURE_SKIP_VERIFY: &str = "InsecureSkipVerify";
    pub const NOT_PROBED: &str = "NotProbed";
}

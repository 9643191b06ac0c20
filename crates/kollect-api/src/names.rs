//! Keys and words that appear on the wire: finalizers, labels, annotations, condition types and reasons.

/// Finalizers.
pub mod finalizer {
    /// On targets: stop collecting and drop the rows.
    pub const TARGET: &str = "kollect.dev/target-cleanup";
    /// On inventories: removes what was exported, by `deletionPolicy`.
    pub const INVENTORY: &str = "kollect.dev/inventory-cleanup";
    /// On cluster targets: stop collecting and drop the rows.
    pub const CLUSTER_TARGET: &str = "kollect.dev/cluster-target-cleanup";
    /// On cluster inventories: removes what was exported, by `deletionPolicy`.
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

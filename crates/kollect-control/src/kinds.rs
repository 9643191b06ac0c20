//! The Kollect kinds this operator reconciles, and references to their objects.

use std::fmt;
use std::sync::Arc;

/// A kind, in the order in which a round reconciles them: what others depend on comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// `KollectScope`
    Scope,
    /// `KollectClusterScope`
    ClusterScope,
    /// `KollectProfile`
    Profile,
    /// `KollectSnapshotSink`
    SnapshotSink,
    /// `KollectDatabaseSink`
    DatabaseSink,
    /// `KollectEventSink`
    EventSink,
    /// `KollectTarget`
    Target,
    /// `KollectClusterTarget`
    ClusterTarget,
    /// `KollectInventory`
    Inventory,
    /// `KollectClusterInventory`
    ClusterInventory,
    /// `KollectConnectionTest`
    ConnectionTest,
}

impl Kind {
    /// The kind as it stands in manifests.
    pub fn name(self) -> &'static str {
        match self {
            Self::Scope => "KollectScope",
            Self::ClusterScope => "KollectClusterScope",
            Self::Profile => "KollectProfile",
            Self::SnapshotSink => "KollectSnapshotSink",
            Self::DatabaseSink => "KollectDatabaseSink",
            Self::EventSink => "KollectEventSink",
            Self::Target => "KollectTarget",
            Self::ClusterTarget => "KollectClusterTarget",
            Self::Inventory => "KollectInventory",
            Self::ClusterInventory => "KollectClusterInventory",
            Self::ConnectionTest => "KollectConnectionTest",
        }
    }

    /// The value of the `controller` label of metrics.
    pub fn controller(self) -> &'static str {
        match self {
            Self::Scope => "kollectscope",
            Self::ClusterScope => "kollectclusterscope",
            Self::Profile => "kollectprofile",
            Self::SnapshotSink => "kollectsnapshotsink",
            Self::DatabaseSink => "kollectdatabasesink",
            Self::EventSink => "kollecteventsink",
            Self::Target => "kollecttarget",
            Self::ClusterTarget => "kollectclustertarget",
            Self::Inventory => "kollectinventory",
            Self::ClusterInventory => "kollectclusterinventory",
            Self::ConnectionTest => "kollectconnectiontest",
        }
    }

    /// The resource name in URLs.
    pub fn plural(self) -> &'static str {
        match self {
            Self::Inventory => "kollectinventories",
            Self::ClusterInventory => "kollectclusterinventories",
            Self::Scope => "kollectscopes",
            Self::ClusterScope => "kollectclusterscopes",
            Self::Profile => "kollectprofiles",
            Self::SnapshotSink => "kollectsnapshotsinks",
            Self::DatabaseSink => "kollectdatabasesinks",
            Self::EventSink => "kollecteventsinks",
            Self::Target => "kollecttargets",
            Self::ClusterTarget => "kollectclustertargets",
            Self::ConnectionTest => "kollectconnectiontests",
        }
    }

    /// Whether objects of the kind live in no namespace.
    pub fn is_cluster_scoped(self) -> bool {
        matches!(self, Self::ClusterScope | Self::ClusterTarget | Self::ClusterInventory)
    }
}

/// Namespace and name. The namespace of a cluster-scoped object is empty.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NamespacedName {
    /// Namespace.
    pub namespace: Arc<str>,
    /// Name.
    pub name: Arc<str>,
}

impl NamespacedName {
    /// Builds the pair.
    pub fn new(namespace: &str, name: &str) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

impl fmt::Display for NamespacedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            return f.write_str(&self.name);
        }
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// One Kollect object.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectRef {
    /// Kind.
    pub kind: Kind,
    /// Namespace.
    pub namespace: Arc<str>,
    /// Name.
    pub name: Arc<str>,
}

impl ObjectRef {
    /// A reference to an object of `kind`.
    pub fn new(kind: Kind, key: &NamespacedName) -> Self {
        Self { kind, namespace: key.namespace.clone(), name: key.name.clone() }
    }

    /// Namespace and name without the kind.
    pub fn key(&self) -> NamespacedName {
        NamespacedName { namespace: self.namespace.clone(), name: self.name.clone() }
    }
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind.name(), self.key())
    }
}

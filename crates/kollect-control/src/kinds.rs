//! The Kollect kinds this operator reconciles, and references to their objects.

use std::fmt;
use std::sync::Arc;

/// A kind, in the order in which a round reconciles them: what others depend on comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// `KollectScope`
    Scope,
    /// `KollectProfile`
    Profile,
    /// `KollectSnapshotSink`
    SnapshotSink,
    /// `KollectDatabaseSink`
    DatabaseSink,
    /// `KollectTarget`
    Target,
    /// `KollectInventory`
    Inventory,
}

impl Kind {
    /// The kind as it stands in manifests.
    pub fn name(self) -> &'static str {
        match self {
            Self::Scope => "KollectScope",
            Self::Profile => "KollectProfile",
            Self::SnapshotSink => "KollectSnapshotSink",
            Self::DatabaseSink => "KollectDatabaseSink",
            Self::Target => "KollectTarget",
            Self::Inventory => "KollectInventory",
        }
    }

    /// The value of the `controller` label of metrics.
    pub fn controller(self) -> &'static str {
        match self {
            Self::Scope => "kollectscope",
            Self::Profile => "kollectprofile",
            Self::SnapshotSink => "kollectsnapshotsink",
            Self::DatabaseSink => "kollectdatabasesink",
            Self::Target => "kollecttarget",
            Self::Inventory => "kollectinventory",
        }
    }
}

/// Namespace and name.
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
        write!(f, "{} {}/{}", self.kind.name(), self.namespace, self.name)
    }
}

//! Identities: sinks, inventories and bindings.

use std::fmt;
use std::sync::Arc;

/// Which of the three sink kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// `KollectSnapshotSink`
    Snapshot,
    /// `KollectDatabaseSink`
    Database,
    /// `KollectEventSink`
    Event,
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Snapshot => "snapshot",
            Self::Database => "database",
            Self::Event => "event",
        })
    }
}

/// One sink object.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SinkKey {
    /// Sink kind.
    pub family: Family,
    /// Namespace of the sink object.
    pub namespace: Arc<str>,
    /// Name of the sink object.
    pub name: Arc<str>,
}

impl fmt::Display for SinkKey {
    /// `family/name`, the key of `status.sinkExports`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.family, self.name)
    }
}

/// One inventory. A cluster inventory has the namespace `cluster`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InventoryKey {
    /// Namespace.
    pub namespace: Arc<str>,
    /// Name.
    pub name: Arc<str>,
}

impl fmt::Display for InventoryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// One inventory bound to one sink.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BindingId {
    /// The inventory.
    pub inventory: InventoryKey,
    /// The sink.
    pub sink: SinkKey,
}

impl fmt::Display for BindingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.inventory, self.sink)
    }
}

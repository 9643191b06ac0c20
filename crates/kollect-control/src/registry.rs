//! The only thing control knows of sinks: how to ask for their Secrets and how to build them.

use crate::kinds::Kind;
use crate::shared::secrets::SecretData;
use kollect_api::{KollectDatabaseSink, KollectEventSink, KollectSnapshotSink, Partitioning, SinkCommon};
use kollect_export::layout::DocumentSpec;
use kollect_export::{InventoryKey, Sink, SinkError};
use kollect_rules::DestinationHost;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A sink object of any kind.
#[derive(Clone, Debug)]
pub enum SinkObject {
    /// Files.
    Snapshot(Arc<KollectSnapshotSink>),
    /// Rows.
    Database(Arc<KollectDatabaseSink>),
    /// Messages.
    Event(Arc<KollectEventSink>),
}

impl SinkObject {
    /// The fields that all sink kinds share.
    pub fn common(&self) -> &SinkCommon {
        match self {
            Self::Snapshot(sink) => &sink.spec.common,
            Self::Database(sink) => &sink.spec.common,
            Self::Event(sink) => &sink.spec.common,
        }
    }

    /// `spec.type`, the label of metrics.
    pub fn sink_type(&self) -> &'static str {
        match self {
            Self::Snapshot(sink) => sink.spec.type_.as_str(),
            Self::Database(sink) => sink.spec.type_.as_str(),
            Self::Event(sink) => sink.spec.type_.as_str(),
        }
    }

    /// Metadata.
    pub fn meta(&self) -> &kube::api::ObjectMeta {
        match self {
            Self::Snapshot(sink) => &sink.metadata,
            Self::Database(sink) => &sink.metadata,
            Self::Event(sink) => &sink.metadata,
        }
    }

    /// Its kind.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Snapshot(_) => Kind::SnapshotSink,
            Self::Database(_) => Kind::DatabaseSink,
            Self::Event(_) => Kind::EventSink,
        }
    }

    /// Whether the operator probes by itself.
    pub fn probes(&self) -> bool {
        self.common().connection_test != Some(false)
    }
}

/// A Secret that a sink needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretNeed {
    /// Field of the sink that refers to it, for messages and look-up.
    pub field: &'static str,
    /// Name.
    pub name: String,
    /// Namespace, if the reference names one.
    pub namespace: Option<String>,
}

/// The Secrets of one sink by the field that refers to them.
pub type SecretBundle = BTreeMap<&'static str, Arc<SecretData>>;

/// A sink that was built from its object and Secrets.
#[derive(Clone)]
pub struct BuiltSink {
    /// What writes.
    pub sink: Sink,
    /// Where it writes, without credentials.
    pub destination: String,
    /// `spec.cluster`.
    pub cluster: Arc<str>,
    /// The servers it sends to, with everything that spec and Secrets say about them taken into account.
    pub hosts: Vec<DestinationHost>,
    /// Why its connection is not safe, if so: reason and message of `TLSInsecure`.
    pub insecure: Option<(&'static str, &'static str)>,
}

/// What the layout of one binding depends on besides the sink.
#[derive(Clone, Debug)]
pub struct DocumentContext {
    /// The inventory.
    pub inventory: InventoryKey,
    /// Its `metadata.generation`.
    pub generation: i64,
    /// Largest document in bytes.
    pub max_bytes: u64,
    /// What happens to larger ones.
    pub partitioning: Partitioning,
    /// The inventory exports to an `s3` or `gcs` sink as well, so large documents have a place.
    pub object_store: bool,
    /// Name of the sink object.
    pub sink_name: Arc<str>,
}

/// Knows every sink type.
pub trait SinkRegistry: Send + Sync + 'static {
    /// The Secrets that a sink refers to.
    fn secrets(&self, sink: &SinkObject) -> Vec<SecretNeed>;
    /// Builds a sink. Does no I/O.
    fn build(&self, sink: &SinkObject, secrets: &SecretBundle) -> Result<BuiltSink, SinkError>;
    /// The layout of a file sink for one binding; `None` for row sinks.
    fn document(&self, sink: &SinkObject, context: &DocumentContext) -> Result<Option<DocumentSpec>, SinkError>;
}

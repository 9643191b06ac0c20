//! All that the operator knows of sinks: which Secrets they need and how they are built.

use crate::cache::ResourceCache;
use crate::keys::{kind_of, sink_key};
use crate::kinds::{Kind, NamespacedName, ObjectRef};
use crate::secret_data::SecretData;
use kollect_api::{KollectDatabaseSink, KollectEventSink, KollectSnapshotSink, SinkCommon, SinkFamily};
use kollect_export::layout::DocumentSpec;
use kollect_export::{Sink, SinkError, SinkKey};
use kollect_model::Reason;
use kollect_rules::DestinationHost;
use kollect_spec::{LayoutContext, SecretRef};
use serde_json::Value;
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
        kind_of(self.family())
    }

    /// Its family.
    pub fn family(&self) -> SinkFamily {
        match self {
            Self::Snapshot(_) => SinkFamily::Snapshot,
            Self::Database(_) => SinkFamily::Database,
            Self::Event(_) => SinkFamily::Event,
        }
    }

    /// The key under which the exporter knows it.
    pub fn key(&self) -> SinkKey {
        let (namespace, name) = (self.meta().namespace.as_deref(), self.meta().name.as_deref());
        sink_key(self.family(), &NamespacedName::new(namespace.unwrap_or_default(), name.unwrap_or_default()))
    }

    /// `spec` as JSON.
    pub fn spec(&self) -> Value {
        match self {
            Self::Snapshot(sink) => serde_json::to_value(&sink.spec),
            Self::Database(sink) => serde_json::to_value(&sink.spec),
            Self::Event(sink) => serde_json::to_value(&sink.spec),
        }
        .unwrap_or_default()
    }

    /// `status` as JSON.
    pub fn status(&self) -> Value {
        match self {
            Self::Snapshot(sink) => serde_json::to_value(&sink.status),
            Self::Database(sink) => serde_json::to_value(&sink.status),
            Self::Event(sink) => serde_json::to_value(&sink.status),
        }
        .unwrap_or_default()
    }

    /// The sink object that `object` names, if it exists and is not being deleted.
    pub fn find(cache: &ResourceCache, object: &ObjectRef) -> Option<Self> {
        let key = object.key();
        match object.kind {
            Kind::SnapshotSink => cache.get(&key).map(Self::Snapshot),
            Kind::DatabaseSink => cache.get(&key).map(Self::Database),
            Kind::EventSink => cache.get(&key).map(Self::Event),
            _ => None,
        }
        .filter(|sink| sink.meta().deletion_timestamp.is_none())
    }

    /// Whether the operator probes by itself.
    pub fn probes(&self) -> bool {
        self.common().connection_test != Some(false)
    }
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
    /// The servers it sends to, by spec and Secrets together.
    pub hosts: Vec<DestinationHost>,
    /// Why its connection is not safe, if so: reason and message of `TLSInsecure`.
    pub insecure: Option<(Reason, &'static str)>,
}

impl BuiltSink {
    /// A sink of this process, which has no servers.
    pub fn local(sink: Sink, destination: &str, cluster: &str) -> Self {
        Self { sink, destination: destination.to_owned(), cluster: cluster.into(), hosts: Vec::new(), insecure: None }
    }
}

/// Knows every sink type.
pub trait SinkRegistry: Send + Sync + 'static {
    /// The Secrets that a sink refers to.
    fn secrets(&self, sink: &SinkObject) -> Vec<SecretRef>;
    /// Builds a sink. Does no I/O.
    fn build(&self, sink: &SinkObject, secrets: &SecretBundle) -> Result<BuiltSink, SinkError>;
    /// The layout of a file sink for one binding; `None` for row sinks.
    fn document(&self, sink: &SinkObject, context: LayoutContext) -> Result<Option<DocumentSpec>, SinkError>;
}

//! What every controller works with: the API client, the engines, the cache, the queue and the writers.

use crate::metrics::{KindClass, Metrics};
use crate::shared::finalizers::FinalizerWriter;
use crate::shared::namespace_ends::NamespaceEnds;
use crate::shared::report::StatusReporter;
use crate::shared::secrets::Secrets;
use crate::shared::work_queue::WorkQueue;
use kollect_collect::{Collector, NamespaceFacts};
use kollect_export::Exporter;
use kollect_resources::cache::ResourceCache;
use kollect_resources::kinds::{Kind, ObjectRef};
use kollect_resources::registry::SinkRegistry;
use kollect_resources::target::CollectPolicy;
use kollect_store::Store;
use parking_lot::RwLock;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Settings of the controllers.
#[derive(Clone, Debug, Default)]
pub struct ControlSettings {
    /// What is decided about every target.
    pub policy: CollectPolicy,
    /// Namespaces to watch; empty = all.
    pub watch_namespaces: Vec<String>,
    /// More key names to redact.
    pub scrub_keys: Vec<String>,
    /// Largest document in bytes.
    pub max_export_bytes: i64,
    /// Rows from which a document inventory gets a shard warning.
    pub shard_warn_rows: u64,
    /// Namespaces, besides its own and the operator's, whose Secrets a sink may use where the Secret agrees.
    pub allowed_secret_namespaces: Vec<String>,
    /// Longest age of `status.collectedCount`.
    pub target_count_resync: Duration,
    /// This process, in events.
    pub identity: String,
}

/// What the controllers work with. It has no state of any kind: that is owned by the kind's controller.
pub struct Context {
    /// API client.
    pub(crate) client: kube::Client,
    /// Rows; the controllers read counts only.
    pub(crate) store: Arc<Store>,
    /// Export engine.
    pub(crate) exporter: Arc<Exporter>,
    /// Collection engine.
    pub(crate) collector: Arc<Collector>,
    /// Sink types.
    pub(crate) registry: Arc<dyn SinkRegistry>,
    /// Metrics.
    pub(crate) metrics: Arc<Metrics>,
    /// Settings.
    pub(crate) settings: Arc<ControlSettings>,
    /// Labels and annotations of namespaces.
    pub(crate) namespaces: watch::Receiver<Option<Arc<NamespaceFacts>>>,
    /// The Kollect objects.
    pub(crate) cache: Arc<RwLock<ResourceCache>>,
    /// Objects to reconcile.
    pub(crate) queue: WorkQueue,
    /// Secrets that sinks use.
    pub(crate) secrets: Secrets,
    /// Namespaces that are being deleted.
    pub(crate) namespace_ends: NamespaceEnds,
    /// Status writes and events.
    pub(crate) reporter: StatusReporter,
    /// Finalizer writes.
    pub(crate) finalizers: FinalizerWriter,
}

impl Context {
    /// Adds what depends on an object to the queue, but not the object.
    pub(crate) fn add_dependents(&self, object: &ObjectRef) {
        let dependents = self.cache.read().dependents(object);
        for dependent in dependents.into_iter().filter(|o| o != object) {
            self.queue.add(dependent);
        }
    }

    /// Counts a failure.
    pub(crate) fn count_error(&self, kind: Kind, class: &str) {
        let labels = KindClass { kind: kind.name().to_owned(), error_class: class.to_owned() };
        self.metrics.reconcile_errors.get_or_create(&labels).inc();
    }
}

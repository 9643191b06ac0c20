//! Turns what engines, store and cache report into metrics, logs and work for the controllers. The engines know neither
//! Prometheus nor Kubernetes.

use crate::metrics::{CacheResult, ControllerWatch, ErrorReason, KindClass, Metrics, Resource, SinkType};
use crate::shared::status::QUIET_PERIOD;
use crate::shared::work_queue::WorkQueue;
use kollect_collect::{CollectErrorClass, CollectObserver, Gvr};
use kollect_export::{Class, Outcome, OutcomeResult, Reporter, SinkError};
use kollect_model::{Reason, TargetKey, TargetScope};
use kollect_resources::cache_watch::CacheObserver;
use kollect_resources::keys::inventory_of;
use kollect_resources::kinds::{Kind, ObjectRef};
use kollect_store::StoreObserver;
use std::sync::Arc;
use std::time::Duration;

/// Documents from this size on are near the point where they should be split.
const SPILL_WARN_BYTES: u64 = 1 << 20;

/// Receives everything that engines, store and cache report.
pub struct Observer {
    /// Where it is counted.
    pub metrics: Arc<Metrics>,
    /// What is reconciled afterwards.
    pub queue: WorkQueue,
}

/// Value of the `reason` label of `kollect_sink_errors_total`.
fn sink_error_reason(error: &SinkError) -> &'static str {
    match error.reason {
        Some(Reason::PayloadTooLarge) => "payload_too_large",
        Some(Reason::SpillRequired) => "spill_required",
        _ => error.class.label(),
    }
}

impl Reporter for Observer {
    fn outcome(&self, outcome: &Outcome) {
        let inventory = &outcome.binding.inventory;
        let object = inventory_of(inventory);
        let key = object.key();
        let sink = SinkType { sink_type: outcome.sink_type.to_owned() };
        let attempted = matches!(outcome.result, OutcomeResult::Exported(_) | OutcomeResult::Failed(_));
        if attempted {
            self.metrics.export_duration.get_or_create(&sink).observe(outcome.duration.as_secs_f64());
            self.metrics.export_bytes.get_or_create(&sink).inc_by(outcome.bytes);
            self.metrics.export_rows.get_or_create(&sink).inc_by(outcome.rows);
        }
        match &outcome.result {
            OutcomeResult::Exported(receipt) => {
                if outcome.document && outcome.bytes >= SPILL_WARN_BYTES {
                    self.metrics.export_spill_warn.inc();
                    tracing::warn!(inventory = %key, sink = %outcome.binding.sink, bytes = outcome.bytes,
                        threshold = SPILL_WARN_BYTES, "export payload exceeds spill warn threshold");
                }
                for row in &receipt.rejected {
                    tracing::warn!(inventory = %key, sink = %outcome.binding.sink, cycle = %outcome.cycle, row = %row.id,
                        why = %row.why, error_class = "terminal", "row refused by the backend");
                }
                tracing::debug!(inventory = %key, sink = %outcome.binding.sink, cycle = %outcome.cycle,
                    rows = outcome.rows, bytes = outcome.bytes, ms = outcome.duration.as_millis(), "exported");
            }
            OutcomeResult::Failed(error) => {
                let reason = sink_error_reason(error);
                self.metrics.sink_errors.get_or_create(&ErrorReason { reason: reason.to_owned() }).inc();
                tracing::error!(inventory = %key, sink = %outcome.binding.sink, cycle = %outcome.cycle,
                    error_class = error.class.label(), reason = %error.reason.unwrap_or(reason_of(error)), %error,
                    "export failed");
            }
            OutcomeResult::Debounced(due_in) => {
                tracing::info!(inventory = %key, sink = %outcome.binding.sink, cycle = %outcome.cycle,
                    due_in_s = due_in.as_secs(), "debounced");
            }
            OutcomeResult::Waiting(why) => {
                tracing::debug!(inventory = %key, sink = %outcome.binding.sink, %why, "export waits");
            }
        }
        self.queue.add(object);
    }
}

fn reason_of(error: &SinkError) -> Reason {
    match error.class {
        Class::Transient { .. } => Reason::ExportFailed,
        Class::Terminal | Class::Forbidden => Reason::ExportTerminal,
    }
}

fn resource(gvr: &Gvr) -> Resource {
    Resource { group: gvr.group.to_string(), version: gvr.version.to_string(), resource: gvr.resource.to_string() }
}

/// The object whose rows have this key.
fn object_of(key: &TargetKey) -> ObjectRef {
    match key.scope {
        TargetScope::Namespaced => {
            ObjectRef { kind: Kind::Target, namespace: key.namespace.clone(), name: key.name.clone() }
        }
        TargetScope::Cluster => {
            ObjectRef { kind: Kind::ClusterTarget, namespace: Arc::default(), name: key.name.clone() }
        }
    }
}

impl StoreObserver for Observer {
    /// Only the exporter needs every change.
    fn changed(&self, _: &TargetKey) {}

    /// The count in a target's status follows its rows, but not at every change.
    fn row_count_changed(&self, key: &TargetKey) {
        self.queue.add_within(object_of(key), QUIET_PERIOD);
    }
}

impl CacheObserver for Observer {
    fn changed(&self, object: ObjectRef) {
        self.queue.add(object);
    }

    /// What is not listed reaches no inventory: sinks, or what decides about its rows.
    fn list_failed(&self, kind: Kind) {
        let watch = match kind {
            Kind::SnapshotSink | Kind::DatabaseSink | Kind::EventSink => "sink",
            _ => "store",
        };
        let labels = ControllerWatch { controller: Kind::Inventory.name().to_owned(), watch: watch.to_owned() };
        self.metrics.watch_map_list_errors.get_or_create(&labels).inc();
    }
}

impl CollectObserver for Observer {
    fn target_changed(&self, key: &TargetKey) {
        self.queue.add(object_of(key));
    }
    fn dispatched(&self, took: Duration) {
        self.metrics.dispatch_duration.observe(took.as_secs_f64());
    }
    fn queue_depth(&self, objects: usize) {
        self.metrics.dispatch_depth.set(i64::try_from(objects).unwrap_or(i64::MAX));
    }
    fn backpressure(&self) {
        self.metrics.dispatch_backpressure.inc();
        self.metrics.dispatch_sync_fallback.inc();
    }
    fn objects(&self, gvr: &Gvr, objects: u64) {
        let objects = i64::try_from(objects).unwrap_or(i64::MAX);
        self.metrics.informer_objects.get_or_create(&resource(gvr)).set(objects);
    }
    fn cluster_wide(&self, gvr: &Gvr, yes: bool) {
        self.metrics.informer_cluster_wide.get_or_create(&resource(gvr)).set(i64::from(yes));
    }
    fn access(&self, known: bool) {
        let result = if known { "hit" } else { "miss" }.to_owned();
        self.metrics.access_cache.get_or_create(&CacheResult { result }).inc();
    }
    fn namespace_mismatch(&self, gvr: &Gvr, targets: u64) {
        self.metrics.namespace_mismatch.get_or_create(&resource(gvr)).inc_by(targets);
    }
    fn error(&self, key: &TargetKey, class: CollectErrorClass) {
        let error_class = match class {
            CollectErrorClass::Transient => "transient",
            CollectErrorClass::Terminal => "terminal",
            CollectErrorClass::Forbidden => "forbidden",
        };
        let labels = KindClass { kind: object_of(key).kind.name().to_owned(), error_class: error_class.to_owned() };
        self.metrics.reconcile_errors.get_or_create(&labels).inc();
    }
}

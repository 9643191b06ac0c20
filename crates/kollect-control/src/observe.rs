//! Turns what the engines report into metrics, logs and marks for the control loops.
//!
//! Separate so that the engines know neither Prometheus nor Kubernetes.

use crate::kinds::{Kind, NamespacedName, ObjectRef};
use crate::metrics::{CacheResult, KindClass, Metrics, Reason, Resource, SinkType};
use crate::shared::dirty::Dirty;
use kollect_collect::{CollectErrorClass, CollectObserver, Gvr};
use kollect_export::{Class, Outcome, OutcomeResult, Reporter, SinkError};
use kollect_model::{TargetKey, TargetScope};
use std::sync::Arc;
use std::time::Duration;

/// Documents from this size on are near the point where they should be split.
const SPILL_WARN_BYTES: u64 = 1 << 20;

/// Hears of everything the engines do.
pub struct Observer {
    /// Where it is counted.
    pub metrics: Arc<Metrics>,
    /// What needs a look afterwards.
    pub dirty: Dirty,
}

/// Value of the `reason` label of `kollect_sink_errors_total`.
fn sink_error_reason(error: &SinkError) -> &'static str {
    match error.reason {
        Some("PayloadTooLarge") => "payload_too_large",
        Some("SpillRequired") => "spill_required",
        _ => error.class.label(),
    }
}

impl Reporter for Observer {
    fn outcome(&self, outcome: &Outcome) {
        let inventory = &outcome.binding.inventory;
        let object = crate::inventory::object::object_of(inventory);
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
                self.metrics.sink_errors.get_or_create(&Reason { reason: reason.to_owned() }).inc();
                tracing::error!(inventory = %key, sink = %outcome.binding.sink, cycle = %outcome.cycle,
                    error_class = error.class.label(), reason = error.reason.unwrap_or(reason_of(error)), %error,
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
        self.dirty.mark(object);
    }
}

fn reason_of(error: &SinkError) -> &'static str {
    match error.class {
        Class::Transient { .. } => "ExportFailed",
        Class::Terminal | Class::Forbidden => "ExportTerminal",
    }
}

fn resource(gvr: &Gvr) -> Resource {
    Resource { group: gvr.group.to_string(), version: gvr.version.to_string(), resource: gvr.resource.to_string() }
}

impl CollectObserver for Observer {
    fn target_changed(&self, key: &TargetKey) {
        self.dirty.mark(match key.scope {
            TargetScope::Namespaced => {
                let key = NamespacedName { namespace: key.namespace.clone(), name: key.name.clone() };
                ObjectRef::new(Kind::Target, &key)
            }
            TargetScope::Cluster => ObjectRef::new(Kind::ClusterTarget, &NamespacedName::new("", &key.name)),
        });
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
        let kind = match key.scope {
            TargetScope::Namespaced => Kind::Target,
            TargetScope::Cluster => Kind::ClusterTarget,
        };
        let labels = KindClass { kind: kind.name().to_owned(), error_class: error_class.to_owned() };
        self.metrics.reconcile_errors.get_or_create(&labels).inc();
    }
}

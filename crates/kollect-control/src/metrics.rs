//! Every metric of the operator, with the names and labels that existing dashboards and alerts use.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

const LATENCY: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
const EXPORT_LATENCY: [f64; 14] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0];
const DISPATCH_LATENCY: [f64; 11] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0];

fn latency() -> Histogram {
    Histogram::new(LATENCY)
}

fn export_latency() -> Histogram {
    Histogram::new(EXPORT_LATENCY)
}

macro_rules! labels {
    ($($name:ident { $($field:ident),+ })+) => {
        $(
            #[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
            #[allow(missing_docs)]
            pub struct $name { $(pub $field: String),+ }
        )+
    };
}

labels! {
    Controller { controller }
    ControllerResult { controller, result }
    KindClass { kind, error_class }
    ErrorReason { reason }
    SinkType { sink_type }
    TypeResult { r#type, result }
    ProfileGvk { profile, gvk }
    Resource { group, version, resource }
    CacheResult { result }
    ControllerWatch { controller, watch }
}

/// All metrics. Fields are named like the metrics without their prefix.
pub struct Metrics {
    registry: Registry,
    pub reconcile: Family<ControllerResult, Counter>,
    pub reconcile_errors: Family<KindClass, Counter>,
    pub reconcile_duration: Family<Controller, Histogram, fn() -> Histogram>,
    pub workqueue_depth: Family<Controller, Gauge>,
    pub watch_map_list_errors: Family<ControllerWatch, Counter>,
    pub collect_items: Gauge,
    pub collected_objects: Family<ProfileGvk, Gauge>,
    pub informer_objects: Family<Resource, Gauge>,
    pub informer_cluster_wide: Family<Resource, Gauge>,
    pub namespace_mismatch: Family<Resource, Counter>,
    pub dispatch_duration: Histogram,
    pub dispatch_depth: Gauge,
    pub dispatch_backpressure: Counter,
    pub dispatch_sync_fallback: Counter,
    pub access_cache: Family<CacheResult, Counter>,
    pub export_duration: Family<SinkType, Histogram, fn() -> Histogram>,
    pub export_bytes: Family<SinkType, Counter>,
    pub export_rows: Family<SinkType, Counter>,
    pub sink_errors: Family<ErrorReason, Counter>,
    pub export_debounced: Family<Controller, Counter>,
    pub export_spill_warn: Counter,
    pub export_shard_warn: Counter,
    pub connection_test: Family<TypeResult, Counter>,
}

impl Metrics {
    /// Registers everything.
    #[expect(clippy::too_many_lines, reason = "one registration per metric, nothing else")]
    pub fn new() -> Self {
        let mut m = Self {
            registry: Registry::default(),
            reconcile: Family::default(),
            reconcile_errors: Family::default(),
            reconcile_duration: Family::new_with_constructor(latency),
            workqueue_depth: Family::default(),
            watch_map_list_errors: Family::default(),
            collect_items: Gauge::default(),
            collected_objects: Family::default(),
            informer_objects: Family::default(),
            informer_cluster_wide: Family::default(),
            namespace_mismatch: Family::default(),
            dispatch_duration: Histogram::new(DISPATCH_LATENCY),
            dispatch_depth: Gauge::default(),
            dispatch_backpressure: Counter::default(),
            dispatch_sync_fallback: Counter::default(),
            access_cache: Family::default(),
            export_duration: Family::new_with_constructor(export_latency),
            export_bytes: Family::default(),
            export_rows: Family::default(),
            sink_errors: Family::default(),
            export_debounced: Family::default(),
            export_spill_warn: Counter::default(),
            export_shard_warn: Counter::default(),
            connection_test: Family::default(),
        };
        // The library appends `_total` to counters; gauges of that name carry it here.
        let r = &mut m.registry;
        r.register("kollect_reconcile", "Reconciles by outcome", m.reconcile.clone());
        r.register("kollect_reconcile_errors", "Failures by kind and error class", m.reconcile_errors.clone());
        r.register("kollect_reconcile_duration_seconds", "Duration of reconciles", m.reconcile_duration.clone());
        r.register("kollect_workqueue_depth", "Objects waiting for a reconcile", m.workqueue_depth.clone());
        r.register("kollect_watch_map_list_errors", "Failed lists of mapped kinds", m.watch_map_list_errors.clone());
        r.register("kollect_collect_items_total", "Rows in the store", m.collect_items.clone());
        r.register("kollect_collected_objects", "Rows by profile and kind", m.collected_objects.clone());
        r.register("kollect_informer_objects", "Objects seen by a watch", m.informer_objects.clone());
        r.register(
            "kollect_informer_cluster_wide_scope",
            "1 if a kind is watched in all namespaces at once",
            m.informer_cluster_wide.clone(),
        );
        r.register(
            "kollect_collect_namespace_mismatch",
            "Targets that rejected an object by its namespace",
            m.namespace_mismatch.clone(),
        );
        r.register(
            "kollect_collect_dispatch_duration_seconds",
            "Time to turn one object into rows",
            m.dispatch_duration.clone(),
        );
        r.register("kollect_collect_dispatch_queue_depth", "Objects waiting for a worker", m.dispatch_depth.clone());
        r.register(
            "kollect_collect_dispatch_backpressure",
            "Times a watch waited because the queue was full",
            m.dispatch_backpressure.clone(),
        );
        r.register(
            "kollect_collect_dispatch_sync_fallback",
            "Times the dispatch queue was saturated",
            m.dispatch_sync_fallback.clone(),
        );
        r.register("kollect_access_cache", "Access reviews answered from memory or asked", m.access_cache.clone());
        r.register("kollect_export_duration_seconds", "Duration of export attempts", m.export_duration.clone());
        r.register("kollect_export_bytes", "Payload bytes of export attempts", m.export_bytes.clone());
        r.register("kollect_export_rows", "Rows and files written or deleted", m.export_rows.clone());
        r.register("kollect_sink_errors", "Failed export attempts by reason", m.sink_errors.clone());
        r.register("kollect_export_debounced", "Exports that wait for their interval", m.export_debounced.clone());
        r.register("kollect_export_spill_warn", "Documents of 1 MiB and more", m.export_spill_warn.clone());
        r.register(
            "kollect_export_shard_warn",
            "Document inventories near the size where they should be split",
            m.export_shard_warn.clone(),
        );
        r.register("kollect_sink_connection_test", "Connection tests by outcome", m.connection_test.clone());
        m
    }

    /// The metrics as OpenMetrics text.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        if encode(&mut text, &self.registry).is_err() {
            tracing::error!("metrics could not be written as text");
        }
        text
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_labels_are_those_that_dashboards_use() {
        let metrics = Metrics::new();
        metrics
            .reconcile_errors
            .get_or_create(&KindClass { kind: "KollectTarget".to_owned(), error_class: "forbidden".to_owned() })
            .inc();
        metrics
            .connection_test
            .get_or_create(&TypeResult { r#type: "git".to_owned(), result: "failure".to_owned() })
            .inc();
        metrics.collect_items.set(7);
        let text = metrics.encode();
        for line in [
            "kollect_reconcile_errors_total{kind=\"KollectTarget\",error_class=\"forbidden\"} 1",
            "kollect_sink_connection_test_total{type=\"git\",result=\"failure\"} 1",
            "kollect_collect_items_total 7",
            "kollect_export_shard_warn_total 0",
        ] {
            assert!(text.contains(line), "missing {line} in\n{text}");
        }
    }
}

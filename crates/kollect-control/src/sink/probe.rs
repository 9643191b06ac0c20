//! Probes of sinks, each in a task of its own.

use super::probe_state::{ProbeState, ProbeStep};
use super::state::SinkState;
use crate::context::Context;
use crate::metrics::{Metrics, TypeResult};
use crate::shared::secrets::Secrets;
use crate::shared::status::api_of;
use crate::shared::work_queue::WorkQueue;
use kollect_api::names::annotation;
use kollect_export::{Class, Exporter, Sink, SinkError, SinkKey};
use kollect_resources::kinds::ObjectRef;
use kollect_resources::registry::SinkObject;
use kollect_resources::supervise;
use kube::api::{Patch, PatchParams};
use parking_lot::Mutex;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Longest probe, and longest request that belongs to one.
pub(crate) const PROBE_DEADLINE: Duration = Duration::from_secs(15);

/// Starts a probe if one is due; otherwise the sink is reconciled again when one is.
pub(super) fn start_if_due(context: &Context, object: &ObjectRef, sink: &SinkObject, state: &SinkState) {
    let Ok(built) = &state.built else { return };
    let requested = is_requested(sink);
    match state.probe.lock().begin(sink.probes(), requested, Instant::now()) {
        ProbeStep::Nothing => return,
        ProbeStep::WaitUntil(next) => return context.queue.add_at(object.clone(), next),
        ProbeStep::Probe => {}
    }
    let task = ProbeTask {
        object: object.clone(),
        key: sink.key(),
        sink_type: sink.sink_type(),
        one_shot: requested && !sink.probes(),
        sink: built.sink.clone(),
        state: state.probe.clone(),
        queue: context.queue.clone(),
        metrics: context.metrics.clone(),
        client: context.client.clone(),
        exporter: context.exporter.clone(),
        secrets: context.secrets.clone(),
    };
    tokio::spawn(task.run());
}

/// Whether the annotation requests one probe.
pub(super) fn is_requested(sink: &SinkObject) -> bool {
    let annotations = sink.meta().annotations.as_ref();
    annotations.and_then(|a| a.get(annotation::TEST_CONNECTION)).is_some_and(|v| v.eq_ignore_ascii_case("true"))
}

/// One probe with its deadline: what the backend answered, or why it was not reached.
pub(crate) async fn run(sink: &Sink) -> Result<String, SinkError> {
    let cancel = CancellationToken::new();
    let outcome = supervise::caught(tokio::time::timeout(PROBE_DEADLINE, sink.probe(&cancel))).await;
    cancel.cancel();
    match outcome {
        Ok(Ok(outcome)) => outcome.map(|probe| probe.message),
        Ok(Err(_)) => Err(SinkError::transient("probe", "the backend did not answer in 15 s")),
        Err(panicked) => Err(SinkError::transient("probe", format!("an internal error: {panicked}"))),
    }
}

struct ProbeTask {
    object: ObjectRef,
    key: SinkKey,
    sink_type: &'static str,
    one_shot: bool,
    sink: Sink,
    state: Arc<Mutex<ProbeState>>,
    queue: WorkQueue,
    metrics: Arc<Metrics>,
    client: kube::Client,
    exporter: Arc<Exporter>,
    secrets: Secrets,
}

impl ProbeTask {
    async fn run(self) {
        let outcome = run(&self.sink).await;
        if outcome.as_ref().is_err_and(|error| error.class == Class::Terminal) {
            // If a Secret was rotated, the sink is built anew, and this outcome is dropped with its state.
            self.secrets.reread(&self.object).await;
        }
        let result = if outcome.is_ok() { "success" } else { "failure" };
        let labels = TypeResult { r#type: self.sink_type.to_owned(), result: result.to_owned() };
        self.metrics.connection_test.get_or_create(&labels).inc();
        if let Err(error) = &outcome {
            let class = error.class.label();
            tracing::warn!(sink = %self.object, error_class = class, %error, "sink connection test failed");
        } else {
            self.exporter.probe_passed(&self.key);
            if self.one_shot {
                self.remove_annotation().await;
            }
        }
        self.state.lock().ended(outcome, self.one_shot, fastrand::f64(), Instant::now());
        self.queue.add(self.object);
    }

    async fn remove_annotation(&self) {
        let api = api_of(&self.client, &self.object);
        let patch = json!({ "metadata": { "annotations": { annotation::TEST_CONNECTION: null } } });
        let (params, patch) = (PatchParams::default(), Patch::Merge(patch));
        let request = api.patch_metadata(&self.object.name, &params, &patch);
        if !matches!(tokio::time::timeout(PROBE_DEADLINE, request).await, Ok(Ok(_))) {
            tracing::warn!(sink = %self.object, error_class = "transient", "test-connection annotation not removed");
        }
    }
}

//! Connection tests of sinks: once per configuration, again after a failure, and once per annotation.

use crate::control::Control;
use crate::inventory::binding::sink_key;
use crate::kinds::ObjectRef;
use crate::registry::SinkObject;
use crate::shared::secrets::Secrets;
use crate::shared::status::api_of;
use crate::shared::supervise;
use kollect_api::names::annotation;
use kollect_export::{Class, Exporter, SinkError};
use kube::api::{Patch, PatchParams};
use parking_lot::Mutex;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Longest probe, and longest request that belongs to one.
pub(crate) const PROBE_DEADLINE: Duration = Duration::from_secs(15);
const FIRST_RETRY: Duration = Duration::from_secs(5);
const ANNOTATION_GRACE: Duration = Duration::from_secs(30);
const LAST_RETRY: Duration = Duration::from_mins(5);

/// The probes of one configuration of a sink.
#[derive(Debug, Default)]
pub(super) struct ProbeState {
    pub(super) outcome: Option<Result<String, SinkError>>,
    running: bool,
    failures: u32,
    /// Earliest time of the next probe, if one is wanted.
    next: Option<Instant>,
}

/// What to do about the probes of a sink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Probe,
    /// Reconcile the sink again at this time.
    WaitUntil(Instant),
    Nothing,
}

impl ProbeState {
    /// `probes`: the spec asks for probes; `asked`: the annotation asks for one.
    fn step(&self, probes: bool, asked: bool, now: Instant) -> Step {
        if self.running || !(probes || asked) {
            return Step::Nothing;
        }
        match (&self.outcome, self.next) {
            (Some(_), Some(next)) if next > now => Step::WaitUntil(next),
            (Some(Err(_)), None) => Step::Nothing,
            (Some(Ok(_)), None) if probes => Step::Nothing,
            _ => Step::Probe,
        }
    }

    fn ended(&mut self, outcome: Result<String, SinkError>, one_shot: bool, jitter: f64, now: Instant) {
        self.running = false;
        self.next = if outcome.is_ok() {
            self.failures = 0;
            // The annotation goes away a moment later; until that is seen it must not start another probe.
            one_shot.then(|| now + ANNOTATION_GRACE)
        } else {
            self.failures = self.failures.saturating_add(1);
            let pause = FIRST_RETRY.saturating_mul(1 << (self.failures - 1).min(6)).min(LAST_RETRY);
            Some(now + pause.mul_f64(0.75 + jitter / 4.0))
        };
        self.outcome = Some(outcome);
    }
}

impl Control {
    pub(super) fn probe_if_due(&self, object: &ObjectRef, sink: &SinkObject) {
        let Some(state) = self.sinks.get(object) else { return };
        let Ok(built) = &state.built else { return };
        let asked = asks_for_probe(sink);
        {
            let mut probe = state.probe.lock();
            match probe.step(sink.probes(), asked, Instant::now()) {
                Step::Nothing => return,
                Step::WaitUntil(next) => return self.dirty.mark_at(object.clone(), next),
                Step::Probe => probe.running = true,
            }
        }
        let task = ProbeTask {
            object: object.clone(),
            sink_type: sink.sink_type(),
            one_shot: asked && !sink.probes(),
            sink: built.sink.clone(),
            state: state.probe.clone(),
            dirty: self.dirty.clone(),
            metrics: self.metrics.clone(),
            client: self.client.clone(),
            exporter: self.exporter.clone(),
            secrets: self.secrets.clone(),
        };
        tokio::spawn(task.run());
    }
}

pub(super) fn asks_for_probe(sink: &SinkObject) -> bool {
    let annotations = sink.meta().annotations.as_ref();
    annotations.and_then(|a| a.get(annotation::TEST_CONNECTION)).is_some_and(|v| v.eq_ignore_ascii_case("true"))
}

/// One probe with its deadline: the backend's sentence, or why it was not reached.
pub(crate) async fn probed(sink: &kollect_export::Sink) -> Result<String, SinkError> {
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
    sink_type: &'static str,
    one_shot: bool,
    sink: kollect_export::Sink,
    state: Arc<Mutex<ProbeState>>,
    dirty: crate::shared::dirty::Dirty,
    metrics: Arc<crate::metrics::Metrics>,
    client: kube::Client,
    exporter: Arc<Exporter>,
    secrets: Secrets,
}

impl ProbeTask {
    async fn run(self) {
        let outcome = probed(&self.sink).await;
        if outcome.as_ref().is_err_and(|error| error.class == Class::Terminal) {
            // If a Secret was rotated, the sink is built anew and this outcome belongs to none.
            self.secrets.reread(&self.object).await;
        }
        let result = if outcome.is_ok() { "success" } else { "failure" };
        let labels = crate::metrics::TypeResult { r#type: self.sink_type.to_owned(), result: result.to_owned() };
        self.metrics.connection_test.get_or_create(&labels).inc();
        if let Err(error) = &outcome {
            let class = error.class.label();
            tracing::warn!(sink = %self.object, error_class = class, %error, "sink connection test failed");
        } else {
            self.exporter.probe_passed(&sink_key(&self.object));
            if self.one_shot {
                self.remove_annotation().await;
            }
        }
        self.state.lock().ended(outcome, self.one_shot, fastrand::f64(), Instant::now());
        self.dirty.mark(self.object);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn reached(state: &mut ProbeState, one_shot: bool, now: Instant) {
        state.ended(Ok("hello".to_owned()), one_shot, 0.5, now);
    }

    fn failed(state: &mut ProbeState, now: Instant) {
        state.ended(Err(SinkError::transient("probe", "down")), false, 0.5, now);
    }

    #[test]
    fn a_one_shot_probe_of_a_sink_without_probes_runs_once_and_then_nothing_is_due() {
        let (mut state, now) = (ProbeState::default(), Instant::now());
        assert_eq!(state.step(false, false, now), Step::Nothing);
        assert_eq!(state.step(false, true, now), Step::Probe);
        reached(&mut state, true, now);
        assert_eq!(
            state.step(false, true, now),
            Step::WaitUntil(now + ANNOTATION_GRACE),
            "the annotation is still there"
        );
        for later in [now, now + ANNOTATION_GRACE, now + LAST_RETRY] {
            assert_eq!(state.step(false, false, later), Step::Nothing);
        }
        assert_eq!(state.step(false, true, now + ANNOTATION_GRACE), Step::Probe, "asked for again");
    }

    #[test]
    fn a_sink_with_probes_is_probed_until_one_succeeds() {
        let (mut state, now) = (ProbeState::default(), Instant::now());
        assert_eq!(state.step(true, false, now), Step::Probe);
        failed(&mut state, now);
        assert!(matches!(state.step(true, false, now), Step::WaitUntil(next) if next > now));
        assert_eq!(state.step(true, false, now + FIRST_RETRY), Step::Probe);
        state.running = true;
        assert_eq!(state.step(true, false, now + LAST_RETRY), Step::Nothing, "one at a time");
        reached(&mut state, false, now);
        assert_eq!(state.step(true, false, now + LAST_RETRY), Step::Nothing);
    }
}

//! When a sink is probed: once per configuration, again after a failure, and once per annotation. Pure.

use super::decide::LastProbe;
use kollect_export::{Class, SinkError};
use kollect_model::{Backoff, jittered};
use std::time::Duration;
use tokio::time::Instant;

const FIRST_RETRY: Duration = Duration::from_secs(5);
const LAST_RETRY: Duration = Duration::from_mins(5);
const ANNOTATION_GRACE: Duration = Duration::from_secs(30);

/// The probes of one configuration of a sink.
#[derive(Debug, Default)]
pub(super) struct ProbeState {
    outcome: Option<Result<String, SinkError>>,
    running: bool,
    failures: u32,
    /// Earliest time of the next probe, if one is wanted.
    next: Option<Instant>,
}

/// What to do about the probes of a sink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ProbeStep {
    Probe,
    /// Reconcile the sink again at this time.
    WaitUntil(Instant),
    Nothing,
}

impl ProbeState {
    /// The outcome of the newest probe.
    pub(super) fn last(&self) -> LastProbe {
        match &self.outcome {
            None => LastProbe::Never,
            Some(Ok(message)) => LastProbe::Ok(message.clone()),
            Some(Err(error)) => LastProbe::Failed {
                message: error.to_string(),
                terminal: !matches!(error.class, Class::Transient { .. }),
            },
        }
    }

    /// What to do now; a probe counts as running from here on. `probes`: by the spec; `requested`: by the annotation.
    pub(super) fn begin(&mut self, probes: bool, requested: bool, now: Instant) -> ProbeStep {
        let step = self.step(probes, requested, now);
        self.running |= step == ProbeStep::Probe;
        step
    }

    fn step(&self, probes: bool, requested: bool, now: Instant) -> ProbeStep {
        if self.running || !(probes || requested) {
            return ProbeStep::Nothing;
        }
        match (&self.outcome, self.next) {
            (Some(_), Some(next)) if next > now => ProbeStep::WaitUntil(next),
            (Some(Err(_)), None) => ProbeStep::Nothing,
            (Some(Ok(_)), None) if probes => ProbeStep::Nothing,
            _ => ProbeStep::Probe,
        }
    }

    pub(super) fn ended(&mut self, outcome: Result<String, SinkError>, one_shot: bool, jitter: f64, now: Instant) {
        self.running = false;
        self.next = if outcome.is_ok() {
            self.failures = 0;
            // The annotation goes away a moment later; until that is seen it must not start another probe.
            one_shot.then(|| now + ANNOTATION_GRACE)
        } else {
            self.failures = self.failures.saturating_add(1);
            Some(now + jittered(Backoff::new(FIRST_RETRY, LAST_RETRY).delay(self.failures - 1), jitter))
        };
        self.outcome = Some(outcome);
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
        assert_eq!(state.step(false, false, now), ProbeStep::Nothing);
        assert_eq!(state.step(false, true, now), ProbeStep::Probe);
        reached(&mut state, true, now);
        assert_eq!(
            state.step(false, true, now),
            ProbeStep::WaitUntil(now + ANNOTATION_GRACE),
            "the annotation is still there"
        );
        for later in [now, now + ANNOTATION_GRACE, now + LAST_RETRY] {
            assert_eq!(state.step(false, false, later), ProbeStep::Nothing);
        }
        assert_eq!(state.step(false, true, now + ANNOTATION_GRACE), ProbeStep::Probe, "requested again");
    }

    #[test]
    fn a_sink_with_probes_is_probed_until_one_succeeds() {
        let (mut state, now) = (ProbeState::default(), Instant::now());
        assert_eq!(state.step(true, false, now), ProbeStep::Probe);
        failed(&mut state, now);
        assert!(matches!(state.step(true, false, now), ProbeStep::WaitUntil(next) if next > now));
        assert_eq!(state.step(true, false, now + FIRST_RETRY), ProbeStep::Probe);
        state.running = true;
        assert_eq!(state.step(true, false, now + LAST_RETRY), ProbeStep::Nothing, "one at a time");
        reached(&mut state, false, now);
        assert_eq!(state.step(true, false, now + LAST_RETRY), ProbeStep::Nothing);
    }
}

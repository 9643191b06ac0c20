//! The task of a lane: sleeps until a member is due, runs it, and survives whatever happens.

use crate::exporter_slot::{Lane, PendingRemoval, Slot, Tally};
use crate::lane::{Due, due};
use crate::runner_watch::watched;
use crate::{
    Cycle, Ending, Exporter, Moment, Outcome, OutcomeResult, Progress, Receipt, Round, Shared, Sink, SinkError,
    Verdict, binding_files, runner_files, runner_rows, shared,
};
use futures_util::FutureExt as _;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Pause before a lane that panicked outside a cycle goes on, and before a process without the right to write asks again.
const PAUSE: Duration = Duration::from_secs(1);

/// Runs a lane until the exporter stops or the lane has no members.
pub(crate) async fn run(exporter: Arc<Exporter>, lane: Arc<Lane>) {
    loop {
        // Cycles have their own guard; this one is for mistakes around them.
        if AssertUnwindSafe(attend(&exporter, &lane)).catch_unwind().await.is_ok() {
            return;
        }
        tracing::error!(lane = ?lane.key, "an export lane panicked and starts again");
        tokio::time::sleep(PAUSE).await;
    }
}

async fn attend(exporter: &Arc<Exporter>, lane: &Arc<Lane>) {
    while !exporter.stopping.is_cancelled() {
        let now = exporter.clock.now();
        if let Some((slot, removal)) = leaving(lane) {
            remove(exporter, &slot, removal).await;
            continue;
        }
        if exporter.close_if_empty(lane) {
            return;
        }
        let Due { now: members, next } = look(exporter, lane, now);
        if members.is_empty() {
            rest(exporter, lane, next).await;
        } else if exporter.right.may_write() {
            match &lane.key {
                crate::lane::LaneKey::Binding(_) => {
                    for slot in members {
                        runner_rows::cycle(exporter, &slot).await;
                    }
                }
                crate::lane::LaneKey::Shared(_) => runner_files::cycles(exporter, members).await,
            }
        } else {
            rest(exporter, lane, Some(now + PAUSE)).await;
        }
    }
}

async fn rest(exporter: &Exporter, lane: &Lane, until: Option<Moment>) {
    // Without anything due only the bell ends the rest; an hour is as good as for ever.
    let until = until.unwrap_or_else(|| exporter.clock.now() + Duration::from_hours(1));
    tokio::select! {
        () = lane.bell.notified() => {}
        () = exporter.clock.sleep_until(until) => {}
        () = exporter.stopping.cancelled() => {}
    }
}

fn members(lane: &Lane) -> Vec<Arc<Slot>> {
    lane.members.lock().values().cloned().collect()
}

fn leaving(lane: &Lane) -> Option<(Arc<Slot>, PendingRemoval)> {
    members(lane).into_iter().find_map(|slot| {
        let removal = slot.state.lock().removal.take()?;
        Some((slot, removal))
    })
}

/// Takes note of changes and says who is due.
fn look(exporter: &Exporter, lane: &Lane, now: Moment) -> Due<Arc<Slot>> {
    let mut outcomes = Vec::new();
    let dues: Vec<_> = members(lane)
        .into_iter()
        .map(|slot| {
            let due = {
                let mut guard = slot.state.lock();
                let state = &mut *guard;
                // While a change waits for its time, more changes make no difference: the flag stays up, no bell rings.
                let open = state.binding.due().is_none_or(|due| due <= now);
                if open && slot.changed.swap(false, Ordering::SeqCst) {
                    state.binding.changed(now);
                }
                if let Some(wait) = state.long_wait(&exporter.settings, now).filter(|_| !state.told) {
                    match state.binding.waiting(&exporter.store, 1) {
                        Some(0) => state.binding.nothing_waits(),
                        Some(_) => {
                            state.told = true;
                            outcomes.push(outcome(&slot, state, exporter, OutcomeResult::Debounced(wait)));
                        }
                        None => {}
                    }
                }
                state.binding.due().filter(|_| !state.leaving)
            };
            (slot, due)
        })
        .collect();
    for outcome in outcomes {
        exporter.tell(&outcome);
    }
    due(dues, now)
}

/// An outcome without numbers.
pub(crate) fn outcome(
    slot: &Slot,
    state: &crate::exporter_slot::SlotState,
    exporter: &Exporter,
    result: OutcomeResult,
) -> Outcome {
    let fence = exporter.right.fence();
    Outcome {
        binding: slot.id.clone(),
        sink_type: state.spec.sink_type,
        cycle: format!("{}#{}@{fence}", slot.id, state.binding.cycles()),
        duration: Duration::ZERO,
        rows: 0,
        bytes: 0,
        document: false,
        result,
    }
}

/// Why a cycle did not come to its end.
pub(crate) enum Trouble {
    /// The breaker is open.
    Refused(SinkError),
    /// It failed.
    Failed(SinkError),
}

impl Trouble {
    pub(crate) fn error(&self) -> &SinkError {
        match self {
            Self::Refused(error) | Self::Failed(error) => error,
        }
    }
}

/// Asks the breaker of the slot's sink.
pub(crate) fn admit(exporter: &Exporter, round: &mut Round, slot: &Slot) -> Result<(), Trouble> {
    let (now, sink) = (exporter.clock.now(), &slot.id.sink);
    exporter.with_breaker(sink, |breaker| round.admit(sink, breaker, now)).map_err(Trouble::Refused)
}

/// Brings a cycle to an end whatever happens: dropped without [`Running::conclude`], the binding tries again later
/// instead of waiting for a cycle that nothing runs any more.
pub(crate) struct Running {
    exporter: Arc<Exporter>,
    slot: Arc<Slot>,
    concluded: bool,
}

impl Running {
    pub(crate) fn new(exporter: &Arc<Exporter>, slot: &Arc<Slot>) -> Self {
        Self { exporter: exporter.clone(), slot: slot.clone(), concluded: false }
    }

    /// See [`conclude`].
    pub(crate) fn conclude(
        mut self,
        round: &mut Round,
        result: Result<Tally, Trouble>,
        (touched, started): (bool, Moment),
        end: impl FnOnce(&mut crate::Binding, Ending<'_>),
    ) {
        conclude(&self.exporter, round, &self.slot, result, (touched, started), end);
        self.concluded = true;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.concluded {
            let mut state = self.slot.state.lock();
            state.cancel = None;
            state.binding.abandon(&self.exporter.store, self.exporter.clock.now(), fastrand::f64());
        }
    }
}

/// Writes down what came of a cycle and tells it. `end` gives the cycle back to the binding.
fn conclude(
    exporter: &Exporter,
    round: &mut Round,
    slot: &Slot,
    result: Result<Tally, Trouble>,
    (touched, started): (bool, Moment),
    end: impl FnOnce(&mut crate::Binding, Ending<'_>),
) {
    let now = exporter.clock.now();
    let mut closed = false;
    let outcome = {
        let mut guard = slot.state.lock();
        let state = &mut *guard;
        state.cancel = None;
        // The binding left or got another sink while the cycle ran.
        let superseded = state.leaving || state.binding.is_void();
        if touched && !superseded && !matches!(result, Err(Trouble::Refused(_))) {
            let (error, sink) = (result.as_ref().err().map(Trouble::error), &slot.id.sink);
            closed = exporter.with_breaker(sink, |breaker| round.record(sink, breaker, error, now));
        }
        let verdict = match &result {
            Ok(_) => Verdict::Done,
            Err(Trouble::Failed(error)) => Verdict::Failed(error),
            Err(Trouble::Refused(error)) => Verdict::Refused(match error.class {
                crate::Class::Transient { retry_after } => retry_after.unwrap_or_default(),
                _ => Duration::ZERO,
            }),
        };
        end(&mut state.binding, Ending { verdict, now, jitter: fastrand::f64() });
        state.told = false;
        match result {
            Err(_) if superseded => None,
            Err(trouble) => {
                state.report.failed(trouble.error(), exporter.clock.wall());
                let result = OutcomeResult::Failed(trouble.error().clone());
                Some(Outcome { duration: now.saturating_sub(started), ..outcome(slot, state, exporter, result) })
            }
            Ok(tally) => {
                let news = touched
                    || state.report.leaves_others_out(&tally)
                    || !matches!(
                        state.status(&exporter.store, &exporter.settings, &exporter.clock).state,
                        crate::BindingState::Exported | crate::BindingState::Debounced { .. }
                    );
                state.report.succeeded(&exporter.store, &state.binding, &tally, touched, &exporter.clock);
                let (rows, bytes, document) = (tally.receipt.rows, tally.receipt.bytes, tally.checksum.is_some());
                let result = OutcomeResult::Exported(tally.receipt);
                let duration = now.saturating_sub(started);
                news.then(|| Outcome { duration, rows, bytes, document, ..outcome(slot, state, exporter, result) })
            }
        }
    };
    if let Some(outcome) = outcome {
        exporter.tell(&outcome);
    }
    if closed {
        exporter.each_slot(|other| other.id.sink == slot.id.sink, |state| state.binding.readmit());
    }
    // The binding may have moved to another lane meanwhile.
    slot.lane.read().bell.notify_one();
}

/// The cycle cannot start yet.
pub(crate) fn not_ready(exporter: &Exporter, slot: &Slot, why: String) {
    let outcome = {
        let mut guard = slot.state.lock();
        let state = &mut *guard;
        let same = matches!(
            state.status(&exporter.store, &exporter.settings, &exporter.clock).state,
            crate::BindingState::Waiting { why: before } if before == why
        );
        state.report.waits(why.clone());
        (!same).then(|| outcome(slot, state, exporter, OutcomeResult::Waiting(why)))
    };
    if let Some(outcome) = outcome {
        exporter.tell(&outcome);
    }
}

async fn remove(exporter: &Arc<Exporter>, slot: &Arc<Slot>, removal: PendingRemoval) {
    let result = forget_unless_shared(exporter, slot).await;
    // Also after a failure: a binding that nothing removes again would keep its tombstones for ever.
    exporter.drop_if_leaving(slot);
    // The caller may not wait for the answer.
    let _ = removal.done.send(result);
}

/// Removes the data of a binding, unless a binding that stays owns the same rows.
async fn forget_unless_shared(exporter: &Arc<Exporter>, slot: &Arc<Slot>) -> Result<Receipt, SinkError> {
    let spec = slot.state.lock().spec.clone();
    let concerned = |of: &[Shared]| {
        let mut others = exporter.others(&slot.id);
        others.retain(|other| of.contains(&shared(&spec, &other.state.lock().spec)));
        others
    };
    let owners = concerned(&[Shared::Rows]);
    let result = if owners.is_empty() { forget(exporter, slot).await } else { Ok(Receipt::default()) };
    // Asked again: a binding may have come while the sink was busy.
    for other in concerned(&[Shared::Rows, Shared::Perhaps]) {
        exporter.compare_slot(&other);
    }
    for other in concerned(&[Shared::Paths]) {
        other.state.lock().binding.backend_changed(exporter.clock.now());
        other.lane.read().bell.notify_one();
    }
    result
}

async fn forget(exporter: &Arc<Exporter>, slot: &Arc<Slot>) -> Result<Receipt, SinkError> {
    let (spec, number) = {
        let mut state = slot.state.lock();
        state.binding.doubt();
        (state.spec.clone(), state.binding.cycles() + 1)
    };
    let (cancel, progress) = (exporter.abort.child_token(), Progress::default());
    let cycle = Cycle {
        of: &slot.id,
        number,
        fence: exporter.right.fence(),
        cancel: &cancel,
        progress: &progress,
        right: exporter.right.as_ref(),
    };
    let work = async {
        cycle.check_right()?;
        match (&spec.sink, &spec.document) {
            (Sink::Rows(sink), _) => sink.forget(&cycle).await,
            (Sink::Files(sink), Some(document)) => {
                let batch = binding_files::forget_batch(document, &cycle.id(), &exporter.clock.timestamp());
                sink.forget(&cycle, batch).await
            }
            (Sink::Files(_), None) => Ok(Receipt::default()),
        }
    };
    watched(&exporter.clock, exporter.settings.export_timeout, &|| progress.ticks(), &cancel, work).await?
}

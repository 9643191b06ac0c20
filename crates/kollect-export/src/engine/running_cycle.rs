//! The end of a cycle: breaker, binding, history and outcome.

use crate::binding::Binding;
use crate::binding::ending::{Ending, Verdict};
use crate::clock::Moment;
use crate::contract::error::SinkError;
use crate::contract::receipt::Receipt;
use crate::contract::rows::RowBatch;
use crate::engine::binding_entry::{BindingEntry, EntryState};
use crate::engine::breaker_round::BreakerRound;
use crate::engine::context::EngineContext;
use crate::engine::cycle_hooks::{CycleError, CycleHooks};
use crate::engine::cycle_totals::CycleTotals;
use crate::engine::status::{BindingState, Outcome, OutcomeResult};
use kollect_model::{Change, RowId};
use std::collections::HashSet;
use std::sync::Arc;

/// A cycle that has begun. Dropped without [`RunningCycle::conclude`], it ends as a failure with an unknown outcome, so
/// that the binding does not wait for a cycle that no task runs.
pub(crate) struct RunningCycle {
    context: Arc<EngineContext>,
    entry: Arc<BindingEntry>,
    started: Moment,
    concluded: bool,
}

impl RunningCycle {
    pub(crate) fn new(context: &Arc<EngineContext>, entry: &Arc<BindingEntry>) -> Self {
        Self { context: context.clone(), entry: entry.clone(), started: context.clock.now(), concluded: false }
    }

    /// Records the result and reports the outcome. `end` gives the cycle back to the binding.
    pub(crate) fn conclude(
        mut self,
        round: &mut BreakerRound,
        result: Result<CycleTotals, CycleError>,
        touched: bool,
        end: impl FnOnce(&mut Binding, Ending<'_>),
    ) {
        let (context, entry) = (&self.context, &self.entry);
        let mut closed = false;
        let outcome = {
            let mut state = entry.state.lock();
            let now = context.clock.now();
            state.cancel = None;
            // The binding was removed or has another sink since the cycle began.
            let superseded = state.leaving || state.binding.is_superseded();
            if touched && !superseded && !matches!(result, Err(CycleError::Refused(_))) {
                let (error, sink) = (result.as_ref().err().map(CycleError::error), &entry.id.sink);
                closed = context.with_breaker(sink, |breaker| round.record(sink, breaker, error, now));
            }
            let verdict = result.as_ref().map_or_else(CycleError::verdict, |_| Verdict::Done);
            end(&mut state.binding, Ending { verdict, now, jitter: fastrand::f64() });
            state.debounce_reported = false;
            if superseded && result.is_err() { None } else { self.record(&mut state, result, touched) }
        };
        if let Some(outcome) = outcome {
            context.reporter.outcome(&outcome);
        }
        if closed {
            context.update(|other| other.id.sink == entry.id.sink, |state| state.binding.readmit());
        }
        // The binding may be in another lane since the cycle began.
        entry.wake();
        self.concluded = true;
    }

    /// Updates the history. Returns the outcome, unless it repeats the one before.
    fn record(
        &self,
        state: &mut EntryState,
        result: Result<CycleTotals, CycleError>,
        touched: bool,
    ) -> Option<Outcome> {
        let context = &self.context;
        let duration = context.clock.now().saturating_sub(self.started);
        match result {
            Err(error) => {
                state.history.failed(error.error(), context.clock.wall());
                let result = OutcomeResult::Failed(error.into_error());
                Some(Outcome { duration, ..context.outcome(&self.entry, state, result) })
            }
            Ok(totals) => {
                let is_news = touched
                    || state.history.changes_left_out(&totals)
                    || !matches!(context.state(state), BindingState::Exported | BindingState::Debounced { .. });
                state.history.succeeded(&context.store, &state.binding, &totals, touched, &context.clock);
                let (rows, bytes, document) = (totals.receipt.rows, totals.receipt.bytes, totals.checksum.is_some());
                let result = OutcomeResult::Exported(totals.receipt);
                is_news.then(|| Outcome {
                    duration,
                    rows,
                    bytes,
                    document,
                    ..context.outcome(&self.entry, state, result)
                })
            }
        }
    }
}

impl Drop for RunningCycle {
    fn drop(&mut self) {
        if !self.concluded {
            let mut state = self.entry.state.lock();
            state.cancel = None;
            state.binding.abandon(&self.context.store, self.context.clock.now(), fastrand::f64());
        }
    }
}

/// Reports that a cycle cannot start, unless that is the state already.
pub(crate) fn report_waiting(context: &EngineContext, entry: &BindingEntry, why: String) {
    let outcome = {
        let mut guard = entry.state.lock();
        let state = &mut *guard;
        let repeated = matches!(context.state(state), BindingState::Waiting { why: before } if before == why);
        state.binding.not_ready(context.clock.now());
        state.history.waiting = Some(why.clone());
        (!repeated).then(|| context.outcome(entry, state, OutcomeResult::Waiting(why)))
    };
    if let Some(outcome) = outcome {
        context.reporter.outcome(&outcome);
    }
}

/// The hooks of the engine: asks the breaker and adds up the totals.
pub(crate) struct EngineHooks<'a> {
    pub(crate) context: &'a EngineContext,
    pub(crate) entry: &'a BindingEntry,
    pub(crate) round: &'a mut BreakerRound,
    /// Rows that are recorded as rejected.
    pub(crate) rejected: HashSet<RowId>,
    pub(crate) totals: CycleTotals,
}

impl<'a> EngineHooks<'a> {
    pub(crate) fn new(context: &'a EngineContext, entry: &'a BindingEntry, round: &'a mut BreakerRound) -> Self {
        Self { context, entry, round, rejected: HashSet::new(), totals: CycleTotals::default() }
    }
}

impl CycleHooks for EngineHooks<'_> {
    fn admit(&mut self) -> Result<(), SinkError> {
        let (now, sink) = (self.context.clock.now(), &self.entry.id.sink);
        self.context.with_breaker(sink, |breaker| self.round.admit(sink, breaker, now))
    }

    fn read_back(&mut self) {
        self.totals.compared = true;
    }

    fn sending(&mut self, batch: &RowBatch) {
        let known = batch.changes.iter().map(Change::id).filter(|id| self.rejected.contains(id));
        self.totals.accepted.extend(known.cloned());
    }

    fn acknowledged(&mut self, receipt: Receipt) {
        self.totals.add(receipt);
    }
}

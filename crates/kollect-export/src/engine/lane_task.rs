//! The task of a lane: waits until a member is due, runs it, and restarts after a panic.

use crate::clock::Moment;
use crate::engine::binding_entry::{BindingEntry, LaneHandle, PendingRemoval};
use crate::engine::context::EngineContext;
use crate::engine::lane::{DueMembers, LaneKey};
use crate::engine::status::{Outcome, OutcomeResult};
use crate::engine::{file_lane, forget, row_lane};
use futures_util::FutureExt as _;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Pause before a lane restarts after a panic outside a cycle, and between checks of a missing right to write.
const PAUSE: Duration = Duration::from_secs(1);
/// Longest wait without a due member. Every change wakes the lane earlier.
const LONGEST_WAIT: Duration = Duration::from_hours(1);

/// Runs a lane until the exporter stops or the lane has no members.
pub(crate) async fn supervise_lane(context: Arc<EngineContext>, lane: Arc<LaneHandle>) {
    // Cycles have a guard of their own; this one is for panics between them.
    while AssertUnwindSafe(run_lane(&context, &lane)).catch_unwind().await.is_err() {
        tracing::error!(lane = ?lane.key, "an export lane panicked and starts again");
        tokio::time::sleep(PAUSE).await;
    }
}

async fn run_lane(context: &Arc<EngineContext>, lane: &LaneHandle) {
    while !context.stopping.is_cancelled() {
        let now = context.clock.now();
        let members = context.registry.members(&lane.key);
        if let Some((entry, removal)) = take_removal(&members) {
            forget::remove(context, &entry, removal).await;
            continue;
        }
        if context.registry.close_if_empty(&lane.key) {
            return;
        }
        let due = collect_due(context, members, now);
        if due.now.is_empty() {
            wait_for_work(context, lane, due.next.unwrap_or(now + LONGEST_WAIT)).await;
        } else if !context.right.may_write() {
            wait_for_work(context, lane, now + PAUSE).await;
        } else if matches!(lane.key, LaneKey::Shared(_)) {
            file_lane::run_cycles(context, due.now).await;
        } else {
            for entry in due.now {
                row_lane::run_cycle(context, &entry).await;
            }
        }
    }
}

/// Waits for a wakeup, at most until the moment.
async fn wait_for_work(context: &EngineContext, lane: &LaneHandle, until: Moment) {
    tokio::select! {
        () = lane.wakeup.notified() => {}
        () = context.clock.sleep_until(until) => {}
        () = context.stopping.cancelled() => {}
    }
}

fn take_removal(members: &[Arc<BindingEntry>]) -> Option<(Arc<BindingEntry>, PendingRemoval)> {
    members.iter().find_map(|entry| {
        let removal = entry.state.lock().removal.take()?;
        Some((entry.clone(), removal))
    })
}

/// Passes changes on to the members and returns those that are due. Reports waits that are long.
fn collect_due(context: &EngineContext, members: Vec<Arc<BindingEntry>>, now: Moment) -> DueMembers<Arc<BindingEntry>> {
    let mut debounced = Vec::new();
    let dues = members.into_iter().map(|entry| {
        let due = member_due(context, &entry, now, &mut debounced);
        (entry, due)
    });
    let due = DueMembers::of(dues, now);
    for outcome in debounced {
        context.reporter.outcome(&outcome);
    }
    due
}

fn member_due(
    context: &EngineContext,
    entry: &BindingEntry,
    now: Moment,
    debounced: &mut Vec<Outcome>,
) -> Option<Moment> {
    let mut guard = entry.state.lock();
    let state = &mut *guard;
    // While a change waits for its due time, the flag stays set, so that further changes do not wake the lane.
    let is_open = state.binding.due().is_none_or(|due| due <= now);
    if is_open && entry.changed.swap(false, Ordering::SeqCst) {
        state.binding.changed(now);
    }
    if let Some(wait) = state.long_wait(&context.settings, now).filter(|_| !state.debounce_reported) {
        match state.binding.waiting(&context.store, 1) {
            Some(0) => state.binding.nothing_waits(),
            Some(_) => {
                state.debounce_reported = true;
                debounced.push(context.outcome(entry, state, OutcomeResult::Debounced(wait)));
            }
            None => {}
        }
    }
    state.binding.due().filter(|_| !state.leaving)
}

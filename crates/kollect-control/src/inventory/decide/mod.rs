//! Why is this inventory Ready, Synced or Degraded? The whole condition model in one pure function.

mod messages;

use crate::inventory::facts::{BindingOutcome, InventoryFacts, Rollup};
use crate::shared::conditions::{ConditionUpdate, ready_and_synced};
use kollect_model::Reason;
use messages::{counts, exported, failures, first_message, terminal_failures};

/// Reasons in order of severity: the first one present names a mixed degradation.
const SEVERITY: [Reason; 10] = [
    Reason::SinkNamespaceDenied,
    Reason::ScopeSinkDenied,
    Reason::SinkForbidden,
    Reason::SinkNotFound,
    Reason::PayloadTooLarge,
    Reason::SpillRequired,
    Reason::LayoutCollision,
    Reason::SecretResolveFailed,
    Reason::SinkInvalid,
    Reason::ExportTerminal,
];

/// The conditions of an inventory, by the table of the condition model.
pub fn conditions(facts: &InventoryFacts) -> Vec<ConditionUpdate> {
    let mut all = verdict(facts);
    if let Some(rollup) = &facts.rollup {
        roll_up(&mut all, rollup, facts);
    }
    all.push(reachability(facts));
    if let Some(message) = &facts.shard_warning {
        all.push(ConditionUpdate::is_true("ExportShardWarning", Reason::ApproachingExportCap, message.clone()));
    }
    all
}

/// What the cluster targets add to the verdict about the sinks.
fn roll_up(all: &mut Vec<ConditionUpdate>, rollup: &Rollup, facts: &InventoryFacts) {
    if facts.suspended || facts.blocked.is_some() {
        return;
    }
    if rollup.targets == 0 {
        let why = format!(
            "no KollectClusterTarget with a selected namespace{}; check targetRefs, targetSelector, namespaceSelector and \
             namespaces",
            missing(rollup)
        );
        if rollup.settling.is_some() {
            *all = ready_and_synced(false, Reason::Progressing, &why);
        } else {
            *all = ready_and_synced(false, Reason::NoTargets, &why);
            all.push(ConditionUpdate::is_true("Degraded", Reason::NoTargets, why));
        }
        return;
    }
    let about = format!("; {} cluster targets{}", rollup.targets, missing(rollup));
    for condition in all.iter_mut().filter(|c| c.kind == "Ready") {
        condition.message.push_str(&about);
    }
    if !rollup.degraded.is_empty() && !all.iter().any(|c| c.kind == "Degraded") {
        let message = format!(
            "not collecting: {}; see their conditions. Their rows stay as they are, all others are exported",
            rollup.degraded.join(", ")
        );
        all.push(ConditionUpdate::is_true("Degraded", Reason::TargetDegraded, message));
    }
    let exported = all.iter().find(|c| c.kind == "Ready" && !facts.bindings.is_empty()).cloned();
    if let Some(ready) = exported {
        all.push(ConditionUpdate { kind: "ExportSucceeded", ..ready });
    }
}

fn missing(rollup: &Rollup) -> String {
    match rollup.missing.as_slice() {
        [] => String::new(),
        names => format!(
            " (targetRefs names {}, which {} not exist)",
            names.join(", "),
            if names.len() == 1 { "does" } else { "do" }
        ),
    }
}

fn verdict(facts: &InventoryFacts) -> Vec<ConditionUpdate> {
    if facts.suspended {
        return ready_and_synced(
            false,
            Reason::Suspended,
            "spec.suspend is true: nothing is exported until it is false",
        );
    }
    if let Some((reason, message)) = &facts.blocked {
        let mut all = ready_and_synced(false, *reason, message);
        all.push(ConditionUpdate::is_true("Degraded", *reason, message.clone()));
        return all;
    }
    if facts.bindings.is_empty() {
        return ready_and_synced(
            true,
            Reason::NoExport,
            "no sink is referenced: rows are collected but exported nowhere",
        );
    }
    let total = facts.bindings.len();
    let count = |f: &dyn Fn(&BindingOutcome) -> bool| facts.bindings.iter().filter(|b| f(&b.outcome)).count();
    let in_sync = count(&|s| matches!(s, BindingOutcome::InSync));
    let failed = count(&BindingOutcome::is_failed);
    let waiting = count(&|s| matches!(s, BindingOutcome::Waiting(_)));
    let mut all = if in_sync == total {
        ready_and_synced(true, Reason::Exported, &exported(facts))
    } else if waiting == total {
        ready_and_synced(false, Reason::Progressing, &first_message(facts))
    } else if failed < total {
        let message = counts(facts);
        vec![
            ConditionUpdate::is_true("Ready", Reason::PartiallySynced, message.clone()),
            ConditionUpdate::is_false("Synced", Reason::PartiallySynced, message),
        ]
    } else if facts.bindings.iter().all(|b| b.outcome.is_terminal()) {
        ready_and_synced(false, worst_reason(facts), &failures(facts))
    } else {
        ready_and_synced(false, Reason::Progressing, &failures(facts))
    };
    if facts.bindings.iter().any(|b| b.outcome.is_terminal()) {
        all.push(ConditionUpdate::is_true("Degraded", worst_reason(facts), terminal_failures(facts)));
    } else if let Some((reason, first)) = facts.left_out.first() {
        let more = facts.left_out.len() - 1;
        let others = if more > 0 { format!("; and {more} more") } else { String::new() };
        let message = format!("left out, while the other rows are exported: {first}{others}");
        all.push(ConditionUpdate::is_true("Degraded", *reason, message));
    }
    all
}

/// The most severe reason among the terminal failures.
pub fn worst_reason(facts: &InventoryFacts) -> Reason {
    let reasons: Vec<Reason> = facts
        .bindings
        .iter()
        .filter(|b| b.outcome.is_terminal())
        .filter_map(|b| match &b.outcome {
            BindingOutcome::Failed { reason, .. } => Some(*reason),
            _ => None,
        })
        .collect();
    let known = SEVERITY.into_iter().find(|known| reasons.contains(known));
    known.or_else(|| reasons.first().copied()).unwrap_or(Reason::ExportTerminal)
}

fn reachability(facts: &InventoryFacts) -> ConditionUpdate {
    const KIND: &str = "SinkReachable";
    if facts.bindings.is_empty() {
        return ConditionUpdate::is_true(KIND, Reason::NoSinksConfigured, "no sink is referenced");
    }
    for binding in &facts.bindings {
        if let BindingOutcome::Failed { reason, message, .. } = &binding.outcome
            && matches!(reason, Reason::SinkNotFound | Reason::SinkForbidden)
        {
            return ConditionUpdate::is_false(KIND, *reason, format!("{}: {message}", binding.name));
        }
    }
    if let Some((name, message)) = facts.unreachable.first() {
        return ConditionUpdate::is_false(KIND, Reason::SinkUnreachable, format!("{name}: {message}"));
    }
    if facts.bindings.iter().any(|b| b.outcome.is_failed()) {
        let terminal = facts.bindings.iter().filter(|b| b.outcome.is_failed()).all(|b| b.outcome.is_terminal());
        let reason = if terminal { Reason::ExportTerminal } else { Reason::ExportFailed };
        return ConditionUpdate::is_false(KIND, reason, failures(facts));
    }
    if facts.bindings.iter().any(|b| matches!(b.outcome, BindingOutcome::InSync | BindingOutcome::Debounced { .. })) {
        return ConditionUpdate::is_true(KIND, Reason::ExportSucceeded, "the last export of every sink succeeded");
    }
    ConditionUpdate::is_true(KIND, Reason::SinksReachable, format!("{} sinks resolved", facts.bindings.len()))
}

#[cfg(test)]
mod tests;

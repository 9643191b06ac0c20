//! The messages of an inventory's conditions.

use crate::inventory::facts::{BindingOutcome, BindingReport, InventoryFacts};

pub(super) fn exported(facts: &InventoryFacts) -> String {
    let mut text = format!("{} rows in sync in {} sinks", facts.items, facts.bindings.len());
    if !facts.rejected.is_empty() {
        text = format!("{text}; {} rows refused by a backend: {}", facts.rejected.len(), facts.rejected.join(", "));
    }
    text
}

pub(super) fn counts(facts: &InventoryFacts) -> String {
    let mut parts = Vec::new();
    let mut part = |n: usize, what: &str| {
        if n > 0 {
            parts.push(format!("{n} {what}"));
        }
    };
    let count = |f: &dyn Fn(&BindingOutcome) -> bool| facts.bindings.iter().filter(|b| f(&b.outcome)).count();
    part(count(&|s| matches!(s, BindingOutcome::InSync)), "in sync");
    part(count(&|s| matches!(s, BindingOutcome::Debounced { .. })), "debounced");
    part(count(&|s| matches!(s, BindingOutcome::Waiting(_))), "waiting");
    part(count(&BindingOutcome::is_failed), "failed");
    let mut text = format!("of {} sinks: {}", facts.bindings.len(), parts.join(", "));
    for binding in &facts.bindings {
        if let BindingOutcome::Debounced { changes, due_in } = &binding.outcome {
            text = format!("{text}; {} changes wait up to {}s for {}", changes, due_in.as_secs(), binding.name);
        }
    }
    if facts.bindings.iter().any(|b| b.outcome.is_failed()) {
        text = format!("{text}; {}", failures(facts));
    }
    text
}

fn describe(binding: &BindingReport) -> Option<String> {
    match &binding.outcome {
        BindingOutcome::Failed { message, .. } => Some(format!("{}: {message}", binding.name)),
        _ => None,
    }
}

pub(super) fn failures(facts: &InventoryFacts) -> String {
    facts.bindings.iter().filter_map(describe).collect::<Vec<_>>().join("; ")
}

pub(super) fn terminal_failures(facts: &InventoryFacts) -> String {
    facts.bindings.iter().filter(|b| b.outcome.is_terminal()).filter_map(describe).collect::<Vec<_>>().join("; ")
}

pub(super) fn first_message(facts: &InventoryFacts) -> String {
    facts
        .bindings
        .iter()
        .find_map(|b| match &b.outcome {
            BindingOutcome::Waiting(why) => Some(format!("{}: {why}", b.name)),
            _ => None,
        })
        .unwrap_or_default()
}

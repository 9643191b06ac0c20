//! The parts of a view that are not listed yet, as text for a condition.

use kollect_model::TargetKey;
use kollect_store::{PartState, Store, View};

/// Names the parts of the view that are not listed yet; `None` when there are none.
pub(super) fn pending_parts(store: &Store, view: &View) -> Option<String> {
    let parts = store.parts(view).into_iter().filter(|(_, _, state)| *state == PartState::Pending);
    let names: Vec<String> = parts.map(|(target, namespace, _)| part_name(&target, namespace.as_deref())).collect();
    first_names(&names).map(|names| format!("waiting for the first list of {names}"))
}

fn part_name(target: &TargetKey, namespace: Option<&str>) -> String {
    match namespace {
        None | Some("") => format!("target {target}"),
        Some(namespace) => format!("target {target} in {namespace}"),
    }
}

/// The first few names, and how many more; `None` when there are none.
fn first_names(names: &[String]) -> Option<String> {
    const SHOWN: usize = 3;
    if names.is_empty() {
        return None;
    }
    let shown = names[..names.len().min(SHOWN)].join(", ");
    Some(if names.len() > SHOWN { format!("{shown} and {} more", names.len() - SHOWN) } else { shown })
}

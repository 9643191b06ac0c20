//! Why is this inventory Ready, Synced or Degraded? The whole condition model in one pure function.

use crate::shared::conditions::Wanted;
use kollect_export::Class;
use std::time::Duration;

/// What is known of one binding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// `family/name`.
    pub name: String,
    /// How it stands.
    pub state: State,
}

/// How a binding stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// No outcome yet; the text says what it waits for.
    Waiting(String),
    /// The sink holds what the inventory has.
    InSync,
    /// Changes wait for the interval.
    Debounced {
        /// How many rows changed.
        changes: u64,
        /// How long they wait at most.
        due_in: Duration,
    },
    /// The last attempt failed, or none is possible.
    Failed {
        /// What decides the reaction.
        class: Class,
        /// Stable reason, e.g. `SinkNotFound` or `ExportFailed`.
        reason: String,
        /// What happened and what to do.
        message: String,
    },
}

impl State {
    fn is_terminal(&self) -> bool {
        matches!(self, Self::Failed { class: Class::Terminal | Class::Forbidden, .. })
    }
    fn is_failed(&self) -> bool {
        matches!(self, Self::Failed { .. })
    }
}

/// Everything that the conditions of an inventory depend on.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// `spec.suspend`.
    pub suspended: bool,
    /// A fault of the inventory itself that stops every binding: reason and message.
    pub blocked: Option<(&'static str, String)>,
    /// One per sink reference.
    pub bindings: Vec<Binding>,
    /// Rows in the view.
    pub items: u64,
    /// Set when a document binding is near the size where splitting pays: message.
    pub shard_warning: Option<String>,
    /// Rows that some backend refused, named.
    pub rejected: Vec<String>,
    /// Rows that have no file of their own in a tree: reason, and the binding with why.
    pub left_out: Vec<(&'static str, String)>,
    /// Sinks whose last probe failed: name and message.
    pub unreachable: Vec<(String, String)>,
    /// Set for cluster inventories.
    pub rollup: Option<Rollup>,
}

/// The cluster targets of a cluster inventory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rollup {
    /// How many have a selected namespace.
    pub targets: usize,
    /// Those that cannot collect, by name.
    pub degraded: Vec<String>,
    /// Names in `targetRefs` that do not exist.
    pub missing: Vec<String>,
    /// There are none, and the inventory is so young that they may still come.
    pub settling: bool,
}

/// Reasons in order of severity: the first one present names a mixed degradation.
const SEVERITY: [&str; 10] = [
    "SinkNamespaceDenied",
    "ScopeSinkDenied",
    "SinkForbidden",
    "SinkNotFound",
    "PayloadTooLarge",
    "SpillRequired",
    "LayoutCollision",
    "SecretResolveFailed",
    "SinkInvalid",
    "ExportTerminal",
];

/// The conditions of an inventory, by the table of the condition model.
pub fn conditions(facts: &Facts) -> Vec<Wanted> {
    let mut all = verdict(facts);
    if let Some(rollup) = &facts.rollup {
        roll_up(&mut all, rollup, facts);
    }
    all.push(reachability(facts));
    if let Some(message) = &facts.shard_warning {
        all.push(Wanted::is_true("ExportShardWarning", "ApproachingExportCap", message.clone()));
    }
    all
}

/// What the cluster targets add to the verdict about the sinks.
fn roll_up(all: &mut Vec<Wanted>, rollup: &Rollup, facts: &Facts) {
    if facts.suspended || facts.blocked.is_some() {
        return;
    }
    if rollup.targets == 0 {
        let why = format!(
            "no KollectClusterTarget with a selected namespace{}; check targetRefs, targetSelector, namespaceSelector and \
             namespaces",
            missing(rollup)
        );
        if rollup.settling {
            *all = both(false, "Progressing", &why);
        } else {
            *all = both(false, "NoTargets", &why);
            all.push(Wanted::is_true("Degraded", "NoTargets", why));
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
        all.push(Wanted::is_true("Degraded", "TargetDegraded", message));
    }
    let exported = all.iter().find(|c| c.kind == "Ready" && !facts.bindings.is_empty()).cloned();
    if let Some(ready) = exported {
        all.push(Wanted { kind: "ExportSucceeded", ..ready });
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

fn both(status: bool, reason: &str, message: &str) -> Vec<Wanted> {
    ["Ready", "Synced"]
        .map(|kind| Wanted { kind, status, reason: reason.to_owned(), message: message.to_owned() })
        .to_vec()
}

fn verdict(facts: &Facts) -> Vec<Wanted> {
    if facts.suspended {
        return both(false, "Suspended", "spec.suspend is true: nothing is exported until it is false");
    }
    if let Some((reason, message)) = &facts.blocked {
        let mut all = both(false, reason, message);
        all.push(Wanted::is_true("Degraded", reason, message.clone()));
        return all;
    }
    if facts.bindings.is_empty() {
        return both(true, "NoExport", "no sink is referenced: rows are collected but exported nowhere");
    }
    let total = facts.bindings.len();
    let count = |f: &dyn Fn(&State) -> bool| facts.bindings.iter().filter(|b| f(&b.state)).count();
    let in_sync = count(&|s| matches!(s, State::InSync));
    let failed = count(&State::is_failed);
    let waiting = count(&|s| matches!(s, State::Waiting(_)));
    let mut all = if in_sync == total {
        both(true, "Exported", &exported(facts))
    } else if waiting == total {
        both(false, "Progressing", &first_message(facts))
    } else if failed < total {
        let message = counts(facts);
        vec![
            Wanted::is_true("Ready", "PartiallySynced", message.clone()),
            Wanted::is_false("Synced", "PartiallySynced", message),
        ]
    } else if facts.bindings.iter().all(|b| b.state.is_terminal()) {
        both(false, &worst_reason(facts), &failures(facts))
    } else {
        both(false, "Progressing", &failures(facts))
    };
    if facts.bindings.iter().any(|b| b.state.is_terminal()) {
        all.push(Wanted::is_true("Degraded", &worst_reason(facts), terminal_failures(facts)));
    } else if let Some((reason, first)) = facts.left_out.first() {
        let more = facts.left_out.len() - 1;
        let others = if more > 0 { format!("; and {more} more") } else { String::new() };
        let message = format!("left out, while the other rows are exported: {first}{others}");
        all.push(Wanted::is_true("Degraded", reason, message));
    }
    all
}

fn exported(facts: &Facts) -> String {
    let mut text = format!("{} rows in sync in {} sinks", facts.items, facts.bindings.len());
    if !facts.rejected.is_empty() {
        text = format!("{text}; {} rows refused by a backend: {}", facts.rejected.len(), facts.rejected.join(", "));
    }
    text
}

fn counts(facts: &Facts) -> String {
    let mut parts = Vec::new();
    let mut part = |n: usize, what: &str| {
        if n > 0 {
            parts.push(format!("{n} {what}"));
        }
    };
    let count = |f: &dyn Fn(&State) -> bool| facts.bindings.iter().filter(|b| f(&b.state)).count();
    part(count(&|s| matches!(s, State::InSync)), "in sync");
    part(count(&|s| matches!(s, State::Debounced { .. })), "debounced");
    part(count(&|s| matches!(s, State::Waiting(_))), "waiting");
    part(count(&State::is_failed), "failed");
    let mut text = format!("of {} sinks: {}", facts.bindings.len(), parts.join(", "));
    for binding in &facts.bindings {
        if let State::Debounced { changes, due_in } = &binding.state {
            text = format!("{text}; {} changes wait up to {}s for {}", changes, due_in.as_secs(), binding.name);
        }
    }
    if facts.bindings.iter().any(|b| b.state.is_failed()) {
        text = format!("{text}; {}", failures(facts));
    }
    text
}

fn describe(binding: &Binding) -> Option<String> {
    match &binding.state {
        State::Failed { message, .. } => Some(format!("{}: {message}", binding.name)),
        _ => None,
    }
}

fn failures(facts: &Facts) -> String {
    facts.bindings.iter().filter_map(describe).collect::<Vec<_>>().join("; ")
}

fn terminal_failures(facts: &Facts) -> String {
    facts.bindings.iter().filter(|b| b.state.is_terminal()).filter_map(describe).collect::<Vec<_>>().join("; ")
}

fn first_message(facts: &Facts) -> String {
    facts
        .bindings
        .iter()
        .find_map(|b| match &b.state {
            State::Waiting(why) => Some(format!("{}: {why}", b.name)),
            _ => None,
        })
        .unwrap_or_default()
}

/// The most severe reason among the terminal failures.
pub fn worst_reason(facts: &Facts) -> String {
    let reasons: Vec<&str> = facts
        .bindings
        .iter()
        .filter(|b| b.state.is_terminal())
        .filter_map(|b| match &b.state {
            State::Failed { reason, .. } => Some(reason.as_str()),
            _ => None,
        })
        .collect();
    SEVERITY
        .iter()
        .copied()
        .find(|known| reasons.contains(known))
        .or_else(|| reasons.first().copied())
        .unwrap_or("ExportTerminal")
        .to_owned()
}

fn reachability(facts: &Facts) -> Wanted {
    const KIND: &str = "SinkReachable";
    if facts.bindings.is_empty() {
        return Wanted::is_true(KIND, "NoSinksConfigured", "no sink is referenced");
    }
    let resolving = ["SinkNotFound", "SinkForbidden", "SinkLookupFailed"];
    for binding in &facts.bindings {
        if let State::Failed { reason, message, .. } = &binding.state
            && resolving.contains(&reason.as_str())
        {
            return Wanted::is_false(KIND, reason, format!("{}: {message}", binding.name));
        }
    }
    if let Some((name, message)) = facts.unreachable.first() {
        return Wanted::is_false(KIND, "SinkUnreachable", format!("{name}: {message}"));
    }
    if facts.bindings.iter().any(|b| b.state.is_failed()) {
        let terminal = facts.bindings.iter().filter(|b| b.state.is_failed()).all(|b| b.state.is_terminal());
        let reason = if terminal { "ExportTerminal" } else { "ExportFailed" };
        return Wanted::is_false(KIND, reason, failures(facts));
    }
    if facts.bindings.iter().any(|b| matches!(b.state, State::InSync | State::Debounced { .. })) {
        return Wanted::is_true(KIND, "ExportSucceeded", "the last export of every sink succeeded");
    }
    Wanted::is_true(KIND, "SinksReachable", format!("{} sinks resolved", facts.bindings.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binding(name: &str, state: State) -> Binding {
        Binding { name: name.to_owned(), state }
    }

    fn failed(class: Class, reason: &str) -> State {
        State::Failed { class, reason: reason.to_owned(), message: "boom".to_owned() }
    }

    const TRANSIENT: Class = Class::Transient { retry_after: None };

    fn debounced() -> State {
        State::Debounced { changes: 3, due_in: Duration::from_secs(20) }
    }

    fn table(states: Vec<State>) -> Vec<String> {
        let facts = Facts {
            bindings: states.into_iter().enumerate().map(|(i, s)| binding(&format!("database/{i}"), s)).collect(),
            ..Facts::default()
        };
        conditions(&facts)
            .into_iter()
            .filter(|c| c.kind != "SinkReachable")
            .map(|c| format!("{}={}/{}", c.kind, if c.status { "True" } else { "False" }, c.reason))
            .collect()
    }

    #[test]
    fn every_row_of_the_condition_model_holds() {
        assert_eq!(table(vec![]), ["Ready=True/NoExport", "Synced=True/NoExport"]);
        assert_eq!(table(vec![State::Waiting(String::new())]), ["Ready=False/Progressing", "Synced=False/Progressing"]);
        assert_eq!(table(vec![State::InSync, State::InSync]), ["Ready=True/Exported", "Synced=True/Exported"]);
        let partial = ["Ready=True/PartiallySynced", "Synced=False/PartiallySynced"];
        assert_eq!(table(vec![State::InSync, debounced()]), partial);
        assert_eq!(table(vec![debounced(), debounced()]), partial);
        assert_eq!(table(vec![State::InSync, failed(TRANSIENT, "ExportFailed")]), partial);
        assert_eq!(
            table(vec![State::InSync, failed(Class::Terminal, "SinkNotFound")]),
            ["Ready=True/PartiallySynced", "Synced=False/PartiallySynced", "Degraded=True/SinkNotFound"]
        );
        assert_eq!(
            table(vec![failed(TRANSIENT, "ExportFailed"), failed(Class::Terminal, "ExportTerminal")]),
            ["Ready=False/Progressing", "Synced=False/Progressing", "Degraded=True/ExportTerminal"]
        );
        assert_eq!(
            table(vec![failed(TRANSIENT, "ExportFailed")]),
            ["Ready=False/Progressing", "Synced=False/Progressing"]
        );
        assert_eq!(
            table(vec![failed(Class::Terminal, "ExportTerminal"), failed(Class::Terminal, "PayloadTooLarge")]),
            ["Ready=False/PayloadTooLarge", "Synced=False/PayloadTooLarge", "Degraded=True/PayloadTooLarge"]
        );
    }

    #[test]
    fn cluster_targets_add_their_story() {
        let table = |rollup: Rollup, states: Vec<State>| -> Vec<String> {
            let bindings = states.into_iter().map(|s| binding("database/a", s)).collect();
            let facts = Facts { bindings, rollup: Some(rollup), ..Facts::default() };
            let all = conditions(&facts).into_iter().filter(|c| c.kind != "SinkReachable");
            all.map(|c| format!("{}={}/{}", c.kind, if c.status { "True" } else { "False" }, c.reason)).collect()
        };
        let two = Rollup { targets: 2, ..Rollup::default() };
        let exported = ["Ready=True/Exported", "Synced=True/Exported"];
        assert_eq!(
            table(two.clone(), vec![State::InSync]),
            [exported[0], exported[1], "ExportSucceeded=True/Exported"]
        );
        let ill = Rollup { degraded: vec!["pods".into()], ..two };
        assert_eq!(
            table(ill.clone(), vec![State::InSync]),
            [exported[0], exported[1], "Degraded=True/TargetDegraded", "ExportSucceeded=True/Exported"]
        );
        assert_eq!(
            table(ill, vec![State::InSync, failed(Class::Terminal, "SinkNotFound")])[2],
            "Degraded=True/SinkNotFound"
        );
        let none = Rollup { missing: vec!["typo".into()], ..Rollup::default() };
        assert_eq!(
            table(none.clone(), vec![State::InSync]),
            ["Ready=False/NoTargets", "Synced=False/NoTargets", "Degraded=True/NoTargets"]
        );
        let young = Rollup { settling: true, ..none };
        assert_eq!(table(young, vec![State::InSync]), ["Ready=False/Progressing", "Synced=False/Progressing"]);
    }

    #[test]
    fn a_row_that_a_tree_leaves_out_degrades_and_does_not_end_readiness() {
        let facts = Facts {
            bindings: vec![binding("snapshot/git", State::InSync)],
            left_out: vec![("LayoutCollision", "snapshot/git: a and b both render to x".to_owned()); 3],
            ..Facts::default()
        };
        let all = conditions(&facts);
        let status = |kind: &str| all.iter().find(|c| c.kind == kind).map(|c| (c.status, c.reason.as_str()));
        assert_eq!(status("Ready"), Some((true, "Exported")));
        assert_eq!(status("Degraded"), Some((true, "LayoutCollision")));
        let message = &all.iter().find(|c| c.kind == "Degraded").unwrap().message;
        assert!(message.ends_with("a and b both render to x; and 2 more"), "{message}");
    }

    #[test]
    fn suspension_shows_no_degradation_even_with_broken_sinks() {
        let facts = Facts {
            suspended: true,
            bindings: vec![binding("database/a", failed(Class::Terminal, "SinkNotFound"))],
            ..Facts::default()
        };
        assert!(conditions(&facts).iter().all(|c| c.kind != "Degraded"));
    }

    #[test]
    fn a_missing_sink_is_named_by_reachability() {
        let facts = Facts {
            bindings: vec![binding("snapshot/git", failed(Class::Terminal, "SinkNotFound"))],
            ..Facts::default()
        };
        let reachable = conditions(&facts).into_iter().find(|c| c.kind == "SinkReachable").unwrap();
        assert_eq!((reachable.status, reachable.reason.as_str()), (false, "SinkNotFound"));
        assert!(reachable.message.contains("snapshot/git"));
    }
}

//! Why is this target Ready or Degraded? The whole condition model of targets in one pure function.

use crate::shared::conditions::Wanted;

/// A reason that stops a target altogether.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stop {
    /// Stable reason, e.g. `ProfileNotFound`.
    pub reason: &'static str,
    /// What is wrong and what to do.
    pub message: String,
}

impl Stop {
    /// Whether it is a denial, which takes the rows away; a fault that may be a mistake leaves them in the sinks.
    pub fn is_denial(&self) -> bool {
        matches!(self.reason, "ScopeGVKDenied" | "ScopeNamespaceDenied" | "SecretExtractionDenied")
    }
}

/// Everything that the conditions of a target depend on.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// `spec.suspend`.
    pub suspended: bool,
    /// Nothing can be collected.
    pub stop: Option<Stop>,
    /// Name of the profile, for messages.
    pub profile: String,
    /// Kind that is collected, for messages.
    pub gvk: String,
    /// Rows held.
    pub rows: u64,
    /// Namespaces whose list or watch is denied.
    pub forbidden: Vec<String>,
    /// Namespaces that are collected.
    pub collected_namespaces: usize,
    /// Why there is none, if the target selects none.
    pub selects_none: Option<String>,
    /// It is collected by a worker that gives way to all others.
    pub low_priority: bool,
    /// Objects that fail extraction, and the newest error.
    pub extraction_failures: u64,
    /// Newest extraction error, without values.
    pub last_extraction_error: Option<String>,
    /// Why a list or watch has failed for minutes.
    pub list_error: Option<String>,
    /// Sinks bound by the inventories of the namespace; `None` = none bound.
    pub sinks: Sinks,
}

/// How the sinks of the namespace's inventories look from a target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Sinks {
    /// No inventory of the namespace references a sink.
    #[default]
    None,
    /// All referenced sinks exist and none is failing.
    Reachable(usize),
    /// One is missing or failing: reason and message.
    Trouble(&'static str, String),
}

/// The conditions of a target.
pub fn conditions(facts: &Facts) -> Vec<Wanted> {
    let mut all = verdict(facts);
    all.push(match &facts.sinks {
        Sinks::None => {
            Wanted::is_true("SinkReachable", "NoSinksInNamespace", "no inventory of this namespace references a sink")
        }
        Sinks::Reachable(n) => Wanted::is_true("SinkReachable", "SinksReachable", format!("{n} sinks resolved")),
        Sinks::Trouble(reason, message) => Wanted::is_false("SinkReachable", reason, message.clone()),
    });
    all
}

/// A namespace in messages; the empty one stands for all.
pub fn namespace_name(namespace: &str) -> String {
    if namespace.is_empty() { "the whole cluster".to_owned() } else { namespace.to_owned() }
}

fn both(status: bool, reason: &str, message: &str) -> Vec<Wanted> {
    ["Ready", "Synced"]
        .map(|kind| Wanted { kind, status, reason: reason.to_owned(), message: message.to_owned() })
        .to_vec()
}

fn stopped(reason: &str, message: &str) -> Vec<Wanted> {
    let mut all = both(false, reason, message);
    all.push(Wanted::is_true("Degraded", reason, message));
    all
}

/// The conditions of a cluster target, which has no sinks of its own.
pub fn verdict(facts: &Facts) -> Vec<Wanted> {
    if facts.suspended {
        return both(false, "Suspended", "spec.suspend is true: nothing is collected until it is false");
    }
    if let Some(stop) = &facts.stop {
        return stopped(stop.reason, &stop.message);
    }
    let denied = format!(
        "list and watch of {} are denied in {}; grant the operator list and watch there or narrow the target",
        facts.gvk,
        facts.forbidden.join(", ")
    );
    if !facts.forbidden.is_empty() && facts.collected_namespaces == 0 {
        return stopped("Forbidden", &denied);
    }
    let unlisted = "InformerRegistrationFailed";
    if let Some(why) = facts.list_error.as_ref().filter(|_| facts.collected_namespaces == 0) {
        return stopped(unlisted, why);
    }
    let mut collecting = format!("profile {}: {} objects collected", facts.profile, facts.rows);
    if let Some(why) = &facts.selects_none {
        collecting = format!("{collecting}; {why}");
    }
    if facts.low_priority {
        collecting +=
            "; at low priority, because its expressions are expensive: read less, loop less or search shorter texts";
    }
    let mut all = both(true, "Collecting", &collecting);
    if !facts.forbidden.is_empty() {
        all = vec![
            Wanted::is_true("Ready", "Collecting", collecting),
            Wanted::is_true("Synced", "ScopeForbidden", denied.clone()),
            Wanted::is_true("Degraded", "Forbidden", denied),
        ];
    } else if let Some(why) = &facts.list_error {
        all.push(Wanted::is_true("Degraded", unlisted, why.clone()));
    } else if facts.extraction_failures > 0 {
        let newest = facts.last_extraction_error.as_deref().unwrap_or("unknown");
        let message =
            format!("{} objects fail extraction and have no row; newest: {newest}", facts.extraction_failures);
        all.push(Wanted::is_true("Degraded", "ExtractionFailed", message));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(facts: &Facts) -> Vec<String> {
        conditions(facts)
            .into_iter()
            .filter(|c| c.kind != "SinkReachable")
            .map(|c| format!("{}={}/{}", c.kind, if c.status { "True" } else { "False" }, c.reason))
            .collect()
    }

    #[test]
    fn every_row_of_the_condition_model_holds() {
        let healthy = Facts { collected_namespaces: 2, ..Facts::default() };
        assert_eq!(table(&healthy), ["Ready=True/Collecting", "Synced=True/Collecting"]);
        let low = Facts { low_priority: true, ..healthy.clone() };
        assert!(table(&low) == table(&healthy) && verdict(&low)[0].message.contains("at low priority"));
        let denied = Facts { forbidden: vec!["pay".into()], ..healthy.clone() };
        assert_eq!(table(&denied), ["Ready=True/Collecting", "Synced=True/ScopeForbidden", "Degraded=True/Forbidden"]);
        let all_denied = Facts { collected_namespaces: 0, ..denied.clone() };
        assert_eq!(table(&all_denied), ["Ready=False/Forbidden", "Synced=False/Forbidden", "Degraded=True/Forbidden"]);
        let broken = Facts { extraction_failures: 3, ..healthy.clone() };
        assert_eq!(
            table(&broken),
            ["Ready=True/Collecting", "Synced=True/Collecting", "Degraded=True/ExtractionFailed"]
        );
        let stopped =
            Facts { stop: Some(Stop { reason: "ProfileNotFound", message: String::new() }), ..healthy.clone() };
        assert_eq!(
            table(&stopped),
            ["Ready=False/ProfileNotFound", "Synced=False/ProfileNotFound", "Degraded=True/ProfileNotFound"]
        );
        let suspended = Facts { suspended: true, ..stopped };
        assert_eq!(table(&suspended), ["Ready=False/Suspended", "Synced=False/Suspended"]);
        let unlisted = Facts { list_error: Some("no answer".into()), ..healthy.clone() };
        assert_eq!(
            table(&unlisted),
            ["Ready=True/Collecting", "Synced=True/Collecting", "Degraded=True/InformerRegistrationFailed"]
        );
        let none_listed = Facts { collected_namespaces: 0, ..unlisted };
        let failed =
            ["Ready=False", "Synced=False", "Degraded=True"].map(|c| format!("{c}/InformerRegistrationFailed"));
        assert_eq!(table(&none_listed), failed);
        let ill_sink = Facts { sinks: Sinks::Trouble("SinkNotFound", "gone".into()), ..healthy };
        assert_eq!(table(&ill_sink), ["Ready=True/Collecting", "Synced=True/Collecting"]);
    }
}

//! Why is this target Ready or Degraded? The whole condition model of targets in one pure function.

use crate::shared::conditions::{ConditionUpdate, ready_and_synced};
use kollect_model::Reason;
use kollect_resources::target::Stop;

/// Everything that the conditions of a target depend on.
#[derive(Clone, Debug, Default)]
pub struct TargetFacts {
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
    /// It is collected by the worker of low priority.
    pub low_priority: bool,
    /// Objects that fail extraction, and the newest error.
    pub extraction_failures: u64,
    /// Newest extraction error, without values.
    pub last_extraction_error: Option<String>,
    /// Why a list or watch has failed for minutes.
    pub list_error: Option<String>,
    /// Sinks bound by the inventories of the namespace; `None` = none bound.
    pub sinks: SinkSummary,
}

/// The sinks that the inventories of a target's namespace refer to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SinkSummary {
    /// No inventory of the namespace references a sink.
    #[default]
    None,
    /// All referenced sinks exist and none is failing.
    Reachable(usize),
    /// One is missing or failing: reason and message.
    Faulty(Reason, String),
}

/// The conditions of a target.
pub fn conditions(facts: &TargetFacts) -> Vec<ConditionUpdate> {
    let mut all = verdict(facts);
    all.push(match &facts.sinks {
        SinkSummary::None => ConditionUpdate::is_true(
            "SinkReachable",
            Reason::NoSinksInNamespace,
            "no inventory of this namespace references a sink",
        ),
        SinkSummary::Reachable(n) => {
            ConditionUpdate::is_true("SinkReachable", Reason::SinksReachable, format!("{n} sinks resolved"))
        }
        SinkSummary::Faulty(reason, message) => ConditionUpdate::is_false("SinkReachable", *reason, message.clone()),
    });
    all
}

/// A namespace in messages; the empty one means all.
pub fn namespace_name(namespace: &str) -> String {
    if namespace.is_empty() { "the whole cluster".to_owned() } else { namespace.to_owned() }
}

fn stopped(reason: Reason, message: &str) -> Vec<ConditionUpdate> {
    let mut all = ready_and_synced(false, reason, message);
    all.push(ConditionUpdate::is_true("Degraded", reason, message));
    all
}

/// The conditions of a cluster target, which has no sinks of its own.
pub fn verdict(facts: &TargetFacts) -> Vec<ConditionUpdate> {
    if facts.suspended {
        return ready_and_synced(
            false,
            Reason::Suspended,
            "spec.suspend is true: nothing is collected until it is false",
        );
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
        return stopped(Reason::Forbidden, &denied);
    }
    let unlisted = Reason::InformerRegistrationFailed;
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
    let mut all = ready_and_synced(true, Reason::Collecting, &collecting);
    if !facts.forbidden.is_empty() {
        all = vec![
            ConditionUpdate::is_true("Ready", Reason::Collecting, collecting),
            ConditionUpdate::is_true("Synced", Reason::ScopeForbidden, denied.clone()),
            ConditionUpdate::is_true("Degraded", Reason::Forbidden, denied),
        ];
    } else if let Some(why) = &facts.list_error {
        all.push(ConditionUpdate::is_true("Degraded", unlisted, why.clone()));
    } else if facts.extraction_failures > 0 {
        let newest = facts.last_extraction_error.as_deref().unwrap_or("unknown");
        let message =
            format!("{} objects fail extraction and have no row; newest: {newest}", facts.extraction_failures);
        all.push(ConditionUpdate::is_true("Degraded", Reason::ExtractionFailed, message));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(facts: &TargetFacts) -> Vec<String> {
        conditions(facts)
            .into_iter()
            .filter(|c| c.kind != "SinkReachable")
            .map(|c| format!("{}={}/{}", c.kind, if c.status { "True" } else { "False" }, c.reason))
            .collect()
    }

    #[test]
    fn every_row_of_the_condition_model_holds() {
        let healthy = TargetFacts { collected_namespaces: 2, ..TargetFacts::default() };
        assert_eq!(table(&healthy), ["Ready=True/Collecting", "Synced=True/Collecting"]);
        let low = TargetFacts { low_priority: true, ..healthy.clone() };
        assert!(table(&low) == table(&healthy) && verdict(&low)[0].message.contains("at low priority"));
        let denied = TargetFacts { forbidden: vec!["pay".into()], ..healthy.clone() };
        assert_eq!(table(&denied), ["Ready=True/Collecting", "Synced=True/ScopeForbidden", "Degraded=True/Forbidden"]);
        let all_denied = TargetFacts { collected_namespaces: 0, ..denied.clone() };
        assert_eq!(table(&all_denied), ["Ready=False/Forbidden", "Synced=False/Forbidden", "Degraded=True/Forbidden"]);
        let broken = TargetFacts { extraction_failures: 3, ..healthy.clone() };
        assert_eq!(
            table(&broken),
            ["Ready=True/Collecting", "Synced=True/Collecting", "Degraded=True/ExtractionFailed"]
        );
        let stopped = TargetFacts {
            stop: Some(Stop { reason: Reason::ProfileNotFound, message: String::new() }),
            ..healthy.clone()
        };
        assert_eq!(
            table(&stopped),
            ["Ready=False/ProfileNotFound", "Synced=False/ProfileNotFound", "Degraded=True/ProfileNotFound"]
        );
        let suspended = TargetFacts { suspended: true, ..stopped };
        assert_eq!(table(&suspended), ["Ready=False/Suspended", "Synced=False/Suspended"]);
        let unlisted = TargetFacts { list_error: Some("no answer".into()), ..healthy.clone() };
        assert_eq!(
            table(&unlisted),
            ["Ready=True/Collecting", "Synced=True/Collecting", "Degraded=True/InformerRegistrationFailed"]
        );
        let none_listed = TargetFacts { collected_namespaces: 0, ..unlisted };
        let failed =
            ["Ready=False", "Synced=False", "Degraded=True"].map(|c| format!("{c}/InformerRegistrationFailed"));
        assert_eq!(table(&none_listed), failed);
        let failing_sink = TargetFacts { sinks: SinkSummary::Faulty(Reason::SinkNotFound, "gone".into()), ..healthy };
        assert_eq!(table(&failing_sink), ["Ready=True/Collecting", "Synced=True/Collecting"]);
    }
}

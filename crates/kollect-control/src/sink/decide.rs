//! Why is this sink Ready or Degraded? One pure function for all sink kinds.

use crate::shared::conditions::ConditionUpdate;
use kollect_export::Class;
use kollect_model::Reason;

/// What stops a sink from being used at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinkFault {
    /// Why, e.g. `SecretResolveFailed`.
    pub reason: Reason,
    /// What is wrong and what to do.
    pub message: String,
}

/// Why a sink cannot be used.
#[derive(Clone, Debug)]
pub enum Unusable {
    /// Its Secrets are being read.
    Waiting,
    /// It needs a change by the user.
    Fault {
        /// What decides the reaction.
        class: Class,
        /// What is wrong.
        fault: SinkFault,
    },
}

/// Outcome of the newest probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LastProbe {
    /// Never probed with this configuration.
    Never,
    /// Reachable: what the backend answered.
    Ok(String),
    /// Not reachable; `terminal` if only a change by the user helps.
    Failed {
        /// What happened.
        message: String,
        /// Whether it needs a change by the user.
        terminal: bool,
    },
}

/// Everything that the conditions of a sink depend on.
#[derive(Clone, Debug)]
pub struct SinkFacts {
    /// A fault of spec or Secrets.
    pub fault: Option<SinkFault>,
    /// Its Secrets are being read.
    pub waiting: bool,
    /// Newest probe.
    pub probed: LastProbe,
    /// Whether the operator probes by itself.
    pub probes: bool,
    /// Why the connection is not safe, if so: reason and message.
    pub insecure: Option<(Reason, &'static str)>,
}

/// The conditions of a sink.
pub fn conditions(facts: &SinkFacts) -> Vec<ConditionUpdate> {
    let mut all = Vec::new();
    if let Some(fault) = &facts.fault {
        all.push(ConditionUpdate::is_false("Ready", fault.reason, fault.message.clone()));
        all.push(ConditionUpdate::is_false("ConnectionVerified", fault.reason, fault.message.clone()));
        all.push(ConditionUpdate::is_true("Degraded", fault.reason, fault.message.clone()));
        return all;
    }
    match &facts.probed {
        LastProbe::Ok(message) => {
            all.push(ConditionUpdate::is_true("Ready", Reason::ConnectionOK, message.clone()));
            all.push(ConditionUpdate::is_true("ConnectionVerified", Reason::ConnectionOK, message.clone()));
        }
        LastProbe::Failed { message, terminal } => {
            if *terminal {
                all.push(ConditionUpdate::is_false("Ready", Reason::ConnectionTestFailed, message.clone()));
                all.push(ConditionUpdate::is_true("Degraded", Reason::ConnectionTestFailed, message.clone()));
            } else {
                all.push(ConditionUpdate::is_true(
                    "Ready",
                    Reason::ConnectionTestFailed,
                    format!("retrying: {message}"),
                ));
            }
            all.push(ConditionUpdate::is_false("ConnectionVerified", Reason::ConnectionTestFailed, message.clone()));
        }
        LastProbe::Never if facts.waiting => {
            all.push(ConditionUpdate::is_false("Ready", Reason::Progressing, "reading the Secrets it refers to"));
        }
        LastProbe::Never if facts.probes => {
            all.push(ConditionUpdate::is_false("Ready", Reason::Progressing, "the first connection test is running"));
        }
        LastProbe::Never => all.push(ConditionUpdate::is_true(
            "Ready",
            Reason::NotProbed,
            "connectionTest is false; annotate kollect.dev/test-connection=true to probe once",
        )),
    }
    if let Some((reason, message)) = facts.insecure {
        all.push(ConditionUpdate::is_true("TLSInsecure", reason, message));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(fault: Option<SinkFault>, outcome: LastProbe, probes: bool) -> Vec<String> {
        conditions(&SinkFacts { fault, waiting: false, probed: outcome, probes, insecure: None })
            .into_iter()
            .map(|c| format!("{}={}/{}", c.kind, if c.status { "True" } else { "False" }, c.reason))
            .collect()
    }

    #[test]
    fn a_connection_that_is_not_safe_has_a_condition_with_the_cause() {
        let insecure = Some((Reason::PlaintextCredentials, "use https"));
        let facts = SinkFacts { fault: None, waiting: false, probed: LastProbe::Never, probes: false, insecure };
        let said = conditions(&facts).into_iter().find(|c| c.kind == "TLSInsecure").unwrap();
        assert!(said.status && said.reason == Reason::PlaintextCredentials && said.message == "use https");
    }

    #[test]
    fn a_sink_is_ready_unless_only_the_user_can_help() {
        assert_eq!(
            table(None, LastProbe::Ok("fine".into()), true),
            ["Ready=True/ConnectionOK", "ConnectionVerified=True/ConnectionOK"]
        );
        assert_eq!(table(None, LastProbe::Never, false), ["Ready=True/NotProbed"]);
        let down = |terminal| LastProbe::Failed { message: "down".into(), terminal };
        assert_eq!(
            table(None, down(false), true),
            ["Ready=True/ConnectionTestFailed", "ConnectionVerified=False/ConnectionTestFailed"]
        );
        assert_eq!(
            table(None, down(true), true),
            [
                "Ready=False/ConnectionTestFailed",
                "Degraded=True/ConnectionTestFailed",
                "ConnectionVerified=False/ConnectionTestFailed"
            ]
        );
        let fault = SinkFault { reason: Reason::SecretResolveFailed, message: "gone".into() };
        assert_eq!(table(Some(fault), LastProbe::Never, true).len(), 3);
    }
}

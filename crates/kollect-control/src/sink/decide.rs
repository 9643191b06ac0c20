//! Why is this sink Ready or Degraded? One pure function for all sink kinds.

use crate::shared::conditions::Wanted;

/// What stops a sink from being used at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Stable reason, e.g. `SecretResolveFailed`.
    pub reason: &'static str,
    /// What is wrong and what to do.
    pub message: String,
}

/// Outcome of the newest probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probed {
    /// Never probed with this configuration.
    Never,
    /// Reachable: the backend's sentence.
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
pub struct Facts {
    /// A fault of spec or Secrets.
    pub fault: Option<Fault>,
    /// Its Secrets are being read.
    pub waiting: bool,
    /// Newest probe.
    pub probed: Probed,
    /// Whether the operator probes by itself.
    pub probes: bool,
    /// Why the connection is not safe, if so: reason and message.
    pub insecure: Option<(&'static str, &'static str)>,
}

/// The conditions of a sink.
pub fn conditions(facts: &Facts) -> Vec<Wanted> {
    let mut all = Vec::new();
    if let Some(fault) = &facts.fault {
        all.push(Wanted::is_false("Ready", fault.reason, fault.message.clone()));
        all.push(Wanted::is_false("ConnectionVerified", fault.reason, fault.message.clone()));
        all.push(Wanted::is_true("Degraded", fault.reason, fault.message.clone()));
        return all;
    }
    match &facts.probed {
        Probed::Ok(message) => {
            all.push(Wanted::is_true("Ready", "ConnectionOK", message.clone()));
            all.push(Wanted::is_true("ConnectionVerified", "ConnectionOK", message.clone()));
        }
        Probed::Failed { message, terminal } => {
            if *terminal {
                all.push(Wanted::is_false("Ready", "ConnectionTestFailed", message.clone()));
                all.push(Wanted::is_true("Degraded", "ConnectionTestFailed", message.clone()));
            } else {
                all.push(Wanted::is_true("Ready", "ConnectionTestFailed", format!("retrying: {message}")));
            }
            all.push(Wanted::is_false("ConnectionVerified", "ConnectionTestFailed", message.clone()));
        }
        Probed::Never if facts.waiting => {
            all.push(Wanted::is_false("Ready", "Progressing", "reading the Secrets it refers to"));
        }
        Probed::Never if facts.probes => {
            all.push(Wanted::is_false("Ready", "Progressing", "the first connection test is running"));
        }
        Probed::Never => all.push(Wanted::is_true(
            "Ready",
            "NotProbed",
            "connectionTest is false; annotate kollect.dev/test-connection=true to probe once",
        )),
    }
    if let Some((reason, message)) = facts.insecure {
        all.push(Wanted::is_true("TLSInsecure", reason, message));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(fault: Option<Fault>, outcome: Probed, probes: bool) -> Vec<String> {
        conditions(&Facts { fault, waiting: false, probed: outcome, probes, insecure: None })
            .into_iter()
            .map(|c| format!("{}={}/{}", c.kind, if c.status { "True" } else { "False" }, c.reason))
            .collect()
    }

    #[test]
    fn a_connection_that_is_not_safe_says_why() {
        let insecure = Some(("PlaintextCredentials", "use https"));
        let facts = Facts { fault: None, waiting: false, probed: Probed::Never, probes: false, insecure };
        let said = conditions(&facts).into_iter().find(|c| c.kind == "TLSInsecure").unwrap();
        assert!(said.status && said.reason == "PlaintextCredentials" && said.message == "use https");
    }

    #[test]
    fn a_sink_is_ready_unless_only_the_user_can_help() {
        assert_eq!(
            table(None, Probed::Ok("fine".into()), true),
            ["Ready=True/ConnectionOK", "ConnectionVerified=True/ConnectionOK"]
        );
        assert_eq!(table(None, Probed::Never, false), ["Ready=True/NotProbed"]);
        let down = |terminal| Probed::Failed { message: "down".into(), terminal };
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
        let fault = Fault { reason: "SecretResolveFailed", message: "gone".into() };
        assert_eq!(table(Some(fault), Probed::Never, true).len(), 3);
    }
}

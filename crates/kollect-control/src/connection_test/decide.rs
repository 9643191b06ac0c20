//! The conditions of a connection test, in one pure function; and which sink it is about.

use crate::shared::conditions::ConditionUpdate;
use kollect_api::ConnectionTestSinkRef;
use kollect_model::Reason;
use kollect_resources::kinds::Kind;
use std::time::Duration;

/// How a test ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestResult {
    /// What the backend answered, or reason and message of the failure.
    pub result: Result<String, (Reason, String)>,
    /// How long the attempt took; `None` when it did not start.
    pub latency: Option<Duration>,
}

impl TestResult {
    /// A test that could not start.
    pub fn without_attempt(reason: Reason, message: impl Into<String>) -> Self {
        Self { result: Err((reason, message.into())), latency: None }
    }
}

/// The conditions of a test; `None` while it runs.
pub fn conditions(ended: Option<&TestResult>) -> Vec<ConditionUpdate> {
    match ended.map(|ended| &ended.result) {
        None => vec![ConditionUpdate::is_false("Ready", Reason::Progressing, "the sink is being reached")],
        Some(Ok(message)) => vec![
            ConditionUpdate::is_true("ConnectionVerified", Reason::ConnectionOK, message.clone()),
            ConditionUpdate::is_true("Ready", Reason::ProbeSucceeded, message.clone()),
        ],
        Some(Err((reason, message))) => ["ConnectionVerified", "Ready"]
            .map(|kind| ConditionUpdate::is_false(kind, *reason, message.clone()))
            .to_vec(),
    }
}

/// Kind and name of the one sink that is referenced.
pub fn sink_of(reference: &ConnectionTestSinkRef) -> Result<(Kind, &str), String> {
    let all = [
        (Kind::SnapshotSink, "snapshotSinkRef", &reference.snapshot_sink_ref),
        (Kind::DatabaseSink, "databaseSinkRef", &reference.database_sink_ref),
        (Kind::EventSink, "eventSinkRef", &reference.event_sink_ref),
    ];
    let set: Vec<_> = all
        .iter()
        .filter_map(|(kind, field, name)| name.as_deref().map(|name| (*kind, *field, name)))
        .filter(|(_, _, name)| !name.trim().is_empty())
        .collect();
    match set.as_slice() {
        [(kind, _, name)] => Ok((*kind, name)),
        [] => Err("spec.sinkRef names no sink; set one of snapshotSinkRef, databaseSinkRef, eventSinkRef".to_owned()),
        several => {
            let fields: Vec<_> = several.iter().map(|(_, field, _)| *field).collect();
            Err(format!("spec.sinkRef has {} set; one test reaches one sink, so leave one", fields.join(" and ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reference(snapshot: Option<&str>, database: Option<&str>) -> ConnectionTestSinkRef {
        ConnectionTestSinkRef {
            snapshot_sink_ref: snapshot.map(str::to_owned),
            database_sink_ref: database.map(str::to_owned),
            event_sink_ref: None,
        }
    }

    #[test]
    fn a_test_is_about_exactly_one_sink() {
        assert_eq!(sink_of(&reference(Some("git"), None)), Ok((Kind::SnapshotSink, "git")));
        assert_eq!(sink_of(&reference(Some(" "), Some("pg"))), Ok((Kind::DatabaseSink, "pg")));
        assert!(sink_of(&reference(None, None)).unwrap_err().contains("names no sink"));
        let both = sink_of(&reference(Some("git"), Some("pg"))).unwrap_err();
        assert!(both.contains("snapshotSinkRef and databaseSinkRef"), "{both}");
    }

    #[test]
    fn a_failed_test_has_its_cause_in_both_conditions() {
        let table = |ended: Option<&TestResult>| -> Vec<String> {
            conditions(ended).iter().map(|c| format!("{}={}/{}", c.kind, c.status, c.reason)).collect()
        };
        assert_eq!(table(None), ["Ready=false/Progressing"]);
        let well = TestResult { result: Ok("hello".into()), latency: Some(Duration::from_millis(3)) };
        assert_eq!(table(Some(&well)), ["ConnectionVerified=true/ConnectionOK", "Ready=true/ProbeSucceeded"]);
        let failed = TestResult::without_attempt(Reason::SinkNotFound, "gone");
        assert_eq!(table(Some(&failed)), ["ConnectionVerified=false/SinkNotFound", "Ready=false/SinkNotFound"]);
    }
}

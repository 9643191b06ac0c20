//! Conditions of one object, computed together and merged with those that it has.
//!
//! Pure: time is a value. `lastTransitionTime` moves only when a status changes.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kollect_model::{Reason, redact};

/// Longest message that is written; the API server takes 32 KiB, people read less.
const LONGEST_MESSAGE: usize = 1024;

/// A condition as it is to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConditionUpdate {
    /// Condition type, e.g. `Ready`.
    pub kind: &'static str,
    /// `True` or `False`; `Unknown` is never used.
    pub status: bool,
    /// Why.
    pub reason: Reason,
    /// Short sentence for people.
    pub message: String,
}

impl ConditionUpdate {
    /// A condition that is `True`.
    pub fn is_true(kind: &'static str, reason: Reason, message: impl Into<String>) -> Self {
        Self { kind, status: true, reason, message: message.into() }
    }

    /// A condition that is `False`.
    pub fn is_false(kind: &'static str, reason: Reason, message: impl Into<String>) -> Self {
        Self { kind, status: false, reason, message: message.into() }
    }
}

/// `Ready` and `Synced` alike.
pub fn ready_and_synced(status: bool, reason: Reason, message: &str) -> Vec<ConditionUpdate> {
    ["Ready", "Synced"].map(|kind| ConditionUpdate { kind, status, reason, message: message.to_owned() }).to_vec()
}

/// `Degraded` if present, else `Ready`: the condition that an object's columns and events show.
pub fn main_condition(all: &[ConditionUpdate]) -> Option<&ConditionUpdate> {
    all.iter().find(|c| c.kind == "Degraded" && c.status).or_else(|| all.iter().find(|c| c.kind == "Ready"))
}

/// The health of an object with few states: every condition's status and reason.
pub fn health_of(all: &[ConditionUpdate]) -> String {
    all.iter().map(|c| format!("{}={}/{}", c.kind, c.status, c.reason)).collect::<Vec<_>>().join(";")
}

/// The complete list of conditions to write. Conditions that are not wanted any more are absent from it.
pub fn merge(existing: &[Condition], wanted: &[ConditionUpdate], generation: i64, now: Timestamp) -> Vec<Condition> {
    wanted
        .iter()
        .map(|want| {
            let status = if want.status { "True" } else { "False" };
            let since = existing
                .iter()
                .find(|c| c.type_ == want.kind && c.status == status)
                .map_or_else(|| Time(now), |c| c.last_transition_time.clone());
            Condition {
                type_: want.kind.to_owned(),
                status: status.to_owned(),
                reason: want.reason.to_string(),
                message: cut(&want.message, LONGEST_MESSAGE),
                last_transition_time: since,
                observed_generation: Some(generation),
            }
        })
        .collect()
}

/// The text without secrets, cut at a character boundary with an ellipsis if it is longer than `limit` bytes.
pub fn cut(text: &str, limit: usize) -> String {
    let clean = redact::text(text);
    let text = clean.as_deref().unwrap_or(text);
    if text.len() <= limit {
        return text.to_owned();
    }
    let mut end = limit.saturating_sub('…'.len_utf8());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transition_time_moves_only_with_the_status() {
        let start = Timestamp::from_second(1000).unwrap();
        let later = Timestamp::from_second(2000).unwrap();
        let first = merge(&[], &[ConditionUpdate::is_true("Ready", Reason::Exported, "2 sinks")], 1, start);
        let same = merge(&first, &[ConditionUpdate::is_true("Ready", Reason::PartiallySynced, "1 of 2")], 1, later);
        assert_eq!(same[0].last_transition_time.0, start);
        assert_eq!(same[0].reason, "PartiallySynced");
        let turned = merge(&same, &[ConditionUpdate::is_false("Ready", Reason::Progressing, "0 of 2")], 2, later);
        assert_eq!(turned[0].last_transition_time.0, later);
        assert!(merge(&turned, &[], 2, later).is_empty());
    }

    #[test]
    fn messages_lose_their_secrets_before_they_are_written() {
        let message = "connect to postgres://app:hunter2@db/x: password authentication failed";
        let written =
            merge(&[], &[ConditionUpdate::is_false("Ready", Reason::ExportFailed, message)], 1, Timestamp::UNIX_EPOCH);
        assert_eq!(written[0].message, "connect to postgres://***@db/x: password authentication failed");
    }

    #[test]
    fn long_text_is_cut_between_characters() {
        assert_eq!(cut("kurz", 10), "kurz");
        assert_eq!(cut("ääääää", 8), "ää…");
    }
}

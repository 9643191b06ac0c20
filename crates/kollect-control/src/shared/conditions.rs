//! Conditions of one object, computed together and compared with what is there.
//!
//! Pure: the time comes in. `lastTransitionTime` moves only when a status changes.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kollect_model::redact;

/// Longest message that is written; the API server takes 32 KiB, people read less.
const LONGEST_MESSAGE: usize = 1024;

/// One wanted condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Condition type, e.g. `Ready`.
    pub kind: &'static str,
    /// `True` or `False`; `Unknown` is never used.
    pub status: bool,
    /// Stable CamelCase reason.
    pub reason: String,
    /// Short sentence for people.
    pub message: String,
}

impl Wanted {
    /// A condition that is `True`.
    pub fn is_true(kind: &'static str, reason: &str, message: impl Into<String>) -> Self {
        Self { kind, status: true, reason: reason.to_owned(), message: message.into() }
    }

    /// A condition that is `False`.
    pub fn is_false(kind: &'static str, reason: &str, message: impl Into<String>) -> Self {
        Self { kind, status: false, reason: reason.to_owned(), message: message.into() }
    }
}

/// The complete list of conditions to write. Conditions that are not wanted any more are absent from it.
pub fn merge(existing: &[Condition], wanted: &[Wanted], generation: i64, now: Timestamp) -> Vec<Condition> {
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
                reason: want.reason.clone(),
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
        let first = merge(&[], &[Wanted::is_true("Ready", "Exported", "2 sinks")], 1, start);
        let same = merge(&first, &[Wanted::is_true("Ready", "PartiallySynced", "1 of 2")], 1, later);
        assert_eq!(same[0].last_transition_time.0, start);
        assert_eq!(same[0].reason, "PartiallySynced");
        let turned = merge(&same, &[Wanted::is_false("Ready", "Progressing", "0 of 2")], 2, later);
        assert_eq!(turned[0].last_transition_time.0, later);
        assert!(merge(&turned, &[], 2, later).is_empty());
    }

    #[test]
    fn messages_lose_their_secrets_before_they_are_written() {
        let message = "connect to postgres://app:hunter2@db/x: password authentication failed";
        let written = merge(&[], &[Wanted::is_false("Ready", "ExportFailed", message)], 1, Timestamp::UNIX_EPOCH);
        assert_eq!(written[0].message, "connect to postgres://***@db/x: password authentication failed");
    }

    #[test]
    fn long_text_is_cut_between_characters() {
        assert_eq!(cut("kurz", 10), "kurz");
        assert_eq!(cut("ääääää", 8), "ää…");
    }
}

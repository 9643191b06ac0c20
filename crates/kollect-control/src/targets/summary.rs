//! What a target's status has beside its conditions, and the sum of its parts.

use super::decide::TargetFacts;
use crate::clock::timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kollect_collect::TargetStatus;
use kollect_model::Reason;
use kollect_resources::target::{ResolvedTarget, Stop, TargetObject};
use serde_json::{Map, Value, json};

/// The fields of a status that depend on the spec alone.
pub(super) struct StatusFields {
    matched: Vec<String>,
    effective: Vec<String>,
    rules: usize,
}

/// The count that a status has, and since when.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct CountBefore {
    collected_count: Option<i64>,
    collected_count_updated_at: Option<Time>,
}

impl StatusFields {
    pub(super) fn of(target: &TargetObject, resolved: &ResolvedTarget) -> Self {
        Self {
            matched: resolved.matched.clone(),
            effective: resolved.effective.clone(),
            rules: target.selection().resource_rules.len(),
        }
    }

    /// All fields of the status but its conditions; `before` is the status before.
    pub(super) fn with(self, facts: &TargetFacts, before: Value) -> Map<String, Value> {
        let before: CountBefore = serde_json::from_value(before).unwrap_or_default();
        let rows = i64::try_from(facts.rows).unwrap_or(i64::MAX);
        let mut fields = Map::new();
        // While nothing can be collected the last count stays: the sinks still have these rows.
        let counted = if facts.stop.is_some() { before.collected_count } else { Some(rows) };
        if let Some(count) = counted {
            fields.insert("collectedCount".to_owned(), json!(count));
            let since = match (before.collected_count, before.collected_count_updated_at) {
                (Some(old), Some(since)) if old == count => since,
                _ => Time(timestamp()),
            };
            fields.insert("collectedCountUpdatedAt".to_owned(), json!(since));
        }
        if facts.extraction_failures > 0 {
            fields.insert("extractionFailures".to_owned(), json!(facts.extraction_failures));
            fields.insert("lastExtractionError".to_owned(), json!(facts.last_extraction_error));
        }
        if !self.matched.is_empty() {
            fields.insert("matchedNamespaces".to_owned(), json!(self.matched));
        }
        if !self.effective.is_empty() {
            fields.insert("effectiveNamespaces".to_owned(), json!(self.effective));
        }
        if self.rules > 0 {
            fields.insert("activeResourceRules".to_owned(), json!(self.rules));
        }
        fields
    }
}

/// What the collector reports that stops the whole target.
pub(super) fn stop_of(status: &TargetStatus) -> Option<Stop> {
    if let Some(why) = &status.not_served {
        return Some(Stop::new(Reason::InformerRegistrationFailed, why.clone()));
    }
    if let Some(why) = &status.no_room {
        return Some(Stop::new(Reason::StoreLimitExceeded, why.clone()));
    }
    let paused = |why: &String| format!("collection is paused until the access check succeeds: {why}");
    status.access_error.as_ref().map(|why| Stop::new(Reason::AccessCheckFailed, paused(why)))
}

/// One status for all namespaces of a target.
pub(super) fn total(all: impl Iterator<Item = TargetStatus>) -> TargetStatus {
    all.fold(TargetStatus::default(), |mut sum, one| {
        sum.not_served = sum.not_served.or(one.not_served);
        sum.no_room = sum.no_room.or(one.no_room);
        sum.access_error = sum.access_error.or(one.access_error);
        sum.list_error = sum.list_error.or(one.list_error);
        sum.last_extraction_error = one.last_extraction_error.or(sum.last_extraction_error);
        sum.forbidden.extend(one.forbidden);
        sum.low_priority |= one.low_priority;
        sum.extraction_failures += one.extraction_failures;
        sum.pending += one.pending;
        sum.synced += one.synced;
        sum.rows += one.rows;
        sum
    })
}

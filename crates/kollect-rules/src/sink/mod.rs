//! The rules of sinks, beyond what their schema enforces.

mod checks;
mod database;
mod endpoint;
mod event;
mod rules;
mod snapshot;
mod usable;
mod warnings;

pub use database::check_database_sink;
pub use event::check_event_sink;
pub(crate) use rules::RULES;
pub use snapshot::check_snapshot_sink;
pub(crate) use warnings::RULES as WARNINGS;

use crate::ceiling::Ceiling;
use crate::findings::Findings;
use crate::review_facts::{ReviewFacts, RuleSettings};
use kollect_api::{KollectDatabaseSinkSpec, KollectEventSinkSpec, KollectSnapshotSinkSpec, SinkCommon};
use kollect_model::Guard;
use rules::K9;

pub(crate) fn review_snapshot(
    found: &mut Findings,
    spec: &KollectSnapshotSinkSpec,
    settings: &RuleSettings,
    facts: &ReviewFacts<'_>,
) {
    snapshot::check_fields(found, spec);
    check_floor(found, &spec.common, facts);
    endpoint::snapshot(found, spec, &guard(settings));
    warnings::snapshot(found, spec);
}

pub(crate) fn review_database(found: &mut Findings, spec: &KollectDatabaseSinkSpec, facts: &ReviewFacts<'_>) {
    database::check_fields(found, spec);
    check_floor(found, &spec.common, facts);
    warnings::database(found, spec);
}

pub(crate) fn review_event(
    found: &mut Findings,
    spec: &KollectEventSinkSpec,
    settings: &RuleSettings,
    facts: &ReviewFacts<'_>,
) {
    event::check_fields(found, spec);
    check_floor(found, &spec.common, facts);
    endpoint::event(found, spec, &guard(settings));
    warnings::event(found, spec);
}

fn guard(settings: &RuleSettings) -> Guard {
    Guard {
        allow_private: settings.allow_private_sinks,
        allow_loopback: settings.allow_loopback_sinks,
        denied: settings.denied_sink_cidrs.clone(),
        ..Guard::default()
    }
}

fn check_floor(found: &mut Findings, common: &SinkCommon, facts: &ReviewFacts<'_>) {
    if let Some(interval) = &common.export_min_interval
        && let Err(why) = Ceiling::of_namespace(facts.scopes).interval_allowed(interval)
    {
        found.add_detail(&K9, "spec.exportMinInterval", interval.as_str(), why);
    }
}

#[cfg(test)]
mod tests;

//! What sinks may say, beyond what their schema enforces.

mod database;
mod endpoint;
mod event;
mod snapshot;
mod usable;
mod warnings;

pub use database::check_database_sink;
pub use event::check_event_sink;
pub use snapshot::check_snapshot_sink;
pub(crate) use warnings::RULES as WARNINGS;

use crate::MAX_INTERVAL;
use crate::ceiling::Ceiling;
use crate::doc::rules;
use crate::review::{Facts, RuleSettings};
use crate::template::{PathOf, check as check_template};
use crate::violation::{Findings, shown};
use kollect_api::{Format, KollectDatabaseSinkSpec, KollectEventSinkSpec, KollectSnapshotSinkSpec, SinkCommon};
use kollect_model::Guard;

rules! { "KollectSnapshotSink, KollectDatabaseSink, KollectEventSink";
    K1, Crd, "type is missing or none of the kind's backends", "Unsupported value: supported values are listed";
    K2, CrdAndWebhook, "pathTemplate breaks the grammar of path templates", "is not a valid path template";
    K3, CrdAndWebhook, "exportMinInterval is no duration between 0s and 24h", "is not a duration; write a number with a unit, such as 30s";
    K4, Crd, "serialization.format, serialization.compression or provisioning.mode is none of its values", "Unsupported value: supported values are listed";
    K5, CrdAndWebhook, "provisioning.naming.template breaks the grammar of path templates", "is not a valid path template";
    K6, CrdAndWebhook, "the key of an option names a credential", "looks like a credential; put it into the Secret of secretRef";
    K7, CrdAndWebhook, "the backend does not write serialization.format", "is not written by this type of sink";
    K8, Webhook, "the sink is at a local, link-local or private address, at a cloud metadata service, or at a file: URL", "sinks must not be there";
    K9, Webhook, "exportMinInterval is shorter than the minExportInterval of the namespace's KollectScope", "is shorter than the scope permits";
    K10, CrdAndWebhook, "type is git, and a gitlab, objectStore or http block is present", "does not apply to this type; remove it";
    K11, CrdAndWebhook, "the git block has an invalid branch, an unknown policy, login or engine, a blank Secret name or a cloneDepth below 1", "is not valid for a Git repository";
    K12, CrdAndWebhook, "type is gitlab, and a git, objectStore or http block is present", "does not apply to this type; remove it";
    K13, CrdAndWebhook, "type is s3 or gcs, and a git, gitlab, http or layout block is present", "does not apply to this type; remove it";
    K14, CrdAndWebhook, "the layout has an unknown value, a bad path template or a maxSegmentLength below 1", "is not a valid layout";
    K15, CrdAndWebhook, "a database sink has a layout, lacks the block of its type, or has the block of another", "the block named like the type is required, and no other";
    K16, CrdAndWebhook, "project, dataset, table or the name of the Secret of BigQuery is blank", "must not be empty or blank";
    K17, CrdAndWebhook, "an event sink has a layout, lacks the block of its type, or has the block of another", "the block named like the type is required, and no other";
    K18, Webhook, "serialization.compression is set for a Git repository", "files in Git are not compressed; remove it, or use none";
    K19, Operator, "the sink lacks something without which it cannot write, e.g. its endpoint or the name of its Secret", "must not be empty or blank";
}

/// Parts of option keys that name credentials, which belong into a Secret.
const CREDENTIAL_WORDS: [&str; 11] = [
    "password",
    "passwd",
    "secret",
    "token",
    "apikey",
    "api_key",
    "accesskey",
    "access_key",
    "privatekey",
    "private_key",
    "credential",
];

/// Whether the name of a key says that its value is a credential.
pub(crate) fn names_credential(key: &str) -> bool {
    let lower = key.to_ascii_lowercase();
    CREDENTIAL_WORDS.iter().any(|word| lower.contains(word))
}

pub(crate) fn review_snapshot(
    found: &mut Findings,
    spec: &KollectSnapshotSinkSpec,
    settings: &RuleSettings,
    facts: &Facts<'_>,
) {
    snapshot::judge(found, spec);
    check_floor(found, &spec.common, facts);
    endpoint::snapshot(found, spec, &guard(settings));
    warnings::snapshot(found, spec);
}

pub(crate) fn review_database(found: &mut Findings, spec: &KollectDatabaseSinkSpec, facts: &Facts<'_>) {
    database::judge(found, spec);
    check_floor(found, &spec.common, facts);
    warnings::database(found, spec);
}

pub(crate) fn review_event(
    found: &mut Findings,
    spec: &KollectEventSinkSpec,
    settings: &RuleSettings,
    facts: &Facts<'_>,
) {
    event::judge(found, spec);
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

fn check_floor(found: &mut Findings, common: &SinkCommon, facts: &Facts<'_>) {
    if let Some(interval) = &common.export_min_interval
        && let Err(why) = Ceiling::of_namespace(facts.scopes).interval_allowed(interval)
    {
        found.say(&K9, "spec.exportMinInterval", interval.as_str(), why);
    }
}

fn check_common(found: &mut Findings, common: &SinkCommon) {
    check_path(found, &K2, "spec.pathTemplate", common.path_template.as_deref(), PathOf::Document);
    found.interval(&K3, "spec.exportMinInterval", common.export_min_interval.as_ref(), MAX_INTERVAL);
    let naming = common.provisioning.as_ref().and_then(|provisioning| provisioning.naming.as_ref());
    if let Some(naming) = naming {
        let field = "spec.provisioning.naming.template";
        check_path(found, &K5, field, naming.template.as_deref(), PathOf::Document);
    }
    for key in common.options.keys().filter(|key| names_credential(key)) {
        found.add(&K6, format!("spec.options[{}]", shown(key)), "");
    }
}

fn check_format(found: &mut Findings, common: &SinkCommon, type_: &str, formats: &[Format]) {
    let format = common.serialization.as_ref().and_then(|serialization| serialization.format);
    if let Some(format) = format.filter(|format| !formats.contains(format)) {
        let known: Vec<_> = formats.iter().map(|format| format.as_str()).collect();
        let why = format!("is not written by type {type_}; use {}", known.join(", "));
        found.text(&K7, "spec.serialization.format", format.as_str(), why);
    }
}

fn check_path(found: &mut Findings, rule: &crate::doc::RuleDoc, field: &str, template: Option<&str>, path_of: PathOf) {
    // Empty means unset.
    let Some(template) = template.filter(|template| !template.is_empty()) else { return };
    if let Err(why) = check_template(template, path_of) {
        found.text(rule, field, template, why);
    }
}

#[cfg(test)]
mod tests;

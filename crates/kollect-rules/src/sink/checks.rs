//! Checks that all kinds of sinks share.

use super::rules::{K2, K3, K5, K6, K7};
use crate::findings::Findings;
use crate::interval::MAX_INTERVAL;
use crate::rule::RuleDoc;
use crate::template::{PathOf, check as check_template};
use crate::violation::shown;
use kollect_api::{Format, SinkCommon};

/// Parts of option keys that name credentials, which belong in a Secret.
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

/// Whether the name of a key implies that its value is a credential.
fn names_credential(key: &str) -> bool {
    let lower = key.to_ascii_lowercase();
    CREDENTIAL_WORDS.iter().any(|word| lower.contains(word))
}

pub(super) fn check_common(found: &mut Findings, common: &SinkCommon) {
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

pub(super) fn check_format(found: &mut Findings, common: &SinkCommon, type_: &str, formats: &[Format]) {
    let format = common.serialization.as_ref().and_then(|serialization| serialization.format);
    if let Some(format) = format.filter(|format| !formats.contains(format)) {
        let known: Vec<_> = formats.iter().map(|format| format.as_str()).collect();
        let why = format!("is not written by type {type_}; use {}", known.join(", "));
        found.text(&K7, "spec.serialization.format", format.as_str(), why);
    }
}

pub(super) fn check_path(found: &mut Findings, rule: &RuleDoc, field: &str, template: Option<&str>, path_of: PathOf) {
    // Empty means unset.
    let Some(template) = template.filter(|template| !template.is_empty()) else { return };
    if let Err(why) = check_template(template, path_of) {
        found.text(rule, field, template, why);
    }
}

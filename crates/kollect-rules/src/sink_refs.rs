//! References from inventories of both kinds to sinks.

use crate::ceiling::Ceiling;
use crate::findings::Findings;
use crate::interval::MAX_INTERVAL;
use crate::names::nearest;
use crate::rule::RuleDoc;
use crate::violation::{TWICE, shown};
use kollect_api::{GoDuration, SinkFamily, SinkRef};
use serde_json::Value;
use std::collections::BTreeSet;

/// Most sinks that one inventory exports to.
pub const MAX_SINK_REFS: usize = 20;

/// The three lists of an inventory.
pub(crate) type Lists<'a> = [(SinkFamily, &'a [SinkRef]); 3];

/// The rules that both kinds of inventories share, with the identifiers of one kind.
pub(crate) struct RefIds {
    pub(crate) count: &'static RuleDoc,
    pub(crate) name: &'static RuleDoc,
    pub(crate) interval: &'static RuleDoc,
    pub(crate) bytes: &'static RuleDoc,
    pub(crate) keys: &'static RuleDoc,
}

const KEYS: [&str; 4] = ["name", "namespace", "exportMinInterval", "maxExportBytes"];

/// Checks what decoding drops: unknown keys, and entries of another type.
pub(crate) fn check_keys(found: &mut Findings, ids: &RefIds, object: &Value) {
    for field in SinkFamily::ALL.map(SinkFamily::refs_field) {
        for (i, entry) in object["spec"][field].as_array().into_iter().flatten().enumerate() {
            let at = format!("spec.{field}[{i}]");
            match entry {
                Value::String(_) => {}
                Value::Object(members) => {
                    for key in members.keys().filter(|key| !KEYS.contains(&key.as_str())) {
                        let hint = nearest(key, KEYS.into_iter());
                        let hint = hint.map_or_else(|| "remove it".to_owned(), |near| format!("did you mean {near}?"));
                        let at = format!("{at}.{}", shown(key));
                        found.text(ids.keys, &at, "", format!("unknown field \"{at}\"; {hint}"));
                    }
                }
                _ => found.text(ids.keys, at, "", "must be the name of a sink, or an object with name"),
            }
        }
    }
}

/// Whether the lists are short enough to be checked.
pub(crate) fn check_counts(found: &mut Findings, ids: &RefIds, lists: &Lists<'_>) -> bool {
    let refs: usize = lists.iter().map(|(_, refs)| refs.len()).sum();
    if refs <= MAX_SINK_REFS {
        return true;
    }
    let long = lists.iter().find(|(_, refs)| refs.len() > MAX_SINK_REFS);
    let field = long.map_or("spec".to_owned(), |(family, _)| format!("spec.{}", family.refs_field()));
    let why = format!("Too many: {refs} sinks; must have at most {MAX_SINK_REFS} items in all three lists together");
    found.text(ids.count, field, "", why);
    false
}

/// Checks names, intervals and sizes of one list.
pub(crate) fn check_refs(found: &mut Findings, ids: &RefIds, family: SinkFamily, refs: &[SinkRef], max_bytes: i64) {
    let mut seen = BTreeSet::new();
    for (i, reference) in refs.iter().enumerate() {
        let at = format!("spec.{}[{i}]", family.refs_field());
        if found.name(ids.name, &format!("{at}.name"), &reference.name) && !seen.insert(&reference.name) {
            found.text(ids.name, format!("{at}.name"), &reference.name, TWICE);
        }
        let interval = reference.export_min_interval.as_ref();
        found.interval(ids.interval, &format!("{at}.exportMinInterval"), interval, MAX_INTERVAL);
        check_bytes(found, ids.bytes, &format!("{at}.maxExportBytes"), reference.max_export_bytes, max_bytes);
    }
}

/// Checks a size limit in bytes.
pub(crate) fn check_bytes(found: &mut Findings, rule: &RuleDoc, field: &str, bytes: Option<i64>, max: i64) {
    let Some(bytes) = bytes else { return };
    if bytes < 1 {
        found.text(rule, field, &bytes.to_string(), "must be greater than or equal to 1");
    } else if bytes > max {
        found.text(
            rule,
            field,
            &bytes.to_string(),
            format!("must be at most {max}, the operator's --max-export-bytes"),
        );
    }
}

/// Checks that set intervals are not below the floor of a scope.
pub(crate) fn check_floor(
    found: &mut Findings,
    rule: &RuleDoc,
    ceiling: &Ceiling<'_>,
    own: Option<&GoDuration>,
    lists: &Lists<'_>,
) {
    let refs = lists.iter().flat_map(|(family, refs)| {
        refs.iter().enumerate().map(|(i, reference)| {
            let field = format!("spec.{}[{i}].exportMinInterval", family.refs_field());
            (field, reference.export_min_interval.as_ref())
        })
    });
    for (field, interval) in refs.chain([("spec.exportMinInterval".to_owned(), own)]) {
        let Some(interval) = interval else { continue };
        if let Err(why) = ceiling.interval_allowed(interval) {
            found.add_detail(rule, field, interval.as_str(), why);
        }
    }
}

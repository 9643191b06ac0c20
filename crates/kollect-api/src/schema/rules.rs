//! CEL rules over several fields of one object. Their messages state the remedy and contain no credential.

use serde_json::{Value, json};

/// A rule and its message.
pub(crate) fn rule(rule: &str, message: &str) -> Value {
    json!({"rule": rule, "message": message})
}

/// A rule that is reported at a field below.
fn at(field: &str, rule: &str, message: &str) -> Value {
    json!({"rule": rule, "message": message, "fieldPath": field})
}

/// A block that only some types have.
fn only_for(field: &str, types: &[&str]) -> Value {
    let known = json!(types).to_string().replace('"', "'");
    json!({
        "rule": format!("self.type in {known} || !has(self.{field})"),
        "messageExpression": "'does not apply to type ' + self.type + '; remove it'",
        "message": "does not apply to this type; remove it",
        "fieldPath": format!(".{field}"),
    })
}

/// The block that a type needs and no other type has.
fn block_of(type_: &str) -> [Value; 2] {
    let needed = at(
        &format!(".{type_}"),
        &format!("self.type != '{type_}' || has(self.{type_})"),
        &format!("is required for type {type_}"),
    );
    [needed, only_for(type_, &[type_])]
}

/// Formats that a type writes.
fn formats(condition: &str, formats: &[&str]) -> Value {
    let known = json!(formats).to_string().replace('"', "'");
    json!({
        "rule": format!(
            "{condition}!has(self.serialization) || !has(self.serialization.format) || self.serialization.format in {known}"
        ),
        "messageExpression": format!("'is not written by type ' + self.type + '; use {}'", formats.join(", ")),
        "message": format!("is not written by this type; use {}", formats.join(", ")),
        "fieldPath": ".serialization.format",
    })
}

const NO_LAYOUT: &str = "applies to Git repositories only; remove it";

/// KollectSnapshotSink.
pub(crate) fn snapshot_sink() -> Value {
    json!([
        only_for("git", &["git"]),
        only_for("gitlab", &["gitlab"]),
        only_for("objectStore", &["s3", "gcs"]),
        only_for("layout", &["git", "gitlab"]),
        only_for("http", &[]),
        formats("self.type in ['s3', 'gcs'] || ", &["json", "yaml", "ndjson"]),
        formats("self.type in ['git', 'gitlab'] || ", &["json", "parquet", "csv"]),
    ])
}

/// KollectDatabaseSink.
pub(crate) fn database_sink() -> Value {
    let mut rules = vec![at(".layout", "!has(self.layout)", NO_LAYOUT), formats("", &["json"])];
    rules.extend(["postgres", "bigquery", "mongodb"].into_iter().flat_map(block_of));
    json!(rules)
}

/// KollectEventSink.
pub(crate) fn event_sink() -> Value {
    let mut rules = vec![at(".layout", "!has(self.layout)", NO_LAYOUT), formats("", &["json"])];
    rules.extend(["nats", "kafka"].into_iter().flat_map(block_of));
    json!(rules)
}

/// KollectProfile.
pub(crate) fn profile() -> Value {
    // A list of one list, so that the names are gathered once and not per metric.
    const NAMES: &str = "[has(self.attributes) ? self.attributes.map(a, a.name) : []]";
    json!([
        at(
            ".attributes",
            "!has(self.export) || self.export.mode == 'Resource' || has(self.attributes) && size(self.attributes) > 0",
            "must not be empty when export.mode is not Resource",
        ),
        at(
            ".export.as",
            "!has(self.export) || self.export.mode != 'Resource' || !has(self.attributes) || \
             self.attributes.all(a, a.name != self.export.as)",
            "is the name of an attribute; choose another",
        ),
        at(
            ".metrics",
            &format!(
                "!has(self.metrics) || {NAMES}.all(names, \
                 self.metrics.all(m, m.path.trim() == '' || m.path in names))"
            ),
            "the path of a metric is not the name of an attribute; write the name, not the attribute's path",
        ),
        at(
            ".metrics",
            &format!(
                "!has(self.metrics) || {NAMES}.all(names, self.metrics.all(m, !has(m.labels) || \
                 m.labels.all(l, l.trim() == '' || l in names)))"
            ),
            "a label of a metric is not the name of an attribute",
        ),
    ])
}

/// The sink of a KollectConnectionTest.
pub(crate) fn one_sink() -> Value {
    json!([rule(
        "[has(self.snapshotSinkRef) && self.snapshotSinkRef != '', has(self.databaseSinkRef) && \
         self.databaseSinkRef != '', has(self.eventSinkRef) && self.eventSinkRef != ''].exists_one(set, set)",
        "must name exactly one sink: set one of snapshotSinkRef, databaseSinkRef and eventSinkRef",
    )])
}

/// A reference to another namespace.
pub(crate) fn namespaced_reference() -> Value {
    json!([at(
        ".namespace",
        "has(self.namespace)",
        "is required: the namespace of the profile must be given, because this kind has none itself",
    )])
}

/// Whether a selector has at least one label or expression.
const SELECTS: &str = "has(self.namespaceSelector) && (has(self.namespaceSelector.matchLabels) && \
    size(self.namespaceSelector.matchLabels) > 0 || has(self.namespaceSelector.matchExpressions) && \
    size(self.namespaceSelector.matchExpressions) > 0)";

/// KollectClusterTarget.
pub(crate) fn cluster_target() -> Value {
    json!([at(
        ".namespaceSelector",
        SELECTS,
        "must have at least one label or expression; to select every namespace write matchExpressions: \
         [{key: kubernetes.io/metadata.name, operator: Exists}]",
    )])
}

/// KollectClusterInventory.
pub(crate) fn cluster_inventory() -> Value {
    json!([at(
        ".namespaceSelector",
        &format!("{SELECTS} || has(self.namespaces) && size(self.namespaces) > 0"),
        "must have at least one label or expression, unless namespaces has entries; to select every namespace write \
         matchExpressions: [{key: kubernetes.io/metadata.name, operator: Exists}]",
    )])
}

/// Keys of `options`.
pub(crate) fn options() -> Value {
    const WORDS: &str = "(?i)(password|passwd|secret|token|api_?key|access_?key|private_?key|credential)";
    json!([{
        "rule": format!("self.all(key, !key.matches('{WORDS}'))"),
        "messageExpression": format!(
            "self.filter(key, key.matches('{WORDS}'))[0] + ' is the name of a credential; put it into the Secret of secretRef'"
        ),
        "message": "a key is the name of a credential; put it into the Secret of secretRef",
    }])
}

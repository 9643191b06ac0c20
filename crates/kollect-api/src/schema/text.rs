//! Schemas of texts, numbers and lists of names that several kinds share. Field descriptions state the bounds.

use super::rules::rule;
use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

/// Longest name, in characters.
pub(crate) const MAX_NAME: u32 = 253;
/// Longest template.
const MAX_TEMPLATE: u32 = 1024;
/// Most entries of a list of names.
const MAX_NAMES: u32 = 4096;

/// A namespace.
const DNS_LABEL: &str = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";
const DNS_SUBDOMAIN: &str = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";
/// A Go duration without a sign.
const UNSIGNED: &str = "(0|(([0-9]+([.][0-9]*)?|[.][0-9]+)(ns|us|µs|μs|ms|s|m|h))+)";
/// A Go duration. Schema nodes without a type have patterns only, no CEL rules.
pub(crate) const DURATION_PATTERN: &str = "^[+]?(0|(([0-9]+([.][0-9]*)?|[.][0-9]+)(ns|us|µs|μs|ms|s|m|h))+)$";

fn not_blank() -> Value {
    rule("self.trim() != ''", "must not be empty or blank")
}

fn alone() -> Value {
    rule("!self.contains('/')", "must be a name alone, without a namespace; it must not contain \"/\"")
}

fn is_dns_label() -> Value {
    rule(
        &format!("self.matches('{DNS_LABEL}') && size(self) <= 63"),
        "must be a DNS-1123 label: at most 63 lower-case letters, digits and \"-\", with a letter or digit at both ends",
    )
}

fn string(max: u32, rules: &[Value]) -> Schema {
    let mut schema = json_schema!({"type": "string", "maxLength": max});
    if !rules.is_empty() {
        schema.insert("x-kubernetes-validations".to_owned(), json!(rules));
    }
    schema
}

fn set(items: &Schema, max: u32) -> Schema {
    json_schema!({"type": "array", "maxItems": max, "x-kubernetes-list-type": "set", "items": items})
}

/// A text that must not be blank.
pub(crate) fn word(_: &mut SchemaGenerator) -> Schema {
    string(MAX_NAME, &[not_blank()])
}

/// A set of texts that must not be blank.
pub(crate) fn words_set(_: &mut SchemaGenerator) -> Schema {
    set(&string(MAX_NAME, &[not_blank()]), MAX_NAMES)
}

/// Name of an object of the same namespace.
pub(crate) fn name(_: &mut SchemaGenerator) -> Schema {
    string(MAX_NAME, &[not_blank(), alone()])
}

/// A key; any text.
pub(crate) fn text_key(_: &mut SchemaGenerator) -> Schema {
    string(MAX_NAME, &[])
}

/// Labels of a metric.
pub(crate) fn metric_labels(_: &mut SchemaGenerator) -> Schema {
    set(&string(MAX_NAME, &[not_blank()]), 5)
}

/// Name of an object of the same namespace, where empty means not set.
pub(crate) fn member_name(_: &mut SchemaGenerator) -> Schema {
    string(MAX_NAME, &[rule("self == '' || self.trim() != ''", "must not be empty or blank"), alone()])
}

/// Names, repeated or not.
pub(crate) fn names(_: &mut SchemaGenerator) -> Schema {
    let items = string(MAX_NAME, &[not_blank(), alone()]);
    json_schema!({"type": "array", "maxItems": MAX_NAMES, "x-kubernetes-list-type": "atomic", "items": items})
}

/// Name of a namespace.
pub(crate) fn dns_label(_: &mut SchemaGenerator) -> Schema {
    string(MAX_NAME, &[is_dns_label()])
}

/// A set of names of namespaces.
pub(crate) fn namespaces(_: &mut SchemaGenerator) -> Schema {
    set(&string(MAX_NAME, &[is_dns_label()]), MAX_NAMES)
}

/// Name of an object of any kind.
pub(crate) fn dns_subdomain(_: &mut SchemaGenerator) -> Schema {
    let message = "must be a DNS-1123 subdomain: lower-case letters, digits, \"-\" and \".\", with a letter or digit at \
                   both ends, without \"/\"";
    string(MAX_NAME, &[rule(&format!("self.matches('{DNS_SUBDOMAIN}')"), message)])
}

/// A duration from zero to a day.
pub(crate) fn duration() -> Schema {
    let known = format!("self.matches('^[+-]?{UNSIGNED}$')");
    let bounded = |comparison: &str, message: &str| rule(&format!("!{known} || duration(self) {comparison}"), message);
    string(
        64,
        &[
            rule(&known, "is not a duration; write a number with a unit, such as 500ms, 30s, 1m30s or 1h"),
            bounded(">= duration('0s')", "is negative; use 0s or more"),
            bounded("<= duration('24h')", "must not be above 24h"),
        ],
    )
}

const DOCUMENT: [&str; 5] = ["cluster", "namespace", "name", "generation", "extension"];
const ROW: [&str; 7] = ["targetNamespace", "targetName", "sourceNamespace", "sourceName", "group", "kind", "uid"];

/// A path with placeholders. `letters` are those of which a word in braces counts as a placeholder.
fn path(known: &[&str], letters: &str, identity: &str, without: &str) -> Schema {
    let braced: Vec<String> = known.iter().map(|name| format!("{{{name}}}")).collect();
    let list = json!(braced).to_string().replace('"', "'");
    let found = format!("self.findAll('[{{]{letters}+[}}]')");
    string(
        MAX_TEMPLATE,
        &[
            rule("!self.startsWith('/')", "must be relative; remove the leading \"/\""),
            rule("!self.contains('..')", "must not contain \"..\""),
            rule("!self.matches('[[:cntrl:]]')", "must not contain control characters"),
            json!({
                "rule": format!("{found}.all(p, p in {list})"),
                "messageExpression": format!(
                    "'unknown placeholder ' + {found}.filter(p, !(p in {list}))[0] + '; known are {}'",
                    braced.join(" ")
                ),
                "message": format!("unknown placeholder; known are {}", braced.join(" ")),
            }),
            rule(&format!("self == '' || {identity}"), without),
        ],
    )
}

/// Path of a document.
pub(crate) fn document_path(_: &mut SchemaGenerator) -> Schema {
    path(
        &DOCUMENT,
        "[a-z]",
        "self.contains('{namespace}') && self.contains('{name}')",
        "must contain {namespace} and {name}, else inventories would share one path",
    )
}

/// Path of one row's file.
pub(crate) fn row_path(_: &mut SchemaGenerator) -> Schema {
    let known: Vec<&str> = DOCUMENT.into_iter().chain(ROW).collect();
    path(
        &known,
        "[a-zA-Z]",
        "self.contains('{sourceName}') || self.contains('{name}') || self.contains('{uid}')",
        "must contain {sourceName}, {name} or {uid}, else rows would share one path",
    )
}

/// A Git branch.
pub(crate) fn branch(_: &mut SchemaGenerator) -> Schema {
    let sound = "self == '' || self.matches('^[A-Za-z0-9][A-Za-z0-9._/-]*$') && !self.contains('..') && \
                 !self.contains('//') && !self.startsWith('refs/') && !self.matches('([.]|[.]lock|/)$')";
    let message = "must start with a letter or digit, hold only letters, digits, \".\", \"_\", \"/\" and \"-\", without \
                   \"..\" and \"//\", not end in \".\", \".lock\" or \"/\", and be given without refs/";
    string(MAX_NAME, &[rule(sound, message)])
}

/// Where the value of an attribute is.
pub(crate) fn attribute_path(_: &mut SchemaGenerator) -> Schema {
    string(8192, &[not_blank(), rule("!self.matches('^\\\\s*object[.[]')", "is CEL; put the prefix cel: before it")])
}

/// JSON pointers.
pub(crate) fn json_pointers(_: &mut SchemaGenerator) -> Schema {
    let sound = "self.startsWith('/') && !self.matches('~([^01]|$)')";
    let message = "is not a JSON pointer; it starts with / and writes ~ as ~0 and / as ~1";
    json_schema!({"type": "array", "maxItems": 256, "items": string(1024, &[rule(sound, message)])})
}

fn integer(format: &str, rules: &[Value]) -> Schema {
    json_schema!({"type": "integer", "format": format, "x-kubernetes-validations": rules})
}

/// A positive number.
pub(crate) fn at_least_one_32(_: &mut SchemaGenerator) -> Schema {
    integer("int32", &[rule("self >= 1", "must be at least 1")])
}

/// A positive number.
pub(crate) fn at_least_one_64(_: &mut SchemaGenerator) -> Schema {
    integer("int64", &[rule("self >= 1", "must be at least 1")])
}

/// A TCP port.
pub(crate) fn port(_: &mut SchemaGenerator) -> Schema {
    integer("int32", &[rule("self >= 1 && self <= 65535", "must be from 1 to 65535")])
}

/// A time in seconds.
pub(crate) fn seconds(_: &mut SchemaGenerator) -> Schema {
    integer("int32", &[rule("self >= 0", "must be 0 or more")])
}

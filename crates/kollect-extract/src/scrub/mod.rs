//! Rules for redacting values, and writing values with redacted ones into a row.
//!
//! Objects are redacted while they are decoded (`decode`), so expressions read [`REDACTED`] in place of a secret. Values
//! that expressions build are redacted again, because a combination of harmless parts can be a secret.

mod hide;
mod keys;

pub(crate) use hide::{MapMembers, redact_arguments};
pub use keys::ScrubKeys;

use crate::budget;
use crate::error::{ErrorClass, EvalError};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kollect_model::redact::{self, REDACTED, Sensitivity};
use kollect_model::{write_string, write_value};
use serde_json::Value;

/// The JSON of a redacted value in a row.
pub(crate) const REPLACEMENT: &[u8] = br#"{"reason":"sensitive-key","redacted":true}"#;

/// The annotation in which kubectl keeps a copy of the whole object, Secrets included.
pub(crate) const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// serde_json refuses deeper input, so only a hand-made value could be deeper than this.
pub(crate) const MAX_DEPTH: usize = 160;

/// Prefixes of annotations of core Secrets whose values are kept: state of controllers, never data of the Secret.
const ANNOTATIONS_OF_SECRETS: [&str; 12] = [
    "kollect.dev/",
    "app.kubernetes.io/",
    "helm.sh/",
    "meta.helm.sh/",
    "cert-manager.io/",
    "kubernetes.io/service-account.",
    "argocd.argoproj.io/",
    "kustomize.toolkit.fluxcd.io/",
    "helm.toolkit.fluxcd.io/",
    "reloader.stakater.com/",
    "external-secrets.io/",
    "reconcile.external-secrets.io/",
];

/// Whether base64 decodes to a text with a secret.
pub(crate) fn encodes_secret(text: &str) -> bool {
    let decoded = STANDARD.decode(text).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    decoded.is_some_and(|text| redact::text(&text).is_some())
}

/// Redacts the values of all annotations of a core Secret but those that are known to be harmless.
pub(crate) fn redact_annotations_of_secret(annotations: &mut Value) {
    let Some(all) = annotations.as_object_mut() else { return };
    all.remove(LAST_APPLIED);
    for (key, value) in all {
        if !ANNOTATIONS_OF_SECRETS.iter().any(|known| key.starts_with(known)) {
            *value = Value::String(REDACTED.to_owned());
        }
    }
}

/// A redacted key: keys can be URLs of registries and endpoints, with credentials.
pub(crate) fn redacted_key(key: &str) -> String {
    if key.len() < 32 && memchr::memchr(b':', key.as_bytes()).is_none() {
        return key.to_owned();
    }
    redact::text(key).map_or_else(|| key.to_owned(), Into::into)
}

/// Appends the value of the attribute `name`, redacted when the name is sensitive.
pub(crate) fn write_attribute(name: &str, value: &Value, keys: &ScrubKeys, out: &mut Vec<u8>) -> Result<(), EvalError> {
    if hides(name, value, keys) {
        out.extend_from_slice(REPLACEMENT);
        return Ok(());
    }
    write(value, out, 0)
}

/// Appends a list of values as the attribute `name`, redacted when the name is sensitive.
pub(crate) fn write_attribute_list(
    name: &str,
    values: &[&Value],
    keys: &ScrubKeys,
    out: &mut Vec<u8>,
) -> Result<(), EvalError> {
    if values.iter().any(|value| hides(name, value, keys)) {
        out.extend_from_slice(REPLACEMENT);
        return Ok(());
    }
    out.push(b'[');
    for (i, value) in values.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        write(value, out, 1)?;
    }
    out.push(b']');
    Ok(())
}

/// Whether the value is redacted because of the attribute's name. An attribute `secrets` lists the names of Secrets.
fn hides(name: &str, value: &Value, keys: &ScrubKeys) -> bool {
    if matches!(value, Value::Null | Value::Bool(_) | Value::Number(_)) {
        return false;
    }
    let found = redact::sensitivity(name)
        .map(|found| if name.to_ascii_lowercase().ends_with("secrets") { Sensitivity::Name } else { found });
    found.is_some_and(|found| hide::is_secret(name, found, value)) || keys.names(name)
}

/// Appends a redacted value. [`REDACTED`] becomes [`REPLACEMENT`].
pub(crate) fn write(value: &Value, out: &mut Vec<u8>, depth: usize) -> Result<(), EvalError> {
    if depth > MAX_DEPTH {
        return Err(EvalError::limit("the value is nested too deeply"));
    }
    budget::check_row(out.len())?;
    match value {
        Value::String(text) if text == REDACTED => out.extend_from_slice(REPLACEMENT),
        Value::String(text) => {
            budget::check_text(text, out.len())?;
            write_string(text, out);
        }
        Value::Array(items) => {
            budget::charge(1 + items.len())?;
            out.push(b'[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                write(item, out, depth + 1)?;
            }
            out.push(b']');
        }
        Value::Object(map) => {
            budget::charge(1 + map.len())?;
            out.push(b'{');
            for (i, (key, item)) in map.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                write_string(key, out);
                out.push(b':');
                write(item, out, depth + 1)?;
            }
            out.push(b'}');
        }
        scalar => write_value(scalar, out)
            .map_err(|_| EvalError::new(ErrorClass::NotJson, "a number is infinite or not a number"))?,
    }
    Ok(())
}

#[cfg(test)]
mod tests;

//! Writes attribute values as canonical JSON and leaves secrets out while doing so.
//!
//! Separate because it is the last gate before a row exists: everything an expression returns passes through here.
//! It must not decide what is extracted, only what of it may be seen.

mod keys;
mod text;

pub use keys::ScrubKeys;

use crate::budget;
use crate::error::{ErrorClass, EvalError};
use kollect_model::{write_string, write_value};
use serde_json::{Map, Value};

/// What stands in for a redacted value.
pub(crate) const REPLACEMENT: &[u8] = br#"{"reason":"sensitive-key","redacted":true}"#;

/// The annotation in which kubectl keeps a copy of the whole object, Secrets included.
pub(crate) const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// Stands in for the text of that annotation, which is never decoded. It is redacted like any other copy of a manifest.
pub(crate) const COPY_STANDS_IN: &str = r#"{"apiVersion":"","kind":"","metadata":{}}"#;

/// serde_json refuses deeper input, so only a hand-made value could be deeper than this.
pub(crate) const MAX_DEPTH: usize = 160;

/// Appends the value of the attribute `name`, redacted where needed.
pub(crate) fn write_attribute(name: &str, value: &Value, keys: &ScrubKeys, out: &mut Vec<u8>) -> Result<(), EvalError> {
    if hidden(name, value, keys) {
        out.extend_from_slice(REPLACEMENT);
        return Ok(());
    }
    write(value, keys, out, 0)
}

/// Appends a list of values as the attribute `name`, redacted where needed.
pub(crate) fn write_attribute_list(
    name: &str,
    values: &[&Value],
    keys: &ScrubKeys,
    out: &mut Vec<u8>,
) -> Result<(), EvalError> {
    if keys.is_sensitive(name) {
        out.extend_from_slice(REPLACEMENT);
        return Ok(());
    }
    out.push(b'[');
    for (i, value) in values.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        write(value, keys, out, 1)?;
    }
    out.push(b']');
    Ok(())
}

/// Appends a value, redacted where needed. Its own key does not count.
pub(crate) fn write(value: &Value, keys: &ScrubKeys, out: &mut Vec<u8>, depth: usize) -> Result<(), EvalError> {
    if depth > MAX_DEPTH {
        return Err(EvalError::limit("the value is nested too deeply"));
    }
    budget::charge(1)?;
    budget::check_row(out.len())?;
    match value {
        Value::String(text) => {
            budget::check_text(text, out.len())?;
            write_text(text, out);
        }
        Value::Array(items) => {
            out.push(b'[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                write(item, keys, out, depth + 1)?;
            }
            out.push(b']');
        }
        Value::Object(map) => write_object(map, keys, out, depth)?,
        scalar => write_value(scalar, out)
            .map_err(|_| EvalError::new(ErrorClass::NotJson, "a number is infinite or not a number"))?,
    }
    Ok(())
}

fn write_object(map: &Map<String, Value>, keys: &ScrubKeys, out: &mut Vec<u8>, depth: usize) -> Result<(), EvalError> {
    let mut pair = Pair::default();
    out.push(b'{');
    for (i, (key, value)) in map.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        write_string(key, out);
        out.push(b':');
        if pair.hides(key, value, keys) || hidden(key, value, keys) {
            out.extend_from_slice(REPLACEMENT);
        } else {
            write(value, keys, out, depth + 1)?;
        }
    }
    out.push(b'}');
    Ok(())
}

/// Numbers, booleans and null under a sensitive name are counters and switches (`maxToken: 3`, `auth: true`), not secrets.
fn is_switch(value: &Value) -> bool {
    matches!(value, Value::Null | Value::Bool(_) | Value::Number(_))
}

/// `{"name": "DB_PASSWORD", "value": …}`, as in the environment of a container: one member names what the other holds.
///
/// Must see all members of a map in their order, which puts `key` and `name` before `value`; looking them up took
/// longer than everything else.
#[derive(Default)]
pub(crate) struct Pair {
    names_a_secret: bool,
}

impl Pair {
    /// Whether the value of `key`, the next member, is replaced.
    pub(crate) fn hides(&mut self, key: &str, value: &Value, keys: &ScrubKeys) -> bool {
        match key {
            "key" | "name" => {
                self.names_a_secret |= matches!(value, Value::String(name) if keys.is_sensitive(name));
                false
            }
            "value" => self.names_a_secret && !is_switch(value),
            _ => false,
        }
    }
}

fn hidden(key: &str, value: &Value, keys: &ScrubKeys) -> bool {
    hides(key, value, keys, |_| true)
}

/// Whether the value of `key` is replaced. Only what is `kept` of a map can give it away.
pub(crate) fn hides(key: &str, value: &Value, keys: &ScrubKeys, kept: impl Fn(&str) -> bool) -> bool {
    let has = |map: &Map<String, Value>, name: &str| map.contains_key(name) && kept(name);
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
        Value::String(_) => key == LAST_APPLIED || keys.is_sensitive(key),
        Value::Array(_) => keys.is_sensitive(key),
        Value::Object(map) => {
            let structural = match key {
                "valueFrom" => has(map, "secretKeyRef"),
                "secretKeyRef" | "secretRef" => true,
                "tls" => has(map, "key"),
                _ => false,
            };
            structural || keys.is_sensitive(key)
        }
    }
}

fn write_text(value: &str, out: &mut Vec<u8>) {
    // Manifests and URLs have colons; most texts have none.
    if memchr::memchr(b':', value.as_bytes()).is_none() {
        return write_string(value, out);
    }
    if text::is_manifest(value) {
        out.extend_from_slice(REPLACEMENT);
    } else if let Some(clean) = text::without_credentials(value) {
        write_string(&clean, out);
    } else {
        write_string(value, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn scrubbed(name: &str, value: &Value) -> Value {
        let mut out = Vec::new();
        write_attribute(name, value, &ScrubKeys::new(["pin", " OTP-Seed ", "x1"]), &mut out).unwrap();
        serde_json::from_slice(&out).unwrap()
    }

    fn gone() -> Value {
        json!({"reason": "sensitive-key", "redacted": true})
    }

    #[test]
    fn sensitive_keys_are_replaced_at_any_depth() {
        let cases = [
            (json!({"dbPassword": "x", "host": "h"}), json!({"dbPassword": gone(), "host": "h"})),
            (json!({"auth": {"user": "u"}}), json!({"auth": gone()})),
            (json!([{"token": "t"}, {"n": 1}]), json!([{"token": gone()}, {"n": 1}])),
            (json!({"valueFrom": {"secretKeyRef": {"name": "s"}}}), json!({"valueFrom": gone()})),
            (json!({"valueFrom": {"fieldRef": {}}}), json!({"valueFrom": {"fieldRef": {}}})),
            (json!({"tls": {"key": "k", "crt": "c"}}), json!({"tls": gone()})),
            (json!({"tls": [{"hosts": ["h"]}]}), json!({"tls": [{"hosts": ["h"]}]})),
            (json!({"secretRef": "name-only"}), json!({"secretRef": "name-only"})),
            (json!({"secretRef": {"name": "s"}}), json!({"secretRef": gone()})),
            (json!({"TOKEN ": ["t"]}), json!({"TOKEN ": gone()})),
            (
                json!({"cardPin": "1", "my-otp-seed": "2", "ax1": "3"}),
                json!({"cardPin": gone(), "my-otp-seed": gone(), "ax1": "3"}),
            ),
            (json!({"x1": "3"}), json!({"x1": gone()})),
        ];
        for (before, after) in cases {
            // "x1" has two letters, so it must match exactly; the rest matches as a suffix.
            assert_eq!(scrubbed("v", &before), after, "{before}");
        }
    }

    #[test]
    fn counters_and_switches_are_kept() {
        let kept = json!({"usedToken": 3, "basicAuth": false, "password": null, "automountServiceAccountToken": true});
        assert_eq!(scrubbed("v", &kept), kept);
    }

    #[test]
    fn the_name_of_an_attribute_counts_like_a_key() {
        assert_eq!(scrubbed("password", &json!("x")), gone());
        assert_eq!(scrubbed("apiToken", &json!(["x"])), gone());
        assert_eq!(scrubbed("tokens", &json!("x")), json!("x"));
        let mut out = Vec::new();
        write_attribute_list("tokenList", &[&json!("a")], &ScrubKeys::default(), &mut out).unwrap();
        assert_eq!(out, br#"["a"]"#);
    }

    #[test]
    fn values_of_name_value_pairs_are_replaced() {
        assert_eq!(
            scrubbed("env", &json!([{"name": "DB_PASSWORD", "value": "x"}, {"name": "PORT", "value": "1"}])),
            json!([{"name": "DB_PASSWORD", "value": gone()}, {"name": "PORT", "value": "1"}])
        );
        assert_eq!(
            scrubbed(
                "v",
                &json!({"key": "api_token", "z": 1, "value": {"any": "x"}, "more": [{"key": "a", "value": "x"}]})
            ),
            json!({"key": "api_token", "z": 1, "value": gone(), "more": [{"key": "a", "value": "x"}]})
        );
    }

    #[test]
    fn manifests_inside_annotations_are_replaced() {
        assert_eq!(
            scrubbed("annotations", &json!({LAST_APPLIED: "anything", "a": "b"})),
            json!({LAST_APPLIED: gone(), "a": "b"})
        );
        let manifest = r#" {"apiVersion":"v1","kind":"Secret","metadata":{},"data":{"a":"eA=="}}"#;
        assert_eq!(scrubbed("copy", &json!(manifest)), gone());
    }

    #[test]
    fn the_replacement_is_canonical() {
        let mut expected = Vec::new();
        write_value(&gone(), &mut expected).unwrap();
        assert_eq!(expected, REPLACEMENT);
    }
}

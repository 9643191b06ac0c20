//! Additional sensitive key names of the operator and of a profile.

use kollect_model::redact::{self, REDACTED};
use serde_json::Value;
use std::borrow::Cow;

/// The sensitive names of the operator and of a profile, beside the built-in words.
///
/// A key is sensitive when it equals a name, or ends with one that has more than two letters; case and blanks around
/// do not count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScrubKeys {
    extra: Vec<Box<str>>,
}

impl ScrubKeys {
    /// The built-in words and `extra`.
    pub fn new<'a>(extra: impl IntoIterator<Item = &'a str>) -> Self {
        let mut extra: Vec<Box<str>> = extra
            .into_iter()
            .map(|name| name.trim().to_lowercase().into_boxed_str())
            .filter(|name| !name.is_empty())
            .collect();
        extra.sort_unstable();
        extra.dedup();
        Self { extra }
    }

    /// Whether values under `key` are secrets.
    pub fn is_sensitive(&self, key: &str) -> bool {
        redact::sensitivity(key).is_some() || self.names(key)
    }

    /// Whether one of the added names matches.
    pub(crate) fn names(&self, key: &str) -> bool {
        if self.extra.is_empty() {
            return false;
        }
        let key = key.trim();
        if key.is_ascii() {
            return self.extra.iter().any(|name| matches(key, name));
        }
        let lower = key.to_lowercase();
        self.extra.iter().any(|name| matches(&lower, name))
    }

    /// Redacts the values under the added names. Copies the value only if there is such a name.
    pub(crate) fn redact<'v>(&self, value: &'v Value) -> Cow<'v, Value> {
        if self.extra.is_empty() || !self.finds(value) {
            return Cow::Borrowed(value);
        }
        let mut value = value.clone();
        self.hide(&mut value);
        Cow::Owned(value)
    }

    fn finds(&self, value: &Value) -> bool {
        match value {
            Value::Array(items) => items.iter().any(|item| self.finds(item)),
            Value::Object(map) => map.iter().any(|(key, value)| {
                self.names(key)
                    || self.finds(value)
                    || matches!(value, Value::String(name) if redact::is_naming(key) && self.names(name))
            }),
            _ => false,
        }
    }

    fn hide(&self, value: &mut Value) {
        match value {
            Value::Array(items) => items.iter_mut().for_each(|item| self.hide(item)),
            Value::Object(map) => {
                let named = map.iter().any(
                    |(key, value)| matches!(value, Value::String(name) if redact::is_naming(key) && self.names(name)),
                );
                for (key, value) in map {
                    if (self.names(key) || (named && redact::is_paired_value(key))) && is_hideable(value) {
                        *value = Value::String(REDACTED.to_owned());
                    } else {
                        self.hide(value);
                    }
                }
            }
            _ => {}
        }
    }
}

/// Numbers, truth values and null are counters and switches.
fn is_hideable(value: &Value) -> bool {
    !matches!(value, Value::Null | Value::Bool(_) | Value::Number(_))
}

fn matches(key: &str, name: &str) -> bool {
    if name.chars().count() > 2 { ends_with(key, name) } else { key.eq_ignore_ascii_case(name) }
}

fn ends_with(key: &str, name: &str) -> bool {
    let (key, name) = (key.as_bytes(), name.as_bytes());
    key.len() >= name.len() && key[key.len() - name.len()..].eq_ignore_ascii_case(name)
}

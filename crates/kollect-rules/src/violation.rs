//! What is wrong with one field of a spec.

use kollect_api::GoDuration;
use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

/// A rule that a field breaks.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Violation {
    /// Path of the field, e.g. `spec.attributes[2].path`.
    pub field: String,
    /// What the field holds; empty when it is missing. Never a secret.
    pub value: String,
    /// What is wrong and what to write instead.
    pub message: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.value.is_empty() {
            write!(f, "{}: {}", self.field, self.message)
        } else {
            write!(f, "{}: {:?}: {}", self.field, self.value, self.message)
        }
    }
}

/// Collects violations.
#[derive(Debug, Default)]
pub(crate) struct Findings(pub(crate) Vec<Violation>);

/// Longest piece of a value that is repeated in a message.
const SHOWN: usize = 120;

impl Findings {
    pub(crate) fn add(&mut self, field: impl Into<String>, value: &str, message: impl Into<String>) {
        let value = match value.char_indices().nth(SHOWN) {
            Some((end, _)) => format!("{}…", &value[..end]),
            None => value.to_owned(),
        };
        self.0.push(Violation { field: field.into(), value, message: message.into() });
    }

    /// Text that must not be blank.
    pub(crate) fn required(&mut self, field: &str, value: &str) -> bool {
        if value.trim().is_empty() {
            self.add(field, "", "must not be empty");
            return false;
        }
        true
    }

    /// Name of an object in the same namespace.
    pub(crate) fn name(&mut self, field: &str, value: &str) -> bool {
        if !self.required(field, value) {
            return false;
        }
        if value.contains('/') {
            self.add(field, value, "must be a name alone, without a namespace");
            return false;
        }
        true
    }

    /// A list of names without blanks and repetitions.
    pub(crate) fn distinct(&mut self, field: &str, values: &[String]) {
        let mut seen = BTreeSet::new();
        for (i, value) in values.iter().enumerate() {
            let at = format!("{field}[{i}]");
            if self.required(&at, value) && !seen.insert(value) {
                self.add(at, value, "is listed twice");
            }
        }
    }

    /// A duration between zero and `max`.
    pub(crate) fn interval(&mut self, field: &str, value: Option<&GoDuration>, max: Duration) {
        let Some(value) = value else { return };
        match value.to_duration() {
            Ok(duration) if duration > max => {
                let max = kollect_api::go_duration_text(max);
                self.add(field, value.as_str(), format!("must not be above {max}"));
            }
            Ok(_) => {}
            Err(error) => self.add(field, value.as_str(), error.to_string()),
        }
    }
}

//! Violations and warnings: a rule, the field and a message.

use std::fmt;

/// A rule that a field breaks.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Violation {
    /// Identifier of the rule, as in the reference documentation.
    pub rule: &'static str,
    /// Path of the field, e.g. `spec.attributes[2].path`.
    pub field: String,
    /// Value of the field; empty when it is missing. Never a secret.
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

/// Advice about an accepted field.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Warning {
    /// Identifier of the rule, as in the reference documentation.
    pub rule: &'static str,
    /// Path of the field.
    pub field: String,
    /// The effect and what to change.
    pub message: String,
}

/// Most characters of a value in a message.
const MAX_SHOWN: usize = 120;

/// A text, cut to [`MAX_SHOWN`] characters.
pub(crate) fn shown(text: &str) -> String {
    match text.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Message for a repeated entry.
pub(crate) const TWICE: &str = "duplicate value: it is listed twice; keep one";

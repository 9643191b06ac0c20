//! What is wrong with one field of a spec, and what deserves a look.

use crate::doc::RuleDoc;
use crate::{Selector, Warning};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kollect_api::GoDuration;
use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

/// A rule that a field breaks.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Violation {
    /// Identifier of the rule, as in the reference documentation.
    pub rule: &'static str,
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

/// Collects violations and warnings.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) violations: Vec<Violation>,
    pub(crate) warnings: Vec<Warning>,
}

/// Longest piece of a value that is repeated in a message.
const SHOWN: usize = 120;

/// The beginning of a text.
pub(crate) fn shown(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

impl Findings {
    /// A violation with the rule's own words.
    pub(crate) fn add(&mut self, rule: &RuleDoc, field: impl Into<String>, value: &str) {
        self.text(rule, field, value, rule.message);
    }

    /// A violation with the rule's own words and a detail.
    pub(crate) fn say(&mut self, rule: &RuleDoc, field: impl Into<String>, value: &str, detail: impl fmt::Display) {
        self.text(rule, field, value, format!("{}: {detail}", rule.message));
    }

    /// A violation in other words than the rule's.
    pub(crate) fn text(&mut self, rule: &RuleDoc, field: impl Into<String>, value: &str, message: impl Into<String>) {
        let message = message.into();
        self.violations.push(Violation { rule: rule.id, field: field.into(), value: shown(value), message });
    }

    /// A warning with the rule's own words.
    pub(crate) fn warn(&mut self, rule: &RuleDoc, field: impl Into<String>) {
        self.warnings.push(Warning { rule: rule.id, field: field.into(), message: rule.message.to_owned() });
    }

    /// A warning with the rule's own words and a detail.
    pub(crate) fn warn_of(&mut self, rule: &RuleDoc, field: impl Into<String>, detail: impl fmt::Display) {
        let message = format!("{}: {detail}", rule.message);
        self.warnings.push(Warning { rule: rule.id, field: field.into(), message });
    }

    /// A label selector.
    pub(crate) fn selector(&mut self, rule: &RuleDoc, field: &str, selector: Option<&LabelSelector>) {
        if let Some((part, why)) = selector.and_then(Selector::problem) {
            self.say(rule, format!("{field}{part}"), "", why);
        }
    }

    /// Text that must not be blank.
    pub(crate) fn required(&mut self, rule: &RuleDoc, field: &str, value: &str) -> bool {
        let blank = value.trim().is_empty();
        if blank {
            self.text(rule, field, "", "must not be empty or blank");
        }
        !blank
    }

    /// Name of an object in the same namespace.
    pub(crate) fn name(&mut self, rule: &RuleDoc, field: &str, value: &str) -> bool {
        if !self.required(rule, field, value) {
            return false;
        }
        let alone = !value.contains('/');
        if !alone {
            self.text(rule, field, value, "must be a name alone, without a namespace; it must not contain \"/\"");
        }
        alone
    }

    /// A list of names without blanks and repetitions.
    pub(crate) fn distinct(&mut self, rule: &RuleDoc, field: &str, values: &[String]) {
        let mut seen = BTreeSet::new();
        for (i, value) in values.iter().enumerate() {
            let at = format!("{field}[{i}]");
            if self.required(rule, &at, value) && !seen.insert(value) {
                self.text(rule, at, value, TWICE);
            }
        }
    }

    /// A duration between zero and `max`.
    pub(crate) fn interval(&mut self, rule: &RuleDoc, field: &str, value: Option<&GoDuration>, max: Duration) {
        let Some(value) = value else { return };
        match value.to_duration() {
            Ok(duration) if duration > max => {
                let max = kollect_api::go_duration_text(max).replace("0m0s", "");
                self.text(rule, field, value.as_str(), format!("must not be above {max}"));
            }
            Ok(_) => {}
            Err(error) => self.text(rule, field, value.as_str(), error.to_string()),
        }
    }
}

/// What a repeated entry is told.
pub(crate) const TWICE: &str = "duplicate value: it is listed twice; keep one";

//! Collects the violations and warnings of one object, with the checks that several rules share.

use crate::rule::RuleDoc;
use crate::selector::Selector;
use crate::violation::{TWICE, Violation, Warning, shown};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kollect_api::GoDuration;
use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

/// Violations and warnings, in the order of the fields.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) violations: Vec<Violation>,
    pub(crate) warnings: Vec<Warning>,
}

impl Findings {
    /// A violation with the rule's message.
    pub(crate) fn add(&mut self, rule: &RuleDoc, field: impl Into<String>, value: &str) {
        self.text(rule, field, value, rule.message);
    }

    /// A violation with the rule's message and a detail.
    pub(crate) fn add_detail(
        &mut self,
        rule: &RuleDoc,
        field: impl Into<String>,
        value: &str,
        detail: impl fmt::Display,
    ) {
        self.text(rule, field, value, format!("{}: {detail}", rule.message));
    }

    /// A violation with a message of its own.
    pub(crate) fn text(&mut self, rule: &RuleDoc, field: impl Into<String>, value: &str, message: impl Into<String>) {
        let message = message.into();
        self.violations.push(Violation { rule: rule.id, field: field.into(), value: shown(value), message });
    }

    /// A warning with the rule's message.
    pub(crate) fn warn(&mut self, rule: &RuleDoc, field: impl Into<String>) {
        self.warnings.push(Warning { rule: rule.id, field: field.into(), message: rule.message.to_owned() });
    }

    /// A warning with the rule's message and a detail.
    pub(crate) fn warn_of(&mut self, rule: &RuleDoc, field: impl Into<String>, detail: impl fmt::Display) {
        let message = format!("{}: {detail}", rule.message);
        self.warnings.push(Warning { rule: rule.id, field: field.into(), message });
    }

    /// Checks a label selector.
    pub(crate) fn selector(&mut self, rule: &RuleDoc, field: &str, selector: Option<&LabelSelector>) {
        if let Some((part, why)) = selector.and_then(Selector::problem) {
            self.add_detail(rule, format!("{field}{part}"), "", why);
        }
    }

    /// Adds a violation for a blank text; returns whether it is not blank.
    pub(crate) fn required(&mut self, rule: &RuleDoc, field: &str, value: &str) -> bool {
        let blank = value.trim().is_empty();
        if blank {
            self.text(rule, field, "", "must not be empty or blank");
        }
        !blank
    }

    /// Checks the name of an object in the same namespace.
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

    /// Checks that a list of names has no blank and no repeated entries.
    pub(crate) fn distinct(&mut self, rule: &RuleDoc, field: &str, values: &[String]) {
        let mut seen = BTreeSet::new();
        for (i, value) in values.iter().enumerate() {
            let at = format!("{field}[{i}]");
            if self.required(rule, &at, value) && !seen.insert(value) {
                self.text(rule, at, value, TWICE);
            }
        }
    }

    /// Checks a duration between zero and `max`.
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

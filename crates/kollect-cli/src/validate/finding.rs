//! One finding: what is wrong, in which object, where. Made by rules, references and cluster checks.

use crate::documents::{ObjectSet, SetObject};
use crate::source_map::{Severity, SyntaxError};
use serde::Serialize;
use std::cmp::Ordering;
use std::ops::Range;

/// What is wrong somewhere. The members are those of `--format json`.
#[derive(Clone, Debug, Serialize)]
pub struct ValidateFinding {
    /// Identifier of the rule, as in the reference documentation.
    pub rule: String,
    /// How bad.
    pub severity: Severity,
    /// The file.
    pub file: String,
    /// Number of the document in the file, from 1.
    pub document: usize,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// Kind of the object.
    pub kind: String,
    /// Its namespace; empty when the file names none.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Path of the field; empty when it is about the object or the text.
    pub field: String,
    /// What is wrong and what to do.
    pub message: String,
    /// Index of the text.
    #[serde(skip)]
    pub(super) source: usize,
    /// What to mark in it.
    #[serde(skip)]
    pub(super) span: Range<usize>,
}

/// What of a field to point at.
#[derive(Clone, Copy, Debug)]
pub(super) enum Mark {
    /// Its value.
    Value,
    /// Its name.
    Key,
    /// A byte of its text value.
    Inside(usize),
}

impl ValidateFinding {
    /// A finding about a field of an object.
    pub(super) fn about(set: &ObjectSet, object: &SetObject<'_>, rule: &str, field: &str, mark: Mark) -> Self {
        let source = &set.sources[object.source];
        let document = &source.documents[object.document];
        let full = format!("{}{field}", object.prefix);
        let full = full.strip_suffix('.').unwrap_or(&full);
        let whole = document.value_span(source, full);
        let span = match mark {
            Mark::Value => whole,
            Mark::Key => document.key_span(source, full),
            Mark::Inside(offset) => match document.inside(source, full, offset) {
                Some(at) => at..source.text[at..].chars().next().map_or(at, |c| at + c.len_utf8()),
                None => whole,
            },
        };
        let place = source.position(span.start);
        Self {
            rule: rule.to_owned(),
            severity: Severity::Error,
            file: source.name.clone(),
            document: document.number,
            line: place.line,
            column: place.column,
            kind: object.kind().to_owned(),
            namespace: object.namespace().to_owned(),
            name: object.name().to_owned(),
            field: field.to_owned(),
            message: String::new(),
            source: object.source,
            span,
        }
    }

    /// A finding about a text that is not YAML.
    pub(super) fn syntax(set: &ObjectSet, source: usize, error: &SyntaxError) -> Self {
        let text = &set.sources[source];
        let place = text.position(error.span.start);
        Self {
            rule: "syntax".to_owned(),
            severity: Severity::Error,
            file: text.name.clone(),
            document: error.document,
            line: place.line,
            column: place.column,
            kind: String::new(),
            namespace: String::new(),
            name: String::new(),
            field: String::new(),
            message: error.message.clone(),
            source,
            span: error.span.clone(),
        }
    }

    pub(super) fn with_message(mut self, message: impl Into<String>) -> Self {
        self.message = message.into();
        self
    }

    pub(super) fn warning(mut self) -> Self {
        self.severity = Severity::Warning;
        self
    }

    /// By file, then by place.
    pub(super) fn in_order(&self, other: &Self) -> Ordering {
        (self.source, self.span.start, self.severity, &self.rule).cmp(&(
            other.source,
            other.span.start,
            other.severity,
            &other.rule,
        ))
    }
}

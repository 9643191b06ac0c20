//! A place where an object does not fit its schema.

use crate::rule::{Layer, RuleDoc};
use crate::violation::Violation;

pub(crate) static SCHEMA: RuleDoc = RuleDoc {
    id: "schema",
    kind: "all",
    layer: Layer::CrdAndWebhook,
    refused_when: "a field is unknown, missing, of another type, not one of its values or outside of its bounds; a list repeats a key; metadata is malformed; the object is nested too deeply or holds a text of more than 256 KiB",
    message: "does not fit the schema",
};

/// A finding of the schema.
#[derive(Debug)]
pub(crate) struct Misfit {
    pub(crate) violation: Violation,
    /// The value still has the right type, so that the rules of the kind can check it as well.
    pub(crate) soft: bool,
}

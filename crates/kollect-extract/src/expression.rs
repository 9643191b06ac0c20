//! The path of one attribute: which language it is in, and what it yields.
//!
//! Separate so that the extractor does not care about languages.

use crate::cel::{Out, Program};
use crate::error::{EvalError, PathError};
use crate::jsonpath::{Found, JsonPath};
use crate::mask::FieldMask;
use crate::scrub::{ScrubKeys, write_attribute, write_attribute_list};
use serde_json::Value;

#[derive(Debug)]
pub(crate) enum Expression {
    Path(JsonPath),
    Cel(Program),
}

/// Whether something was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    Null,
    Value,
}

impl Expression {
    /// Compiles a path; blanks around it do not count.
    pub(crate) fn compile(path: &str) -> Result<Self, PathError> {
        let text = path.trim();
        let skipped = path.len() - path.trim_start().len();
        if let Some(source) = text.strip_prefix("cel:") {
            return Program::compile(source).map(Self::Cel).map_err(|error| error.shifted(skipped + "cel:".len()));
        }
        if text.starts_with("helm:") {
            return Err(PathError::at(skipped, "not supported yet in this version: helm: paths"));
        }
        JsonPath::parse(text).map(Self::Path).map_err(|error| error.shifted(skipped))
    }

    /// Adds everything that the expression can read.
    pub(crate) fn reach(&self, mask: &mut FieldMask) {
        match self {
            Self::Path(path) => path.reach(mask),
            Self::Cel(program) => *mask = mask.union(program.mask()),
        }
    }

    /// Evaluates and appends the result as canonical JSON, scrubbed.
    pub(crate) fn write(
        &self,
        name: &str,
        object: &Value,
        keys: &ScrubKeys,
        out: &mut Vec<u8>,
    ) -> Result<Written, EvalError> {
        let one = |value: &Value, out: &mut Vec<u8>| {
            let written = if value.is_null() { Written::Null } else { Written::Value };
            write_attribute(name, value, keys, out).map(|()| written)
        };
        match self {
            Self::Path(path) => match path.evaluate(object)? {
                Found::Nothing => one(&Value::Null, out),
                Found::One(value) => one(value, out),
                Found::Many(values) => write_attribute_list(name, &values, keys, out).map(|()| Written::Value),
            },
            Self::Cel(program) => match program.evaluate(object)? {
                Out::Ref(value) => one(value, out),
                Out::Made(value) => one(&value, out),
                Out::List(values) => write_attribute_list(name, &values, keys, out).map(|()| Written::Value),
            },
        }
    }
}

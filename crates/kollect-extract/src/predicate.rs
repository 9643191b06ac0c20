//! `matchPolicy`: a CEL condition that decides whether an object is collected.

use crate::cel::{Program, ProgramOutput};
use crate::error::{CompileError, ErrorClass, ExtractError};
use crate::mask::FieldMask;
use crate::object::RedactedObject;
use serde_json::Value;

/// A compiled condition over `object`.
#[derive(Debug)]
pub struct Predicate {
    program: Program,
    mask: FieldMask,
}

impl Predicate {
    /// Compiles a CEL expression. Data of core Secrets and redacted values are never visible to it.
    pub fn compile(expression: &str) -> Result<Self, CompileError> {
        let text = expression.trim();
        let text = text.strip_prefix("cel:").unwrap_or(text);
        let program = Program::compile(text).map_err(|error| CompileError {
            attribute: String::new(),
            path: expression.to_owned(),
            offset: error.offset,
            message: error.message,
        })?;
        let mask = FieldMask::default().union(program.mask());
        Ok(Self { program, mask })
    }

    /// The part of an object that the condition can read.
    pub fn mask(&self) -> &FieldMask {
        &self.mask
    }

    /// Whether the object matches. An error, or a result that is no boolean, is no match; an exceeded limit is an error,
    /// because the result is unknown.
    ///
    /// Spends from the budget that [`crate::Scratch::begin`] started on this thread.
    pub fn eval(&self, object: &RedactedObject) -> Result<bool, ExtractError> {
        match self.program.evaluate(object.value()) {
            Ok(ProgramOutput::Made(Value::Bool(truth)) | ProgramOutput::Ref(&Value::Bool(truth))) => Ok(truth),
            Err(error) if error.class == ErrorClass::Limit => Err(ExtractError {
                attribute: String::new(),
                class: error.class,
                message: format!("matchPolicy: {}", error.message),
            }),
            _ => Ok(false),
        }
    }
}

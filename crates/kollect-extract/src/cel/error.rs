//! Errors of CEL evaluations: limits, and descriptions without values.

use super::rewrite::user_name;
use crate::budget::Exceeded;
use crate::error::{ErrorClass, EvalError};
use cel::ExecutionError;

/// Function name that marks an exceeded limit among function errors.
const LIMIT: &str = "@limit";

impl From<Exceeded> for ExecutionError {
    fn from(exceeded: Exceeded) -> Self {
        limit(&exceeded.to_string())
    }
}

/// An exceeded limit, with a message.
pub(super) fn limit(message: &str) -> ExecutionError {
    ExecutionError::function_error(LIMIT, message)
}

/// The error without values of the object.
pub(super) fn describe(error: &ExecutionError) -> EvalError {
    use ErrorClass as C;
    match error {
        ExecutionError::NoSuchKey(_) => {
            EvalError::new(C::MissingKey, "a key is missing; test it with has() or read it with .?key.orValue(…)")
        }
        ExecutionError::IndexOutOfBounds(_) => EvalError::new(C::OutOfRange, "an index is outside of its list"),
        ExecutionError::FunctionError { function, message } if function == LIMIT => {
            EvalError::new(C::Limit, message.clone())
        }
        ExecutionError::FunctionError { function, .. } => {
            EvalError::new(C::Function, format!("{} refused its arguments", user_name(function)))
        }
        ExecutionError::DivisionByZero(_) | ExecutionError::RemainderByZero(_) => {
            EvalError::new(C::Function, "division by zero")
        }
        ExecutionError::Overflow(..) => EvalError::new(C::Function, "a number became too large"),
        ExecutionError::DuplicateKey(_) => EvalError::new(C::Function, "a map was given the same key twice"),
        ExecutionError::NoSuchOverload(overload) => EvalError::wrong_type(format!(
            "{} does not take ({})",
            user_name(overload.function()),
            overload.argument_types().join(", ")
        )),
        _ => EvalError::wrong_type("an operator or function met a value of a type it does not take"),
    }
}

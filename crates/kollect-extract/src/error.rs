//! Errors of compiling and evaluating paths, for all expression languages.
//!
//! Messages may contain names of fields; they must never contain a value of an object.

use std::borrow::Cow;
use std::fmt;

/// An attribute or predicate that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct CompileError {
    /// Name of the attribute; empty when the error concerns the whole profile or a predicate.
    pub attribute: String,
    /// The path as the user wrote it.
    pub path: String,
    /// Byte offset of the error in `path`, when it is known.
    pub offset: Option<usize>,
    /// Cause and remedy.
    pub message: String,
}

impl fmt::Display for CompileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.attribute.is_empty() {
            write!(f, "attribute {:?}: ", self.attribute)?;
        }
        if !self.path.is_empty() {
            write!(f, "path {:?}: ", self.path)?;
        }
        f.write_str(&self.message)?;
        match self.offset {
            Some(offset) => write!(f, " (at byte {offset})"),
            None => Ok(()),
        }
    }
}

/// The class of an evaluation error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorClass {
    /// CEL read an absent key.
    MissingKey,
    /// An operand has the wrong type.
    WrongType,
    /// An index is outside of its list.
    OutOfRange,
    /// The evaluation exceeded a limit of steps, depth or size.
    Limit,
    /// The result has no JSON form.
    NotJson,
    /// A function refused its arguments.
    Function,
}

impl ErrorClass {
    /// A short stable name, for messages.
    pub fn label(self) -> &'static str {
        match self {
            Self::MissingKey => "missing key",
            Self::WrongType => "wrong type",
            Self::OutOfRange => "out of range",
            Self::Limit => "limit exceeded",
            Self::NotJson => "not JSON",
            Self::Function => "function error",
        }
    }
}

/// Why no row could be made from an object. Contains no values.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ExtractError {
    /// Name of the attribute; empty when the error concerns the whole row or a predicate.
    pub attribute: String,
    /// Class of the error.
    pub class: ErrorClass,
    /// Message without values of the object.
    pub message: String,
}

impl fmt::Display for ExtractError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.attribute.is_empty() {
            write!(f, "attribute {:?}: ", self.attribute)?;
        }
        write!(f, "{}: {}", self.class.label(), self.message)
    }
}

/// An error at an offset of a path's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PathError {
    pub(crate) offset: Option<usize>,
    pub(crate) message: String,
}

impl PathError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { offset: None, message: message.into() }
    }

    pub(crate) fn at(offset: usize, message: impl Into<String>) -> Self {
        Self { offset: Some(offset), message: message.into() }
    }

    /// The same error in a text that has `by` more bytes in front.
    pub(crate) fn shifted(mut self, by: usize) -> Self {
        self.offset = self.offset.map(|offset| offset + by);
        self
    }
}

/// A failed evaluation, not yet tied to an attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EvalError {
    pub(crate) class: ErrorClass,
    pub(crate) message: Cow<'static, str>,
}

impl EvalError {
    pub(crate) fn new(class: ErrorClass, message: impl Into<Cow<'static, str>>) -> Self {
        Self { class, message: message.into() }
    }

    pub(crate) fn limit(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorClass::Limit, message)
    }

    pub(crate) fn wrong_type(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorClass::WrongType, message)
    }
}

//! The expression of one attribute, in any of the languages.

use crate::cel::{Program, ProgramOutput};
use crate::decode;
use crate::error::{EvalError, PathError};
use crate::helm::{self, HelmFields, HelmPath};
use crate::jsonpath::{JsonPath, PathMatches};
use crate::mask::FieldMask;
use crate::object::RedactedObject;
use crate::resource::Resource;
use crate::scrub::{ScrubKeys, write_attribute, write_attribute_list};
use crate::secret::Visibility;
use serde_json::Value;
use std::borrow::Cow;
use std::cell::OnceCell;

#[derive(Debug)]
pub(crate) enum Expression {
    Path(JsonPath),
    Cel(Program),
    Helm(HelmPath),
    Resource(Box<Resource>),
}

/// Whether a value other than null was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    Null,
    Value,
}

/// An object, and values that are computed once for all attributes.
pub(crate) struct Input<'a> {
    /// With the data of a Secret. Only the Helm decoder and the resource copy, which redact it, may read it.
    object: &'a RedactedObject,
    /// The object as visible to expressions.
    visible: &'a Value,
    keys: &'a ScrubKeys,
    helm: &'a HelmFields,
    release: OnceCell<Result<Option<Value>, EvalError>>,
}

impl<'a> Input<'a> {
    pub(crate) fn new(
        object: &'a RedactedObject,
        visible: &'a Value,
        keys: &'a ScrubKeys,
        helm: &'a HelmFields,
    ) -> Self {
        Self { object, visible, keys, helm, release: OnceCell::new() }
    }

    fn release(&self) -> Result<Option<&Value>, EvalError> {
        let decode = || {
            let data = self.object.secret().and_then(|secret| secret.data.as_ref());
            let release = data.map_or(Ok(None), |data| helm::decode_release(data, self.helm))?;
            Ok(release.map(|release| self.redacted(&release)))
        };
        self.release.get_or_init(decode).as_ref().map(Option::as_ref).map_err(Clone::clone)
    }

    /// Redacts a built or decoded value.
    fn redacted(&self, value: &Value) -> Value {
        let value = decode::redact_value(value);
        match self.keys.redact(&value) {
            Cow::Borrowed(_) => value,
            Cow::Owned(redacted) => redacted,
        }
    }
}

impl Expression {
    /// Compiles a path, without blanks around it.
    pub(crate) fn compile(path: &str, visibility: Visibility) -> Result<Self, PathError> {
        let text = path.trim();
        let skipped = path.len() - path.trim_start().len();
        if let Some(source) = text.strip_prefix("cel:") {
            return Program::compile(source).map(Self::Cel).map_err(|error| error.shifted(skipped + "cel:".len()));
        }
        if text.starts_with("helm:") {
            let core_secrets = visibility != Visibility::Whole;
            return HelmPath::parse(text, core_secrets, visibility == Visibility::SecretWithData)
                .map(Self::Helm)
                .map_err(|error| error.shifted(skipped));
        }
        JsonPath::parse(text).map(Self::Path).map_err(|error| error.shifted(skipped))
    }

    /// Adds everything that the expression can read.
    pub(crate) fn reach(&self, mask: &mut FieldMask) {
        match self {
            Self::Path(path) => path.reach(mask),
            Self::Cel(program) => *mask = mask.union(program.mask()),
            Self::Helm(_) => HelmPath::reach(mask),
            Self::Resource(resource) => resource.reach(mask),
        }
    }

    /// Evaluates and appends the result as canonical JSON, scrubbed.
    pub(crate) fn write(&self, name: &str, input: &Input<'_>, out: &mut Vec<u8>) -> Result<Written, EvalError> {
        let keys = input.keys;
        let one = |value: &Value, out: &mut Vec<u8>| {
            let written = if value.is_null() { Written::Null } else { Written::Value };
            write_attribute(name, value, keys, out).map(|()| written)
        };
        match self {
            Self::Path(path) => match path.evaluate(input.visible)? {
                PathMatches::Nothing => one(&Value::Null, out),
                PathMatches::One(value) => one(value, out),
                PathMatches::Many(values) => write_attribute_list(name, &values, keys, out).map(|()| Written::Value),
            },
            Self::Cel(program) => match program.evaluate(input.visible)? {
                ProgramOutput::Ref(value) => one(value, out),
                ProgramOutput::Made(value @ (Value::Null | Value::Bool(_) | Value::Number(_))) => one(&value, out),
                ProgramOutput::Made(value) => one(&input.redacted(&value), out),
                ProgramOutput::List(values) => write_attribute_list(name, &values, keys, out).map(|()| Written::Value),
            },
            Self::Helm(path) => match input.release()?.and_then(|release| path.find(release)) {
                Some(value) => one(value, out),
                None => one(&Value::Null, out),
            },
            Self::Resource(resource) => resource.write(input.object, keys, out).map(|()| Written::Value),
        }
    }
}

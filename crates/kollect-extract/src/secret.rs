//! The parts of core Secrets that a profile may read.

use crate::object::RedactedObject;
use crate::scrub::ScrubKeys;
use serde_json::Value;
use std::borrow::Cow;

/// The visibility of the objects of a kind to expressions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Visibility {
    /// Everything after redaction.
    Whole,
    /// A core Secret whose profile has opted in: also its data.
    SecretWithData,
    /// A core Secret.
    SecretWithoutData,
}

impl Visibility {
    pub(crate) fn of(core_secret: bool, data_allowed: bool) -> Self {
        match (core_secret, data_allowed) {
            (false, _) => Self::Whole,
            (true, true) => Self::SecretWithData,
            (true, false) => Self::SecretWithoutData,
        }
    }

    /// The object as visible to expressions, redacted by the added key names.
    pub(crate) fn of_object<'o>(self, object: &'o RedactedObject, keys: &ScrubKeys) -> Cow<'o, Value> {
        let with_data = if self == Self::SecretWithData { object.with_secret_data() } else { None };
        match with_data {
            Some(value) => Cow::Owned(keys.redact(&value).into_owned()),
            None => keys.redact(object.value()),
        }
    }
}

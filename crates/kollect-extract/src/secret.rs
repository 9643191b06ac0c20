//! Hides the content of core Secrets from every expression.
//!
//! Separate because it must hold whatever the expression and whatever admission said: hidden fields are gone before
//! anything is evaluated.

use crate::scrub::LAST_APPLIED;
use serde_json::{Map, Value};
use std::borrow::Cow;

/// What an expression may see of the objects of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Visibility {
    /// Everything.
    Whole,
    /// A core Secret whose profile has opted in: all but the copy that kubectl keeps.
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

    /// The object as expressions see it.
    pub(crate) fn of_object(self, object: &Value) -> Cow<'_, Value> {
        let (Self::SecretWithData | Self::SecretWithoutData, Value::Object(fields)) = (self, object) else {
            return Cow::Borrowed(object);
        };
        let hide_data = self == Self::SecretWithoutData;
        let visible: Map<String, Value> = fields
            .iter()
            .filter(|(key, _)| !(hide_data && matches!(key.as_str(), "data" | "stringData")))
            .map(|(key, value)| (key.clone(), if key == "metadata" { without_copy(value) } else { value.clone() }))
            .collect();
        Cow::Owned(Value::Object(visible))
    }
}

fn without_copy(metadata: &Value) -> Value {
    let mut metadata = metadata.clone();
    if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
        annotations.remove(LAST_APPLIED);
    }
    metadata
}

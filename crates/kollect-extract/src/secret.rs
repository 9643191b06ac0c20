//! Hides the content of core Secrets from every expression.
//!
//! Separate because it must hold whatever the expression and whatever admission said: hidden fields are gone before
//! anything is evaluated.

use crate::mask::{FieldMask, MaskStep};
use crate::scrub::{COPY_STANDS_IN, LAST_APPLIED};
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

    /// The object as expressions see it. `copy_reached`: they can reach the copy that kubectl keeps of the object.
    pub(crate) fn of_object(self, object: &Value, copy_reached: bool) -> Cow<'_, Value> {
        if self == Self::Whole && copy_reached && shows_copy(object) {
            return Cow::Owned(with_stand_in(object));
        }
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

/// Whether something that reads what the mask keeps can read the copy.
pub(crate) fn reaches_copy(mask: &FieldMask) -> bool {
    mask.reaches(&["metadata", "annotations", LAST_APPLIED].map(|key| MaskStep::Field(key.into())))
}

/// Decoding by a mask has put the stand-in there already; other callers may not have decoded that way.
fn shows_copy(object: &Value) -> bool {
    let annotations = object.get("metadata").and_then(|metadata| metadata.get("annotations"));
    annotations.and_then(|all| all.get(LAST_APPLIED)).is_some_and(|copy| copy != COPY_STANDS_IN)
}

fn with_stand_in(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(copy) = object.get_mut("metadata").and_then(|m| m.get_mut("annotations")?.get_mut(LAST_APPLIED)) {
        *copy = Value::from(COPY_STANDS_IN);
    }
    object
}

fn without_copy(metadata: &Value) -> Value {
    let mut metadata = metadata.clone();
    if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
        annotations.remove(LAST_APPLIED);
    }
    metadata
}

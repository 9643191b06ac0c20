//! An object as visible to expressions: decoded under a field mask, and redacted while it was decoded.

use crate::decode;
use crate::mask::FieldMask;
use crate::scrub;
use kollect_model::Gvk;
use serde_json::{Map, Value};

/// A decoded object without its secrets. Expressions take no other input.
#[derive(Clone, Debug, PartialEq)]
pub struct RedactedObject {
    value: Value,
    secret: Option<CoreSecretData>,
}

/// `data` and `stringData` of a core Secret, which expressions cannot read.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct CoreSecretData {
    /// Not redacted; only a Helm release is decoded from it.
    pub(crate) data: Option<Value>,
    pub(crate) string_data: Option<Value>,
}

impl RedactedObject {
    /// Redacts an object of a kind that is in memory already. `metadata.managedFields` stays.
    pub fn of(gvk: &Gvk, object: &Value) -> Result<Self, serde_json::Error> {
        FieldMask::whole().decode_value(gvk, object)
    }

    /// Wraps a decoded value. `known`: the kind is the core Secret.
    pub(crate) fn new(mut value: Value, known: bool) -> Self {
        let secret = known || is_core_secret(&value);
        let fields = value.as_object_mut().filter(|_| secret);
        let secret = fields.map(|fields| {
            if let Some(annotations) = fields.get_mut("metadata").and_then(|metadata| metadata.get_mut("annotations")) {
                scrub::redact_annotations_of_secret(annotations);
            }
            CoreSecretData { data: fields.remove("data"), string_data: fields.remove("stringData") }
        });
        Self { value, secret }
    }

    /// The value that expressions may read.
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// Sets `apiVersion` and `kind`, which items of a list and metadata-only responses do not have.
    pub fn set_kind(&mut self, gvk: &Gvk) {
        if let Some(fields) = self.value.as_object_mut() {
            fields.insert("apiVersion".into(), gvk.api_version().into());
            fields.insert("kind".into(), (&*gvk.kind).into());
        }
    }

    pub(crate) fn secret(&self) -> Option<&CoreSecretData> {
        self.secret.as_ref()
    }

    /// The object with the data of the Secret, redacted by its keys and values.
    pub(crate) fn with_secret_data(&self) -> Option<Value> {
        let (Value::Object(fields), Some(secret)) = (&self.value, &self.secret) else { return None };
        let mut fields: Map<String, Value> = fields.clone();
        for (key, data, encoded) in [("data", &secret.data, true), ("stringData", &secret.string_data, false)] {
            if let Some(data) = data {
                fields.insert(
                    key.to_owned(),
                    if encoded { decode::redact_encoded(data) } else { decode::redact_value(data) },
                );
            }
        }
        Some(Value::Object(fields))
    }
}

impl FieldMask {
    /// Parses and redacts an object of a kind, without building fields that are not reachable.
    pub fn decode(&self, gvk: &Gvk, raw: &str) -> Result<RedactedObject, serde_json::Error> {
        let mut deserializer = serde_json::Deserializer::from_str(raw);
        let secret = gvk.is_core_secret();
        let value = decode::decode(self, secret, &mut deserializer)?;
        deserializer.end()?;
        Ok(RedactedObject::new(value, secret))
    }

    /// The value that expressions can read of an object of no special kind.
    #[cfg(test)]
    pub(crate) fn decoded(&self, object: &Value) -> Value {
        let kind = Gvk::new("", "v1", "X");
        self.decode(&kind, &object.to_string()).map(|object| object.value().clone()).unwrap_or_default()
    }

    /// As [`Self::decode`], of an object that is in memory.
    pub(crate) fn decode_value(&self, gvk: &Gvk, object: &Value) -> Result<RedactedObject, serde_json::Error> {
        let secret = gvk.is_core_secret();
        let value = decode::decode(self, secret, object)?;
        Ok(RedactedObject::new(value, secret))
    }
}

/// Whether `kind` and `apiVersion` are those of a core Secret, in any case of letters.
fn is_core_secret(object: &Value) -> bool {
    let text = |key: &str| object.get(key).and_then(Value::as_str).unwrap_or_default();
    text("kind").eq_ignore_ascii_case("secret") && !text("apiVersion").contains('/')
}

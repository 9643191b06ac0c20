//! Decodes JSON under a field mask and redacts it in the same pass.
//!
//! Unreachable fields are parsed as `IgnoredAny`, so they cost no allocation. serde_json limits the depth of text. Fields
//! that redaction depends on are decoded as well: the name beside a value, and everything below a sensitive key.

use crate::mask::{FieldMask, MaskNode, WHOLE};
use crate::scrub::{self, LAST_APPLIED, MapMembers};
use kollect_model::redact::{self, REDACTED, Sensitivity};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::fmt;

/// Decodes `input` under a mask. `core_secret`: `data` and `stringData` are kept verbatim.
pub(crate) fn decode<'de, D: Deserializer<'de>>(
    mask: &FieldMask,
    core_secret: bool,
    input: D,
) -> Result<Value, D::Error> {
    let context = RedactionContext::Object { managed_fields: mask.managed_fields(), core_secret };
    RedactingSeed { node: mask.root(), context }.deserialize(input)
}

/// Redacts a value.
pub(crate) fn redact_value(value: &Value) -> Value {
    redact_in(value, RedactionContext::Elsewhere)
}

/// Redacts a map whose values are base64.
pub(crate) fn redact_encoded(value: &Value) -> Value {
    redact_in(value, RedactionContext::Encoded)
}

fn redact_in(value: &Value, context: RedactionContext) -> Value {
    // Decoding from memory cannot fail.
    RedactingSeed { node: &WHOLE, context }.deserialize(value).unwrap_or_default()
}

/// Position in the object, as far as redaction depends on more than key and text.
#[derive(Clone, Copy, PartialEq, Eq)]
enum RedactionContext {
    Object {
        managed_fields: bool,
        core_secret: bool,
    },
    Metadata {
        managed_fields: bool,
    },
    Annotations,
    /// kubectl's copy of the object, which may contain every secret that the object has or had: never decoded.
    Copy,
    /// The data of a core Secret, which [`RedactedObject`](crate::RedactedObject) stores apart.
    Verbatim,
    /// Values are base64.
    Encoded,
    Elsewhere,
}

#[derive(Clone, Copy)]
struct RedactingSeed<'m> {
    node: &'m MaskNode,
    context: RedactionContext,
}

impl<'de> DeserializeSeed<'de> for RedactingSeed<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for RedactingSeed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(match self.context {
            RedactionContext::Verbatim => value.to_owned(),
            RedactionContext::Copy => REDACTED.to_owned(),
            RedactionContext::Encoded if scrub::encodes_secret(value) => REDACTED.to_owned(),
            _ => redact::text(value).map_or_else(|| value.to_owned(), Into::into),
        }))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut kept = Vec::new();
        match self.node.element() {
            Some(node) => {
                while let Some(item) = items.next_element_seed(RedactingSeed { node, context: self.context.below() })? {
                    kept.push(item);
                }
            }
            None => while items.next_element::<IgnoredAny>()?.is_some() {},
        }
        if self.context != RedactionContext::Verbatim {
            scrub::redact_arguments(&mut kept);
        }
        Ok(Value::Array(kept))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut kept = Map::new();
        let mut members = MapMembers::default();
        while let Some(key) = entries.next_key_seed(KeySeed(self))? {
            let Some(KeptKey { name, found, common, seed }) = key else {
                entries.next_value::<IgnoredAny>()?;
                continue;
            };
            if seed.context == RedactionContext::Copy {
                entries.next_value::<IgnoredAny>()?;
                kept.insert(name, Value::String(REDACTED.to_owned()));
                continue;
            }
            let mut value = entries.next_value_seed(seed)?;
            if !common && self.context != RedactionContext::Verbatim {
                members.redact_member(&name, found, &mut value);
            }
            kept.insert(name, value);
        }
        members.finish(&mut kept);
        Ok(Value::Object(kept))
    }
}

impl RedactionContext {
    /// The context of an element of a list.
    fn below(self) -> Self {
        if matches!(self, Self::Verbatim | Self::Encoded) { self } else { Self::Elsewhere }
    }
}

/// A key that is kept.
struct KeptKey<'m> {
    name: String,
    found: Option<Sensitivity>,
    /// No sensitive name and none that names one.
    common: bool,
    seed: RedactingSeed<'m>,
}

/// Classifies a key before it is copied.
struct KeySeed<'m>(RedactingSeed<'m>);

impl<'de, 'm> DeserializeSeed<'de> for KeySeed<'m> {
    type Value = Option<KeptKey<'m>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'m> Visitor<'_> for KeySeed<'m> {
    type Value = Option<KeptKey<'m>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        let node = match self.0.node.child(key) {
            Some(node) => node,
            // The name of a reachable value beside it.
            None if self.0.node.has_values && redact::is_naming(key) => &WHOLE,
            None => return Ok(None),
        };
        let context = match self.0.context {
            RedactionContext::Object { managed_fields, .. } if key == "metadata" => {
                RedactionContext::Metadata { managed_fields }
            }
            RedactionContext::Object { core_secret: true, .. } if matches!(key, "data" | "stringData") => {
                RedactionContext::Verbatim
            }
            RedactionContext::Object { .. } if key == "binaryData" => RedactionContext::Encoded,
            RedactionContext::Metadata { managed_fields: false } if key == "managedFields" => return Ok(None),
            RedactionContext::Annotations if key == LAST_APPLIED => RedactionContext::Copy,
            context @ (RedactionContext::Verbatim | RedactionContext::Encoded) => context,
            // Also annotations of templates.
            _ if key == "annotations" => RedactionContext::Annotations,
            _ => RedactionContext::Elsewhere,
        };
        if context == RedactionContext::Verbatim {
            return Ok(Some(KeptKey {
                name: key.to_owned(),
                found: None,
                common: false,
                seed: RedactingSeed { node, context },
            }));
        }
        if redact::is_plain_key(key) {
            return Ok(Some(KeptKey {
                name: key.to_owned(),
                found: None,
                common: true,
                seed: RedactingSeed { node, context },
            }));
        }
        let found = if self.0.context == RedactionContext::Annotations && redact::is_copy(key) {
            Some(Sensitivity::Secret)
        } else {
            redact::sensitivity(key)
        };
        // Redaction depends on the whole value.
        let node = if found.is_some() || key == "tls" || redact::is_paired_value(key) { &WHOLE } else { node };
        Ok(Some(KeptKey {
            name: scrub::redacted_key(key),
            found,
            common: false,
            seed: RedactingSeed { node, context },
        }))
    }
}

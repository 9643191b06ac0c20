//! A serde seed that walks the mask and the JSON together, and redacts on the way.
//!
//! Unreachable fields are parsed as `IgnoredAny`, so they cost no allocation. serde_json limits the depth of text. What
//! decides whether a value is a secret is decoded as well: the name beside it, and all of what a sensitive key holds.

use super::{Node, WHOLE};
use crate::scrub::{self, LAST_APPLIED, Members};
use kollect_model::redact::{self, REDACTED, Sensitivity};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::fmt;

pub(super) fn decode<'de, D: Deserializer<'de>>(
    root: &Node,
    managed_fields: bool,
    core_secret: bool,
    input: D,
) -> Result<Value, D::Error> {
    Seed { node: root, place: Place::Object { managed_fields, core_secret } }.deserialize(input)
}

/// Redacts a value, all of it.
pub(crate) fn redacted(value: &Value, place: Place) -> Value {
    // Reading from memory cannot fail.
    Seed { node: &WHOLE, place }.deserialize(value).unwrap_or_default()
}

/// Where something could still appear that needs another treatment than its key and its text say.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Object {
        managed_fields: bool,
        core_secret: bool,
    },
    Metadata {
        managed_fields: bool,
    },
    Annotations,
    /// The copy of the object that kubectl keeps may hold every secret that the object has or had: its text is never
    /// decoded.
    Copy,
    /// The data of a core Secret, which is kept apart.
    Verbatim,
    /// Values are base64.
    Encoded,
    Elsewhere,
}

#[derive(Clone, Copy)]
struct Seed<'m> {
    node: &'m Node,
    place: Place,
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
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
        Ok(Value::String(match self.place {
            Place::Verbatim => value.to_owned(),
            Place::Copy => REDACTED.to_owned(),
            Place::Encoded if scrub::encodes_secret(value) => REDACTED.to_owned(),
            _ => redact::text(value).map_or_else(|| value.to_owned(), Into::into),
        }))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut kept = Vec::new();
        match self.node.element() {
            Some(node) => {
                while let Some(item) = items.next_element_seed(Seed { node, place: self.place.below() })? {
                    kept.push(item);
                }
            }
            None => while items.next_element::<IgnoredAny>()?.is_some() {},
        }
        if self.place != Place::Verbatim {
            scrub::redact_arguments(&mut kept);
        }
        Ok(Value::Array(kept))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut kept = Map::new();
        let mut members = Members::default();
        while let Some(key) = entries.next_key_seed(KeySeed(self))? {
            let Some(Key { name, found, common, seed }) = key else {
                entries.next_value::<IgnoredAny>()?;
                continue;
            };
            if seed.place == Place::Copy {
                entries.next_value::<IgnoredAny>()?;
                kept.insert(name, Value::String(REDACTED.to_owned()));
                continue;
            }
            let mut value = entries.next_value_seed(seed)?;
            if !common && self.place != Place::Verbatim {
                members.see(&name, found, &mut value);
            }
            kept.insert(name, value);
        }
        members.finish(&mut kept);
        Ok(Value::Object(kept))
    }
}

impl Place {
    /// What an element of a list at this place is.
    fn below(self) -> Self {
        if matches!(self, Self::Verbatim | Self::Encoded) { self } else { Self::Elsewhere }
    }
}

/// A key that is kept.
struct Key<'m> {
    name: String,
    found: Option<Sensitivity>,
    /// It says nothing about any value.
    common: bool,
    seed: Seed<'m>,
}

/// Looks a key up before it is copied.
struct KeySeed<'m>(Seed<'m>);

impl<'de, 'm> DeserializeSeed<'de> for KeySeed<'m> {
    type Value = Option<Key<'m>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'m> Visitor<'_> for KeySeed<'m> {
    type Value = Option<Key<'m>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        let node = match self.0.node.child(key) {
            Some(node) => node,
            // The name of what is reachable beside it.
            None if self.0.node.has_values && redact::is_naming(key) => &WHOLE,
            None => return Ok(None),
        };
        let place = match self.0.place {
            Place::Object { managed_fields, .. } if key == "metadata" => Place::Metadata { managed_fields },
            Place::Object { core_secret: true, .. } if matches!(key, "data" | "stringData") => Place::Verbatim,
            Place::Object { .. } if key == "binaryData" => Place::Encoded,
            Place::Metadata { managed_fields: false } if key == "managedFields" => return Ok(None),
            Place::Annotations if key == LAST_APPLIED => Place::Copy,
            place @ (Place::Verbatim | Place::Encoded) => place,
            // Also those of templates.
            _ if key == "annotations" => Place::Annotations,
            _ => Place::Elsewhere,
        };
        if place == Place::Verbatim {
            return Ok(Some(Key { name: key.to_owned(), found: None, common: false, seed: Seed { node, place } }));
        }
        if redact::is_common(key) {
            return Ok(Some(Key { name: key.to_owned(), found: None, common: true, seed: Seed { node, place } }));
        }
        let found = if self.0.place == Place::Annotations && redact::is_copy(key) {
            Some(Sensitivity::Secret)
        } else {
            redact::sensitivity(key)
        };
        // All of it decides what becomes of it.
        let node = if found.is_some() || key == "tls" || redact::is_paired_value(key) { &WHOLE } else { node };
        Ok(Some(Key { name: scrub::redacted_key(key), found, common: false, seed: Seed { node, place } }))
    }
}

//! A serde seed that walks the mask and the JSON text together.
//!
//! Unreachable fields are parsed as `IgnoredAny`, so they cost no allocation. serde_json limits the depth.

use super::Node;
use crate::scrub::{COPY_STANDS_IN, LAST_APPLIED};
use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::fmt;

pub(super) fn decode(root: &Node, managed_fields: bool, raw: &str) -> Result<Value, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(raw);
    let value = Seed { node: root, place: Place::Object { managed_fields } }.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(value)
}

/// Where `metadata.managedFields`, and the copy of the object that kubectl keeps in an annotation, could still appear.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Object {
        managed_fields: bool,
    },
    Metadata {
        managed_fields: bool,
    },
    Annotations,
    /// The copy may hold every secret that the object has or had: nothing can reach its text.
    Copy,
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
        if self.node.whole && self.place == Place::Elsewhere {
            return Value::deserialize(deserializer);
        }
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
        Ok(Value::from(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut kept = Vec::new();
        match self.node.element() {
            Some(node) => {
                while let Some(item) = items.next_element_seed(Seed { node, place: Place::Elsewhere })? {
                    kept.push(item);
                }
            }
            None => while items.next_element::<IgnoredAny>()?.is_some() {},
        }
        Ok(Value::Array(kept))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut kept = Map::new();
        while let Some(key) = entries.next_key_seed(KeySeed(self))? {
            match key {
                Some((key, Seed { place: Place::Copy, .. })) => {
                    entries.next_value::<IgnoredAny>()?;
                    kept.insert(key, Value::String(COPY_STANDS_IN.to_owned()));
                }
                Some((key, seed)) => {
                    let value = entries.next_value_seed(seed)?;
                    kept.insert(key, value);
                }
                None => {
                    entries.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(Value::Object(kept))
    }
}

/// Looks a key up before it is copied.
struct KeySeed<'m>(Seed<'m>);

impl<'de, 'm> DeserializeSeed<'de> for KeySeed<'m> {
    type Value = Option<(String, Seed<'m>)>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'m> Visitor<'_> for KeySeed<'m> {
    type Value = Option<(String, Seed<'m>)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        let place = match self.0.place {
            Place::Object { managed_fields } if key == "metadata" => Place::Metadata { managed_fields },
            Place::Metadata { managed_fields: false } if key == "managedFields" => return Ok(None),
            Place::Metadata { .. } if key == "annotations" => Place::Annotations,
            Place::Annotations if key == LAST_APPLIED => Place::Copy,
            _ => Place::Elsewhere,
        };
        Ok(self.0.node.child(key).map(|node| (key.to_owned(), Seed { node, place })))
    }
}

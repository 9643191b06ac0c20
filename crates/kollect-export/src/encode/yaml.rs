//! YAML block style: sorted keys, two spaces, sequences level with their key, quotes only where a plain scalar would be
//! read as something else.
//!
//! Not a library, because the style is part of the data contract: files are compared and reviewed as text. The writer
//! streams from canonical JSON, whose keys are sorted, and builds no tree.

mod scalar;

use kollect_model::Row;
use scalar::indent;
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;
use std::io;

/// Deeper values are written as JSON, which is valid YAML: the parser below nests one call per level, up to 128.
const DEEPEST_BLOCK: usize = 96;

/// A longer key cannot be recognised as a key by its colon (YAML allows 1,024 characters).
const LONGEST_SIMPLE_KEY: usize = 1000;

/// What precedes a node on its line. The number is the column of its key or dash.
#[derive(Clone, Copy, Debug)]
pub enum YamlPosition {
    /// Nothing: the node is the whole file.
    Root,
    /// A key and its colon.
    Key(usize),
    /// A dash and a space.
    Dash(usize),
}

impl YamlPosition {
    /// Opens a block collection and returns its column. The first line needs no indentation unless it follows a key.
    fn open(self, sequence: bool, out: &mut Vec<u8>) -> usize {
        match self {
            Self::Root => 0,
            Self::Dash(column) => column + 2,
            Self::Key(column) => {
                let column = if sequence { column } else { column + 2 };
                out.push(b'\n');
                indent(column, out);
                column
            }
        }
    }

    fn before_scalar(self, out: &mut Vec<u8>) {
        if matches!(self, Self::Key(_)) {
            out.push(b' ');
        }
    }

    /// Column of the lines of a block scalar.
    fn text_column(self) -> usize {
        match self {
            Self::Root => 2,
            Self::Key(column) | Self::Dash(column) => column + 2,
        }
    }
}

/// Appends the Item of a row as a mapping with sorted keys.
pub fn write_item(row: &Row, place: YamlPosition, out: &mut Vec<u8>) -> io::Result<()> {
    let column = place.open(false, out);
    out.extend_from_slice(b"attributes:");
    write_json(row.attributes.get(), YamlPosition::Key(column), out)?;
    let uid = row.id.uid.to_string();
    let fields: [(&str, &str); 8] = [
        ("group", &row.object.gvk.group),
        ("kind", &row.object.gvk.kind),
        ("name", &row.object.name),
        ("namespace", &row.object.namespace),
        ("targetName", &row.id.target.name),
        ("targetNamespace", &row.id.target.namespace),
        ("uid", &uid),
        ("version", &row.object.gvk.version),
    ];
    for (key, value) in fields {
        if key == "group" && value.is_empty() {
            continue;
        }
        indent(column, out);
        out.extend_from_slice(key.as_bytes());
        out.push(b':');
        write_text(value, YamlPosition::Key(column), out);
    }
    Ok(())
}

/// Appends one canonical JSON value.
pub fn write_json(json: &str, place: YamlPosition, out: &mut Vec<u8>) -> io::Result<()> {
    let mut reader = serde_json::Deserializer::from_str(json);
    Node { out, place, depth: 0 }
        .deserialize(&mut reader)
        .map_err(|e| io::Error::new(io::ErrorKind::InvalidData, format!("attributes are not JSON: {:?}", e.classify())))
}

fn write_text(text: &str, place: YamlPosition, out: &mut Vec<u8>) {
    place.before_scalar(out);
    scalar::write_value(text, place.text_column(), out);
    out.push(b'\n');
}

struct Node<'w> {
    out: &'w mut Vec<u8>,
    place: YamlPosition,
    depth: usize,
}

impl Node<'_> {
    fn plain(self, text: &str) {
        self.place.before_scalar(self.out);
        self.out.extend_from_slice(text.as_bytes());
        self.out.push(b'\n');
    }

    fn number<E: Error>(self, number: serde_json::Number) -> Result<(), E> {
        self.place.before_scalar(self.out);
        kollect_model::write_value(&serde_json::Value::Number(number), self.out).map_err(E::custom)?;
        self.out.push(b'\n');
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.depth < DEEPEST_BLOCK {
            return deserializer.deserialize_any(self);
        }
        let raw = <&RawValue>::deserialize(deserializer)?;
        self.plain(raw.get());
        Ok(())
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.plain("null");
        Ok(())
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.plain(if value { "true" } else { "false" });
        Ok(())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.number(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.number(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        let number = serde_json::Number::from_f64(value).ok_or_else(|| E::custom("a number is not finite"))?;
        self.number(number)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        write_text(value, self.place, self.out);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let Node { out, place, depth } = self;
        // Where the collection starts is only known to be a block once it has a member.
        let start = out.len();
        let column = place.open(true, out);
        out.extend_from_slice(b"- ");
        let mut empty = true;
        while items
            .next_element_seed(Node { out: &mut *out, place: YamlPosition::Dash(column), depth: depth + 1 })?
            .is_some()
        {
            empty = false;
            indent(column, out);
            out.extend_from_slice(b"- ");
        }
        if empty {
            out.truncate(start);
            Node { out, place, depth }.plain("[]");
        } else {
            out.truncate(out.len() - column - 2);
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let Node { out, place, depth } = self;
        let mut opened = None;
        while let Some(key) = entries.next_key::<String>()? {
            let column = if let Some(column) = opened {
                indent(column, out);
                column
            } else {
                let column = place.open(false, out);
                opened = Some(column);
                column
            };
            write_key(&key, column, out);
            entries.next_value_seed(Node { out: &mut *out, place: YamlPosition::Key(column), depth: depth + 1 })?;
        }
        if opened.is_none() {
            Node { out, place, depth }.plain("{}");
        }
        Ok(())
    }
}

fn write_key(key: &str, column: usize, out: &mut Vec<u8>) {
    if key.len() > LONGEST_SIMPLE_KEY {
        out.extend_from_slice(b"? ");
        scalar::write_key(key, out);
        out.push(b'\n');
        indent(column, out);
    } else {
        scalar::write_key(key, out);
    }
    out.push(b':');
}

//! Decodes the layers of a release: base64 of the Secret, base64 of Helm, gzip, JSON.
//!
//! The input is hostile: any author of a Secret chooses it. Large releases are streamed, and both the unpacked bytes and
//! the kept values are bounded.

use super::fields::HelmFields;
use super::path::REFUSED_IN_CHART;
use crate::budget;
use crate::error::{ErrorClass, EvalError};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::bufread::MultiGzDecoder;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::cell::Cell;
use std::fmt;
use std::io::{self, BufReader, Read};

/// Most bytes that a release may unpack to.
const MAX_UNPACKED: usize = 32 << 20;
/// A release that unpacks to less is decoded from memory, which is several times faster than a stream.
const AT_ONCE: usize = 2 << 20;
/// Most bytes of the kept values of a release, approximately.
const MAX_KEPT: usize = 1 << 20;
/// Bytes that are unpacked and read as JSON in one step.
const BYTES_PER_STEP: usize = 40;
const GZIP: &[u8] = &[0x1f, 0x8b, 0x08];

/// The selected fields of the release in the data of a Secret; `None` when there is no release.
pub(crate) fn decode_release(data: &Value, fields: &HelmFields) -> Result<Option<Value>, EvalError> {
    match data.get("release") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => decode(text, fields).map(Some),
        Some(_) => Err(EvalError::wrong_type("data.release of the Secret is no text")),
    }
}

fn decode(text: &str, fields: &HelmFields) -> Result<Value, EvalError> {
    budget::charge_bytes(text.len())?;
    let outer = base64(text.as_bytes())
        .ok_or_else(|| EvalError::new(ErrorClass::Function, "data.release of the Secret is not base64"))?;
    let packed = base64(&outer).unwrap_or(outer);
    let kept = Cell::new(MAX_KEPT);
    let seed = ReleaseSeed { fields, notes: fields.notes, level: ReleaseLevel::Release, kept: &kept };
    let unpacked = Cell::new(MAX_UNPACKED);
    let result = if packed.starts_with(GZIP) {
        let mut reader = Bounded { inner: MultiGzDecoder::new(packed.as_slice()), left: &unpacked };
        let mut start = Vec::new();
        match reader.by_ref().take(AT_ONCE as u64).read_to_end(&mut start) {
            // At the end of the stream its checksum has been verified.
            Ok(size) if size < AT_ONCE => read(seed, serde_json::Deserializer::from_slice(&start)),
            Ok(_) => {
                let whole = BufReader::with_capacity(32 << 10, start.as_slice().chain(reader));
                read(seed, serde_json::Deserializer::from_reader(whole))
            }
            Err(error) => Err(serde_json::Error::io(error)),
        }
    } else {
        read(seed, serde_json::Deserializer::from_slice(&packed))
    };
    match result {
        Ok(release @ Value::Object(_)) => Ok(release),
        Ok(_) => Err(EvalError::wrong_type("the Helm release is no JSON object")),
        Err(_) if budget::check().is_err() => budget::check().map(|()| Value::Null).map_err(Into::into),
        Err(_) if unpacked.get() == 0 => Err(EvalError::limit("the Helm release is larger than 32 MiB when unpacked")),
        Err(_) if kept.get() == 0 => Err(EvalError::limit("the fields read of the Helm release are larger than 1 MiB")),
        // The text of the error could contain values.
        Err(_) => Err(EvalError::new(ErrorClass::Function, "data.release of the Secret is no Helm release")),
    }
}

/// As in Go: line breaks are ignored.
fn base64(text: &[u8]) -> Option<Vec<u8>> {
    let is_break = |byte: &u8| matches!(byte, b'\n' | b'\r');
    if text.iter().any(is_break) {
        return STANDARD.decode(text.iter().copied().filter(|byte| !is_break(byte)).collect::<Vec<u8>>()).ok();
    }
    STANDARD.decode(text).ok()
}

fn read<'de, R: serde_json::de::Read<'de>>(
    seed: ReleaseSeed<'_>,
    mut deserializer: serde_json::Deserializer<R>,
) -> Result<Value, serde_json::Error> {
    let value = seed.deserialize(&mut deserializer)?;
    // Also verifies the checksum at the end of the gzip stream.
    deserializer.end()?;
    Ok(value)
}

/// A reader that fails after `left` bytes.
struct Bounded<'c, R> {
    inner: R,
    left: &'c Cell<usize>,
}

impl<R: Read> Read for Bounded<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        budget::charge(read / BYTES_PER_STEP).map_err(io::Error::other)?;
        let left = self.left.get().saturating_sub(read);
        self.left.set(left);
        if left == 0 { Err(io::Error::other("too large")) } else { Ok(read) }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum ReleaseLevel {
    Release,
    Info,
    Chart,
    Elsewhere,
}

/// Builds the selected fields and skips the rest. serde_json limits the depth.
#[derive(Clone, Copy)]
struct ReleaseSeed<'w> {
    fields: &'w HelmFields,
    notes: bool,
    level: ReleaseLevel,
    kept: &'w Cell<usize>,
}

impl<'w> ReleaseSeed<'w> {
    fn keep<E: serde::de::Error>(self, bytes: usize) -> Result<(), E> {
        // 32: a value without its text.
        let left = self.kept.get().saturating_sub(bytes.saturating_add(32));
        self.kept.set(left);
        if left == 0 { Err(E::custom("too large")) } else { Ok(()) }
    }

    /// The seed for the value of a key; `None` when it is skipped.
    fn below(self, key: &str) -> Option<Self> {
        if self.level == ReleaseLevel::Chart && REFUSED_IN_CHART.contains(&key) {
            return None;
        }
        if self.level == ReleaseLevel::Info && key == "notes" && !self.notes {
            return None;
        }
        let level = match (self.level, key) {
            (ReleaseLevel::Release, "chart") => ReleaseLevel::Chart,
            (ReleaseLevel::Release, "info") => ReleaseLevel::Info,
            _ => ReleaseLevel::Elsewhere,
        };
        let fields: &'w HelmFields = if self.fields.whole { self.fields } else { self.fields.fields.get(key)? };
        Some(Self { fields, level, ..self })
    }
}

impl<'de> DeserializeSeed<'de> for ReleaseSeed<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ReleaseSeed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Value, E> {
        self.keep(0).map(|()| Value::Null)
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<Value, E> {
        self.keep(0).map(|()| Value::Bool(value))
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Value, E> {
        self.keep(0).map(|()| Value::from(value))
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Value, E> {
        self.keep(0).map(|()| Value::from(value))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        self.keep(0).map(|()| Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Value, E> {
        self.keep(value.len()).map(|()| Value::from(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        self.keep(0)?;
        let mut kept = Vec::new();
        if self.fields.whole {
            let item = Self { level: ReleaseLevel::Elsewhere, ..self };
            while let Some(value) = items.next_element_seed(item)? {
                kept.push(value);
            }
        } else {
            while items.next_element::<IgnoredAny>()?.is_some() {}
        }
        Ok(Value::Array(kept))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        self.keep(0)?;
        let mut kept = Map::new();
        while let Some(key) = entries.next_key_seed(ReleaseKeySeed(self))? {
            match key {
                Some((key, below)) => {
                    self.keep::<A::Error>(key.len())?;
                    kept.insert(key, entries.next_value_seed(below)?);
                }
                None => {
                    entries.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(Value::Object(kept))
    }
}

/// Classifies a key before it is copied.
struct ReleaseKeySeed<'w>(ReleaseSeed<'w>);

impl<'de, 'w> DeserializeSeed<'de> for ReleaseKeySeed<'w> {
    type Value = Option<(String, ReleaseSeed<'w>)>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'w> Visitor<'_> for ReleaseKeySeed<'w> {
    type Value = Option<(String, ReleaseSeed<'w>)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(self.0.below(key).map(|below| (key.to_owned(), below)))
    }
}

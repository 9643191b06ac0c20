//! Rows and their changes.

use crate::{ObjectKey, RowId, write_string};
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::sync::Arc;

/// Bumped when the bytes of an Item change for the same row, so that sinks rewrite what they hold.
pub const ENCODER_EPOCH: u8 = 1;

/// Number of a change; grows by one per change in the whole process and never leaves it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Version(pub u64);

/// First 16 bytes of SHA-256 over the encoder epoch and the Item bytes of a row.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(pub [u8; 16]);

impl Digest {
    /// Digest of arbitrary bytes, in the same 16-byte form.
    pub fn of(bytes: &[u8]) -> Self {
        let full = Sha256::digest(bytes);
        let mut short = [0; 16];
        short.copy_from_slice(&full[..16]);
        Self(short)
    }

    /// Reads the 32 lower-case hex digits that [`fmt::Display`] writes.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        if bytes.len() != 32 {
            return None;
        }
        let mut short = [0; 16];
        for (at, pair) in bytes.chunks_exact(2).enumerate() {
            short[at] = (nibble(pair[0])? << 4) | nibble(pair[1])?;
        }
        Some(Self(short))
    }
}

fn nibble(c: u8) -> Option<u8> {
    match c {
        b'0'..=b'9' => Some(c - b'0'),
        b'a'..=b'f' => Some(c - b'a' + 10),
        _ => None,
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&crate::hex(&self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The attributes of one object for one target.
#[derive(Debug)]
pub struct Row {
    /// Identity.
    pub id: RowId,
    /// The object that it describes.
    pub object: ObjectKey,
    /// The extracted attributes: one canonical JSON object, redacted, made once.
    pub attributes: Box<RawValue>,
    /// Digest of the Item bytes.
    pub digest: Digest,
}

impl Row {
    /// Makes a row and its digest. `attributes` must be a canonical JSON object.
    pub fn new(id: RowId, object: ObjectKey, attributes: Box<RawValue>) -> Self {
        let mut row = Self { id, object, attributes, digest: Digest([0; 16]) };
        let mut bytes = Vec::with_capacity(256 + row.attributes.get().len());
        bytes.push(ENCODER_EPOCH);
        write_item(&row, &mut bytes);
        row.digest = Digest::of(&bytes);
        row
    }
}

/// Appends the Item of a row: nine keys in fixed order, `group` only when not empty.
pub fn write_item(row: &Row, out: &mut Vec<u8>) {
    let mut field = |key: &str, value: &str| {
        out.extend_from_slice(key.as_bytes());
        write_string(value, out);
    };
    field("{\"targetNamespace\":", &row.id.target.namespace);
    field(",\"targetName\":", &row.id.target.name);
    field(",\"namespace\":", &row.object.namespace);
    field(",\"name\":", &row.object.name);
    if !row.object.gvk.group.is_empty() {
        field(",\"group\":", &row.object.gvk.group);
    }
    field(",\"version\":", &row.object.gvk.version);
    field(",\"kind\":", &row.object.gvk.kind);
    field(",\"uid\":", &row.id.uid.to_string());
    out.extend_from_slice(b",\"attributes\":");
    out.extend_from_slice(row.attributes.get().as_bytes());
    out.push(b'}');
}

/// Why a row was deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// The deletion of its object, or that it stopped matching, was observed.
    Observed,
    /// Its part left the view by a change of some spec.
    SpecChanged,
    /// A complete list of its part does not contain it.
    Absent,
}

/// A row that is to be deleted from a sink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deleted {
    /// Identity of the row.
    pub id: RowId,
    /// The object, as far as it is known: a sink's read-back may know only the namespace.
    pub object: Option<ObjectKey>,
    /// Why.
    pub cause: Cause,
}

/// One difference that a sink has to apply.
#[derive(Clone, Debug)]
pub enum Change {
    /// The row is new or has other content.
    Upsert(Arc<Row>),
    /// The row must be deleted.
    Delete(Deleted),
}

impl Change {
    /// Identity of the row concerned.
    pub fn id(&self) -> &RowId {
        match self {
            Self::Upsert(row) => &row.id,
            Self::Delete(deleted) => &deleted.id,
        }
    }
}

//! Rows on standard output for programs: JSON, NDJSON and YAML records.
//!
//! Separate from tables, which are for people and spreadsheets. A record is an export with the place it came from.

use super::source::Source;
use super::units::Unit;
use kollect_export::encode::{json, yaml};
use kollect_model::{Envelope, fingerprint_items, write_string};
use std::io::{self, Write};

/// What a record says beside the rows.
pub(super) struct Head<'a> {
    pub(super) cluster: &'a str,
    pub(super) path: String,
    pub(super) exported_at: &'a str,
}

/// One record as compact JSON.
pub(super) fn record(source: &Source, unit: &Unit<'_>, head: &Head<'_>, out: &mut Vec<u8>) -> io::Result<()> {
    let fields = [
        ("{\"context\":", source.context.as_str()),
        (",\"targetNamespace\":", &unit.key.namespace),
        (",\"targetName\":", &unit.key.name),
        (",\"path\":", &head.path),
    ];
    for (key, value) in fields {
        out.extend_from_slice(key.as_bytes());
        write_string(value, out);
    }
    out.extend_from_slice(b",\"envelope\":");
    let rows = source.store.snapshot(&unit.view);
    let checksum = fingerprint_items(rows.iter().map(AsRef::as_ref));
    let envelope =
        Envelope { checksum: &checksum, exported_at: head.exported_at, cluster: head.cluster, ..Envelope::default() };
    envelope.write(&rows, out)?;
    out.push(b'}');
    Ok(())
}

/// Writes records one by one.
pub(super) enum RecordWriter {
    Ndjson,
    Yaml,
    /// The records so far: an array is indented as a whole.
    Json(Vec<u8>),
}

impl RecordWriter {
    pub(super) fn put(&mut self, record: &[u8], out: &mut dyn Write) -> io::Result<()> {
        match self {
            Self::Ndjson => {
                out.write_all(record)?;
                out.write_all(b"\n")
            }
            Self::Yaml => {
                let text = std::str::from_utf8(record).map_err(io::Error::other)?;
                let mut bytes = b"---\n".to_vec();
                yaml::write_json(text, yaml::Place::Root, &mut bytes)?;
                out.write_all(&bytes)
            }
            Self::Json(all) => {
                all.push(if all.is_empty() { b'[' } else { b',' });
                all.extend_from_slice(record);
                Ok(())
            }
        }
    }

    pub(super) fn finish(self, out: &mut dyn Write) -> io::Result<()> {
        let Self::Json(mut all) = self else { return Ok(()) };
        if all.is_empty() {
            all.push(b'[');
        }
        all.push(b']');
        let mut indented = Vec::new();
        json::write_indented(&all, &mut indented);
        out.write_all(&indented)
    }
}

//! Rows on standard output for programs: single rows, and records as JSON, NDJSON and YAML.
//!
//! A record is an export with the place it came from.

use super::plan::Planned;
use super::source::CollectedSource;
use super::units::Unit;
use kollect_export::encode::json::Indenter;
use kollect_export::encode::yaml;
use kollect_model::{Envelope, fingerprint_items, write_item, write_string};
use kollect_store::View;
use std::io::{self, Write};

/// The members of a record beside the rows.
pub(super) struct Head<'a> {
    pub(super) cluster: &'a str,
    pub(super) path: String,
    pub(super) exported_at: &'a str,
}

/// One record as compact JSON.
pub(super) fn record(source: &CollectedSource, unit: &Unit<'_>, head: &Head<'_>, out: &mut Vec<u8>) -> io::Result<()> {
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

/// The rows of a target, one JSON object per line. With a `cluster` it is the first member of each.
pub(super) fn write_rows(
    source: &CollectedSource,
    target: &Planned,
    cluster: Option<&str>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut begin = b"{".to_vec();
    if let Some(cluster) = cluster {
        begin.extend_from_slice(b"\"cluster\":");
        write_string(cluster, &mut begin);
        begin.push(b',');
    }
    let mut item = Vec::new();
    for row in source.store.snapshot(&View::of(target.keys.clone())) {
        item.clear();
        write_item(&row, &mut item);
        item.push(b'\n');
        out.write_all(&begin)?;
        // An item begins with a brace, and has members.
        out.write_all(&item[1..])?;
    }
    Ok(())
}

/// JSON is indented in pieces of this size.
const PIECE: usize = 64 << 10;

/// Writes records one by one.
pub(super) enum RecordWriter {
    Ndjson,
    Yaml,
    Json(Array),
}

/// An array that is indented as a whole, while it is written.
#[derive(Default)]
pub(super) struct Array {
    indenter: Indenter,
    begun: bool,
}

impl Array {
    fn write(&mut self, text: &[u8], out: &mut dyn Write) -> io::Result<()> {
        let mut indented = Vec::new();
        for piece in text.chunks(PIECE) {
            indented.clear();
            self.indenter.feed(piece, &mut indented);
            out.write_all(&indented)?;
        }
        Ok(())
    }

    fn next(&mut self, out: &mut dyn Write) -> io::Result<()> {
        let mark: &[u8] = if std::mem::replace(&mut self.begun, true) { b"," } else { b"[" };
        self.write(mark, out)
    }
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
                yaml::write_json(text, yaml::YamlPosition::Root, &mut bytes)?;
                out.write_all(&bytes)
            }
            Self::Json(array) => {
                array.next(out)?;
                array.write(record, out)
            }
        }
    }

    pub(super) fn finish(self, out: &mut dyn Write) -> io::Result<()> {
        let Self::Json(mut array) = self else { return Ok(()) };
        if !array.begun {
            array.next(out)?;
        }
        array.write(b"]", out)?;
        out.write_all(b"\n")
    }
}

//! Rows as bytes: JSON, YAML and NDJSON.
//!
//! It must not know paths, sinks or bindings. The JSON of a row is made once, with the row; encoders copy or re-arrange
//! it.

pub mod decode;
pub mod event;
pub mod json;
pub mod manifest;
pub mod ndjson;
pub mod yaml;

use crate::contract::files::Body;
use kollect_model::{Envelope, Row};
use std::io::{self, Write};
use std::ops::Range;
use std::sync::Arc;

/// Format of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Format {
    /// JSON: documents are the export envelope, files of single rows are indented.
    Json,
    /// YAML block style.
    #[default]
    Yaml,
    /// One compact JSON line per row.
    Ndjson,
}

impl Format {
    /// File extension with its dot.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Json => ".json",
            Self::Yaml => ".yaml",
            Self::Ndjson => ".ndjson",
        }
    }
}

/// What a file of a single row contains.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Content {
    /// The whole Item.
    #[default]
    Item,
    /// The attributes map only.
    Attributes,
    /// The copy of the object, as a manifest.
    Manifest,
}

/// Appends the file of one row.
pub fn write_row(row: &Row, content: Content, format: Format, out: &mut Vec<u8>) -> io::Result<()> {
    match (format, content) {
        (Format::Yaml, Content::Item) => yaml::write_item(row, yaml::YamlPosition::Root, out),
        (Format::Yaml, Content::Attributes) => yaml::write_json(row.attributes.get(), yaml::YamlPosition::Root, out),
        (Format::Yaml, Content::Manifest) => {
            let json = String::from_utf8(json_of(row, content)?).map_err(io::Error::other)?;
            yaml::write_json(&json, yaml::YamlPosition::Root, out)
        }
        (Format::Json, _) => {
            json::write_indented(&json_of(row, content)?, out);
            Ok(())
        }
        (Format::Ndjson, _) => {
            ndjson::write_line(&json_of(row, content)?, out);
            Ok(())
        }
    }
}

fn json_of(row: &Row, content: Content) -> io::Result<Vec<u8>> {
    match content {
        Content::Item => Ok(kollect_model::item_bytes(row)),
        Content::Attributes => Ok(row.attributes.get().as_bytes().to_vec()),
        Content::Manifest => {
            let mut out = Vec::with_capacity(row.attributes.get().len());
            manifest::write_manifest(row, &mut out).map_err(io::Error::other)?;
            Ok(out)
        }
    }
}

/// The file of one row, rendered when it is written.
#[derive(Debug)]
pub struct RowBody {
    /// The row.
    pub row: Arc<Row>,
    /// What of it.
    pub content: Content,
    /// How.
    pub format: Format,
}

impl Body for RowBody {
    fn write_to(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(512 + self.row.attributes.get().len() * 2);
        write_row(&self.row, self.content, self.format, &mut bytes)?;
        out.write_all(&bytes)
    }
}

/// The envelope of a document. YAML and NDJSON documents have none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DocumentHead {
    /// Fingerprint of the items.
    pub checksum: String,
    /// `metadata.generation` of the inventory.
    pub generation: i64,
    /// 1-based part number; 0 when the document is whole.
    pub part_index: u32,
    /// Number of parts; 0 when the document is whole.
    pub part_total: u32,
    /// RFC 3339 UTC.
    pub exported_at: String,
    /// `spec.cluster` of the sink.
    pub cluster: Arc<str>,
}

impl DocumentHead {
    /// The same as an envelope of the model.
    pub fn envelope(&self) -> Envelope<'_> {
        Envelope {
            checksum: &self.checksum,
            generation: self.generation,
            part_index: self.part_index,
            part_total: self.part_total,
            exported_at: &self.exported_at,
            cluster: &self.cluster,
        }
    }
}

/// A document, or one part of it, rendered row by row when it is written.
#[derive(Debug)]
pub struct DocumentBody {
    /// All rows of the inventory, in canonical order.
    pub rows: Arc<[Arc<Row>]>,
    /// Which of them are in this part. Must lie inside `rows`.
    pub range: Range<usize>,
    /// How.
    pub format: Format,
    /// The envelope.
    pub head: DocumentHead,
}

impl Body for DocumentBody {
    fn write_to(&self, mut out: &mut dyn Write) -> io::Result<()> {
        let rows = self.rows.get(self.range.clone()).unwrap_or_default();
        if self.format == Format::Json {
            return self.head.envelope().write(rows, &mut out);
        }
        if rows.is_empty() && self.format == Format::Yaml {
            return out.write_all(b"[]\n");
        }
        let mut bytes = Vec::with_capacity(1024);
        for row in rows {
            bytes.clear();
            write_member(row, self.format, &mut bytes)?;
            out.write_all(&bytes)?;
        }
        Ok(())
    }
}

/// Appends one row as a member of a document: without separators for JSON, with its dash or line end otherwise.
pub fn write_member(row: &Row, format: Format, out: &mut Vec<u8>) -> io::Result<()> {
    match format {
        Format::Json => {
            kollect_model::write_item(row, out);
            Ok(())
        }
        Format::Yaml => {
            out.extend_from_slice(b"- ");
            yaml::write_item(row, yaml::YamlPosition::Dash(0), out)
        }
        Format::Ndjson => {
            kollect_model::write_item(row, out);
            out.push(b'\n');
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests;

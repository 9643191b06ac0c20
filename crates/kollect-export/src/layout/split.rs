//! One file per row, and an index of them.
//!
//! The index lists all files, so every change plans all rows; only the files that changed are written.

use crate::contract::files::{Body, HeldFile};
use crate::encode::{Format, json, ndjson, yaml};
use crate::layout::error::LayoutError;
use crate::layout::path_index::PathIndex;
use crate::layout::plan::{FilePlan, PlannedFile};
use crate::layout::spec::DocumentSpec;
use crate::layout::tree;
use kollect_model::{Digest, ENCODER_EPOCH, Row, SCHEMA_VERSION, fingerprint_items};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use std::collections::HashSet;
use std::io::{self, Write};
use std::sync::Arc;

/// `kept`: held files that stay although no known row has them, because their part cannot be listed now.
pub(super) fn plan(
    spec: &DocumentSpec,
    rows: &[Arc<Row>],
    exported_at: &str,
    kept: Vec<HeldFile>,
) -> Result<FilePlan, LayoutError> {
    let path = index_path(spec)?;
    let mut plan = tree::plan(spec, rows, Some(&path));
    let planned: HashSet<&str> = plan.files.iter().map(|file| &*file.path).collect();
    let mut kept: Vec<HeldFile> =
        kept.into_iter().filter(|file| *file.path != *path && !planned.contains(&*file.path)).collect();
    kept.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    let paths: Vec<Arc<str>> =
        plan.files.iter().map(|file| &file.path).chain(kept.iter().map(|file| &file.path)).cloned().collect();
    let index = Index {
        format: spec.format,
        checksum: fingerprint_items(rows.iter().map(AsRef::as_ref)),
        exported_at: whole_seconds(exported_at),
        cluster: if spec.cluster.is_empty() { "default".into() } else { spec.cluster.clone() },
        paths,
    };
    plan.files.insert(0, PlannedFile { path: path.into(), digest: index.digest(), body: Arc::new(index) });
    plan.index = PathIndex::of_files(plan.files.iter().map(PlannedFile::as_held).chain(kept));
    Ok(plan)
}

fn index_path(spec: &DocumentSpec) -> Result<String, LayoutError> {
    spec.index_template
        .render_document(&spec.facts())
        .map_err(|why| LayoutError::Path { what: format!("the index of inventory {}", spec.inventory), why })
}

/// `2026-03-02T08:15:30.25Z` without its fraction.
fn whole_seconds(timestamp: &str) -> String {
    timestamp.split_once('.').map_or_else(|| timestamp.to_owned(), |(seconds, _)| format!("{seconds}Z"))
}

/// The index, rendered on demand.
#[derive(Debug)]
struct Index {
    format: Format,
    /// Fingerprint of the rows that are known.
    checksum: String,
    exported_at: String,
    cluster: Arc<str>,
    paths: Vec<Arc<str>>,
}

impl Index {
    /// Everything but the time, so that time alone never causes a write.
    fn digest(&self) -> Digest {
        let mut hash = Sha256::new();
        hash.update([b'I', ENCODER_EPOCH, self.format as u8]);
        hash.update(&self.checksum);
        for text in std::iter::once(&self.cluster).chain(&self.paths) {
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text.as_bytes());
        }
        let mut short = [0; 16];
        short.copy_from_slice(&hash.finalize()[..16]);
        Digest(short)
    }
}

impl Body for Index {
    fn write_to(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut text = Vec::new();
        match self.format {
            // Sorted keys, as in all YAML files.
            Format::Yaml => {
                let sorted = serde_json::to_string(&Sorted {
                    checksum: &self.checksum,
                    cluster: &self.cluster,
                    exported_at: &self.exported_at,
                    item_count: self.paths.len(),
                    paths: &self.paths,
                    schema_version: SCHEMA_VERSION,
                })?;
                yaml::write_json(&sorted, yaml::YamlPosition::Root, &mut text)?;
            }
            Format::Json => json::write_indented(&self.compact()?, &mut text),
            Format::Ndjson => ndjson::write_line(&self.compact()?, &mut text),
        }
        out.write_all(&text)
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Ordered<'a> {
    schema_version: &'a str,
    item_count: usize,
    checksum: &'a str,
    exported_at: &'a str,
    cluster: &'a str,
    paths: &'a [Arc<str>],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Sorted<'a> {
    checksum: &'a str,
    cluster: &'a str,
    exported_at: &'a str,
    item_count: usize,
    paths: &'a [Arc<str>],
    schema_version: &'a str,
}

impl Index {
    fn compact(&self) -> io::Result<Vec<u8>> {
        let ordered = Ordered {
            schema_version: SCHEMA_VERSION,
            item_count: self.paths.len(),
            checksum: &self.checksum,
            exported_at: &self.exported_at,
            cluster: &self.cluster,
            paths: &self.paths,
        };
        Ok(serde_json::to_vec(&ordered)?)
    }
}

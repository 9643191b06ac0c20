//! All rows in one document, or in parts no larger than a limit.
//!
//! Parts are consecutive runs of the canonical order, so reading them one after the other gives the whole document.

use crate::encode::{DocumentBody, DocumentHead, Format, write_member};
use crate::layout::error::{LayoutError, row_name};
use crate::layout::path_index::PathIndex;
use crate::layout::plan::{FilePlan, PlannedFile};
use crate::layout::segments;
use crate::layout::spec::{DocumentSpec, Partitioning};
use kollect_model::{Digest, ENCODER_EPOCH, Row, fingerprint_items, hex, write_item};
use sha2::{Digest as _, Sha256};
use std::ops::Range;
use std::sync::Arc;

pub(super) fn plan(spec: &DocumentSpec, rows: &[Arc<Row>], exported_at: &str) -> Result<FilePlan, LayoutError> {
    let Measured { sizes, checksum } = measure(spec.format, rows)?;
    let whole = Sizing::new(spec, exported_at, 0);
    let total: u64 = sizes.iter().sum();
    let bytes = whole.size(rows.len(), total);
    let ranges = ranges(spec, rows, &sizes, bytes, exported_at)?;

    let path = spec.document_path()?;
    let all: Arc<[Arc<Row>]> = rows.into();
    let parts = u32::try_from(ranges.len()).unwrap_or(u32::MAX);
    let mut files = Vec::with_capacity(ranges.len());
    for (index, range) in (1..=parts).zip(ranges) {
        let (part_index, part_total) = if parts == 1 { (0, 0) } else { (index, parts) };
        let part = &rows[range.clone()];
        let head = DocumentHead {
            checksum: if parts == 1 { checksum.clone() } else { fingerprint_items(part.iter().map(AsRef::as_ref)) },
            generation: spec.generation,
            part_index,
            part_total,
            exported_at: exported_at.to_owned(),
            cluster: spec.cluster.clone(),
        };
        files.push(PlannedFile {
            path: if parts == 1 { path.as_str().into() } else { segments::part_path(&path, index, parts).into() },
            digest: digest(spec, part, part_index, part_total),
            body: Arc::new(DocumentBody { rows: all.clone(), range, format: spec.format, head }),
        });
    }
    let index = PathIndex::of_files(files.iter().map(PlannedFile::as_held));
    let (rows, checksum, bytes) = (rows.len() as u64, Some(checksum), Some(bytes));
    Ok(FilePlan { files, rows, checksum, bytes, index, ..FilePlan::default() })
}

struct Measured {
    /// Bytes of every row as a member of the document, without separators.
    sizes: Vec<u64>,
    checksum: String,
}

fn measure(format: Format, rows: &[Arc<Row>]) -> Result<Measured, LayoutError> {
    let mut hash = Sha256::new();
    let mut item = Vec::with_capacity(1024);
    let mut member = Vec::new();
    let mut sizes = Vec::with_capacity(rows.len());
    hash.update(b"[");
    for (at, row) in rows.iter().enumerate() {
        item.clear();
        if at > 0 {
            hash.update(b",");
        }
        write_item(row, &mut item);
        hash.update(&item);
        let size = match format {
            Format::Json => item.len(),
            Format::Ndjson => item.len() + 1,
            Format::Yaml => {
                member.clear();
                write_member(row, format, &mut member)
                    .map_err(|e| LayoutError::Encode { what: row_name(row), why: e.to_string() })?;
                member.len()
            }
        };
        sizes.push(size as u64);
    }
    hash.update(b"]");
    Ok(Measured { sizes, checksum: hex(&hash.finalize()) })
}

/// Size of a document from the sizes of its members, without writing it.
struct Sizing {
    format: Format,
    head: u64,
}

impl Sizing {
    /// `markers`: the assumed part number and number of parts; 0 for a whole document.
    fn new(spec: &DocumentSpec, exported_at: &str, markers: u32) -> Self {
        let head = DocumentHead {
            checksum: "0".repeat(64),
            generation: spec.generation,
            part_index: markers,
            part_total: markers,
            exported_at: exported_at.to_owned(),
            cluster: spec.cluster.clone(),
        };
        let mut bytes = Vec::with_capacity(512);
        if spec.format == Format::Json {
            // Writing to a Vec cannot fail.
            let _ = head.envelope().write(&[] as &[Arc<Row>], &mut bytes);
        }
        Self { format: spec.format, head: bytes.len() as u64 }
    }

    fn size(&self, count: usize, members: u64) -> u64 {
        match self.format {
            // The head was measured with the one digit of itemCount 0.
            Format::Json => {
                let count_digits = u64::from(count.checked_ilog10().unwrap_or(0));
                self.head + count_digits + members + count.saturating_sub(1) as u64
            }
            Format::Yaml if count == 0 => 3,
            Format::Yaml | Format::Ndjson => members,
        }
    }
}

fn ranges(
    spec: &DocumentSpec,
    rows: &[Arc<Row>],
    sizes: &[u64],
    whole: u64,
    exported_at: &str,
) -> Result<Vec<Range<usize>>, LayoutError> {
    let ceiling = (spec.max_bytes > 0).then_some(spec.max_bytes);
    let limit = [ceiling, spec.backend_limit].into_iter().flatten().min();
    let over = limit.filter(|limit| whole > *limit);
    if let Partitioning::Disabled { spill_limit } = spec.partitioning {
        if let Some(limit) = over {
            let advice = "set spec.partitioning to Auto, raise the limit, or export fewer rows";
            return Err(LayoutError::PayloadTooLarge { what: "the document".to_owned(), size: whole, limit, advice });
        }
        if let Some(limit) = spill_limit.filter(|limit| whole > *limit) {
            return Err(LayoutError::SpillRequired { size: whole, limit });
        }
    }
    match over {
        // One range over all rows, not a list of all row numbers.
        None => Ok(std::iter::once(0..rows.len()).collect()),
        Some(limit) => split(&Sizing::new(spec, exported_at, worst_marker(rows.len())), rows, sizes, limit),
    }
}

/// There are at most as many parts as rows; sizing with the widest marker keeps the split a single pass.
fn worst_marker(rows: usize) -> u32 {
    u32::try_from(rows).unwrap_or(u32::MAX)
}

fn split(sizing: &Sizing, rows: &[Arc<Row>], sizes: &[u64], limit: u64) -> Result<Vec<Range<usize>>, LayoutError> {
    let mut ranges = Vec::new();
    let (mut start, mut members) = (0, 0);
    for (at, (row, size)) in rows.iter().zip(sizes).enumerate() {
        let alone = sizing.size(1, *size);
        if alone > limit {
            let advice = "raise the limit, or extract less from the object";
            return Err(LayoutError::PayloadTooLarge { what: row_name(row), size: alone, limit, advice });
        }
        if sizing.size(at + 1 - start, members + size) > limit {
            ranges.push(start..at);
            (start, members) = (at, 0);
        }
        members += size;
    }
    ranges.push(start..rows.len());
    if rows.is_empty() {
        // The envelope alone is over the limit.
        let advice = "raise the limit";
        return Err(LayoutError::PayloadTooLarge {
            what: "an empty document".into(),
            size: sizing.size(0, 0),
            limit,
            advice,
        });
    }
    Ok(ranges)
}

fn digest(spec: &DocumentSpec, rows: &[Arc<Row>], part_index: u32, part_total: u32) -> Digest {
    let mut hash = Sha256::new();
    hash.update([b'D', ENCODER_EPOCH, spec.format as u8]);
    hash.update(spec.generation.to_be_bytes());
    hash.update(part_index.to_be_bytes());
    hash.update(part_total.to_be_bytes());
    hash.update((spec.cluster.len() as u64).to_be_bytes());
    hash.update(spec.cluster.as_bytes());
    for row in rows {
        hash.update(row.digest.0);
    }
    let mut short = [0; 16];
    short.copy_from_slice(&hash.finalize()[..16]);
    Digest(short)
}

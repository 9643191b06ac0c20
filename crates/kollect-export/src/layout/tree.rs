//! One file per row, planned from all rows.

use crate::encode::manifest::has_manifest;
use crate::encode::{Content, RowBody};
use crate::layout::error::row_name;
use crate::layout::folders::{above, depth_of};
use crate::layout::left_out::{LeftOut, note};
use crate::layout::path_index::PathIndex;
use crate::layout::plan::{FilePlan, PlannedFile};
use crate::layout::segments::{PathError, folded};
use crate::layout::spec::DocumentSpec;
use kollect_model::{Digest, ENCODER_EPOCH, ObjectKey, Row, RowId};
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

pub(super) fn render(spec: &DocumentSpec, id: &RowId, object: &ObjectKey) -> Result<String, PathError> {
    spec.row_template.render_row(&spec.facts(), id, object)
}

/// The file of a row; `None` when it has no copy of its object, without which a manifest could not be written.
pub(super) fn file(spec: &DocumentSpec, row: &Arc<Row>, path: Arc<str>) -> Option<PlannedFile> {
    if spec.content == Content::Manifest && !has_manifest(row) {
        return None;
    }
    let mut source = [0; 20];
    source[..4].copy_from_slice(&[b'R', ENCODER_EPOCH, spec.format as u8, spec.content as u8]);
    source[4..].copy_from_slice(&row.digest.0);
    Some(PlannedFile {
        path,
        digest: Digest::of(&source),
        body: Arc::new(RowBody { row: row.clone(), content: spec.content, format: spec.format }),
    })
}

/// Plans every row. `reserved` is a path that no row may have. Of two rows with one path the first in canonical order
/// has it, so that the result does not depend on which was created first.
pub(super) fn plan(spec: &DocumentSpec, rows: &[Arc<Row>], reserved: Option<&str>) -> FilePlan {
    let mut plan = FilePlan { files: Vec::with_capacity(rows.len()), rows: rows.len() as u64, ..FilePlan::default() };
    let mut index = PathIndex::with_capacity(rows.len());
    let mut taken: HashMap<Cow<'static, str>, &Row> = HashMap::new();
    let reserved = reserved.map(folded);
    if let Some(path) = &reserved {
        index.enter(path);
    }
    for row in rows {
        let row_hash = index.hash_of_row(&row.id);
        let path = match render(spec, &row.id, &row.object) {
            Ok(path) => path,
            Err(why) => {
                index.left_out.insert(row_hash, None);
                note(&mut plan.left_out, || LeftOut::nowhere(row, why));
                continue;
            }
        };
        let key = folded(&path);
        let path_hash = index.hash(&key);
        if index.folders.begin(depth_of(&key)) {
            for path in taken.keys().map(AsRef::as_ref).chain(reserved.as_deref()) {
                index.enter(path);
            }
        }
        let owner_of = |path: &str| {
            let index_file = || (reserved.as_deref() == Some(path)).then(|| INDEX.to_owned());
            taken.get(path).map(|first| row_name(first)).or_else(index_file)
        };
        if let Some(owner) = owner_of(&key) {
            index.left_out.insert(row_hash, Some(path_hash));
            note(&mut plan.left_out, || LeftOut::collides(row, &path, owner));
            continue;
        }
        if let Some((hash, other)) = nested(&index, &key, owner_of) {
            index.left_out.insert(row_hash, Some(hash));
            note(&mut plan.left_out, || LeftOut::is_nested(row, &path, other));
            continue;
        }
        index.enter(&key);
        taken.insert(Cow::Owned(key.into_owned()), row);
        index.owners.insert(path_hash, row_hash);
        index.paths.insert(row_hash, path_hash);
        let path: Arc<str> = path.into();
        if let Some(file) = file(spec, row, path.clone()) {
            plan.files.push(file);
        } else {
            // Its earlier file stays: the row is not gone.
            plan.retained.insert(path);
            index.left_out.insert(row_hash, Some(path_hash));
            note(&mut plan.left_out, || LeftOut::without_copy(row));
        }
    }
    plan.index = index;
    plan
}

/// What conflicts with a path because one of them would be a file and a folder, and the hash of the conflicting path.
fn nested(index: &PathIndex, path: &str, owner_of: impl Fn(&str) -> Option<String>) -> Option<(u64, String)> {
    if !index.folders.are_kept() {
        return None;
    }
    let hash = index.hash(path);
    if index.folders.contains(hash) {
        return Some((hash, "the files below it".to_owned()));
    }
    above(path).find_map(|folder| Some((index.hash(folder), owner_of(folder)?)))
}

/// Name of the index in a message about a collision.
const INDEX: &str = "the index (layout.index.pathTemplate)";

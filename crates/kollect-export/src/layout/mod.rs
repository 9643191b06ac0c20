//! Which files a binding writes: rows in, paths with digests and bodies out. No clock, no network, no sink.
//!
//! A file's digest covers what the file was made from, not its bytes, so the time of an export alone never causes a
//! write.

mod columns;
mod commit;
mod document;
mod error;
mod folders;
mod left_out;
mod path_index;
mod paths;
mod pattern;
mod plan;
mod record;
mod retained_paths;
mod segments;
mod set_manifest;
mod spec;
mod split;
mod tree;
mod tree_delta;

pub use columns::{hive_path, promoted_column};
pub use commit::{Author, CommitFacts, CommitTemplates, DEFAULT_SUBJECT};
pub use error::LayoutError;
pub use left_out::LeftOut;
pub use path_index::{IndexUpdate, PathIndex};
pub use paths::{
    DEFAULT_DOCUMENT_TEMPLATE, DEFAULT_OBJECT_TEMPLATE, DEFAULT_ROW_TEMPLATE, FilenameOptions, Grammar, GroupInPath,
    PathFacts, PathTemplate, TemplateError,
};
pub use plan::{FilePlan, PlannedFile};
pub use record::{Record, RecordChange, RecordEntry, RecordError, RecordFiles};
pub use retained_paths::RetainedPaths;
pub use segments::PathError;
pub use set_manifest::{SetFault, SetManifest, missing};
pub use spec::{DocumentSpec, Mode, Partitioning};
pub use tree_delta::{Delta, DeltaPlan};

use crate::contract::files::HeldFile;
use crate::encode::manifest::{NoCopy, copy_of};
use error::row_name;
use kollect_model::{Change, Row, canonical_cmp};
use spec::Resolved;
use std::sync::Arc;

/// Plans every file of a binding. `rows` must be in canonical order. `kept` are held files that stay although no row is
/// known for them; an index names them too.
pub(crate) fn plan_full(
    Resolved { spec, copies }: Resolved<'_>,
    rows: &[Arc<Row>],
    exported_at: &str,
    kept: Vec<HeldFile>,
) -> Result<FilePlan, LayoutError> {
    debug_assert!(rows.is_sorted_by(|a, b| canonical_cmp(a, b).is_le()), "rows must be in canonical order");
    match spec.mode {
        Mode::Split => split::plan(&spec, rows, exported_at, kept),
        Mode::PerResource => {
            let mut plan = tree::plan(&spec, rows, None);
            if let Some(first) = rows.first().filter(|_| plan.retained.len() == rows.len()) {
                // No row has a copy: the profile is wrong, not a row.
                return Err(LayoutError::Encode { what: row_name(first), why: NoCopy.to_string() });
            }
            plan.index.copies_under(copies);
            Ok(plan)
        }
        // `Auto` is resolved before.
        Mode::Document | Mode::Auto => document::plan(&spec, rows, exported_at),
    }
}

/// Plans the files that `changes` touch. `index` must be from the last acknowledged plan of the same spec; it is not
/// changed: commit the returned update once the sink has acknowledged.
pub fn plan_delta(spec: &DocumentSpec, index: &PathIndex, changes: &[Change]) -> Delta {
    match spec.mode {
        Mode::Document | Mode::Split => Delta::NeedsFullPlan,
        Mode::PerResource => tree_delta::plan_delta(spec, index, changes),
        Mode::Auto => {
            let as_before = |change: &Change| match change {
                Change::Delete(_) => true,
                Change::Upsert(row) => copy_of(row).is_some_and(|(key, _)| index.copies() == Some(key.as_str())),
            };
            if index.copies().is_none() || !changes.iter().all(as_before) {
                return Delta::NeedsFullPlan;
            }
            match tree_delta::plan_delta(&spec.as_tree(), index, changes) {
                // Without rows the mode is undecided; a full plan decides it.
                Delta::Planned(plan) if index.len_after(&plan.update) == 0 => Delta::NeedsFullPlan,
                planned => planned,
            }
        }
    }
}

#[cfg(test)]
mod tests;

//! Which files a binding writes: rows in, paths with digests and bodies out.
//!
//! Separate from the engine so that "what is written to Git?" has one answer that needs no clock, no network and no sink.
//! `document` makes one file (or its parts) of all rows, `tree` one file per row, `split` a tree with an index. A file's
//! digest says what it was made from, not what its bytes are, so the time of an export alone never causes a write.

mod columns;
mod commit;
mod document;
mod folders;
mod left_out;
mod lost;
mod paths;
mod record;
mod segments;
mod set_manifest;
mod split;
mod tree;

pub use columns::{hive_path, promoted_column};
pub use commit::{Author, CommitFacts, CommitTemplates, DEFAULT_SUBJECT};
pub use left_out::LeftOut;
pub use lost::LostFiles;
pub use paths::{
    DEFAULT_DOCUMENT_TEMPLATE, DEFAULT_OBJECT_TEMPLATE, DEFAULT_ROW_TEMPLATE, FilenameOptions, Grammar, GroupInPath,
    PathFacts, PathTemplate, TemplateError,
};
pub use record::{Entry, Record, RecordChange, RecordError, RecordFiles};
pub use segments::PathError;
pub use set_manifest::{Fault, SetManifest, missing};
pub use tree::{Delta, DeltaPlan, IndexUpdate, PathIndex};

use crate::encode::manifest::{NoCopy, copy_of};
use crate::encode::{Content, Format};
use crate::{Body, DependsOn, FileChange, HeldFile, InventoryKey, SinkError};
use kollect_model::Reason;
use kollect_model::{Change, Digest, Row, canonical_cmp};
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// How rows become files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Mode {
    /// One file with all rows.
    #[default]
    Document,
    /// One file per row.
    PerResource,
    /// One file per row and an index.
    Split,
    /// One file per row while every row holds a copy of its object under one attribute, else one document.
    Auto,
}

impl Mode {
    /// Whether a change of one row concerns all of them, so that none may be missing.
    pub(crate) fn needs_all_rows(self) -> bool {
        self != Self::PerResource
    }
}

/// `spec.partitioning` of the inventory. Concerns documents only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Partitioning {
    /// A document over the limit is split into parts.
    #[default]
    Auto,
    /// A document over the limit is refused.
    Disabled {
        /// Size above which an object store must be bound; `None` when one is.
        spill_limit: Option<u64>,
    },
}

/// Everything a layout needs to know about a binding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentSpec {
    /// How rows become files.
    pub mode: Mode,
    /// Content of files of single rows. Documents always contain Items.
    pub content: Content,
    /// Format of every file.
    pub format: Format,
    /// `spec.pathTemplate`.
    pub path_template: PathTemplate,
    /// `layout.pathTemplate`.
    pub row_template: PathTemplate,
    /// `layout.index.pathTemplate`, for split trees.
    pub index_template: PathTemplate,
    /// `layout.filename`.
    pub filename: FilenameOptions,
    /// `spec.cluster` of the sink; may be empty.
    pub cluster: Arc<str>,
    /// The inventory.
    pub inventory: InventoryKey,
    /// Its `metadata.generation`.
    pub generation: i64,
    /// Name of the sink.
    pub sink_name: Arc<str>,
    /// The ceiling for a document in bytes; 0 for none.
    pub max_bytes: u64,
    /// Largest message the backend takes, if it has such a limit.
    pub backend_limit: Option<u64>,
    /// What happens above the ceiling.
    pub partitioning: Partitioning,
    /// Commit message.
    pub commit: CommitTemplates,
    /// Commit author.
    pub author: Author,
}

impl DocumentSpec {
    fn facts(&self) -> PathFacts<'_> {
        PathFacts {
            cluster: &self.cluster,
            namespace: &self.inventory.namespace,
            name: &self.inventory.name,
            generation: self.generation,
            extension: self.format.extension(),
            filename: self.filename,
        }
    }

    /// Path of the (whole) document; also what `{path}` in a commit template stands for.
    pub fn document_path(&self) -> Result<String, LayoutError> {
        self.path_template
            .render_document(&self.facts())
            .map_err(|why| LayoutError::Path { what: format!("inventory {}", self.inventory), why })
    }

    /// The layout for these rows: what [`Mode::Auto`] stands for, everything else as it is.
    pub(crate) fn resolved(&self, rows: &[Arc<Row>]) -> Resolved<'_> {
        if self.mode != Mode::Auto {
            return Resolved { spec: Cow::Borrowed(self), copies: None };
        }
        let copies = common_copy(rows);
        let spec = if copies.is_some() { self.as_tree() } else { self.as_document() };
        Resolved { spec: Cow::Owned(spec), copies }
    }

    fn as_tree(&self) -> Self {
        Self { mode: Mode::PerResource, ..self.clone() }
    }

    fn as_document(&self) -> Self {
        Self { mode: Mode::Document, ..self.clone() }
    }

    /// Path of the ownership record: `.kollect/<cluster>/<namespace>/<name>/<sink>`.
    pub fn record_path(&self) -> String {
        let clean = |value| segments::sanitise(value, segments::Limits::WHOLE);
        let cluster = if self.cluster.is_empty() { "default".into() } else { clean(&self.cluster) };
        let (namespace, name) = (clean(&self.inventory.namespace), clean(&self.inventory.name));
        format!("{}/{cluster}/{namespace}/{name}/{}", segments::RECORD_FOLDER, clean(&self.sink_name))
    }
}

/// A layout whose mode is not [`Mode::Auto`] any more.
#[derive(Debug)]
pub(crate) struct Resolved<'s> {
    pub(crate) spec: Cow<'s, DocumentSpec>,
    /// The attribute under which every row holds a copy of its object, when that decided.
    copies: Option<String>,
}

/// Why rows cannot become files, or one row not. Never contains values of rows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// Two rows have one path.
    #[error(
        "{first} and {second} both render to {path}: add {{targetName}}, {{group}} or {{uid}} to layout.pathTemplate, or \
         raise layout.filename.maxSegmentLength"
    )]
    Collision {
        /// The path.
        path: String,
        /// The row that comes first in canonical order.
        first: String,
        /// The other row.
        second: String,
    },
    /// One path would be a file and a folder.
    #[error(
        "{row} renders to {path}, which cannot stand beside {other}, because a file cannot be a folder as well: end \
         layout.pathTemplate in {{extension}}, or begin it with {{kind}}"
    )]
    Nested {
        /// The path.
        path: String,
        /// The row that is left out.
        row: String,
        /// What is in its way.
        other: String,
    },
    /// A path cannot be rendered.
    #[error("no path for {what}: {why}")]
    Path {
        /// The row or inventory.
        what: String,
        /// Why.
        why: PathError,
    },
    /// Over the ceiling and not divisible.
    #[error("{what} has {size} bytes and the limit is {limit}: {advice}")]
    PayloadTooLarge {
        /// The document, or the row.
        what: String,
        /// Bytes it has.
        size: u64,
        /// Bytes it may have.
        limit: u64,
        /// What to do.
        advice: &'static str,
    },
    /// Needs an object store.
    #[error(
        "the document has {size} bytes; above {limit} bytes an s3 or gcs snapshot sink must be bound: add one, or set \
         spec.partitioning to Auto"
    )]
    SpillRequired {
        /// Bytes it has.
        size: u64,
        /// Bytes it may have without an object store.
        limit: u64,
    },
    /// A row cannot be encoded.
    #[error("cannot encode {what}: {why}")]
    Encode {
        /// The row.
        what: String,
        /// Kind of the error, without values.
        why: String,
    },
}

impl LayoutError {
    /// Stable reason for the condition; `None` means `ExportTerminal`.
    pub fn reason(&self) -> Option<Reason> {
        match self {
            Self::Collision { .. } | Self::Nested { .. } => Some(Reason::LayoutCollision),
            Self::PayloadTooLarge { .. } => Some(Reason::PayloadTooLarge),
            Self::SpillRequired { .. } => Some(Reason::SpillRequired),
            Self::Path { .. } | Self::Encode { .. } => None,
        }
    }

    /// As the outcome of a cycle: terminal until the rows change, and nothing landed.
    pub fn into_sink_error(self) -> SinkError {
        let depends_on = if matches!(self, Self::Path { .. }) { DependsOn::Spec } else { DependsOn::Rows };
        let error = SinkError::terminal("layout", self.to_string()).depending_on(depends_on);
        SinkError { reason: self.reason(), ..error }
    }
}

/// The attribute under which all rows hold a copy of their object. Of no rows nothing can be said.
fn common_copy(rows: &[Arc<Row>]) -> Option<String> {
    let (first, rest) = rows.split_first()?;
    let (key, _) = copy_of(first)?;
    rest.iter().all(|row| copy_of(row).is_some_and(|(other, _)| other == key)).then_some(key)
}

/// A row in messages: `Deployment shop/cart (target shop/workloads)`.
fn row_name(row: &Row) -> String {
    format!("{} (target {})", row.object, row.id.target)
}

/// A file that a binding should have.
#[derive(Clone)]
pub struct PlannedFile {
    /// Path below the destination's root.
    pub path: Arc<str>,
    /// What it is made from.
    pub digest: Digest,
    /// Content.
    pub body: Arc<dyn Body>,
}

impl std::fmt::Debug for PlannedFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.path, self.digest)
    }
}

/// Everything that a binding should have.
#[derive(Debug, Default)]
pub struct FilePlan {
    /// The files.
    pub files: Vec<PlannedFile>,
    /// Rows in them.
    pub rows: u64,
    /// Fingerprint of all items; documents only.
    pub checksum: Option<String>,
    /// Size of all files together; documents only.
    pub bytes: Option<u64>,
    /// What later deltas need to know, once this plan is acknowledged.
    pub index: PathIndex,
    /// The first rows that have no file of their own.
    pub left_out: Vec<LeftOut>,
    /// Held paths of rows that cannot be written now: they stay as they are.
    pub retained: HashSet<Arc<str>>,
}

impl FilePlan {
    /// Changes that turn `held` into this plan, deletes first. A held path that is not planned is deleted only if
    /// `may_delete` says so.
    pub fn difference(
        &self,
        held: impl IntoIterator<Item = HeldFile>,
        may_delete: &dyn Fn(&str) -> bool,
    ) -> Vec<FileChange> {
        let planned: HashMap<&str, Digest> = self.files.iter().map(|file| (&*file.path, file.digest)).collect();
        let mut unchanged = HashSet::new();
        let mut changes = Vec::new();
        for HeldFile { path, digest } in held {
            match planned.get_key_value(&*path) {
                Some((path, wanted)) if digest == Some(*wanted) => {
                    unchanged.insert(*path);
                }
                None if may_delete(&path) && !self.retained.contains(&path) => {
                    changes.push(FileChange::Delete { path });
                }
                Some(_) | None => {}
            }
        }
        let puts = self.files.iter().filter(|file| !unchanged.contains(&*file.path));
        changes.extend(puts.map(|file| FileChange::Put {
            path: file.path.clone(),
            digest: file.digest,
            body: file.body.clone(),
        }));
        changes
    }
}

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
                // Not one row has a copy: that is a fault of the profile, not of a row.
                return Err(LayoutError::Encode { what: row_name(first), why: NoCopy.to_string() });
            }
            plan.index.copies_under(copies);
            Ok(plan)
        }
        // Nothing is undecided here.
        Mode::Document | Mode::Auto => document::plan(&spec, rows, exported_at),
    }
}

/// Plans the files that `changes` touch. `index` must be from the last acknowledged plan of the same spec; it is not
/// changed: commit the returned update once the sink has acknowledged.
pub fn plan_delta(spec: &DocumentSpec, index: &PathIndex, changes: &[Change]) -> Delta {
    match spec.mode {
        Mode::Document | Mode::Split => Delta::NeedsFullPlan,
        Mode::PerResource => tree::plan_delta(spec, index, changes),
        Mode::Auto => {
            let as_before = |change: &Change| match change {
                Change::Delete(_) => true,
                Change::Upsert(row) => copy_of(row).is_some_and(|(key, _)| index.copies() == Some(key.as_str())),
            };
            if index.copies().is_none() || !changes.iter().all(as_before) {
                return Delta::NeedsFullPlan;
            }
            match tree::plan_delta(&spec.as_tree(), index, changes) {
                // Of no rows nothing can be said; what is left is decided with all of them.
                Delta::Planned(plan) if index.len_after(&plan.update) == 0 => Delta::NeedsFullPlan,
                planned => planned,
            }
        }
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_choice;
#[cfg(test)]
mod tests_folders;

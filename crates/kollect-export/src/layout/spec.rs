//! What files a binding writes, as its specs state it.

use crate::contract::ids::InventoryKey;
use crate::encode::manifest::copy_of;
use crate::encode::{Content, Format};
use crate::layout::commit::{Author, CommitTemplates};
use crate::layout::error::LayoutError;
use crate::layout::paths::{FilenameOptions, PathFacts, PathTemplate};
use crate::layout::segments;
use kollect_model::Row;
use std::borrow::Cow;
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
    /// Whether a change of one row needs all rows.
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

/// The layout of a binding.
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
    pub(super) fn facts(&self) -> PathFacts<'_> {
        PathFacts {
            cluster: &self.cluster,
            namespace: &self.inventory.namespace,
            name: &self.inventory.name,
            generation: self.generation,
            extension: self.format.extension(),
            filename: self.filename,
        }
    }

    /// Path of the (whole) document; also the value of `{path}` in a commit template.
    pub fn document_path(&self) -> Result<String, LayoutError> {
        self.path_template
            .render_document(&self.facts())
            .map_err(|why| LayoutError::Path { what: format!("inventory {}", self.inventory), why })
    }

    /// The layout for these rows: resolves [`Mode::Auto`] and returns other modes unchanged.
    pub(crate) fn resolved(&self, rows: &[Arc<Row>]) -> Resolved<'_> {
        if self.mode != Mode::Auto {
            return Resolved { spec: Cow::Borrowed(self), copies: None };
        }
        let copies = common_copy(rows);
        let spec = if copies.is_some() { self.as_tree() } else { self.as_document() };
        Resolved { spec: Cow::Owned(spec), copies }
    }

    pub(super) fn as_tree(&self) -> Self {
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
    pub(super) copies: Option<String>,
}

/// The attribute under which all rows hold a copy of their object. `None` for no rows.
fn common_copy(rows: &[Arc<Row>]) -> Option<String> {
    let (first, rest) = rows.split_first()?;
    let (key, _) = copy_of(first)?;
    rest.iter().all(|row| copy_of(row).is_some_and(|(other, _)| other == key)).then_some(key)
}

//! What a path template is filled with, besides the row.

/// `layout.filename.groupInPath`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum GroupInPath {
    /// Like `Always`: the core group has an empty segment, which vanishes.
    #[default]
    Auto,
    /// `{group}` is the API group.
    Always,
    /// `{group}` is empty.
    Never,
}

/// `layout.filename`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FilenameOptions {
    /// What `{group}` renders to.
    pub group_in_path: GroupInPath,
    /// Whether `{kind}` is lower-cased.
    pub lowercase_kind: bool,
    /// Longest value in bytes.
    pub max_segment_length: usize,
}

impl Default for FilenameOptions {
    fn default() -> Self {
        Self { group_in_path: GroupInPath::Auto, lowercase_kind: true, max_segment_length: 63 }
    }
}

/// What a template is filled with, besides the row.
#[derive(Clone, Copy, Debug)]
pub struct PathFacts<'a> {
    /// `spec.cluster` of the sink; empty renders as `default`.
    pub cluster: &'a str,
    /// Namespace of the inventory.
    pub namespace: &'a str,
    /// Name of the inventory.
    pub name: &'a str,
    /// `metadata.generation` of the inventory.
    pub generation: i64,
    /// Extension with its dot.
    pub extension: &'a str,
    /// How values of rows are cut and cased.
    pub filename: FilenameOptions,
}

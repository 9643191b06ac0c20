//! How rows become files in a Git repository.

use crate::schema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How rows become files. Only for `git` and `gitlab`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LayoutSettings {
    /// `document` writes one file with all rows, `perResource` one file per row, `split` one file per row
    /// and an index. Default: `perResource` when every row holds a copy of its object under one key,
    /// else `document`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<LayoutMode>,
    /// What a file has: `item` the whole row, `attributes` the attributes, `manifest` the copy of the object
    /// (needs a profile with `export.mode: Resource`). Default: `manifest` when `mode` is chosen by default
    /// and rows hold copies, else `item`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<LayoutContent>,
    /// Path of one row's file, with `{cluster}`, `{namespace}` and `{name}` of the inventory,
    /// `{targetNamespace}`, `{targetName}`, `{sourceNamespace}`, `{sourceName}`, `{group}`, `{kind}`,
    /// `{uid}`, `{generation}` and `{extension}`. Needs `{sourceName}`, `{name}` or `{uid}`.
    /// Default: `{cluster}/{sourceNamespace}/{kind}/{sourceName}{extension}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::row_path")]
    pub path_template: Option<String>,
    /// The index of `split`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<LayoutIndex>,
    /// How placeholder values become path segments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filename: Option<FileNaming>,
}

/// Number of files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum LayoutMode {
    #[default]
    Document,
    PerResource,
    Split,
}

/// Content of a row's file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum LayoutContent {
    #[default]
    Item,
    Attributes,
    Manifest,
}

/// The index of `split`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LayoutIndex {
    /// Writes the index. Default: true in `split` mode; no effect in the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Path of the index, as `spec.pathTemplate`. Default: `inventory/{namespace}/{name}{extension}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::document_path")]
    pub path_template: Option<String>,
}

/// How placeholder values become path segments.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FileNaming {
    /// `never` leaves `{group}` out of paths; `auto` (default) and `always` use it, without a segment for
    /// the core group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_in_path: Option<GroupInPath>,
    /// Writes `{kind}` in lower case. Default: true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lowercase_kind: Option<bool>,
    /// Longest value of a placeholder, in characters; longer ones are cut. Default: 63.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::at_least_one_32")]
    pub max_segment_length: Option<i32>,
}

/// Whether paths have the API group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum GroupInPath {
    #[default]
    Auto,
    Always,
    Never,
}

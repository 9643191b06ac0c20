//! `spec.layout` and the path templates: how a file sink lays out the rows of one binding.

use crate::options::invalid;
use kollect_api::{FileNaming, LayoutContent, LayoutMode, LayoutSettings, SinkCommon};
use kollect_export::encode::{Content, Format};
use kollect_export::layout::{
    Author, CommitTemplates, DEFAULT_DOCUMENT_TEMPLATE, DEFAULT_ROW_TEMPLATE, DocumentSpec, FilenameOptions, Grammar,
    GroupInPath, Mode, Partitioning, PathTemplate,
};
use kollect_export::{InventoryKey, SinkError};
use std::sync::Arc;

/// Documents above this need an object store where splitting is disabled.
const SPILL_BYTES: u64 = 1 << 20;

/// The binding's part of its layout.
#[derive(Clone, Debug)]
pub struct LayoutContext {
    /// The inventory.
    pub inventory: InventoryKey,
    /// Its `metadata.generation`.
    pub generation: i64,
    /// Largest document in bytes.
    pub max_bytes: u64,
    /// What happens to larger ones.
    pub partitioning: kollect_api::Partitioning,
    /// The inventory exports to an object store as well, which takes large documents.
    pub object_store: bool,
    /// Name of the sink object.
    pub sink_name: Arc<str>,
}

/// The layout of one binding. Commits have their defaults.
pub fn file_layout(common: &SinkCommon, format: Format, context: LayoutContext) -> Result<DocumentSpec, SinkError> {
    let template = |field: &str, text: Option<&str>, default: &str, grammar: Grammar| {
        PathTemplate::parse(text.unwrap_or(default), grammar).map_err(|why| invalid(format!("{field}: {why}")))
    };
    let layout = common.layout.clone().unwrap_or_default();
    let index = layout.index.clone().unwrap_or_default();
    Ok(DocumentSpec {
        mode: mode(&layout),
        content: match (layout.content, layout.mode) {
            (Some(LayoutContent::Item), _) | (None, Some(_)) => Content::Item,
            (Some(LayoutContent::Attributes), _) => Content::Attributes,
            (Some(LayoutContent::Manifest), _) | (None, None) => Content::Manifest,
        },
        format,
        path_template: template(
            "spec.pathTemplate",
            common.path_template.as_deref(),
            DEFAULT_DOCUMENT_TEMPLATE,
            Grammar::Document,
        )?,
        index_template: template(
            "spec.layout.index.pathTemplate",
            index.path_template.as_deref(),
            DEFAULT_DOCUMENT_TEMPLATE,
            Grammar::Document,
        )?,
        row_template: template(
            "spec.layout.pathTemplate",
            layout.path_template.as_deref(),
            DEFAULT_ROW_TEMPLATE,
            Grammar::Row,
        )?,
        filename: filename(&layout.filename.unwrap_or_default()),
        cluster: common.cluster.as_deref().unwrap_or_default().into(),
        inventory: context.inventory,
        generation: context.generation,
        sink_name: context.sink_name,
        max_bytes: context.max_bytes,
        backend_limit: None,
        partitioning: match context.partitioning {
            kollect_api::Partitioning::Auto => Partitioning::Auto,
            kollect_api::Partitioning::Disabled => {
                Partitioning::Disabled { spill_limit: (!context.object_store).then_some(SPILL_BYTES) }
            }
        },
        commit: CommitTemplates::default(),
        author: Author::default(),
    })
}

fn mode(layout: &LayoutSettings) -> Mode {
    let without_index = layout.index.as_ref().and_then(|index| index.enabled) == Some(false);
    match layout.mode {
        Some(LayoutMode::Document) => Mode::Document,
        Some(LayoutMode::PerResource) => Mode::PerResource,
        // Without its index a split tree is a plain one.
        Some(LayoutMode::Split) if without_index => Mode::PerResource,
        Some(LayoutMode::Split) => Mode::Split,
        None => Mode::Auto,
    }
}

fn filename(naming: &FileNaming) -> FilenameOptions {
    let defaults = FilenameOptions::default();
    let longest = naming.max_segment_length.and_then(|length| usize::try_from(length).ok());
    FilenameOptions {
        group_in_path: match naming.group_in_path.unwrap_or_default() {
            kollect_api::GroupInPath::Auto => GroupInPath::Auto,
            kollect_api::GroupInPath::Always => GroupInPath::Always,
            kollect_api::GroupInPath::Never => GroupInPath::Never,
        },
        lowercase_kind: naming.lowercase_kind.unwrap_or(defaults.lowercase_kind),
        max_segment_length: longest.unwrap_or(defaults.max_segment_length),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_document_needs_an_object_store_only_while_none_is_bound() {
        let partitioning = |object_store| {
            let context = LayoutContext {
                inventory: InventoryKey { namespace: "team".into(), name: "all".into() },
                generation: 1,
                max_bytes: 0,
                partitioning: kollect_api::Partitioning::Disabled,
                object_store,
                sink_name: "git".into(),
            };
            file_layout(&SinkCommon::default(), Format::Yaml, context).unwrap().partitioning
        };
        assert_eq!(partitioning(false), Partitioning::Disabled { spill_limit: Some(SPILL_BYTES) });
        assert_eq!(partitioning(true), Partitioning::Disabled { spill_limit: None });
    }
}

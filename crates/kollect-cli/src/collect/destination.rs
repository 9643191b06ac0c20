//! Decides where rows go, before any request: printed, into a directory, or to the sinks of the configuration.

use super::args::{CollectArgs, FileContent, FileFormat, FileLayout, PrintFormat, WantedOutput};
use super::sink_builders::SinkBuilders;
use super::units::Unit;
use crate::config::CollectConfig;
use crate::terminal::is_shown;
use kollect_api::SinkFamily;
use kollect_export::FileSink;
use kollect_export::encode::{Content, Format};
use kollect_export::layout::{
    Author, CommitTemplates, DEFAULT_DOCUMENT_TEMPLATE, DEFAULT_ROW_TEMPLATE, DocumentSpec, FilenameOptions, Grammar,
    Mode, Partitioning, PathFacts, PathTemplate,
};
use kollect_resources::registry::SinkObject;
use std::path::Path;
use std::sync::Arc;

/// Name of the directory among sinks.
const DIRECTORY: &str = "local";

/// Where rows go.
pub(super) enum Destination {
    Print(PrintFormat),
    Directory(Directory),
    Sinks,
}

/// An output directory.
pub(super) struct Directory {
    pub(super) path: String,
    pub(super) sink: Arc<dyn FileSink>,
    /// Of documents and indexes.
    whole: PathTemplate,
    /// Of files of single rows.
    rows: PathTemplate,
    mode: Mode,
    content: Content,
    format: Format,
}

/// Decides where rows go, or reports why the flags and the configuration contradict each other.
pub(super) fn choose(
    args: &CollectArgs,
    config: &CollectConfig,
    builders: &SinkBuilders,
    several: bool,
) -> anyhow::Result<Destination> {
    let wanted = args.wanted()?;
    anyhow::ensure!(
        wanted == WantedOutput::Default || config.sinks.is_empty(),
        "the configuration has a sink, {}, and the flags name another destination: remove --output and --format, or \
         the sink",
        config.sinks.first().map(title_of).unwrap_or_default()
    );
    match wanted {
        WantedOutput::Print(format) => {
            return Ok(Destination::Print(format.unwrap_or_else(|| usual(PrintFormat::Ndjson))));
        }
        WantedOutput::Directory(path) => return directory(args, path, builders, several).map(Destination::Directory),
        WantedOutput::Default if !names_sinks(config) => {
            anyhow::ensure!(
                !args.dry_run,
                "--dry-run: the configuration has no sink, so rows are printed and nothing is written; remove it or \
                 name a directory with --output"
            );
            return Ok(Destination::Print(usual(PrintFormat::Jsonl)));
        }
        WantedOutput::Default => {}
    }
    sinks(config)?;
    if several {
        let fixed = config.sinks.iter().find(|sink| !cluster_of(sink).is_empty());
        anyhow::ensure!(
            fixed.is_none(),
            "{} has a fixed spec.cluster, but there are several contexts: remove it, so that each context is its own cluster",
            fixed.map(title_of).unwrap_or_default()
        );
    }
    Ok(Destination::Sinks)
}

/// The format where none is named.
fn usual(piped: PrintFormat) -> PrintFormat {
    if is_shown() { PrintFormat::Table } else { piped }
}

/// Whether the configuration has a sink, or an inventory that names one.
fn names_sinks(config: &CollectConfig) -> bool {
    let refers = |family: &SinkFamily| config.inventories.iter().any(|i| !i.spec.sink_refs(*family).is_empty());
    !config.sinks.is_empty() || SinkFamily::ALL.iter().any(refers)
}

/// `spec.cluster` of a sink; may be empty.
pub(super) fn cluster_of(sink: &SinkObject) -> &str {
    sink.common().cluster.as_deref().unwrap_or_default()
}

/// How people call a sink.
pub(super) fn title_of(sink: &SinkObject) -> String {
    let family = sink.family();
    format!("{} {}", family.kind(), sink.meta().name.as_deref().unwrap_or_default())
}

/// Finds a sink that an inventory refers to.
pub(super) fn find<'a>(
    config: &'a CollectConfig,
    family: SinkFamily,
    namespace: &str,
    name: &str,
) -> Option<&'a SinkObject> {
    let named =
        || config.sinks.iter().filter(|sink| sink.family() == family && sink.meta().name.as_deref() == Some(name));
    named().find(|sink| sink.meta().namespace.as_deref() == Some(namespace)).or_else(|| named().next())
}

/// Every inventory finds its sinks; without inventories there is exactly one sink.
fn sinks(config: &CollectConfig) -> anyhow::Result<()> {
    if config.inventories.is_empty() {
        let count = config.sinks.len();
        anyhow::ensure!(
            count == 1,
            "the configuration has {count} sinks and no inventory: have exactly one sink, or write a KollectInventory that \
             names its sinks"
        );
        return Ok(());
    }
    let mut any = false;
    for inventory in &config.inventories {
        let name = inventory.metadata.name.as_deref().unwrap_or_default();
        for family in SinkFamily::ALL {
            for reference in inventory.spec.sink_refs(family) {
                any = true;
                let namespace = inventory.metadata.namespace.as_deref().unwrap_or_default();
                anyhow::ensure!(
                    find(config, family, namespace, &reference.name).is_some(),
                    "KollectInventory {name}: there is no {} {:?} in the configuration; add it, or use --output",
                    family.kind(),
                    reference.name
                );
            }
        }
    }
    anyhow::ensure!(any, "no KollectInventory names a sink: use --output, or add snapshotSinkRefs or databaseSinkRefs");
    Ok(())
}

fn directory(args: &CollectArgs, path: &str, builders: &SinkBuilders, several: bool) -> anyhow::Result<Directory> {
    let mode = match args.layout {
        FileLayout::Document => Mode::Document,
        FileLayout::PerResource => Mode::PerResource,
        FileLayout::Split => Mode::Split,
    };
    if let Some(text) = &args.path_template {
        anyhow::ensure!(
            !several || text.contains("{cluster}"),
            "--path-template: with several contexts it must contain {{cluster}}, else they would share files"
        );
    }
    anyhow::ensure!(!Path::new(path).is_file(), "--output: {path} is a file; name a directory, or - to print");
    let given = args.path_template.as_deref();
    let (of_document, of_rows) = if mode == Mode::Document { (given, None) } else { (None, given) };
    let parse = |text: &str, grammar| {
        PathTemplate::parse(text, grammar).map_err(|why| anyhow::anyhow!("--path-template: {why}"))
    };
    let whole = parse(of_document.unwrap_or(&usual_path(several)), Grammar::Document)?;
    let rows = parse(of_rows.unwrap_or(DEFAULT_ROW_TEMPLATE), Grammar::Row)?;
    let format = match args.file_format {
        FileFormat::Yaml => Format::Yaml,
        FileFormat::Json => Format::Json,
        FileFormat::Ndjson => Format::Ndjson,
    };
    let content = match args.content {
        FileContent::Item => Content::Item,
        FileContent::Attributes => Content::Attributes,
        FileContent::Manifest => Content::Manifest,
    };
    let sink = (builders.directory)(Path::new(path), args.dry_run);
    Ok(Directory { path: path.to_owned(), sink, whole, rows, mode, content, format })
}

/// The default path of documents. Several clusters must not share a path.
fn usual_path(several: bool) -> String {
    let by_cluster = if several { "{cluster}/" } else { "" };
    format!("{by_cluster}{DEFAULT_DOCUMENT_TEMPLATE}")
}

impl Directory {
    /// The layout of one export.
    pub(super) fn document(&self, unit: &Unit<'_>, cluster: &str) -> DocumentSpec {
        DocumentSpec {
            mode: self.mode,
            content: self.content,
            format: self.format,
            path_template: self.whole.clone(),
            row_template: self.rows.clone(),
            index_template: self.whole.clone(),
            filename: FilenameOptions::default(),
            cluster: cluster.into(),
            inventory: unit.key.clone(),
            generation: unit.generation(),
            sink_name: DIRECTORY.into(),
            // A directory takes files of any size.
            max_bytes: unit.max_bytes().and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(0),
            backend_limit: None,
            partitioning: match unit.partitioning() {
                kollect_api::Partitioning::Auto => Partitioning::Auto,
                kollect_api::Partitioning::Disabled => Partitioning::Disabled { spill_limit: None },
            },
            commit: CommitTemplates::default(),
            author: Author::default(),
        }
    }
}

/// The path that printed records name: where the default layout would write them.
pub(super) fn printed_path(unit: &Unit<'_>, cluster: &str, several: bool) -> String {
    let facts = PathFacts {
        cluster,
        namespace: &unit.key.namespace,
        name: &unit.key.name,
        generation: unit.generation(),
        extension: Format::Yaml.extension(),
        filename: FilenameOptions::default(),
    };
    let template = PathTemplate::parse(&usual_path(several), Grammar::Document).ok();
    template.and_then(|template| template.render_document(&facts).ok()).unwrap_or_default()
}

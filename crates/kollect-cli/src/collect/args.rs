//! The flags of `kollect collect`.
//!
//! Separate from what is done with them. Nothing here decides anything but what flags go together.

use crate::terminal::ColorChoice;
use clap::{Args, ValueEnum};
use kollect_api::GoDuration;
use std::path::PathBuf;
use std::time::Duration;

/// How rows are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PrintFormat {
    /// One table per target, for people
    Table,
    /// One JSON record per line
    Ndjson,
    /// One indented JSON array of records
    Json,
    /// One YAML document per record
    Yaml,
    /// One list with a header per target
    Csv,
}

/// Format of files in a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FileFormat {
    /// YAML
    Yaml,
    /// JSON; a document is the export envelope
    Json,
    /// One JSON line per row
    Ndjson,
}

/// How rows become files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FileLayout {
    /// One file per inventory, or per target without inventories
    #[value(name = "document")]
    Document,
    /// One file per row
    #[value(name = "perResource")]
    PerResource,
    /// One file per row, and an index of them
    #[value(name = "split")]
    Split,
}

/// What a file of one row contains.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FileContent {
    /// The whole row
    Item,
    /// Its attributes
    Attributes,
    /// The copy of the object; needs profiles with export.mode: Resource
    Manifest,
}

/// What is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogLevel {
    /// Everything
    Debug,
    /// What happens
    Info,
    /// What deserves a look
    Warn,
    /// What failed
    Error,
}

/// Collect once, from clusters or from manifests, and print or write the rows.
#[derive(Args, Clone, Debug)]
#[command(
    after_help = "Exit codes: 0 everything was collected and written; 1 something was skipped or failed, the rest was \
written;\n2 wrong flags or configuration, output failed, or nothing could be written.\n\n\
What was skipped or failed is never written as if it were empty: its last good file or rows stay.\n\n\
Example:\n  kollect collect --config examples/collect --from examples/manifests --format table\n  \
kubectl get deployments -A -o json | kollect collect --config config --from - --output -\n  \
kollect collect --config config --context 'prod-*' --output inventory --layout perResource\n  \
helm template shop ./chart | kollect collect --config config --from - --namespace shop --format yaml"
)]
pub struct CollectArgs {
    /// Directory with KollectProfile, KollectTarget and what else is needed, in .yaml, .yml and .json files
    #[arg(long, value_name = "DIR")]
    pub config: PathBuf,
    /// Manifests instead of a cluster: file, directory (with those below), or - for standard input; repeatable
    #[arg(long, value_name = "PATH")]
    pub from: Vec<PathBuf>,
    /// Kubeconfig file. Default: $KUBECONFIG, ~/.kube/config, then as in a Pod
    #[arg(long, value_name = "FILE", conflicts_with = "from")]
    pub kubeconfig: Option<PathBuf>,
    /// Contexts of the kubeconfig, repeatable or comma-separated, with * and ?. Default: the current one
    #[arg(long, value_name = "NAME", value_delimiter = ',', conflicts_with = "from")]
    pub context: Vec<String>,
    /// Collect from this namespace only; with --from also the namespace of objects that name none
    #[arg(long, value_name = "NAMESPACE")]
    pub namespace: Option<String>,
    /// Name of the cluster in what is written. Default: spec.cluster of the sink, else the context
    #[arg(long, value_name = "NAME")]
    pub cluster: Option<String>,
    /// Directory to write to, or - to print. Default: the sinks of the configuration
    #[arg(long, value_name = "DIR")]
    pub output: Option<String>,
    /// How to print. Default: table on a terminal, else ndjson
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub format: Option<PrintFormat>,
    /// Files in the output directory
    #[arg(long, value_enum, value_name = "LAYOUT", default_value = "document")]
    pub layout: FileLayout,
    /// What files of single rows contain
    #[arg(long, value_enum, value_name = "CONTENT", default_value = "item")]
    pub content: FileContent,
    /// Paths in the output directory, with the placeholders of pathTemplate or layout.pathTemplate of a sink
    #[arg(long, value_name = "TEMPLATE")]
    pub path_template: Option<String>,
    /// Format of the files in the output directory
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "yaml")]
    pub file_format: FileFormat,
    /// Say what would be written, and write nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Give a cluster up after this long without progress
    #[arg(long, value_name = "DURATION", default_value = "2m", value_parser = duration)]
    pub timeout: Duration,
    /// What to log on standard error
    #[arg(long, value_enum, value_name = "LEVEL", default_value = "info")]
    pub log_level: LogLevel,
    /// When to use colours
    #[arg(long, value_enum, value_name = "WHEN", default_value = "auto")]
    pub color: ColorChoice,
}

fn duration(text: &str) -> Result<Duration, String> {
    GoDuration::new(text).to_duration().map_err(|error| error.to_string())
}

impl CollectArgs {
    /// Refuses flags that contradict each other.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        let prints = self.output.as_deref() == Some("-");
        let directory = self.output.is_some() && !prints;
        anyhow::ensure!(self.output.as_deref() != Some(""), "--output: name a directory, or - to print");
        anyhow::ensure!(
            !(directory && self.format.is_some()),
            "--format: only with --output -; files have --file-format"
        );
        let printed = prints || self.format.is_some();
        anyhow::ensure!(
            !(self.dry_run && printed),
            "--dry-run: printing writes nothing anyway; remove it or name a directory"
        );
        let rows = self.content != FileContent::Item;
        let files = self.path_template.is_some()
            || self.layout != FileLayout::Document
            || self.file_format != FileFormat::Yaml
            || rows;
        anyhow::ensure!(
            directory || !files,
            "--layout, --content, --path-template and --file-format need --output with a directory"
        );
        anyhow::ensure!(
            self.layout != FileLayout::Document || !rows,
            "--content: a document contains items; add --layout perResource or --layout split"
        );
        anyhow::ensure!(self.namespace.as_deref() != Some(""), "--namespace: name a namespace");
        Ok(())
    }
}

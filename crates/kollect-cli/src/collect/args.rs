//! The flags of `kollect collect`, and which of them go together.

use crate::terminal::ColorChoice;
use clap::{Args, ValueEnum};
use kollect_api::GoDuration;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How rows are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PrintFormat {
    /// One table per target, for people
    Table,
    /// One row per line, as JSON
    Jsonl,
    /// One record per line, as JSON: an inventory (or target) with all its rows in an envelope
    Ndjson,
    /// One indented JSON array of records
    Json,
    /// One YAML document per record
    Yaml,
    /// One list with a header per target, for spreadsheets
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
    /// Also warnings
    Warn,
    /// What failed
    Error,
}

const HELP: &str = "\
Where rows go: to --output, else to the sinks of the configuration, else to standard output.
How they are printed: --format, else a table on a terminal, else jsonl (with --output -: ndjson).
  jsonl   one row per line: namespace, name, kind, attributes, …
  ndjson  one record per line: where an inventory belongs, and an envelope with all its rows
  csv     text that a spreadsheet would run as a formula begins with '; --csv-raw leaves it as it is
-o json, like -o with any other format, means --format; a directory of that name is -o ./json.

What was skipped or failed is never written as if it were empty: its last good file or rows stay.

Manifests (--from) are YAML and JSON as kubectl reads them: documents, lists, arrays, one JSON value after the other, in
UTF-8 or UTF-16. A file or document that cannot be read is named with its line and column, the others are collected, and
no row goes because of it; the exit status is 1. An object without a name, or with a label that is no text, fails by name.
An object without a uid of its own is identified by kind, namespace and name; of one that comes twice the last counts.

Exit status:
  0  everything was collected and written
  1  something was skipped or failed; the rest was written
  2  wrong flags or configuration, the output failed, or nothing could be written

Example:
  kollect collect --config examples/collect --from examples/manifests
  kubectl get deployments -A -o json | kollect collect --config config --from - -o jsonl
  kollect collect --config config --context 'prod-*' --output inventory --layout perResource
  helm template shop ./chart | kollect collect --config config --from - --namespace shop -o yaml";

/// Collect once, from clusters or from manifests, and print or write the rows
#[derive(Args, Clone, Debug)]
#[command(after_help = HELP)]
#[expect(clippy::struct_excessive_bools, reason = "one field per flag of the command line")]
pub struct CollectArgs {
    /// File, or directory of .yaml, .yml and .json files, with KollectProfile, KollectTarget and what else is needed
    #[arg(long, short, value_name = "PATH")]
    pub config: PathBuf,
    /// Manifests instead of a cluster: file, directory (with those below), or - for standard input; repeatable
    #[arg(long, short, value_name = "PATH")]
    pub from: Vec<PathBuf>,
    /// Leave out files of the directories of --from that fit, written as in .gitignore; repeatable. The file
    /// .kollectignore in such a directory holds more
    #[arg(long, value_name = "GLOB", requires = "from")]
    pub exclude: Vec<String>,
    /// End at the first manifest that cannot be read, instead of naming it and going on
    #[arg(long, requires = "from")]
    pub strict: bool,
    /// Kubeconfig file. Default: $KUBECONFIG, ~/.kube/config, then as in a Pod
    #[arg(long, value_name = "FILE", conflicts_with = "from")]
    pub kubeconfig: Option<PathBuf>,
    /// Contexts of the kubeconfig, repeatable or comma-separated, with * and ?. Default: the current one
    #[arg(long, value_name = "NAME", value_delimiter = ',', conflicts_with = "from")]
    pub context: Vec<String>,
    /// Collect from this namespace only; with --from also the namespace of objects that name none
    #[arg(long, short, value_name = "NAMESPACE")]
    pub namespace: Option<String>,
    /// Name of the cluster in what is written. Default: spec.cluster of the sink, else the context
    #[arg(long, value_name = "NAME")]
    pub cluster: Option<String>,
    /// Directory to write to, - to print, or a format to print in. Default: the sinks of the configuration, else print
    #[arg(long, short, value_name = "DIR|FORMAT")]
    pub output: Option<String>,
    /// How to print. Default: table on a terminal, else jsonl
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub format: Option<PrintFormat>,
    /// Print CSV for programs: no quote before what a spreadsheet would run, no escapes for control characters
    #[arg(long)]
    pub csv_raw: bool,
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
    /// Show what would be written, and write nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Give a cluster up after this long without progress
    #[arg(long, value_name = "DURATION", default_value = "2m", value_parser = duration)]
    pub timeout: Duration,
    /// Show failures only, no summary
    #[arg(long, short, conflicts_with_all = ["verbose", "log_level"])]
    pub quiet: bool,
    /// Name everything that the summary counts, and log in detail
    #[arg(long, short)]
    pub verbose: bool,
    /// What to log on standard error. Default: info; with --quiet error, with --verbose debug
    #[arg(long, value_enum, value_name = "LEVEL")]
    pub log_level: Option<LogLevel>,
    /// When to use colours
    #[arg(long, value_enum, value_name = "WHEN", default_value = "auto")]
    pub color: ColorChoice,
}

fn duration(text: &str) -> Result<Duration, String> {
    GoDuration::new(text).to_duration().map_err(|error| error.to_string())
}

/// Formats of other programs, which are hardly meant as directories.
const FOREIGN: [&str; 14] = [
    "wide",
    "name",
    "text",
    "xml",
    "tsv",
    "html",
    "markdown",
    "parquet",
    "toml",
    "custom-columns",
    "jsonpath",
    "jsonpath-as-json",
    "go-template",
    "template",
];

fn formats() -> String {
    let names = PrintFormat::value_variants().iter().filter_map(ValueEnum::to_possible_value);
    names.map(|value| value.get_name().to_owned()).collect::<Vec<_>>().join(", ")
}

/// Where rows go by the flags alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WantedOutput<'a> {
    /// Printed, in this format if one is named.
    Print(Option<PrintFormat>),
    /// Into this directory.
    Directory(&'a str),
    /// The configuration decides.
    Default,
}

impl CollectArgs {
    /// What to log.
    pub fn level(&self) -> LogLevel {
        self.log_level.unwrap_or(match (self.quiet, self.verbose) {
            (true, _) => LogLevel::Error,
            (_, true) => LogLevel::Debug,
            _ => LogLevel::Info,
        })
    }

    /// --output and --format together. `-o json` is a format, as in kubectl.
    pub(super) fn wanted(&self) -> anyhow::Result<WantedOutput<'_>> {
        let Some(output) = self.output.as_deref() else {
            return Ok(if self.format.is_some() { WantedOutput::Print(self.format) } else { WantedOutput::Default });
        };
        anyhow::ensure!(!output.is_empty(), "--output: name a directory, or - to print");
        if output == "-" {
            return Ok(WantedOutput::Print(self.format));
        }
        if let Ok(named) = PrintFormat::from_str(output, true) {
            anyhow::ensure!(
                !Path::new(output).exists(),
                "--output {output}: is that the format or what is called {output} here? write --format {output} to \
                 print, or --output ./{output} to write there"
            );
            anyhow::ensure!(
                self.format.is_none_or(|format| format == named),
                "--output {output} and --format name two formats: keep one, or write --output ./{output} for a directory"
            );
            return Ok(WantedOutput::Print(Some(named)));
        }
        let foreign = FOREIGN.iter().any(|format| output.split('=').next() == Some(format));
        anyhow::ensure!(
            !foreign || Path::new(output).exists(),
            "--output {output}: there is no such format; there are {}. A directory of that name is ./{output}",
            formats()
        );
        anyhow::ensure!(
            self.format.is_none(),
            "--format: only where rows are printed, as with --output -; files have --file-format"
        );
        Ok(WantedOutput::Directory(output))
    }

    /// Refuses flags that contradict each other.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        let wanted = self.wanted()?;
        anyhow::ensure!(
            !(self.dry_run && matches!(wanted, WantedOutput::Print(_))),
            "--dry-run: printing writes nothing anyway; remove it or name a directory"
        );
        anyhow::ensure!(
            !self.csv_raw || wanted == WantedOutput::Print(Some(PrintFormat::Csv)),
            "--csv-raw: only with --format csv"
        );
        let rows = self.content != FileContent::Item;
        let files = self.path_template.is_some()
            || self.layout != FileLayout::Document
            || self.file_format != FileFormat::Yaml
            || rows;
        anyhow::ensure!(
            matches!(wanted, WantedOutput::Directory(_)) || !files,
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

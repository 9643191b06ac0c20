//! The order of things: check, decide, collect everything at the same time, write one after the other, report.
//!
//! Nothing is contacted before everything was checked.

use super::args::{CollectArgs, PrintFormat};
use super::contexts::{self, Context, ContextError};
use super::destination::{Destination, choose, printed_path};
use super::export::Exporter;
use super::outcome::{Verdict, report, summarise};
use super::plan::Planned;
use super::records::{Array, Head, RecordWriter, record, write_rows};
use super::sink_builders::SinkBuilders;
use super::source::{CollectedSource, label};
use super::units::{Unit, units};
use super::{cluster, csv, files, tables};
use crate::config::{self, CollectConfig};
use crate::terminal::progress::ProgressLine;
use crate::terminal::{Paper, Screen, Style, is_shown, print, print_json, width};
use anyhow::Context as _;
use kollect_collect::manifests::InputOptions;
use kollect_export::Clock;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Work on other threads may take so long to notice that it is over.
const GRACE: Duration = Duration::from_secs(2);

/// A source, or why there is none.
type Collected = (String, Result<CollectedSource, String>);

pub(super) fn run(args: &CollectArgs, builders: &SinkBuilders, screen: Screen) -> anyhow::Result<Verdict> {
    args.check()?;
    let mut config = config::load(&args.config, &|name| std::env::var(name).ok())?;
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    if let Some(namespace) = &args.namespace {
        config.force_namespace(namespace);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("starting the run time")?;
    let outcome = runtime.block_on(async {
        let cancel = CancellationToken::new();
        let work = work(args, Arc::new(config), builders, screen, &cancel);
        let mut work = std::pin::pin!(work);
        tokio::select! {
            outcome = &mut work => outcome,
            _ = tokio::signal::ctrl_c() => {
                cancel.cancel();
                // A write that has begun comes to a clean end; whatever waits for an answer does not.
                let _ = tokio::time::timeout(GRACE, work).await;
                anyhow::bail!("stopped before everything was written; run it again")
            }
        }
    });
    runtime.shutdown_timeout(GRACE);
    outcome
}

async fn work(
    args: &CollectArgs,
    config: Arc<CollectConfig>,
    builders: &SinkBuilders,
    screen: Screen,
    cancel: &CancellationToken,
) -> anyhow::Result<Verdict> {
    if !args.from.is_empty() {
        let destination = choose(args, &config, builders, false)?;
        let options = InputOptions { exclude: args.exclude.clone(), strict: args.strict };
        let source = files::collect(&args.from, options, config.clone(), args.namespace.as_deref(), cancel).await?;
        let all = vec![(String::new(), Ok(source))];
        return Finish { args, config: &config, builders, screen, cancel, several: false }.all(all, &destination).await;
    }
    let (contexts, unmatched) = contexts::find(args.kubeconfig.as_deref(), &args.context).await?;
    for pattern in unmatched {
        tracing::warn!("--context: no context matches {pattern}");
    }
    let several = contexts.len() > 1;
    anyhow::ensure!(
        !several || args.cluster.is_none(),
        "--cluster: there are several contexts, and one name would mix them"
    );
    let destination = choose(args, &config, builders, several)?;
    let all = collect(contexts, &config, args.timeout, cancel).await;
    Finish { args, config: &config, builders, screen, cancel, several }.all(all, &destination).await
}

async fn connect_and_collect(
    access: Result<kube::Config, ContextError>,
    context: &str,
    config: &CollectConfig,
    patience: Duration,
    cancel: &CancellationToken,
) -> Result<CollectedSource, String> {
    let access = access.map_err(|error| error.to_string())?;
    let server = access.cluster_url.to_string();
    let client = kube::Client::try_from(access).map_err(|error| format!("making a client for {server}: {error}"))?;
    let collected = cluster::collect(client, context, config, patience, cancel).await;
    collected.map_err(|why| format!("API server {server}: {why}"))
}

/// Collects from all contexts at the same time. The result has their order.
async fn collect(
    contexts: Vec<Context>,
    config: &Arc<CollectConfig>,
    patience: Duration,
    cancel: &CancellationToken,
) -> Vec<Collected> {
    let bar = ProgressLine::new("collecting", contexts.len() as u64);
    let mut tasks = JoinSet::new();
    let mut all: Vec<Collected> = Vec::new();
    for (at, Context { name, config: access }) in contexts.into_iter().enumerate() {
        all.push((name.clone(), Err("it ended without a result".to_owned())));
        let (config, cancel) = (config.clone(), cancel.clone());
        tasks.spawn(async move { (at, connect_and_collect(access, &name, &config, patience, &cancel).await) });
    }
    let mut done = 0;
    while let Some(ended) = tasks.join_next().await {
        if let Ok((at, result)) = ended {
            all[at].1 = result;
        }
        done += 1;
        bar.set(done);
    }
    all
}

/// Everything after collecting.
struct Finish<'a> {
    args: &'a CollectArgs,
    config: &'a CollectConfig,
    builders: &'a SinkBuilders,
    screen: Screen,
    cancel: &'a CancellationToken,
    several: bool,
}

impl Finish<'_> {
    async fn all(&self, all: Vec<Collected>, destination: &Destination) -> anyhow::Result<Verdict> {
        let mut verdict = Verdict::default();
        let mut sources = Vec::new();
        for (context, result) in all {
            match result {
                Ok(source) => {
                    verdict.degraded |= is_degraded(&source);
                    sources.push(source);
                }
                Err(why) => {
                    verdict.degraded = true;
                    let name = label(&context, false);
                    self.screen.alarm(&self.screen.line().text(name).text(": ").red("failed:").text(" ").text(why));
                }
            }
        }
        if let Destination::Print(format) = destination {
            self.print(&sources, *format, &mut verdict)?;
        }
        for source in &sources {
            summarise(source, self.screen, self.args.verbose);
            self.write(source, destination, &mut verdict).await;
        }
        Ok(verdict)
    }

    /// The exports of a source of which something is known.
    fn known<'c>(&'c self, source: &CollectedSource) -> Vec<Unit<'c>> {
        let (units, left) = units(self.config, source);
        for target in left {
            tracing::warn!("no KollectInventory exports target {target}");
        }
        units.into_iter().filter(|unit| !unit.is_unknown(source)).collect()
    }

    async fn write(&self, source: &CollectedSource, destination: &Destination, verdict: &mut Verdict) {
        let cluster = self.args.cluster.as_deref();
        let mut exporter = Exporter::new(self.config, source, self.builders, cluster, self.args.dry_run, self.cancel);
        let units = match destination {
            Destination::Print(_) => return,
            Destination::Directory(_) | Destination::Sinks => self.known(source),
        };
        for unit in units {
            let written = match destination {
                Destination::Directory(directory) => vec![exporter.write_directory(&unit, directory).await],
                Destination::Sinks => exporter.write_sinks(&unit).await,
                Destination::Print(_) => Vec::new(),
            };
            for written in written {
                report(&written, self.screen, self.args.verbose);
                match &written.result {
                    Ok(receipt) => {
                        verdict.degraded |= !receipt.rejected.is_empty();
                        // A dry run ends as the run would.
                        verdict.exported += 1;
                    }
                    Err(_) => verdict.output_failed = true,
                }
            }
        }
    }

    fn print(&self, sources: &[CollectedSource], format: PrintFormat, verdict: &mut Verdict) -> anyhow::Result<()> {
        match format {
            PrintFormat::Table => print(|out| self.tables(sources, verdict, out)),
            PrintFormat::Csv => print(|out| self.csv(sources, verdict, out)),
            PrintFormat::Jsonl => print_json(|out| self.rows(sources, verdict, out)),
            PrintFormat::Ndjson => print_json(|out| self.records(sources, RecordWriter::Ndjson, verdict, out)),
            PrintFormat::Yaml => print_json(|out| self.records(sources, RecordWriter::Yaml, verdict, out)),
            PrintFormat::Json => {
                print_json(|out| self.records(sources, RecordWriter::Json(Array::default()), verdict, out))
            }
        }
        .context("writing to standard output")
    }

    fn records(
        &self,
        sources: &[CollectedSource],
        mut writer: RecordWriter,
        verdict: &mut Verdict,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let exported_at = Clock::start().timestamp();
        let mut bytes = Vec::new();
        for source in sources {
            let cluster = self.args.cluster.as_deref().unwrap_or(&source.context);
            for unit in self.known(source) {
                let path = printed_path(&unit, cluster, self.several);
                bytes.clear();
                record(source, &unit, &Head { cluster, path, exported_at: &exported_at }, &mut bytes)?;
                verdict.exported += 1;
                writer.put(&bytes, out)?;
            }
        }
        writer.finish(out)
    }

    /// The targets of all exports, each once; what is known of each.
    fn known_targets<'s>(&self, sources: &'s [CollectedSource]) -> Vec<(&'s CollectedSource, &'s Planned)> {
        let mut known = Vec::new();
        for source in sources {
            let mut shown: Vec<usize> = self.known(source).iter().flat_map(|unit| unit.targets.clone()).collect();
            shown.sort_unstable();
            shown.dedup();
            let targets = shown.into_iter().map(|at| &source.planned[at]);
            known.extend(targets.filter(|target| is_known(source, target)).map(|target| (source, target)));
        }
        known
    }

    fn tables(&self, sources: &[CollectedSource], verdict: &mut Verdict, out: &mut dyn Write) -> io::Result<()> {
        let mut paper = Paper::new(out, Style::of(self.args.color, is_shown()));
        for (source, target) in self.known_targets(sources) {
            if verdict.exported > 0 {
                paper.put(&paper.line())?;
            }
            verdict.exported += 1;
            let title =
                if self.several { format!("{} {}", source.context, target.title) } else { target.title.clone() };
            tables::table(source, target, &title, width(), &mut paper)?;
        }
        Ok(())
    }

    fn csv(&self, sources: &[CollectedSource], verdict: &mut Verdict, out: &mut dyn Write) -> io::Result<()> {
        for (source, target) in self.known_targets(sources) {
            if verdict.exported > 0 {
                out.write_all(b"\r\n")?;
            }
            verdict.exported += 1;
            csv::write(source, target, self.args.csv_raw, out)?;
        }
        Ok(())
    }

    fn rows(&self, sources: &[CollectedSource], verdict: &mut Verdict, out: &mut dyn Write) -> io::Result<()> {
        for (source, target) in self.known_targets(sources) {
            verdict.exported += 1;
            let named = self.args.cluster.as_deref();
            let cluster = named.or(self.several.then_some(source.context.as_str()));
            write_rows(source, target, cluster, out)?;
        }
        Ok(())
    }
}

/// Whether anything is known of a target.
fn is_known(source: &CollectedSource, target: &Planned) -> bool {
    let parts = source.store.parts(&kollect_store::View::of(target.keys.clone()));
    parts.is_empty()
        || source.has_rows_of(&target.keys)
        || parts.iter().any(|(_, _, state)| *state == kollect_store::PartState::Synced)
}

fn is_degraded(source: &CollectedSource) -> bool {
    !source.skipped.is_empty()
        || source.failure_count > 0
        || source.counts.as_ref().is_some_and(|summary| summary.faults.count > 0)
        || source.planned.iter().any(|planned| planned.stop.is_some())
}

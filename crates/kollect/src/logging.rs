//! Logs on standard error, as text for people or JSON for machines, with one set of keys.

use crate::settings::LogFormat;
use kollect_cli::terminal::LogWriter;
use std::fmt;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

/// Starts logging. Libraries log from `warn` up, so that a debug level is about Kollect.
pub(crate) fn start(level: Level, format: LogFormat) {
    let ours = Targets::new()
        .with_default(LevelFilter::WARN)
        // Repeats errors that the watches of Kollect report themselves.
        .with_target("kube_runtime", LevelFilter::ERROR)
        .with_target("kube_client", LevelFilter::ERROR)
        .with_target("kollect", level);
    let ours = [
        "kollect_admission",
        "kollect_collect",
        "kollect_control",
        "kollect_export",
        "kollect_net",
        "kollect_sink_git",
        "kollect_sink_postgres",
    ]
    .iter()
    .fold(ours, |targets, name| targets.with_target(*name, level));
    let registry = tracing_subscriber::registry().with(ours);
    let lines = tracing_subscriber::fmt::layer().with_target(false);
    // A second start (in tests) keeps the first subscriber.
    let _ = match format {
        // JSON has escapes of its own.
        LogFormat::Json => registry
            .with(lines.with_writer(std::io::stderr).json().flatten_event(true).with_current_span(false))
            .try_init(),
        LogFormat::Console => registry.with(lines.with_writer(|| LogWriter).with_ansi(false)).try_init(),
    };
}

/// Starts logging for a command: short lines, without a time.
pub(crate) fn start_for_people(level: Level) {
    let ours = Targets::new()
        .with_default(LevelFilter::OFF)
        .with_target("kollect", level)
        .with_target("kollect_cli", level)
        .with_target("kollect_net", level)
        .with_target("kollect_sink_git", level)
        .with_target("kollect_sink_local", level)
        .with_target("kollect_sink_postgres", level)
        // What is skipped and what fails is in the summary, once.
        .with_target("kollect_collect", if level == Level::DEBUG { LevelFilter::DEBUG } else { LevelFilter::OFF })
        .with_target("kollect_export", level);
    let lines = tracing_subscriber::fmt::layer().with_writer(|| LogWriter).with_ansi(false).event_format(Labelled);
    // A second start (in tests) keeps the first subscriber.
    let _ = tracing_subscriber::registry().with(ours).with(lines).try_init();
}

/// `warning: text`, like the other lines of a command.
struct Labelled;

impl<S, N> FormatEvent<S, N> for Labelled
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut to: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let label = match *event.metadata().level() {
            Level::ERROR => "error:",
            Level::WARN => "warning:",
            Level::INFO => "info:",
            _ => "debug:",
        };
        write!(to, "{label} ")?;
        context.format_fields(to.by_ref(), event)?;
        writeln!(to)
    }
}

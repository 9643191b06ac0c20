//! `kollect collect`: passes the sinks of this release to the command.

use crate::sinks::Registry;
use kollect_cli::collect::{CollectArgs, LogLevel, SinkBuilders};
use kollect_net::Guard;
use kollect_sink_local::LocalSink;
use std::path::Path;
use std::sync::Arc;
use tracing::Level;

/// Runs the command; the result is its exit code.
pub(crate) fn run(args: &CollectArgs) -> u8 {
    crate::logging::start_for_people(match args.level() {
        LogLevel::Debug => Level::DEBUG,
        LogLevel::Info => Level::INFO,
        LogLevel::Warn => Level::WARN,
        LogLevel::Error => Level::ERROR,
    });
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        tracing::debug!("a TLS provider is already set");
    }
    kollect_cli::collect::run(args, &SinkBuilders { registry: Arc::new(registry()), directory })
}

/// Without address guard: a local user already reaches what the machine can reach.
fn registry() -> Registry {
    Registry {
        guard: Guard::open(),
        pools: kollect_sink_postgres::ConnectionPools::default(),
        mirror_root: crate::part_settings::mirror_root(),
        force_basic_auth: crate::part_settings::force_basic_auth(),
        max_document: kollect_export::LARGEST_READ,
    }
}

fn directory(path: &Path, dry_run: bool) -> Arc<dyn kollect_export::FileSink> {
    let sink = LocalSink::new(path);
    Arc::new(if dry_run { sink.dry_run() } else { sink })
}

//! Collects from manifests, on a blocking thread.

use super::plan::plan;
use super::source::{CollectedSource, Listener, settle, title_of};
use crate::config::CollectConfig;
use crate::terminal::progress::ProgressLine;
use kollect_collect::TargetSpec;
use kollect_collect::manifests::{self, InputOptions, Inputs, ManifestError};
use kollect_store::Store;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Namespace of objects that name none.
const HOME: &str = "default";
/// Between two updates of the progress bar.
const REFRESH: Duration = Duration::from_millis(100);

/// Reads everything, off the threads of the runtime.
pub(super) async fn collect(
    paths: &[PathBuf],
    options: InputOptions,
    config: Arc<CollectConfig>,
    namespace: Option<&str>,
    cancel: &CancellationToken,
) -> anyhow::Result<CollectedSource> {
    let (paths, home, cancel) = (paths.to_vec(), namespace.unwrap_or(HOME).to_owned(), cancel.clone());
    let inputs = tokio::task::spawn_blocking(move || Inputs::open(&paths, &mut io::stdin().lock(), &options)).await??;
    // An empty pipe may mean that the program before it failed, which must not export empty inventories.
    anyhow::ensure!(
        inputs.progress().1 > 0,
        "--from: there is not one byte to read: if a program should have written it, that one failed"
    );
    let inputs = Arc::new(inputs);
    let reading = inputs.clone();
    let mut task = tokio::task::spawn_blocking(move || read(&reading, &config, &home, &cancel));
    // Everything is read twice.
    let bar = ProgressLine::new("reading manifests", inputs.progress().1.max(1) * 2);
    loop {
        match tokio::time::timeout(REFRESH, &mut task).await {
            Ok(ended) => return Ok(ended??),
            Err(_) => bar.set(inputs.progress().0),
        }
    }
}

fn read(
    inputs: &Inputs,
    config: &CollectConfig,
    home: &str,
    cancel: &CancellationToken,
) -> Result<CollectedSource, ManifestError> {
    let store = Arc::new(Store::new());
    let listener = Arc::new(Listener::default());
    let survey = manifests::survey(inputs, home, cancel)?;
    let planned = plan(config, &survey.namespaces);
    let targets: Vec<TargetSpec> = planned.iter().flat_map(|planned| planned.specs.clone()).collect();
    let counts = manifests::collect(inputs, &survey, home, &targets, &store, listener.clone(), cancel)?;
    settle(&store, &planned, "it was not read");
    let (failures, failure_count) = listener.failures(&|key| title_of(&planned, key));
    Ok(CollectedSource {
        context: String::new(),
        store,
        planned,
        skipped: Vec::new(),
        failures,
        failure_count,
        counts: Some(counts),
    })
}

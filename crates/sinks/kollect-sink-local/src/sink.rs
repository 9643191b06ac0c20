//! Implements the file sink contract; runs [`SinkDirectory`] and [`BatchWriter`] on blocking threads.

use crate::directory::SinkDirectory;
use crate::write::BatchWriter;
use async_trait::async_trait;
use kollect_export::{Cycle, FileBatch, FileSink, HeldFile, LARGEST_READ, Probe, ReadBack, Receipt, SinkError};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Interval at which progress is polled.
const POLL_EVERY: Duration = Duration::from_millis(500);

/// A directory as a sink. The first write creates it.
#[derive(Debug)]
pub struct LocalSink {
    directory: SinkDirectory,
    dry_run: bool,
}

impl LocalSink {
    /// A sink that writes below `root`.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { directory: SinkDirectory { root: root.into() }, dry_run: false }
    }

    /// Checks batches and writes nothing.
    pub fn dry_run(self) -> Self {
        Self { dry_run: true, ..self }
    }

    /// Where it writes.
    pub fn destination(&self) -> String {
        self.directory.root.display().to_string()
    }

    /// Runs `work` on a blocking thread and forwards its progress.
    async fn write<F>(&self, cycle: &Cycle<'_>, batch: FileBatch, work: F) -> Result<Receipt, SinkError>
    where
        F: FnOnce(&BatchWriter, &FileBatch) -> Result<Receipt, SinkError> + Send + 'static,
    {
        cycle.check_right()?;
        let moved = Arc::new(AtomicU64::new(0));
        let writer = BatchWriter {
            directory: self.directory.clone(),
            dry_run: self.dry_run,
            cancel: cycle.cancel.clone(),
            moved: moved.clone(),
        };
        let mut task = tokio::task::spawn_blocking(move || work(&writer, &batch));
        let mut known = 0;
        loop {
            match tokio::time::timeout(POLL_EVERY, &mut task).await {
                Ok(Ok(outcome)) => return outcome,
                Ok(Err(panic)) => return Err(SinkError::transient("write", panic.to_string()).maybe_landed()),
                Err(_) => {
                    let now = moved.load(Ordering::Relaxed);
                    if now != known {
                        cycle.progress.tick();
                    }
                    known = now;
                }
            }
        }
    }
}

/// Runs `work` on a blocking thread.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, SinkError> + Send + 'static,
) -> Result<T, SinkError> {
    let ended = tokio::task::spawn_blocking(work).await;
    ended.unwrap_or_else(|panic| Err(SinkError::transient("read", panic.to_string())))
}

#[async_trait]
impl FileSink for LocalSink {
    fn lane(&self) -> String {
        format!("directory {}", self.directory.root.display())
    }

    async fn held(
        &self,
        cycle: &Cycle<'_>,
        record: &str,
        each: &mut (dyn FnMut(HeldFile) + Send),
    ) -> Result<ReadBack, SinkError> {
        let (directory, record, cancel) = (self.directory.clone(), record.to_owned(), cycle.cancel.clone());
        let read = move || {
            let record = directory.record(&record)?;
            let mut held = Vec::with_capacity(record.len());
            for (path, entry) in record.iter() {
                if cancel.is_cancelled() {
                    return Err(SinkError::transient("read", "stopped while reading what the directory holds"));
                }
                let intact = directory.tag(path)?.is_some_and(|tag| *tag == *entry.tag);
                held.push(HeldFile { path: path.clone(), digest: intact.then_some(entry.digest) });
            }
            Ok(held)
        };
        for file in blocking(read).await? {
            each(file);
        }
        cycle.progress.tick();
        Ok(ReadBack::Complete)
    }

    async fn read(&self, _: &Cycle<'_>, record: &str, path: &str) -> Result<Option<Vec<u8>>, SinkError> {
        let (directory, record, path) = (self.directory.clone(), record.to_owned(), path.to_owned());
        blocking(move || {
            let owned = directory.record(&record)?.get(&path).is_some();
            if owned { directory.content(&path, LARGEST_READ) } else { Ok(None) }
        })
        .await
    }

    async fn apply(&self, lane: Vec<(Cycle<'_>, FileBatch)>) -> Vec<Result<Receipt, SinkError>> {
        let mut results = Vec::with_capacity(lane.len());
        for (cycle, batch) in lane {
            results.push(self.write(&cycle, batch, BatchWriter::apply).await);
        }
        results
    }

    async fn forget(&self, cycle: &Cycle<'_>, batch: FileBatch) -> Result<Receipt, SinkError> {
        self.write(cycle, batch, BatchWriter::forget).await
    }

    async fn probe(&self, _: &CancellationToken) -> Result<Probe, SinkError> {
        let directory = self.directory.clone();
        // The record need not exist: reading it shows that the directory can be opened.
        blocking(move || directory.record(&format!("{}/probe", crate::directory::RECORDS))).await?;
        Ok(Probe { message: format!("the directory {} can be read", self.directory.root.display()) })
    }
}

//! The walks over a bad network, over the memory sinks behind a socket.

use super::wire::{Fault, Line, Remote};
use super::{files, rows};
use async_trait::async_trait;
use futures_util::future::join_all;
use kollect_export::{
    Cycle, Family, FileBatch, FileSink, HeldFile, HeldRow, Probe, ReadBack, Receipt, RowBatch, RowSink, SinkError,
};
use kollect_testkit::conformance::{
    CycleParts, FileBackend, ProxiedFiles, ProxiedRows, RowBackend, StoredRow, cycle_parts, file_faults, row_faults,
};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

const WRONG: [(Fault, &str); 5] = [
    (Fault::ClaimsNothingLanded, "`Landed::No` was wrong"),
    (Fault::IgnoresCancellation, "the sink does not come back"),
    (Fault::GivesUp, "not transient"),
    (Fault::NeverRecovers, "the sink did not recover with its network"),
    (Fault::GoesAroundTheProxy, "it opened no connection to the proxy"),
];

/// The other side's own cycle of the same binding.
fn there(cycle: &Cycle<'_>, family: Family) -> CycleParts {
    let of = &cycle.of.inventory;
    cycle_parts(family, &of.namespace, &of.name)
}

struct RemoteRows {
    line: Line,
    sink: Arc<dyn RowSink>,
}

#[async_trait]
impl RowSink for RemoteRows {
    async fn held(&self, cycle: &Cycle<'_>, each: &mut (dyn FnMut(HeldRow) + Send)) -> Result<ReadBack, SinkError> {
        let (sink, parts) = (self.sink.clone(), there(cycle, Family::Database));
        let held = async move {
            let mut held = Vec::new();
            sink.held(&parts.cycle(1), &mut |row| held.push(row)).await?;
            Ok(held)
        };
        self.line.ask(cycle, 300, held).await?.into_iter().for_each(each);
        Ok(ReadBack::Complete)
    }

    async fn apply(&self, cycle: &Cycle<'_>, batch: RowBatch) -> Result<Receipt, SinkError> {
        let (sink, parts) = (self.sink.clone(), there(cycle, Family::Database));
        let size = 300 * batch.changes.len() as u64;
        let write = async move { sink.apply(&parts.cycle(1), batch).await };
        self.line.ask(cycle, size, write).await.map_err(|error| self.line.after_sending(error))
    }

    async fn forget(&self, cycle: &Cycle<'_>) -> Result<Receipt, SinkError> {
        self.sink.forget(cycle).await
    }

    async fn probe(&self, cancel: &CancellationToken) -> Result<Probe, SinkError> {
        self.sink.probe(cancel).await
    }
}

struct RemoteFiles {
    line: Line,
    sink: Arc<dyn FileSink>,
}

#[async_trait]
impl FileSink for RemoteFiles {
    fn lane(&self) -> String {
        self.sink.lane()
    }

    async fn held(
        &self,
        cycle: &Cycle<'_>,
        record: &str,
        each: &mut (dyn FnMut(HeldFile) + Send),
    ) -> Result<ReadBack, SinkError> {
        let (sink, parts, record) = (self.sink.clone(), there(cycle, Family::Snapshot), record.to_owned());
        let held = async move {
            let mut held = Vec::new();
            sink.held(&parts.cycle(1), &record, &mut |file| held.push(file)).await?;
            Ok(held)
        };
        self.line.ask(cycle, 300, held).await?.into_iter().for_each(each);
        Ok(ReadBack::Complete)
    }

    async fn read(&self, cycle: &Cycle<'_>, record: &str, path: &str) -> Result<Option<Vec<u8>>, SinkError> {
        self.sink.read(cycle, record, path).await
    }

    async fn apply(&self, lane: Vec<(Cycle<'_>, FileBatch)>) -> Vec<Result<Receipt, SinkError>> {
        let mut results = Vec::new();
        for (cycle, batch) in lane {
            let (sink, parts) = (self.sink.clone(), there(&cycle, Family::Snapshot));
            let size = 300 * batch.changes.len() as u64;
            let write = async move { sink.apply(vec![(parts.cycle(1), batch)]).await.remove(0) };
            let result = self.line.ask(&cycle, size, write).await;
            results.push(result.map_err(|error| self.line.after_sending(error)));
        }
        results
    }

    async fn forget(&self, cycle: &Cycle<'_>, batch: FileBatch) -> Result<Receipt, SinkError> {
        self.sink.forget(cycle, batch).await
    }

    async fn probe(&self, cancel: &CancellationToken) -> Result<Probe, SinkError> {
        self.sink.probe(cancel).await
    }
}

#[async_trait]
impl RowBackend for Remote<rows::Backend> {
    async fn sink(&self) -> anyhow::Result<Arc<dyn RowSink>> {
        self.backend.sink().await
    }
    async fn sink_with_wrong_credentials(&self) -> anyhow::Result<Arc<dyn RowSink>> {
        self.backend.sink_with_wrong_credentials().await
    }
    async fn read_back(&self) -> anyhow::Result<Vec<StoredRow>> {
        self.backend.read_back().await
    }
    async fn wipe(&self) -> anyhow::Result<()> {
        self.backend.wipe().await
    }
    async fn stop(&self) -> anyhow::Result<()> {
        self.backend.stop().await
    }
    async fn start(&self) -> anyhow::Result<()> {
        self.backend.start().await
    }
}

#[async_trait]
impl ProxiedRows for Remote<rows::Backend> {
    fn address(&self) -> SocketAddr {
        self.address
    }
    async fn sink_at(&self, port: u16) -> anyhow::Result<Arc<dyn RowSink>> {
        Ok(Arc::new(RemoteRows { line: self.line(port), sink: self.backend.sink().await? }))
    }
}

#[async_trait]
impl FileBackend for Remote<files::Backend> {
    async fn sink(&self) -> anyhow::Result<Arc<dyn FileSink>> {
        self.backend.sink().await
    }
    async fn sink_with_wrong_credentials(&self) -> anyhow::Result<Option<Arc<dyn FileSink>>> {
        self.backend.sink_with_wrong_credentials().await
    }
    async fn read_back(&self) -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
        self.backend.read_back().await
    }
    async fn revision(&self) -> anyhow::Result<Option<String>> {
        self.backend.revision().await
    }
    async fn plant(&self, path: &str, content: &str) -> anyhow::Result<()> {
        self.backend.plant(path, content).await
    }
    async fn wipe(&self) -> anyhow::Result<()> {
        self.backend.wipe().await
    }
    async fn stop(&self) -> anyhow::Result<()> {
        self.backend.stop().await
    }
    async fn start(&self) -> anyhow::Result<()> {
        self.backend.start().await
    }
}

#[async_trait]
impl ProxiedFiles for Remote<files::Backend> {
    fn address(&self) -> SocketAddr {
        self.address
    }
    async fn sink_at(&self, port: u16) -> anyhow::Result<Arc<dyn FileSink>> {
        Ok(Arc::new(RemoteFiles { line: self.line(port), sink: self.backend.sink().await? }))
    }
}

async fn walk_rows(fault: Fault) -> anyhow::Result<()> {
    row_faults(&Remote::start(rows::Backend::right(), fault).await).await
}

async fn walk_files(fault: Fault) -> anyhow::Result<()> {
    file_faults(&Remote::start(files::Backend::right(), fault).await).await
}

#[tokio::test]
async fn right_sinks_pass_the_walk() {
    let (rows, files) = tokio::join!(walk_rows(Fault::None), walk_files(Fault::None));
    rows.and(files).unwrap();
}

#[tokio::test]
async fn the_walk_finds_wrong_sinks() {
    let walks = WRONG.map(|(fault, words)| async move {
        let (rows, files) = tokio::join!(walk_rows(fault), walk_files(fault));
        for error in [rows.unwrap_err(), files.unwrap_err()] {
            let found = format!("{error:#}");
            assert!(found.contains(words), "{fault:?}: {found}");
        }
    });
    join_all(walks).await;
}

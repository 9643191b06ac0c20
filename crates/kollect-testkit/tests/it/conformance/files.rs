//! The file suite over the memory sink.

use super::{Door, unchecked};
use async_trait::async_trait;
use kollect_export::testing::MemoryFiles;
use kollect_export::{Cycle, FileBatch, FileChange, FileSink, HeldFile, Probe, ReadBack, Receipt, SinkError};
use kollect_testkit::conformance::{FileBackend, files};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// What is wrong with a sink.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fault {
    None,
    KeepsDeleted,
    FailsTheWholeLane,
    OverwritesForeign,
    ForgetsRecordsOnly,
    Mangles,
    WritesWithoutRight,
    ForgetsWithoutRight,
    BlindToWipes,
    LetsEverybodyIn,
    GivesUpWhenDown,
    DropsTheTail,
}

/// A memory sink that can be shut.
struct Memory {
    files: MemoryFiles,
    door: Door,
    fault: Fault,
}

struct Wrapped {
    memory: Arc<Memory>,
    credentials: bool,
    /// What a sink that does not read again believes to exist.
    believed: Mutex<BTreeMap<String, Vec<HeldFile>>>,
}

impl Wrapped {
    fn enter(&self) -> Result<(), SinkError> {
        let fault = self.memory.fault;
        let entered = self.memory.door.enter(self.credentials || fault == Fault::LetsEverybodyIn);
        entered.map_err(|error| if fault == Fault::GivesUpWhenDown { SinkError::terminal("x", "down") } else { error })
    }

    fn spoil(&self, batch: &mut FileBatch) {
        match self.memory.fault {
            Fault::KeepsDeleted => batch.changes.retain(|change| matches!(change, FileChange::Put { .. })),
            Fault::DropsTheTail => batch.changes.truncate(1_000),
            Fault::Mangles => batch.changes.iter_mut().for_each(mangle),
            Fault::OverwritesForeign => batch.changes.iter().for_each(|change| self.make_room(change.path())),
            _ => {}
        }
    }

    /// Removes a file that no record lists.
    fn make_room(&self, path: &str) {
        self.memory.files.tamper(|tree| {
            let mut records = tree.iter().filter(|(name, _)| name.starts_with(".kollect/"));
            if !records.any(|(_, content)| String::from_utf8_lossy(content).contains(path)) {
                tree.remove(path);
            }
        });
    }
}

/// As a backend does that thinks it knows how lines end.
fn mangle(change: &mut FileChange) {
    if let FileChange::Put { body, .. } = change {
        let mut bytes = Vec::new();
        body.write_to(&mut bytes).unwrap();
        bytes.retain(|byte| *byte != b'\r');
        *body = Arc::new(bytes);
    }
}

#[async_trait]
impl FileSink for Wrapped {
    fn lane(&self) -> String {
        self.memory.files.lane()
    }

    async fn held(
        &self,
        cycle: &Cycle<'_>,
        record: &str,
        each: &mut (dyn FnMut(HeldFile) + Send),
    ) -> Result<ReadBack, SinkError> {
        self.enter()?;
        let believed = self.believed.lock().get(record).cloned();
        if let Some(believed) = believed.filter(|_| self.memory.fault == Fault::BlindToWipes) {
            believed.into_iter().for_each(each);
            return Ok(ReadBack::Complete);
        }
        self.memory.files.held(cycle, record, each).await
    }

    async fn read(&self, cycle: &Cycle<'_>, record: &str, path: &str) -> Result<Option<Vec<u8>>, SinkError> {
        self.enter()?;
        self.memory.files.read(cycle, record, path).await
    }

    async fn apply(&self, mut lane: Vec<(Cycle<'_>, FileBatch)>) -> Vec<Result<Receipt, SinkError>> {
        if let Err(error) = self.enter() {
            return lane.iter().map(|_| Err(error.clone())).collect();
        }
        for (cycle, batch) in &mut lane {
            self.spoil(batch);
            if self.memory.fault == Fault::WritesWithoutRight {
                *cycle = unchecked(cycle);
            }
        }
        let records: Vec<_> = lane.iter().map(|(_, batch)| batch.record.clone()).collect();
        let results = self.memory.files.apply(lane).await;
        for record in records {
            let there = self.memory.files.files(&record).into_iter();
            let there = there.map(|(path, (digest, _))| HeldFile { path, digest: Some(digest) }).collect();
            self.believed.lock().insert(record, there);
        }
        match results.iter().find_map(|result| result.as_ref().err().cloned()) {
            Some(error) if self.memory.fault == Fault::FailsTheWholeLane => {
                results.iter().map(|_| Err(error.clone())).collect()
            }
            _ => results,
        }
    }

    async fn forget(&self, cycle: &Cycle<'_>, batch: FileBatch) -> Result<Receipt, SinkError> {
        self.enter()?;
        self.believed.lock().remove(&batch.record);
        let cycle = if self.memory.fault == Fault::ForgetsWithoutRight { unchecked(cycle) } else { *cycle };
        if self.memory.fault == Fault::ForgetsRecordsOnly {
            self.memory.files.tamper(|tree| tree.retain(|path, _| !path.starts_with(&batch.record)));
        }
        self.memory.files.forget(&cycle, batch).await
    }

    async fn probe(&self, cancel: &CancellationToken) -> Result<Probe, SinkError> {
        self.enter()?;
        self.memory.files.probe(cancel).await
    }
}

/// The memory under the suite's control.
pub(super) struct Backend(Arc<Memory>);

impl Backend {
    fn new(fault: Fault) -> Self {
        Self(Arc::new(Memory { files: MemoryFiles::new("lane"), door: Door::new(), fault }))
    }

    /// A backend with right sinks.
    pub(super) fn right() -> Self {
        Self::new(Fault::None)
    }

    fn wrap(&self, credentials: bool) -> Arc<dyn FileSink> {
        Arc::new(Wrapped { memory: self.0.clone(), credentials, believed: Mutex::default() })
    }
}

#[async_trait]
impl FileBackend for Backend {
    async fn sink(&self) -> anyhow::Result<Arc<dyn FileSink>> {
        Ok(self.wrap(true))
    }
    async fn sink_with_wrong_credentials(&self) -> anyhow::Result<Option<Arc<dyn FileSink>>> {
        Ok(Some(self.wrap(false)))
    }
    async fn read_back(&self) -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
        Ok(self.0.files.tree().into_iter().map(|(path, content)| (path.to_string(), content)).collect())
    }
    async fn revision(&self) -> anyhow::Result<Option<String>> {
        Ok(self.0.files.revision())
    }
    async fn plant(&self, path: &str, content: &str) -> anyhow::Result<()> {
        self.0.files.tamper(|tree| drop(tree.insert(path.into(), content.into())));
        Ok(())
    }
    async fn wipe(&self) -> anyhow::Result<()> {
        self.0.files.tamper(BTreeMap::clear);
        Ok(())
    }
    async fn stop(&self) -> anyhow::Result<()> {
        self.0.door.set(false);
        Ok(())
    }
    async fn start(&self) -> anyhow::Result<()> {
        self.0.door.set(true);
        Ok(())
    }
}

#[tokio::test]
async fn the_memory_sink_passes_the_file_suite() {
    files(&Backend::right()).await.unwrap();
}

#[tokio::test]
async fn every_case_of_the_file_suite_finds_its_wrong_sink() {
    for (fault, case) in [
        (Fault::KeepsDeleted, "first write, difference, delete"),
        (Fault::FailsTheWholeLane, "bindings of one lane go together and do not touch each other"),
        (Fault::OverwritesForeign, "a foreign file is never overwritten"),
        (Fault::ForgetsRecordsOnly, "forget removes one binding's files and record"),
        (Fault::Mangles, "contents and paths come back unchanged"),
        (Fault::WritesWithoutRight, "without the right to write nothing is written"),
        (Fault::ForgetsWithoutRight, "without the right to write nothing is written"),
        (Fault::BlindToWipes, "a wiped backend is repaired"),
        (Fault::LetsEverybodyIn, "wrong credentials are terminal"),
        (Fault::GivesUpWhenDown, "a backend that is down is transient"),
        (Fault::DropsTheTail, "three thousand files"),
    ] {
        let error = files(&Backend::new(fault)).await.unwrap_err();
        assert_eq!(error.to_string(), case, "{fault:?}: {error:#}");
    }
}

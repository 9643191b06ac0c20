//! The contract between the export engine and a sink.
//!
//! Separate so that a sink author reads one file. Sinks see rows, files and cycles; never Kubernetes, Secrets or specs.
//! The rule behind all of it: a sink says what it holds, Kollect sends the difference, and the cursor moves only after
//! the backend acknowledged.

use crate::SinkError;
use kollect_model::{Change, Digest, RowId};
use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio_util::sync::CancellationToken;

/// Which of the three sink kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// `KollectSnapshotSink`
    Snapshot,
    /// `KollectDatabaseSink`
    Database,
    /// `KollectEventSink`
    Event,
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Snapshot => "snapshot",
            Self::Database => "database",
            Self::Event => "event",
        })
    }
}

/// One sink object.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SinkKey {
    /// Sink kind.
    pub family: Family,
    /// Namespace of the sink object.
    pub namespace: Arc<str>,
    /// Name of the sink object.
    pub name: Arc<str>,
}

impl fmt::Display for SinkKey {
    /// `family/name`, the key of `status.sinkExports`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.family, self.name)
    }
}

/// One inventory. A cluster inventory has the namespace `cluster`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InventoryKey {
    /// Namespace.
    pub namespace: Arc<str>,
    /// Name.
    pub name: Arc<str>,
}

impl fmt::Display for InventoryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// One inventory bound to one sink.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BindingId {
    /// The inventory.
    pub inventory: InventoryKey,
    /// The sink.
    pub sink: SinkKey,
}

impl fmt::Display for BindingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.inventory, self.sink)
    }
}

/// Whether this process may still write. Asked right before every step that makes something durable.
pub trait WriteRight: Send + Sync {
    /// `true` while this process is the leader and its last renewal is young enough.
    fn may_write(&self) -> bool;
    /// Fencing number: grows with every leadership, so that a backend can refuse the writer of an earlier one.
    fn fence(&self) -> u64;
    /// A backend refused [`WriteRight::fence`] because it holds the higher `held`. A writer that proves to be the newest
    /// all the same (its clock was set back) continues with a higher fence in later cycles.
    fn outranked(&self, held: u64) {
        let _ = held;
    }
}

/// Always allowed: for the command line and for runs without leader election.
#[derive(Debug)]
pub struct AlwaysWrite;

impl WriteRight for AlwaysWrite {
    fn may_write(&self) -> bool {
        true
    }
    fn fence(&self) -> u64 {
        0
    }
}

/// Counts what a cycle moved, so that a deadline can be "without progress" instead of total.
#[derive(Debug, Default)]
pub struct Progress {
    ticks: AtomicU64,
}

impl Progress {
    /// Call after every step that moved something (a batch sent, a page read, a chunk written to a socket).
    pub fn tick(&self) {
        self.ticks.fetch_add(1, Ordering::Relaxed);
    }
    /// How often [`Progress::tick`] was called.
    pub fn ticks(&self) -> u64 {
        self.ticks.load(Ordering::Relaxed)
    }
}

/// One attempt to bring one binding up to date.
#[derive(Clone, Copy)]
pub struct Cycle<'a> {
    /// The binding.
    pub of: &'a BindingId,
    /// Counter of cycles of this binding in this process.
    pub number: u64,
    /// Fencing number of the writer; see [`WriteRight::fence`].
    pub fence: u64,
    /// Cancelled when the binding changes or leaves, when the process stops, or at the deadline. Check it between steps.
    pub cancel: &'a CancellationToken,
    /// Progress of this cycle.
    pub progress: &'a Progress,
    /// The right to write.
    pub right: &'a dyn WriteRight,
}

impl Cycle<'_> {
    /// The id of this cycle in logs, commit trailers, `application_name` and events.
    pub fn id(&self) -> String {
        format!("{}#{}@{}", self.of, self.number, self.fence)
    }

    /// Fails when this process may no longer write. Call right before every commit step.
    pub fn check_right(&self) -> Result<(), SinkError> {
        if self.cancel.is_cancelled() {
            return Err(SinkError::transient("cancelled", "the export was stopped before it wrote").local());
        }
        if self.right.may_write() {
            return Ok(());
        }
        Err(SinkError::transient("lease", "this process is no longer the leader, so it did not write").local())
    }
}

/// What a sink knows of what it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Knowledge {
    /// Everything was reported.
    Complete,
    /// The backend cannot be read back: send everything, in a snapshot bracket.
    Unknown,
}

/// A row that a sink already has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldRow {
    /// Identity.
    pub id: RowId,
    /// Namespace of the object; empty for cluster-scoped objects.
    pub object_namespace: Arc<str>,
    /// Digest of what is held; `None` when it is not known (then the row is rewritten).
    pub digest: Option<Digest>,
}

/// Changes for a row sink. Deletes are applied before upserts.
#[derive(Debug, Default)]
pub struct RowBatch {
    /// At most one change per row.
    pub changes: Vec<Change>,
    /// Set when this batch is part of a full re-send because the sink cannot be read back.
    pub bracket: Option<SnapshotBracket>,
}

/// Place of a batch in a full re-send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotBracket {
    /// Id that every batch of the re-send repeats.
    pub id: String,
    /// This batch opens the re-send.
    pub begin: bool,
    /// This batch closes it.
    pub end: bool,
}

/// What a sink did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Receipt {
    /// Backend's own name for the new state (commit id, ETag), if it has one.
    pub revision: Option<String>,
    /// Rows or files written or deleted.
    pub rows: u64,
    /// Payload bytes sent.
    pub bytes: u64,
    /// Rows that the backend cannot take. They are named, and the rest went on.
    pub rejected: Vec<Rejected>,
}

/// A row that a backend cannot take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// Identity.
    pub id: RowId,
    /// Why, in one sentence without the row's values.
    pub why: String,
}

/// A successful reachability check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// One sentence for the condition message.
    pub message: String,
}

/// A backend that takes rows.
#[async_trait::async_trait]
pub trait RowSink: Send + Sync + 'static {
    /// Reports every row that the binding holds in the backend, streamed.
    async fn held(&self, cycle: &Cycle<'_>, each: &mut (dyn FnMut(HeldRow) + Send)) -> Result<Knowledge, SinkError>;
    /// Makes the batch durable. On `Ok` everything but the rejected rows is durable.
    async fn apply(&self, cycle: &Cycle<'_>, batch: RowBatch) -> Result<Receipt, SinkError>;
    /// O(1) check, made at the start of a cycle with a known cursor, that the backend is still the one that was last
    /// written (table not truncated, dropped or re-created). `false` makes the cursor unknown.
    async fn intact(&self, _cycle: &Cycle<'_>) -> Result<bool, SinkError> {
        Ok(true)
    }
    /// Removes everything that the binding owns in the backend.
    async fn forget(&self, cycle: &Cycle<'_>) -> Result<Receipt, SinkError>;
    /// Checks reachability and credentials. Never writes.
    async fn probe(&self, cancel: &CancellationToken) -> Result<Probe, SinkError>;
}

/// Content of a file that writes itself, so that a large document is never held twice.
pub trait Body: Send + Sync {
    /// Writes the whole content. Called again when a write is retried, with equal bytes each time.
    fn write_to(&self, out: &mut dyn Write) -> io::Result<()>;
}

impl Body for Vec<u8> {
    fn write_to(&self, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(self)
    }
}

/// A file that a sink holds for a binding, from the binding's ownership record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldFile {
    /// Path below the destination's root.
    pub path: Arc<str>,
    /// Digest from the record; `None` when the file is gone or was changed by somebody else.
    pub digest: Option<Digest>,
}

/// One difference for a file sink.
#[derive(Clone)]
pub enum FileChange {
    /// Write the file.
    Put {
        /// Path below the destination's root.
        path: Arc<str>,
        /// Digest to remember in the record.
        digest: Digest,
        /// Content.
        body: Arc<dyn Body>,
    },
    /// Delete the file; it is in the binding's record.
    Delete {
        /// Path below the destination's root.
        path: Arc<str>,
    },
}

impl FileChange {
    /// The path concerned.
    pub fn path(&self) -> &Arc<str> {
        match self {
            Self::Put { path, .. } | Self::Delete { path } => path,
        }
    }
}

impl fmt::Debug for FileChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Put { path, digest, .. } => write!(f, "Put({path}, {digest})"),
            Self::Delete { path } => write!(f, "Delete({path})"),
        }
    }
}

/// Changes for a file sink, with the words of the commit for backends that have commits.
#[derive(Clone, Debug, Default)]
pub struct FileBatch {
    /// At most one change per path. Deletes are applied before puts.
    pub changes: Vec<FileChange>,
    /// Path of the binding's ownership record: `.kollect/<cluster>/<namespace>/<name>/<sink>`.
    pub record: String,
    /// Commit message, already rendered.
    pub message: String,
    /// Author and committer name.
    pub author_name: String,
    /// Author and committer e-mail.
    pub author_email: String,
}

/// Most bytes of one file that are read back. Far above any limit for documents that makes sense: nothing of the kind is
/// written unless `--max-export-bytes` was raised to it.
pub const LARGEST_READ: u64 = 64 << 20;

/// A backend that takes files.
#[async_trait::async_trait]
pub trait FileSink: Send + Sync + 'static {
    /// Bindings with equal lane keys are written together, by one task. Contains no credential in clear.
    fn lane(&self) -> String;
    /// Reports every file in the record at `record`.
    async fn held(
        &self,
        cycle: &Cycle<'_>,
        record: &str,
        each: &mut (dyn FnMut(HeldFile) + Send),
    ) -> Result<Knowledge, SinkError>;
    /// The content of a file that [`FileSink::held`] reported in this cycle, as it is now; `None` when it is gone or not
    /// in the record. More than [`LARGEST_READ`] bytes are refused with [`SinkError::too_large_to_read`].
    async fn read(&self, cycle: &Cycle<'_>, record: &str, path: &str) -> Result<Option<Vec<u8>>, SinkError>;
    /// Makes the batches of a lane durable, one result per batch in order. Batches fail one by one: a batch that is
    /// refused, or whose own `cycle.cancel` is cancelled before it is sent, gets an error in its place and the others are
    /// written. Ask `check_right` of each cycle; end the whole job early only when every cycle is cancelled.
    async fn apply(&self, lane: Vec<(Cycle<'_>, FileBatch)>) -> Vec<Result<Receipt, SinkError>>;
    /// Deletes every file in the record, and the record.
    async fn forget(&self, cycle: &Cycle<'_>, batch: FileBatch) -> Result<Receipt, SinkError>;
    /// Checks reachability and credentials. Never writes.
    async fn probe(&self, cancel: &CancellationToken) -> Result<Probe, SinkError>;
}

/// Either sort of sink.
#[derive(Clone)]
pub enum Sink {
    /// Takes rows.
    Rows(Arc<dyn RowSink>),
    /// Takes files.
    Files(Arc<dyn FileSink>),
}

impl Sink {
    /// Checks reachability and credentials. Never writes.
    pub async fn probe(&self, cancel: &CancellationToken) -> Result<Probe, SinkError> {
        match self {
            Self::Rows(sink) => sink.probe(cancel).await,
            Self::Files(sink) => sink.probe(cancel).await,
        }
    }
}

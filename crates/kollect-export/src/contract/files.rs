//! Sinks that take files.

use crate::contract::cycle::Cycle;
use crate::contract::error::SinkError;
use crate::contract::receipt::{Probe, ReadBack, Receipt};
use kollect_model::Digest;
use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Content of a file, written on demand, so that a large document is never in memory twice.
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
    /// Digest from the record; `None` when the file is gone or was changed by another writer.
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

/// Changes for a file sink, with the commit message for backends that have commits.
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

/// Most bytes of one file that are read back. Larger files are written only if `--max-export-bytes` was raised above
/// it.
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
    ) -> Result<ReadBack, SinkError>;
    /// The content of a file that [`FileSink::held`] reported in this cycle, as it is now; `None` when it is gone or
    /// not in the record. More than [`LARGEST_READ`] bytes are refused with [`SinkError::too_large_to_read`].
    async fn read(&self, cycle: &Cycle<'_>, record: &str, path: &str) -> Result<Option<Vec<u8>>, SinkError>;
    /// Makes the batches of a lane durable, one result per batch in order. Batches fail one by one: a batch that is
    /// refused, or whose own `cycle.cancel` is cancelled before it is sent, gets an error in its place and the others
    /// are written. Call `check_right` of each cycle; end the whole call early only when every cycle is cancelled.
    async fn apply(&self, lane: Vec<(Cycle<'_>, FileBatch)>) -> Vec<Result<Receipt, SinkError>>;
    /// Deletes every file in the record, and the record.
    async fn forget(&self, cycle: &Cycle<'_>, batch: FileBatch) -> Result<Receipt, SinkError>;
    /// Checks reachability and credentials. Never writes.
    async fn probe(&self, cancel: &CancellationToken) -> Result<Probe, SinkError>;
}

impl SinkError {
    /// A file that is too large to be read back.
    pub fn too_large_to_read(path: &str, size: u64) -> Self {
        let why = "and Kollect reads back at most";
        let advice = "delete it, or have everything in it permitted and served again, and set a smaller maxExportBytes";
        Self::terminal("read", format!("{path} has {size} bytes {why} {LARGEST_READ}: {advice}"))
    }
}

//! The contract between the export engine and a sink.
//!
//! A sink receives rows, files and cycles; never Kubernetes, Secrets or specs. It reports what it holds, Kollect sends
//! the difference, and the cursor moves only after the backend acknowledged.

pub(crate) mod cycle;
pub(crate) mod error;
pub(crate) mod files;
pub(crate) mod ids;
pub(crate) mod receipt;
pub(crate) mod rows;

pub use cycle::{AlwaysWrite, Cycle, Progress, WriteRight};
pub use error::{Class, DependsOn, Landed, SinkError};
pub use files::{Body, FileBatch, FileChange, FileSink, HeldFile, LARGEST_READ};
pub use ids::{BindingId, Family, InventoryKey, SinkKey};
pub use receipt::{Probe, ReadBack, Receipt, Rejected};
pub use rows::{HeldRow, RowBatch, RowSink, SnapshotBracket};

use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// A sink of rows or of files.
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

//! Sinks that take rows.

use crate::contract::cycle::Cycle;
use crate::contract::error::SinkError;
use crate::contract::receipt::{Probe, ReadBack, Receipt};
use kollect_model::{Change, Digest, RowId};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

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

/// A backend that takes rows.
#[async_trait::async_trait]
pub trait RowSink: Send + Sync + 'static {
    /// Reports every row that the binding holds in the backend, streamed.
    async fn held(&self, cycle: &Cycle<'_>, each: &mut (dyn FnMut(HeldRow) + Send)) -> Result<ReadBack, SinkError>;
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

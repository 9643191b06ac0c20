//! What a sink returns: how much it could read back, what it wrote, which rows it rejected.

use kollect_model::RowId;

/// How much of what it holds a sink could read back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadBack {
    /// Everything was reported.
    Complete,
    /// The backend cannot be read back: send everything, in a snapshot bracket.
    Unknown,
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

impl Receipt {
    /// Adds a later receipt of the same cycle.
    pub(crate) fn merge(&mut self, later: Self) {
        self.rows += later.rows;
        self.bytes += later.bytes;
        self.revision = later.revision.or(self.revision.take());
        self.rejected.extend(later.rejected);
    }
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

//! How much a server may send and how long it may take.

use crate::error::GitError;
use std::time::Duration;

/// Limits of one conversation with a server that a tenant chose: far above the needs of inventories, and low enough to
/// bound memory and disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransferLimits {
    /// Bytes of the list of branches and of the negotiation.
    pub listing: u64,
    /// Bytes of progress reports and error texts.
    pub messages: u64,
    /// Bytes of one fetch.
    pub received: u64,
    /// Objects of one fetch.
    pub objects: u32,
    /// Largest file.
    pub object: u64,
    /// Largest commit or folder, and largest result of a delta: libgit2 holds those in memory.
    pub parsed_object: u64,
    /// Everything that a fetch unpacks to.
    pub inflated: u64,
    /// Bytes that libgit2 copies to unpack all deltas.
    pub delta_work: u64,
    /// Bytes on disk of one mirror.
    pub mirror: u64,
    /// Bytes on disk of all mirrors.
    pub mirrors: u64,
    /// Time for which a conversation may wait for the server …
    pub patience: Duration,
    /// … plus one second for this many bytes that moved.
    pub pace: u64,
}

impl TransferLimits {
    /// The limits of every sink.
    pub const DEFAULT: Self = Self {
        listing: 16 << 20,
        messages: 2 << 20,
        received: 256 << 20,
        objects: 500_000,
        object: 2 * kollect_export::LARGEST_READ,
        parsed_object: 32 << 20,
        inflated: 2 << 30,
        delta_work: 64 << 30,
        mirror: 512 << 20,
        mirrors: 768 << 20,
        patience: Duration::from_mins(10),
        pace: 64 << 10,
    };
}

/// How long a conversation waited for the server, and how much moved meanwhile.
#[derive(Default)]
pub(super) struct Pace {
    waited: Duration,
    moved: u64,
}

impl Pace {
    /// Fails when the total wait exceeds `patience` plus the time that the moved bytes allow.
    pub(super) fn add(&mut self, waited: Duration, moved: usize, limits: &TransferLimits) -> Result<(), GitError> {
        self.waited += waited;
        self.moved += moved as u64;
        let earned = Duration::from_secs(self.moved / limits.pace.max(1));
        if self.waited <= limits.patience + earned {
            return Ok(());
        }
        Err(GitError::Slow(self.waited))
    }
}

impl Default for TransferLimits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

//! What the cycle of a binding did, summed over its batches.

use crate::binding::file_cycle::LeftOutChange;
use crate::contract::receipt::Receipt;
use kollect_model::RowId;

/// Most rejected rows that are remembered per binding.
pub(crate) const MOST_REJECTED: usize = 1_000;

/// Sum of a cycle.
#[derive(Debug, Default)]
pub(crate) struct CycleTotals {
    pub(crate) receipt: Receipt,
    /// Sent rows that an earlier cycle recorded as rejected: accepted now, unless the receipt rejects them again.
    pub(crate) accepted: Vec<RowId>,
    /// All held rows were compared: rows that are not rejected in the receipt are accepted.
    pub(crate) compared: bool,
    /// Checksum of an exported document.
    pub(crate) checksum: Option<String>,
    /// Rows of a tree without a file.
    pub(crate) left_out: LeftOutChange,
}

impl CycleTotals {
    pub(crate) fn add(&mut self, receipt: Receipt) {
        self.receipt.merge(receipt);
        self.receipt.rejected.truncate(MOST_REJECTED);
    }
}

//! Limits of the export engine.

use std::time::Duration;

/// Checked, immutable settings of an exporter.
#[derive(Clone, Copy, Debug)]
pub struct ExportSettings {
    /// A cycle is given up after this long without progress.
    pub export_timeout: Duration,
    /// A wait longer than this is reported as debounced.
    pub debounced_after: Duration,
    /// Most changes in one batch.
    pub batch_rows: usize,
    /// Most payload bytes in one batch, except that one row always fits.
    pub batch_bytes: usize,
}

impl Default for ExportSettings {
    fn default() -> Self {
        Self {
            export_timeout: Duration::from_mins(2),
            debounced_after: Duration::from_secs(10),
            batch_rows: 5_000,
            batch_bytes: 8 << 20,
        }
    }
}

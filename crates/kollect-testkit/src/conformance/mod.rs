//! The promises that every sink keeps, as one suite.
//!
//! All sinks are measured alike: a sink's test implements [`RowBackend`] or [`FileBackend`]
//! and calls [`rows`] or [`files`]; with [`ProxiedRows`] or [`ProxiedFiles`] also the walk over faults, [`row_faults`] or
//! [`file_faults`]. It uses the contract only and never the inside of a sink.

mod drive;
mod fault_cases;
mod fault_walk;
mod file_cases;
mod row_cases;
mod samples;

pub use drive::{CycleParts, NeverWrite, cycle_parts};
pub use fault_cases::{ProxiedFiles, ProxiedRows, file_faults, row_faults};
pub use file_cases::{FileBackend, files};
pub use row_cases::{RowBackend, StoredRow, rows};
pub use samples::{hostile_attributes, row};

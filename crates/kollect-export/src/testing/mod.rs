//! Sinks for tests and the simulation, and examples of what a sink has to do.

mod faulty;
mod memory_files;
mod memory_rows;

pub use faulty::{Faults, Faulty, SinkFault};
pub use memory_files::{MemoryFiles, StoredFiles};
pub use memory_rows::{MemoryRows, StoredRow, StoredRows};

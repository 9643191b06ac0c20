//! The control loops: read specs, decide what to watch and where to export, and write what happened.
//!
//! They never touch a row, and know sinks only through [`registry::SinkRegistry`].

pub mod clock;
pub mod kinds;
pub mod lease;
pub mod metrics;
pub mod shared;

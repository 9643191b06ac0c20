//! The control loops: read specs, decide what to watch and where to export, and write what happened.
//!
//! They never touch a row, and know sinks only through [`registry::SinkRegistry`].

pub mod clock;
pub mod cluster_target;
pub mod connection_test;
pub mod control;
pub mod feed;
pub mod inventory;
pub mod kinds;
pub mod lease;
pub mod metrics;
pub mod observe;
pub mod profile;
pub mod registry;
pub mod scope;
pub mod shared;
pub mod sink;
pub mod target;
pub mod world;
mod write_permit;

//! The controllers: they read specs, decide what to collect and where to export, and write what happened.
//!
//! They never touch a row, and know sinks only through [`kollect_resources::registry::SinkRegistry`].

pub mod clock;
pub mod connection_test;
pub mod context;
pub mod controllers;
pub mod inventory;
pub mod lease;
pub mod metrics;
pub mod observe;
pub mod profile;
pub mod reconciler;
pub mod scope;
pub mod shared;
pub mod sink;
pub mod targets;
mod write_permit;

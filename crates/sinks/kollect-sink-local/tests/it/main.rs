//! The directory sink: conformance, ownership of files, kills at any step.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod conformance;
mod kills;
mod ownership;

//! The directory sink keeps the promises of every file sink, whoever interferes and whenever it is killed.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod conformance;
mod kills;
mod ownership;

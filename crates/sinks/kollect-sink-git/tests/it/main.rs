//! The Git sink against real servers: `git http-backend` over http and https, and sshd.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bench;
mod conflicts;
mod conformance;
mod failures;
mod hostile;
mod kills;
mod members;
mod ownership;
mod pushes;
mod scale;
mod ssh;

//! The validating admission webhook: reviews Kollect objects before the API server stores them.
//!
//! It runs on every replica and must not depend on leadership. The rules are in `kollect-rules`.
#![warn(missing_docs)]

pub mod certs;
mod facts;
pub mod manifest;
mod pool;
mod protocol;
mod reviewer;
mod server;

pub use facts::{FactError, FactSource, Gathered, LiveFacts};
pub use protocol::KINDS;
pub use reviewer::{Reviewer, ReviewerError};
pub use server::{ServerError, serve};

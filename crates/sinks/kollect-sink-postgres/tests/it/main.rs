//! The sink against a real PostgreSQL.
#![expect(clippy::unwrap_used, reason = "a test helper that fails should stop its test")]

mod conformance;
mod connecting;
mod damage;
mod network;
mod patience;
mod rejecting;
mod rows;
mod schema;
mod server;
mod speed;

//! The operator as users run it: a process under its own ServiceAccount, against a real API server, Git and PostgreSQL.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "what was written is read by another reader than the product's")]

mod admission;
mod cli;
mod cluster;
mod collect;
mod connection_test;
mod crash;
mod deploy;
mod export_scenario;
mod hostile_load;
mod hostile_tenant;
mod isolation;
mod leader;
mod lifecycle;
mod lists;
mod outage;
mod read_api;
mod readme;
mod removal;
mod restart;
mod revocation;
mod secrets;
mod tenant;
mod terminal;
mod test_cluster;
mod unreviewed;
mod webhook;

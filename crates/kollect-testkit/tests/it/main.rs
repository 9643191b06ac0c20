//! Tests of the test kit itself, against the real servers.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod conformance;
mod fault_proxy;
mod manifests;
mod servers;
mod sim;

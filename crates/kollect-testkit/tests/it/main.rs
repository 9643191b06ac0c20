//! Tests of the test kit itself, against the real servers.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod fault_proxy;
mod servers;

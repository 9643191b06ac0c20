//! The client against small servers on loopback.

#![expect(clippy::unwrap_used, reason = "a test helper that fails should stop its test")]

mod http;
mod tls;

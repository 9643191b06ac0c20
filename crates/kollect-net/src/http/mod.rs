//! A small HTTP/1.1 client over the guarded dialer and our own TLS.
//!
//! Separate from the dialer because only some sinks speak HTTP. No proxies, no redirects (an answer with status 3xx is
//! returned as it is), no cookies, no retries except for a reused connection that turned out to be closed.

mod body;
mod client;
mod connection;

pub use body::Upload;
pub use client::{Client, ClientConfig, Response};

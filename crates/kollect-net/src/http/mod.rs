//! A small HTTP/1.1 client over the guarded dialer and rustls.
//!
//! No proxies, no redirects (a response with status 3xx is returned), no cookies, no retries except when a kept
//! connection turns out to be closed. `hyper_util`'s client is not used: its pool dials while an idle connection is on
//! its way back, so that sequential requests open more than one connection.

mod body;
mod client;
mod config;
mod connection;
mod progress;

pub use body::Upload;
pub use client::{Client, Response};
pub use config::ClientConfig;

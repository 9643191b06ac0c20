//! Settings of the HTTP client.

use crate::GuardedDialer;
use std::sync::Arc;
use std::time::Duration;

/// Settings of a client.
#[derive(Clone)]
pub struct ClientConfig {
    /// Opens the connections.
    pub dialer: GuardedDialer,
    /// TLS settings for `https`.
    pub tls: Arc<rustls::ClientConfig>,
    /// Name to verify instead of the URL's host.
    pub server_name: Option<String>,
    /// Limit for resolving, connecting and the TLS handshake together.
    pub connect_timeout: Duration,
    /// Longest time without a byte in either direction.
    pub idle_timeout: Duration,
}

//! Outgoing connections that a tenant can aim but not abuse: guarded dialing, TLS from a spec, a small HTTP/1.1 client,
//! and the scrubber that third-party error text passes before anybody sees it.
//!
//! Separate so that every sink reaches the network through one door. It must not know kube, sinks or proxies, and it
//! never reads the environment.

mod dial;
mod error;
pub mod http;
mod insecure;
mod scrub;
mod secret;
mod tls;

pub use dial::GuardedDialer;
pub use error::NetError;
pub use insecure::Insecure;
pub use kollect_model::{Cidr, Denied, Guard};
pub use scrub::scrub;
pub use secret::SecretString;
pub use tls::{ClientCert, TlsSpec, handshake};

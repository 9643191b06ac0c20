//! Outgoing connections to addresses that tenants choose: a guarded dialer, TLS from a spec, a small HTTP/1.1 client,
//! and the scrubber for third-party error text.
//!
//! Every sink connects through this crate. It must not know kube, sinks or proxies, and it never reads the environment.

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

//! The serving certificate of the webhook: issued by the operator and stored in a Secret, or read from files.

mod configuration;
mod files;
mod issue;
mod rotator;
mod stored;

pub use files::{CertificateFiles, FilesError};
pub use issue::{IssueError, Issued};
pub use rotator::{CertificateRotator, RotatorSettings};
pub use stored::Timing;

use parking_lot::RwLock;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::sync::Arc;

/// Wall clock in milliseconds since 1970; tests pass their own.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// An unusable pair of certificate and key.
#[derive(Debug, thiserror::Error)]
pub enum PairError {
    /// No certificate in the text.
    #[error("it has no certificate in PEM")]
    Certificate,
    /// No key in the text.
    #[error("it has no private key in PEM")]
    Key,
    /// The key does not fit the certificate, or is of an unknown type.
    #[error("certificate and private key do not go together")]
    Mismatch,
}

/// The certificate that new connections get, and the readiness of the webhook.
#[derive(Debug, Default)]
pub struct Serving {
    state: RwLock<ServingState>,
}

#[derive(Debug, Default)]
struct ServingState {
    certificate: Option<Arc<CertifiedKey>>,
    listening: bool,
    failure: Option<String>,
}

impl Serving {
    /// Without a certificate.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Whether reviews are served, or why not.
    pub fn ready(&self) -> Result<(), String> {
        let state = self.state.read();
        match &*state {
            ServingState { certificate: Some(_), listening: true, .. } => Ok(()),
            ServingState { failure: Some(failure), .. } => Err(failure.clone()),
            _ => Err("waiting for the certificate of the webhook".to_owned()),
        }
    }

    /// Sets the certificate of new connections; open connections keep theirs.
    pub(crate) fn present(&self, certificates: &str, key: &str) -> Result<(), PairError> {
        let pair = Arc::new(pair(certificates, key)?);
        let mut state = self.state.write();
        state.certificate = Some(pair);
        state.failure = None;
        Ok(())
    }

    pub(crate) fn listening(&self, listening: bool) {
        self.state.write().listening = listening;
    }

    pub(crate) fn failed(&self, failure: &str) {
        self.state.write().failure = Some(failure.to_owned());
    }
}

impl ResolvesServerCert for Serving {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.state.read().certificate.clone()
    }
}

fn pair(certificates: &str, key: &str) -> Result<CertifiedKey, PairError> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(certificates.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|_| PairError::Certificate)?;
    if chain.is_empty() {
        return Err(PairError::Certificate);
    }
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|_| PairError::Key)?;
    let provider = rustls::crypto::ring::default_provider();
    CertifiedKey::from_der(chain, key, &provider).map_err(|_| PairError::Mismatch)
}

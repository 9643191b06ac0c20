//! The certificate that the webhook serves with, and where it comes from: made here and kept in a Secret, or given as
//! files.
//!
//! Separate from the server, which only asks what to present now.

mod configuration;
mod files;
mod issue;
mod keeper;
mod kept;

pub use files::{CertificateFiles, FilesError};
pub use issue::{IssueError, Issued};
pub use keeper::{Keeper, KeeperSettings};
pub use kept::Timing;

use parking_lot::RwLock;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::sync::Arc;

/// Wall clock in milliseconds since 1970, as a value so that tests can move it.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// A certificate and key that do not make sense.
#[derive(Debug, thiserror::Error)]
pub enum PairError {
    /// No certificate in the text.
    #[error("it has no certificate in PEM")]
    Certificate,
    /// No key in the text.
    #[error("it has no private key in PEM")]
    Key,
    /// They do not belong together, or the key is of an unknown type.
    #[error("certificate and private key do not go together")]
    Mismatch,
}

/// What is presented to callers now.
#[derive(Debug, Default)]
pub struct Serving {
    state: RwLock<State>,
}

#[derive(Debug, Default)]
struct State {
    certificate: Option<Arc<CertifiedKey>>,
    listening: bool,
    trouble: Option<String>,
}

impl Serving {
    /// Nothing to present yet.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Whether reviews are answered, or why not.
    pub fn ready(&self) -> Result<(), String> {
        let state = self.state.read();
        match &*state {
            State { certificate: Some(_), listening: true, .. } => Ok(()),
            State { trouble: Some(trouble), .. } => Err(trouble.clone()),
            _ => Err("waiting for the certificate of the webhook".to_owned()),
        }
    }

    /// Presents another certificate from now on; connections that stand keep theirs.
    pub(crate) fn present(&self, certificates: &str, key: &str) -> Result<(), PairError> {
        let pair = Arc::new(pair(certificates, key)?);
        let mut state = self.state.write();
        state.certificate = Some(pair);
        state.trouble = None;
        Ok(())
    }

    pub(crate) fn listening(&self, listening: bool) {
        self.state.write().listening = listening;
    }

    pub(crate) fn trouble(&self, trouble: &str) {
        self.state.write().trouble = Some(trouble.to_owned());
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

//! A certificate from files, for example of cert-manager, read again when they change.
//!
//! Files are polled and compared by content: a mounted Secret changes by replacing a symbolic link, which file watches
//! miss.

use super::{PairError, Serving};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The files are missing or unusable.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// A file could not be read.
    #[error("reading {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Error of the operating system.
        source: std::io::Error,
    },
    /// The contents are no pair.
    #[error("{path}: {source}")]
    Pair {
        /// The certificate's file.
        path: PathBuf,
        /// What is wrong.
        source: PairError,
    },
}

/// Paths of certificate and key.
#[derive(Clone, Debug)]
pub struct CertificateFiles {
    /// Certificate chain, PEM.
    pub certificate: PathBuf,
    /// Private key, PEM.
    pub key: PathBuf,
}

impl CertificateFiles {
    /// Serves with the files and polls them for changes until `stop`. Fails when they are unusable at the start.
    pub async fn follow(
        &self,
        serving: &Arc<Serving>,
        every: Duration,
        stop: CancellationToken,
    ) -> Result<(), FilesError> {
        let mut last = self.read()?;
        self.present(serving, &last)?;
        while stop.run_until_cancelled(tokio::time::sleep(every)).await.is_some() {
            // Between the replacements of two files they do not fit together; the next poll reads both.
            let now = match self.read() {
                Ok(now) if now == last => continue,
                Ok(now) => now,
                Err(error) => {
                    tracing::warn!(%error, "the webhook keeps its certificate");
                    continue;
                }
            };
            match self.present(serving, &now) {
                Ok(()) => {
                    tracing::info!("the webhook serves with a changed certificate");
                    last = now;
                }
                Err(error) => tracing::warn!(%error, "the webhook keeps its certificate"),
            }
        }
        Ok(())
    }

    fn read(&self) -> Result<(String, String), FilesError> {
        let read = |path: &PathBuf| {
            std::fs::read_to_string(path).map_err(|source| FilesError::Read { path: path.clone(), source })
        };
        Ok((read(&self.certificate)?, read(&self.key)?))
    }

    fn present(&self, serving: &Arc<Serving>, (certificate, key): &(String, String)) -> Result<(), FilesError> {
        let presented = serving.present(certificate, key);
        presented.map_err(|source| FilesError::Pair { path: self.certificate.clone(), source })
    }
}

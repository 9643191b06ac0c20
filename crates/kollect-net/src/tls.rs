//! TLS client settings from a spec, and the handshake with a deadline.
//!
//! A custom CA replaces the public roots. The crypto provider is always passed explicitly; no process-wide default is
//! read or set.

use crate::{NetError, SecretString};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{TlsConnector, client::TlsStream};

/// A client certificate with its key, both PEM.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClientCert {
    /// Leaf first.
    pub chain_pem: Vec<u8>,
    /// Private key.
    pub key_pem: SecretString,
}

/// How a server is verified, and the client certificate to present.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct TlsSpec {
    /// PEM bundle; when present only these CAs are trusted, otherwise the public ones.
    pub ca_pem: Option<Vec<u8>>,
    /// No verification at all.
    pub insecure_skip_verify: bool,
    /// Verify the chain but not the host name (PostgreSQL's `verify-ca`).
    pub skip_host_name: bool,
    /// Client certificate.
    pub client_cert: Option<ClientCert>,
    /// Name to verify instead of the host dialled.
    pub server_name: Option<String>,
}

impl TlsSpec {
    /// Builds the settings: TLS 1.2 or newer, ring.
    pub fn client_config(&self) -> Result<Arc<ClientConfig>, NetError> {
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|e| config_error(format!("protocol versions: {e}")))?;
        let roots = self.roots()?;
        let builder = if self.insecure_skip_verify || self.skip_host_name {
            let verifier: Arc<dyn ServerCertVerifier> = if self.insecure_skip_verify {
                Arc::new(AcceptAny { provider })
            } else {
                let inner = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
                    .build()
                    .map_err(|e| config_error(format!("CA bundle: {e}")))?;
                Arc::new(AnyName { inner })
            };
            builder.dangerous().with_custom_certificate_verifier(verifier)
        } else {
            builder.with_root_certificates(roots)
        };
        let config = match &self.client_cert {
            None => builder.with_no_client_auth(),
            Some(own) => {
                let chain = certificates(&own.chain_pem, "client certificate")?;
                let key = PrivateKeyDer::from_pem_slice(own.key_pem.expose().as_bytes())
                    .map_err(|_| config_error("the client key is not a PEM private key".into()))?;
                builder
                    .with_client_auth_cert(chain, key)
                    .map_err(|_| config_error("the client certificate and key do not belong together".into()))?
            }
        };
        Ok(Arc::new(config))
    }

    fn roots(&self) -> Result<RootCertStore, NetError> {
        let mut roots = RootCertStore::empty();
        match &self.ca_pem {
            None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
            Some(pem) => {
                for certificate in certificates(pem, "CA bundle")? {
                    roots.add(certificate).map_err(|e| config_error(format!("CA bundle: {e}")))?;
                }
            }
        }
        Ok(roots)
    }
}

fn config_error(why: String) -> NetError {
    NetError::TlsConfig { why }
}

fn certificates(pem: &[u8], what: &str) -> Result<Vec<CertificateDer<'static>>, NetError> {
    let found: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|_| config_error(format!("the {what} is not valid PEM")))?;
    if found.is_empty() {
        return Err(config_error(format!("the {what} holds no PEM certificate")));
    }
    Ok(found)
}

/// The handshake over an open connection, within `deadline`. `name` is what the certificate must be for.
pub async fn handshake<S>(
    config: Arc<ClientConfig>,
    name: &str,
    stream: S,
    deadline: Duration,
) -> Result<TlsStream<S>, NetError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    let server = ServerName::try_from(bare.to_owned())
        .map_err(|_| config_error(format!("{name} is not a host name that a certificate can be for")))?;
    match tokio::time::timeout(deadline, TlsConnector::from(config).connect(server, stream)).await {
        Err(_) => Err(NetError::Timeout { what: "the TLS handshake", after: deadline }),
        Ok(Err(error)) => Err(NetError::from_connection(name, &error)),
        Ok(Ok(stream)) => Ok(stream),
    }
}

/// Accepts every certificate, but still checks that the server owns its key.
#[derive(Debug)]
struct AcceptAny {
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for AcceptAny {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, signed, &self.provider.signature_verification_algorithms)
    }
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, signed, &self.provider.signature_verification_algorithms)
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Verifies the chain and ignores only a wrong name, which the inner verifier checks last.
#[derive(Debug)]
struct AnyName {
    inner: Arc<WebPkiServerVerifier>,
}

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        cert: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match self.inner.verify_server_cert(cert, intermediates, name, ocsp, now) {
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, cert, signed)
    }
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, cert, signed)
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unusable_settings_are_named() {
        let no_ca = TlsSpec { ca_pem: Some(b"hello".to_vec()), ..TlsSpec::default() };
        assert_eq!(
            no_ca.client_config().unwrap_err().to_string(),
            "the TLS settings cannot be used: the CA bundle holds no PEM certificate"
        );
        assert!(TlsSpec::default().client_config().is_ok());
    }
}

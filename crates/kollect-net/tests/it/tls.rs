//! Trust decisions against a TLS server with certificates made here.

use kollect_net::{ClientCert, NetError, TlsSpec, handshake};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::PrivateKeyDer;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;

type Ca = CertifiedIssuer<'static, KeyPair>;

fn ca() -> Ca {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn leaf(ca: &Ca, name: &str) -> (rcgen::Certificate, KeyPair) {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, ca).unwrap();
    (certificate, key)
}

/// One handshake with a server for `db.test`; the client then reads one byte.
async fn attempt(spec: &TlsSpec, server_ca: &Ca, want_client: bool, name: &str) -> Result<(), NetError> {
    let (certificate, key) = leaf(server_ca, "db.test");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions().unwrap();
    let builder = if want_client {
        let mut roots = RootCertStore::empty();
        roots.add(server_ca.der().clone()).unwrap();
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
        builder.with_client_cert_verifier(verifier)
    } else {
        builder.with_no_client_auth()
    };
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let server = builder.with_single_cert(vec![certificate.der().clone()], key).unwrap();
    let (here, there) = tokio::io::duplex(64 * 1024);
    tokio::spawn(async move {
        if let Ok(mut stream) = TlsAcceptor::from(Arc::new(server)).accept(there).await {
            let _ = stream.write_all(b"x").await;
            let _ = stream.flush().await;
        }
    });
    let mut stream = handshake(spec.client_config()?, name, here, Duration::from_secs(5)).await?;
    stream.read_u8().await.map(|_| ()).map_err(|error| NetError::from_connection(name, &error))
}

fn trusting(ca: &Ca) -> TlsSpec {
    TlsSpec { ca_pem: Some(ca.pem().into_bytes()), ..TlsSpec::default() }
}

#[tokio::test]
async fn only_the_given_ca_and_the_right_name_are_trusted() {
    let (ours, other) = (ca(), ca());
    assert!(attempt(&trusting(&ours), &ours, false, "db.test").await.is_ok());
    let refused = [
        attempt(&trusting(&other), &ours, false, "db.test").await,
        attempt(&TlsSpec::default(), &ours, false, "db.test").await,
        attempt(&trusting(&ours), &ours, false, "elsewhere.test").await,
    ];
    for result in refused {
        let error = result.unwrap_err();
        assert!(matches!(error, NetError::TlsVerify { .. }) && error.is_terminal(), "{error}");
    }
}

#[tokio::test]
async fn verification_can_be_relaxed_in_two_steps() {
    let (ours, other) = (ca(), ca());
    let any_name = |ca| TlsSpec { skip_host_name: true, ..trusting(ca) };
    assert!(attempt(&any_name(&ours), &ours, false, "elsewhere.test").await.is_ok());
    assert!(attempt(&any_name(&other), &ours, false, "db.test").await.is_err());
    let nothing = TlsSpec { insecure_skip_verify: true, ..TlsSpec::default() };
    assert!(attempt(&nothing, &ours, false, "elsewhere.test").await.is_ok());
}

#[tokio::test]
async fn a_client_certificate_is_shown_and_its_absence_is_terminal() {
    let ours = ca();
    let error = attempt(&trusting(&ours), &ours, true, "db.test").await.unwrap_err();
    assert!(matches!(error, NetError::TlsRefused { .. }) && error.is_terminal(), "{error}");
    let (certificate, key) = leaf(&ours, "client");
    let own = ClientCert { chain_pem: certificate.pem().into_bytes(), key_pem: key.serialize_pem().into() };
    let spec = TlsSpec { client_cert: Some(own), ..trusting(&ours) };
    attempt(&spec, &ours, true, "db.test").await.unwrap();
}

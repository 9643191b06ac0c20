//! A certificate authority of our own, with a server certificate for loopback and client certificates on demand.
//!
//! Every TLS server of the tests shares it. Keys never leave the state directory of a test.

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use std::path::Path;

/// A certificate and its private key (PKCS#8), both PEM.
#[derive(Clone, Debug)]
pub struct KeyPairPem {
    /// Certificate.
    pub cert: String,
    /// Private key.
    pub key: String,
}

/// A certificate authority and a server certificate for `localhost` and `127.0.0.1`.
#[derive(Debug)]
pub struct Certs {
    issuer: Issuer<'static, KeyPair>,
    /// Certificate of the authority, PEM.
    pub ca: String,
    /// Certificate and key for servers.
    pub server: KeyPairPem,
}

impl Certs {
    /// Makes a new authority; nothing trusts it by itself.
    pub fn new() -> anyhow::Result<Self> {
        let mut params = CertificateParams::default();
        params.distinguished_name = name("kollect-test-ca", None);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate()?;
        let ca = params.self_signed(&key)?.pem();
        let issuer = Issuer::new(params, key);
        let server = issue(&issuer, "localhost", None)?;
        Ok(Self { issuer, ca, server })
    }

    /// A client certificate with this common name and, for Kubernetes, this group.
    pub fn client(&self, common_name: &str, organization: Option<&str>) -> anyhow::Result<KeyPairPem> {
        issue(&self.issuer, common_name, organization)
    }

    /// Writes `ca.crt`, `server.crt` and `server.key` into `dir`.
    pub fn write_to(&self, dir: &Path) -> anyhow::Result<()> {
        std::fs::write(dir.join("ca.crt"), &self.ca)?;
        std::fs::write(dir.join("server.crt"), &self.server.cert)?;
        std::fs::write(dir.join("server.key"), &self.server.key)?;
        Ok(())
    }
}

fn name(common_name: &str, organization: Option<&str>) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    if let Some(organization) = organization {
        name.push(DnType::OrganizationName, organization);
    }
    name
}

fn issue(issuer: &Issuer<'_, KeyPair>, common_name: &str, organization: Option<&str>) -> anyhow::Result<KeyPairPem> {
    let mut params = CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()])?;
    params.distinguished_name = name(common_name, organization);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate()?;
    let cert = params.signed_by(&key, issuer)?.pem();
    Ok(KeyPairPem { cert, key: key.serialize_pem() })
}

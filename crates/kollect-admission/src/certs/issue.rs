//! Issues a serving certificate and its CA.
//!
//! The CA signs one certificate and its key is not stored: with the Secret an attacker can impersonate the webhook, and
//! nothing else.

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use serde::{Deserialize, Serialize};
use std::fmt;
use time::OffsetDateTime;

/// Clocks differ, so a certificate is valid from a time before its issue.
const SKEW_MS: i64 = 3_600_000;

/// The certificate could not be made.
#[derive(Debug, thiserror::Error)]
#[error("making a certificate for the webhook: {0}")]
pub struct IssueError(String);

/// A serving certificate, its key and its authority, all PEM.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issued {
    /// Certificate of the CA, for the `caBundle`.
    pub ca: String,
    /// The serving certificate. Kept in its own entry of the Secret.
    #[serde(skip)]
    pub certificate: String,
    /// Its key. Kept in its own entry of the Secret.
    #[serde(skip)]
    pub key: String,
    /// When it was made, in milliseconds since 1970.
    pub issued: i64,
    /// When it expires, in the same unit.
    pub expires: i64,
}

impl fmt::Debug for Issued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issued").field("issued", &self.issued).field("expires", &self.expires).finish_non_exhaustive()
    }
}

impl Issued {
    /// Makes one for these host names and addresses.
    pub fn make(names: &[String], now: i64, lifetime: i64) -> Result<Self, IssueError> {
        let failed = |error: rcgen::Error| IssueError(error.to_string());
        let expires = now.saturating_add(lifetime);
        let mut authority = CertificateParams::new(Vec::new()).map_err(failed)?;
        // A unique name: during a rotation API servers have two CAs and choose by name.
        authority.distinguished_name = named(&format!("kollect webhook authority {now}"));
        authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        (authority.not_before, authority.not_after) = (time(now - SKEW_MS)?, time(expires)?);
        let authority_key = KeyPair::generate().map_err(failed)?;
        let ca = authority.self_signed(&authority_key).map_err(failed)?.pem();

        let mut serving = CertificateParams::new(names.to_vec()).map_err(failed)?;
        serving.distinguished_name = named("kollect webhook");
        serving.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        serving.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        serving.use_authority_key_identifier_extension = true;
        (serving.not_before, serving.not_after) = (authority.not_before, authority.not_after);
        let key = KeyPair::generate().map_err(failed)?;
        let signed = serving.signed_by(&key, &Issuer::from_params(&authority, &authority_key)).map_err(failed)?;
        Ok(Self { ca, certificate: signed.pem(), key: key.serialize_pem(), issued: now, expires })
    }
}

fn named(name: &str) -> DistinguishedName {
    let mut found = DistinguishedName::new();
    found.push(DnType::CommonName, name);
    found
}

fn time(ms: i64) -> Result<OffsetDateTime, IssueError> {
    OffsetDateTime::from_unix_timestamp(ms.div_euclid(1000)).map_err(|error| IssueError(error.to_string()))
}

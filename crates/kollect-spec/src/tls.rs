//! `spec.tls`.

use crate::options::invalid;
use crate::secrets::{CA_SECRET_REF, SinkSecrets};
use kollect_api::SinkCommon;
use kollect_export::SinkError;
use kollect_net::TlsSpec;

const CA_KEYS: [&str; 3] = ["tls.crt", "ca.crt", "ca.pem"];

/// Trust of a sink, with the CA from `caBundle` or `caSecretRef`.
pub fn tls(common: &SinkCommon, secrets: &SinkSecrets<'_>) -> Result<TlsSpec, SinkError> {
    let Some(settings) = &common.tls else { return Ok(TlsSpec::default()) };
    let from_secret =
        match secrets.get(CA_SECRET_REF) {
            Some(secret) => Some(secret.first(&CA_KEYS).ok_or_else(|| {
                invalid("spec.tls.caSecretRef: the Secret has none of the keys tls.crt, ca.crt, ca.pem")
            })?),
            None => None,
        };
    let inline = settings.ca_bundle.as_ref().map(|bundle| bundle.0.as_slice());
    if from_secret.is_some() && inline.is_some() {
        return Err(invalid("spec.tls: set caBundle or caSecretRef, not both"));
    }
    Ok(TlsSpec {
        ca_pem: inline.or(from_secret).map(<[u8]>::to_vec),
        insecure_skip_verify: settings.insecure_skip_verify,
        ..TlsSpec::default()
    })
}

//! Network errors, classified by whether a retry can help; every sink maps them to its own class.
//!
//! Messages contain host names, never credentials.

use kollect_model::Denied;
use rustls::AlertDescription;
use std::error::Error;
use std::io;
use std::time::Duration;

/// A failed connection or request.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// The host name or one of its addresses is not allowed.
    #[error("connections to {host} are not allowed: {why}")]
    Denied {
        /// Host as configured.
        host: String,
        /// Which rule.
        why: Denied,
    },
    /// The host name has no address, or the resolver failed.
    #[error("the host name {host} could not be resolved")]
    Resolve {
        /// Host as configured.
        host: String,
    },
    /// No address answered.
    #[error("could not connect to {host}: {why}")]
    Connect {
        /// Host as configured.
        host: String,
        /// Error of the operating system.
        why: String,
    },
    /// A server at a private address sent no usable response. The text is the same for every cause: a tenant who
    /// chooses addresses must not be able to scan the network with it. The operator's log has the cause.
    #[error(
        "no usable answer from {host}, which has a private address; check host, port, path, credentials and TLS \
         settings, and that the server is up (the operator's log has the cause)"
    )]
    PrivateServer {
        /// Host as configured.
        host: String,
    },
    /// A step took longer than its deadline.
    #[error("{what} made no progress for {after:?}")]
    Timeout {
        /// The step.
        what: &'static str,
        /// The deadline.
        after: Duration,
    },
    /// The server's certificate was not accepted.
    #[error("the TLS certificate of {host} was not accepted: {why}; check the CA and the host name")]
    TlsVerify {
        /// Host as configured.
        host: String,
        /// What was wrong with it.
        why: String,
    },
    /// The server refused the client certificate or requires one.
    #[error("{host} refused the TLS client certificate: {why}")]
    TlsRefused {
        /// Host as configured.
        host: String,
        /// The alert the server sent.
        why: String,
    },
    /// The handshake failed in another way.
    #[error("the TLS handshake with {host} failed: {why}")]
    Tls {
        /// Host as configured.
        host: String,
        /// What happened.
        why: String,
    },
    /// The TLS settings cannot be used.
    #[error("the TLS settings cannot be used: {why}")]
    TlsConfig {
        /// Which setting and what is wrong.
        why: String,
    },
    /// The request itself is malformed (URL, header).
    #[error("the request cannot be sent: {why}")]
    Request {
        /// What is wrong.
        why: String,
    },
    /// The connection broke in the middle of a request or an answer.
    #[error("the connection to {host} broke: {why}")]
    Broken {
        /// Host as configured.
        host: String,
        /// What happened.
        why: String,
    },
    /// The answer is longer than the caller can take.
    #[error("the answer of {host} is longer than {limit} bytes")]
    TooLarge {
        /// Host as configured.
        host: String,
        /// The limit.
        limit: usize,
    },
}

impl NetError {
    /// Whether only a changed spec, Secret or server helps; other errors are retried.
    pub fn is_terminal(&self) -> bool {
        matches!(
            self,
            Self::Denied { .. }
                | Self::TlsVerify { .. }
                | Self::TlsRefused { .. }
                | Self::TlsConfig { .. }
                | Self::Request { .. }
                | Self::TooLarge { .. }
        )
    }

    /// The error as shown to the tenant who chose the address; see [`Self::PrivateServer`].
    #[must_use]
    pub fn withheld(self, host: &str, quotable: bool) -> Self {
        let ours = matches!(
            self,
            Self::Denied { .. }
                | Self::Resolve { .. }
                | Self::TlsConfig { .. }
                | Self::Request { .. }
                | Self::PrivateServer { .. }
        );
        if quotable || ours {
            return self;
        }
        tracing::info!(host, cause = %self, "no usable answer from a server at a private address");
        Self::PrivateServer { host: host.to_owned() }
    }

    /// Classifies an error of a connection that may use TLS, by the typed causes in its chain.
    pub fn from_connection(host: &str, error: &(dyn Error + 'static)) -> Self {
        let host = host.to_owned();
        match tls_cause(error) {
            Some(rustls::Error::InvalidCertificate(why)) => Self::TlsVerify { host, why: why.to_string() },
            Some(rustls::Error::AlertReceived(alert)) if is_about_our_certificate(*alert) => {
                Self::TlsRefused { host, why: format!("{alert:?}") }
            }
            Some(other) => Self::Tls { host, why: other.to_string() },
            None => Self::Broken { host, why: innermost(error) },
        }
    }
}

fn is_about_our_certificate(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::CertificateRequired
            | AlertDescription::NoCertificate
            | AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied
    )
}

/// Follows sources, and what an `io::Error` wraps, to a TLS error. Bounded: error chains are short.
fn tls_cause<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e rustls::Error> {
    let mut at = Some(error);
    for _ in 0..16 {
        let here = at?;
        if let Some(found) = here.downcast_ref::<rustls::Error>() {
            return Some(found);
        }
        at = match here.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner as &(dyn Error + 'static)),
            None => here.source(),
        };
    }
    None
}

fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut at = error;
    for _ in 0..16 {
        match at.source() {
            Some(source) => at = source,
            None => break,
        }
    }
    crate::scrub(&at.to_string(), &[])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_happens_at_a_private_address_reads_the_same() {
        let host = || "10.0.0.1".to_owned();
        let errors = [
            NetError::Connect { host: host(), why: "connection refused".into() },
            NetError::Timeout { what: "connecting", after: Duration::from_secs(1) },
            NetError::Broken { host: host(), why: "invalid HTTP version parsed".into() },
            NetError::Tls { host: host(), why: "not TLS".into() },
            NetError::TlsVerify { host: host(), why: "expired".into() },
            NetError::TooLarge { host: host(), limit: 1 },
        ];
        let texts = errors.map(|error| error.withheld("10.0.0.1", false).to_string());
        assert!(texts.iter().all(|text| *text == texts[0] && text.contains("private address")), "{texts:?}");
        let kept = NetError::Connect { host: host(), why: "refused".into() }.withheld("git.example", true);
        assert!(matches!(kept, NetError::Connect { .. }), "{kept}");
    }

    #[test]
    fn a_refused_certificate_is_found_inside_io_errors_and_is_terminal() {
        let verify = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        let error = NetError::from_connection("db", &io::Error::new(io::ErrorKind::InvalidData, verify));
        assert!(matches!(error, NetError::TlsVerify { .. }) && error.is_terminal(), "{error}");

        let alert = rustls::Error::AlertReceived(AlertDescription::CertificateRequired);
        let error = NetError::from_connection("db", &io::Error::other(io::Error::other(alert)));
        assert!(matches!(error, NetError::TlsRefused { .. }) && error.is_terminal(), "{error}");

        let error = NetError::from_connection("db", &io::Error::from(io::ErrorKind::ConnectionReset));
        assert!(matches!(error, NetError::Broken { .. }) && !error.is_terminal(), "{error}");
    }
}

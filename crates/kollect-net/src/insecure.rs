//! Connections that work but are not secure, with reason and message of the condition `TLSInsecure`.

use kollect_model::Reason;

/// Why a connection that carries credentials is not safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Insecure {
    /// The spec switches verification off.
    SkipVerify,
    /// Credentials travel in clear text.
    Plaintext,
    /// The connection string does not ask for a verified server, so the connection may be read or redirected.
    Unverified,
}

impl Insecure {
    /// The reason of the condition `TLSInsecure`.
    pub fn reason(self) -> Reason {
        match self {
            Self::SkipVerify => Reason::InsecureSkipVerify,
            Self::Plaintext => Reason::PlaintextCredentials,
            Self::Unverified => Reason::ServerNotVerified,
        }
    }

    /// What it means and what to do.
    pub fn message(self) -> &'static str {
        match self {
            Self::SkipVerify => "the server's certificate is not verified; use a CA bundle outside of development",
            Self::Plaintext => {
                "credentials and rows are sent without TLS, so the network in between can read them; use https, or \
                 sslmode=verify-full"
            }
            Self::Unverified => {
                "the connection string does not ask for a verified server (sslmode absent, allow, prefer or require), so \
                 another server can take its place and read password and rows; use sslmode=verify-full, with spec.tls.caBundle \
                 for a CA of your own"
            }
        }
    }
}

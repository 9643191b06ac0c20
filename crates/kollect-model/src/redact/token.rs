//! Secrets that can be told by their own form: private keys, JSON web tokens, well-known prefixes, password hashes.

use super::edits::Edits;
use memchr::memmem;

/// No known token is shorter.
const MIN_TOKEN: usize = 12;
const PRIVATE: &[u8] = b"PRIVATE KEY";
/// base64 of `-----BEGIN `, and how it goes on where nothing secret follows: `CERTIFICATE`, `PUBLIC`, `TRUSTED`.
const BASE64_PEM: &[u8] = b"LS0tLS1CRUdJTi";
const BASE64_PUBLIC: [&[u8]; 4] = [b"BDRVJUSUZJQ0FU", b"BQVUJMSUMg", b"BUUlVTVEVE", b"BYNTA5"];

/// Hides everything that looks like a secret by itself.
pub(super) fn find(text: &str, edits: &mut Edits) {
    let bytes = text.as_bytes();
    if bytes.len() < MIN_TOKEN {
        return;
    }
    let mut at = 0;
    while at < bytes.len() {
        let length = bytes[at..].iter().take_while(|c| in_token(**c)).count();
        if length >= MIN_TOKEN {
            let token = trimmed(&bytes[at..at + length]);
            if is_token(token) {
                let start = at + (bytes[at..at + length].len() - bytes[at..at + length].trim_start_dashes().len());
                let tail = bytes[at + length..].iter().take_while(|c| in_tail(**c)).count();
                let tail =
                    if token[0] == b'$' || token.starts_with(b"LS0") || token.starts_with(b"eyJ") { tail } else { 0 };
                edits.hide(start, at + length + tail);
                at += tail;
            }
        }
        at += length + 1;
    }
    if bytes.len() > 24 && memchr::memchr(b'-', bytes).is_some() {
        private_keys(bytes, edits);
    }
    for scheme in [b"earer ".as_slice(), b"asic ", b"EARER ", b"ASIC "] {
        for found in memmem::find_iter(bytes, scheme) {
            let start = found + scheme.len();
            let blanks = bytes[start..].iter().take(8).take_while(|c| **c == b' ').count();
            credentials(bytes, start + blanks, edits);
        }
    }
}

/// What follows `Bearer` or `Basic`, unless it is a word of a sentence.
fn credentials(bytes: &[u8], start: usize, edits: &mut Edits) {
    let length = bytes[start..].iter().take_while(|c| in_token(**c) || in_tail(**c)).count();
    let token = &bytes[start..start + length];
    let mixed = token.iter().any(u8::is_ascii_digit)
        || token.iter().skip(1).any(u8::is_ascii_uppercase)
        || token.ends_with(b"=");
    if length >= 4 && token[0] != b'$' && (mixed || length >= 24) {
        edits.hide(start, start + length);
    }
}

/// PEM with a private key; to the end of the text where it is cut off.
fn private_keys(bytes: &[u8], edits: &mut Edits) {
    let mut at = 0;
    while let Some(found) = memmem::find(&bytes[at..], b"-----BEGIN ") {
        let start = at + found;
        let label = &bytes[start..bytes.len().min(start + 64)];
        if memmem::find(label, PRIVATE).is_none() {
            at = start + 11;
            continue;
        }
        let end = memmem::find(&bytes[start..], b"-----END ").map_or(bytes.len(), |end| {
            let behind = start + end + 9;
            memmem::find(&bytes[behind..bytes.len().min(behind + 64)], b"-----")
                .map_or(bytes.len(), |more| behind + more + 5)
        });
        edits.hide(start, end);
        at = end;
    }
}

fn in_token(c: u8) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, b'_' | b'-' | b'.' | b'$')
}

/// What base64 and hashes have beside that.
fn in_tail(c: u8) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, b'/' | b'+' | b'=' | b'.' | b'_' | b'-' | b'$' | b'~' | b',')
}

trait Dashes {
    fn trim_start_dashes(&self) -> &Self;
}

impl Dashes for [u8] {
    fn trim_start_dashes(&self) -> &Self {
        &self[self.iter().take_while(|c| matches!(c, b'-' | b'_' | b'.')).count()..]
    }
}

/// Without what may stand around a token in a list or sentence.
fn trimmed(token: &[u8]) -> &[u8] {
    let token = token.trim_start_dashes();
    &token[..token.len() - token.iter().rev().take_while(|c| **c == b'.').count()]
}

fn is_token(token: &[u8]) -> bool {
    let starts = |prefixes: &[&str]| {
        prefixes.iter().any(|prefix| token.starts_with(prefix.as_bytes()) && token.len() >= prefix.len() + 8)
    };
    let mixed = || token.iter().any(u8::is_ascii_digit);
    let capitals = || token.len() >= 16 && token.iter().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit());
    match token.first() {
        Some(b'A') => {
            (starts(&["AKIA", "ASIA", "ABIA", "ACCA"]) && capitals())
                || (token.starts_with(b"AIza") && token.len() >= 20)
                || starts(&["AGE-SECRET-KEY-"])
        }
        Some(b'L') => {
            token.starts_with(BASE64_PEM)
                && !BASE64_PUBLIC.iter().any(|public| token[BASE64_PEM.len()..].starts_with(public))
        }
        Some(b'S') => starts(&["SG."]) && token.len() >= 32 && mixed(),
        Some(b'd') => {
            starts(&["dckr_pat_", "dop_v1_", "doo_v1_", "dp.st.", "dp.pt."])
                || (starts(&["dapi"]) && token.len() >= 32 && mixed())
        }
        Some(b'e') => token.starts_with(b"eyJ") && is_json_token(token),
        Some(b'g') => starts(&[
            "ghp_",
            "gho_",
            "ghu_",
            "ghs_",
            "ghr_",
            "github_pat_",
            "glpat-",
            "gldt-",
            "glrt-",
            "glcbt-",
            "glptt-",
            "glsoat-",
        ]),
        Some(b'h') => starts(&["hvs.", "hvb.", "hvr."]) || (starts(&["hf_"]) && token.len() >= 20),
        Some(b'n') => starts(&["npm_"]) && token.len() >= 20 && !token[4..].contains(&b'_'),
        Some(b'p') => starts(&["pypi-"]) && token.len() >= 20 && token[5..].iter().any(u8::is_ascii_uppercase),
        Some(b'r') => starts(&["rk_live_", "rk_test_"]),
        Some(b's') => {
            starts(&[
                "sk_live_",
                "sk_test_",
                "sk-ant-",
                "sk-proj-",
                "sk-svcacct-",
                "shpat_",
                "shpss_",
                "shpca_",
                "sq0atp-",
                "sq0csp-",
                "sntrys_",
            ]) || (starts(&["sk-"]) && token.len() >= 32 && mixed())
        }
        Some(b't') => starts(&["tskey-"]),
        Some(b'v') => starts(&["v1.0-"]) && token.len() >= 40,
        Some(b'w') => starts(&["whsec_"]),
        Some(b'x') => starts(&["xoxb-", "xoxp-", "xoxa-", "xoxr-", "xoxs-", "xoxe-", "xoxe.", "xapp-"]),
        Some(b'y') => starts(&["ya29."]),
        Some(b'$') => ["$2a$", "$2b$", "$2y$", "$apr1$", "$1$", "$5$", "$6$", "$argon2", "$scrypt$"]
            .iter()
            .any(|hash| token.starts_with(hash.as_bytes())),
        _ => false,
    }
}

/// base64 of `{"…`: three parts are a JSON web token, and what begins with `auths` logs in to registries.
fn is_json_token(token: &[u8]) -> bool {
    (token.len() >= 20 && memchr::memchr_iter(b'.', token).count() >= 2)
        || token.starts_with(b"eyJhdXRocyI6")
        || token.starts_with(b"eyJhdXRoI")
}

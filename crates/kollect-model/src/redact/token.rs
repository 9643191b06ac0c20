//! Secrets that are recognised by their own form: private keys, JSON web tokens, well-known prefixes, password hashes.

use super::edits::Edits;
use memchr::memmem;

/// No known token is shorter.
const MIN_TOKEN: usize = 12;
const PRIVATE: &[u8] = b"PRIVATE KEY";
/// base64 of `-----BEGIN `, and the continuations after which nothing secret follows: `CERTIFICATE`, `PUBLIC`, `TRUSTED`.
const BASE64_PEM: &[u8] = b"LS0tLS1CRUdJTi";
const BASE64_PUBLIC: [&[u8]; 4] = [b"BDRVJUSUZJQ0FU", b"BQVUJMSUMg", b"BUUlVTVEVE", b"BYNTA5"];

/// Hides everything that has the form of a secret.
pub(super) fn find(text: &str, edits: &mut Edits) {
    let bytes = text.as_bytes();
    if bytes.len() < MIN_TOKEN {
        return;
    }
    let mut at = 0;
    let mut pem = false;
    while at < bytes.len() {
        let length = bytes[at..].iter().take_while(|c| IN_TOKEN[usize::from(**c)]).count();
        let word = &bytes[at..at + length];
        if length >= MIN_TOKEN {
            let token = trimmed(word);
            if is_token(token) {
                let start = at + (length - word.trim_start_dashes().len());
                let tail = bytes[at + length..].iter().take_while(|c| in_tail(**c)).count();
                let encoded = matches!(token[0], b'$' | b'L' | b'H' | b'U')
                    || token.starts_with(b"eyJ")
                    || token.starts_with(b"SDR");
                let tail = if encoded { tail } else { 0 };
                edits.hide(start, at + length + tail);
                at += tail;
            }
        }
        if matches!(word.last(), Some(b'N' | b'r' | b'R' | b'c' | b'C')) {
            pem |= word.ends_with(b"-----BEGIN");
            let scheme = ["earer", "asic", "EARER", "ASIC"].iter().any(|scheme| word.ends_with(scheme.as_bytes()));
            if scheme && bytes.get(at + length) == Some(&b' ') {
                let start = at + length + 1;
                let blanks = bytes[start..].iter().take(8).take_while(|c| **c == b' ').count();
                credentials(bytes, start + blanks, edits);
            }
        }
        at += length + 1;
    }
    if pem {
        private_keys(bytes, edits);
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

const fn in_token(c: u8) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, b'_' | b'-' | b'.' | b'$')
}

/// [`in_token`] of every byte.
const IN_TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut c = 0_u8;
    loop {
        table[c as usize] = in_token(c);
        if c == u8::MAX {
            break table;
        }
        c += 1;
    }
};

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

/// Without the punctuation around a token in a list or sentence.
fn trimmed(token: &[u8]) -> &[u8] {
    let token = token.trim_start_dashes();
    &token[..token.len() - token.iter().rev().take_while(|c| **c == b'.').count()]
}

/// What a token has besides its prefix.
#[derive(Clone, Copy)]
enum Rest {
    /// Eight characters of any kind.
    Any,
    /// At least this long in all, with a digit.
    Long(usize),
    /// At least this long in all, and not words with underscores.
    Random(usize),
    /// Capitals and digits.
    Capitals,
}

const PREFIXES: &[(&str, Rest)] = &[
    ("$1$", Rest::Any),
    ("$2a$", Rest::Any),
    ("$2b$", Rest::Any),
    ("$2y$", Rest::Any),
    ("$5$", Rest::Any),
    ("$6$", Rest::Any),
    ("$apr1$", Rest::Any),
    ("$argon2", Rest::Any),
    ("$scrypt$", Rest::Any),
    ("ABIA", Rest::Capitals),
    ("ACCA", Rest::Capitals),
    ("AGE-SECRET-KEY-", Rest::Any),
    ("AIza", Rest::Random(20)),
    ("AKIA", Rest::Capitals),
    ("ASIA", Rest::Capitals),
    ("SG.", Rest::Long(32)),
    ("dapi", Rest::Long(32)),
    ("dckr_pat_", Rest::Any),
    ("doo_v1_", Rest::Any),
    ("dop_v1_", Rest::Any),
    ("dp.pt.", Rest::Any),
    ("dp.st.", Rest::Any),
    ("gho_", Rest::Any),
    ("ghp_", Rest::Any),
    ("ghr_", Rest::Any),
    ("ghs_", Rest::Any),
    ("ghu_", Rest::Any),
    ("github_pat_", Rest::Any),
    ("glcbt-", Rest::Any),
    ("gldt-", Rest::Any),
    ("glpat-", Rest::Any),
    ("glptt-", Rest::Any),
    ("glrt-", Rest::Any),
    ("glsoat-", Rest::Any),
    ("hf_", Rest::Random(20)),
    ("hvb.", Rest::Any),
    ("hvr.", Rest::Any),
    ("hvs.", Rest::Any),
    ("npm_", Rest::Random(16)),
    ("pypi-", Rest::Long(20)),
    ("rk_live_", Rest::Any),
    ("rk_test_", Rest::Any),
    ("shpat_", Rest::Any),
    ("shpca_", Rest::Any),
    ("shpss_", Rest::Any),
    ("sk-ant-", Rest::Any),
    ("sk-proj-", Rest::Any),
    ("sk-svcacct-", Rest::Any),
    ("sk-", Rest::Long(32)),
    ("sk_live_", Rest::Any),
    ("sk_test_", Rest::Any),
    ("sntrys_", Rest::Any),
    ("sq0atp-", Rest::Any),
    ("sq0csp-", Rest::Any),
    ("tskey-", Rest::Any),
    ("whsec_", Rest::Any),
    ("xapp-", Rest::Any),
    ("xoxa-", Rest::Any),
    ("xoxb-", Rest::Any),
    ("xoxe", Rest::Long(16)),
    ("xoxp-", Rest::Any),
    ("xoxr-", Rest::Any),
    ("xoxs-", Rest::Any),
    ("ya29.", Rest::Any),
];

/// Which second characters follow a first one in a prefix.
const PREFIX_PAIRS: [u32; 32] = {
    let mut table = [0_u32; 32];
    let mut i = 0;
    while i < PREFIXES.len() {
        let prefix = PREFIXES[i].0.as_bytes();
        table[(prefix[0] & 31) as usize] |= 1 << (prefix[1] & 31);
        i += 1;
    }
    table
};

fn is_token(token: &[u8]) -> bool {
    let [first, second, ..] = token else { return false };
    let may_be_known = PREFIX_PAIRS[usize::from(*first & 31)] & (1 << (*second & 31)) != 0;
    let known = may_be_known
        && PREFIXES.iter().any(|(prefix, rest)| {
            prefix.as_bytes()[0] == *first
                && token.starts_with(prefix.as_bytes())
                && match rest {
                    Rest::Any => token.len() >= prefix.len() + 8,
                    Rest::Long(length) => token.len() >= *length && token.iter().any(u8::is_ascii_digit),
                    Rest::Random(length) => token.len() >= *length && !token[prefix.len()..].contains(&b'_'),
                    Rest::Capitals => {
                        token.len() >= 16 && token.iter().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit())
                    }
                }
        });
    known
        || match first {
            b'L' => {
                token.starts_with(BASE64_PEM)
                    && !BASE64_PUBLIC.iter().any(|public| token[BASE64_PEM.len()..].starts_with(public))
            }
            b'H' | b'U' | b'S' => super::packed::starts_packed(token),
            b'e' => token.starts_with(b"eyJ") && is_json_token(token),
            _ => false,
        }
}

/// base64 of `{"…`: three parts are a JSON web token; `auths` begins registry credentials.
fn is_json_token(token: &[u8]) -> bool {
    (token.len() >= 20 && memchr::memchr_iter(b'.', token).count() >= 2)
        || token.starts_with(b"eyJhdXRocyI6")
        || token.starts_with(b"eyJhdXRoI")
}

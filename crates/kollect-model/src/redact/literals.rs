//! Texts in the strings of a text in JSON: each is decoded, redacted as a text of its own and encoded again.

use memchr::memchr;
use std::borrow::Cow;

/// Texts nested deeper are redacted without decoding.
const MAX_DEPTH: u8 = 4;

type Redact = fn(&str, u8) -> Option<Cow<'static, str>>;

/// A text in JSON whose strings are clean, and where those with escapes are: signs in them mean nothing outside.
pub(super) struct Literals<'t> {
    pub(super) text: Cow<'t, str>,
    pub(super) skip: Vec<(usize, usize)>,
}

impl<'t> Literals<'t> {
    pub(super) fn none(text: &'t str) -> Self {
        Self { text: Cow::Borrowed(text), skip: Vec::new() }
    }

    /// Only for texts that begin as JSON does and have escapes.
    /// `redact` cleans the text of one string at a depth.
    pub(super) fn of(text: &'t str, depth: u8, redact: Redact) -> Self {
        let bytes = text.as_bytes();
        let mut found = Self::none(text);
        if depth >= MAX_DEPTH || !text.trim_start().starts_with(['{', '[']) || memchr(b'\\', bytes).is_none() {
            return found;
        }
        let (mut out, mut copied, mut at) = (String::new(), 0, 0);
        while let Some(open) = memchr(b'"', &bytes[at..]).map(|open| at + open) {
            let (close, escaped) = closing(bytes, open + 1);
            at = (close + 1).min(bytes.len());
            let inner = (escaped && close < bytes.len())
                .then(|| serde_json::from_str::<String>(&text[open..=close]).ok())
                .flatten();
            let Some(inner) = inner else { continue };
            let clean = redact(&inner, depth + 1);
            let start = out.len() + open - copied;
            match clean.and_then(|clean| serde_json::to_string(&clean).ok()) {
                Some(clean) => {
                    out.push_str(&text[copied..open]);
                    out.push_str(&clean);
                    copied = at;
                    found.skip.push((start, out.len()));
                }
                None => found.skip.push((start, start + at - open)),
            }
        }
        if copied > 0 {
            out.push_str(&text[copied..]);
            found.text = Cow::Owned(out);
        }
        found
    }
}

/// The quote that ends a string of JSON, and whether it has escapes.
fn closing(bytes: &[u8], start: usize) -> (usize, bool) {
    let mut at = start;
    let mut escaped = false;
    while let Some(found) = memchr::memchr2(b'"', b'\\', bytes.get(at..).unwrap_or_default()) {
        if bytes[at + found] == b'"' {
            return (at + found, escaped);
        }
        escaped = true;
        at += found + 2;
    }
    (bytes.len(), escaped)
}

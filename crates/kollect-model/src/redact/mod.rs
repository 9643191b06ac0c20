//! Which keys, values and texts hold secrets, and the same text without them.
//!
//! The one scrubber: it redacts objects while they are decoded, and error texts before they reach a log, a status or an
//! event. Pure, linear in its input, and without allocation for text without secrets.

mod assign;
mod assigned_key;
mod edits;
mod flags;
mod flow;
mod key;
mod key_words;
mod line;
mod literals;
mod packed;
mod pairs;
mod plain_keys;
mod settings;
mod token;
mod url;
mod value;
mod value_span;
mod words;

pub use edits::REDACTED;
pub use key::{Sensitivity, is_description, may_be_sensitive, sensitivity};
pub use line::line;
pub use packed::is_copy;
pub use pairs::{is_naming, is_paired_value};
pub use plain_keys::is_plain_key;
pub use value::{has_harmless_form, is_reference_key, is_reference_value, is_schema_key};

use edits::Edits;
use literals::Literals;
use std::borrow::Cow;

/// Shorter texts cannot contain a secret together with a marker of it.
const MIN_TEXT: usize = 6;

/// The text without its secrets; `None` when it holds none. A text that is a secret as a whole becomes [`REDACTED`].
#[inline]
pub fn text(text: &str) -> Option<Cow<'static, str>> {
    if text.len() < MIN_TEXT { None } else { text_at(text, 0) }
}

/// As [`text()`], for a text inside a string of a text.
fn text_at(text: &str, depth: u8) -> Option<Cow<'static, str>> {
    let bytes = text.as_bytes();
    if bytes.len() < MIN_TEXT {
        return None;
    }
    if packed::is_packed(bytes) || packed::is_manifest(text) {
        return Some(Cow::Borrowed(REDACTED));
    }
    let seen = Seen::of(bytes);
    if seen.0 == 0 {
        let mut edits = Edits::default();
        token::find(text, &mut edits);
        return edits.apply(text).map(Cow::Owned);
    }
    let literals = if seen.has(Seen::BACKSLASH) { Literals::of(text, depth, text_at) } else { Literals::none(text) };
    let text = &*literals.text;
    let mut edits = Edits::default();
    if seen.has(Seen::AT) {
        url::find(text, &mut edits);
    }
    if seen.has(Seen::ASSIGNS) {
        url::find_webhooks(text, &mut edits);
        assign::find(text, &literals.skip, seen.has(Seen::QUERY), &mut edits);
    }
    if seen.has(Seen::DASH) && seen.has(Seen::BLANK | Seen::QUOTE) {
        flags::find(text, &literals.skip, &mut edits);
    }
    if seen.has(Seen::BLANK) {
        settings::find(text, seen.has(Seen::QUOTE), &mut edits);
    }
    token::find(text, &mut edits);
    match (edits.apply(text), literals.text) {
        (Some(clean), _) | (None, Cow::Owned(clean)) => Some(Cow::Owned(clean)),
        (None, Cow::Borrowed(_)) => None,
    }
}

/// The characters of interest that a text contains, so that most texts cost one pass over their bytes.
#[derive(Clone, Copy)]
struct Seen(u8);

impl Seen {
    const ASSIGNS: u8 = 1;
    const AT: u8 = 2;
    const BLANK: u8 = 4;
    const QUOTE: u8 = 8;
    const DASH: u8 = 16;
    const BACKSLASH: u8 = 32;
    /// What precedes a key in a query of a URL.
    const QUERY: u8 = 64;
    const TABLE: [u8; 256] = {
        let mut table = [0; 256];
        let mut c = 0_u8;
        loop {
            table[c as usize] = match c {
                b':' | b'=' | b'>' => Self::ASSIGNS,
                b'@' => Self::AT,
                b' ' | b'\n' | b'\t' | b'\r' => Self::BLANK,
                b'"' | b'\'' | b'`' => Self::QUOTE,
                b'-' => Self::DASH,
                b'\\' => Self::BACKSLASH,
                b'?' | b'&' | b';' => Self::QUERY,
                _ => 0,
            };
            if c == u8::MAX {
                break table;
            }
            c += 1;
        }
    };

    fn of(bytes: &[u8]) -> Self {
        Self(bytes.iter().fold(0, |seen, c| seen | Self::TABLE[usize::from(*c)]))
    }

    fn has(self, any_of: u8) -> bool {
        self.0 & any_of != 0
    }
}

#[cfg(test)]
mod tests;

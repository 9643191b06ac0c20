//! The key in front of a sign: `key=value`, `"key": value`.

use super::value_span::MAX_BLANKS;

/// Longest key.
const MAX_KEY: usize = 128;

/// A key in front of a sign.
#[derive(Clone, Copy)]
pub(super) struct Key {
    pub(super) start: usize,
    pub(super) end: usize,
    /// It is quoted itself.
    pub(super) quoted: bool,
    /// Backslashes before a quote: text in a text in a text.
    pub(super) level: usize,
}

pub(super) fn is_key_byte(c: u8) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, b'_' | b'-' | b'.' | b'/')
}

pub(super) fn key_before(bytes: &[u8], sign: usize) -> Option<Key> {
    let blanks = bytes[..sign].iter().rev().take(MAX_BLANKS).take_while(|c| matches!(c, b' ' | b'\t')).count();
    let mut end = sign - blanks;
    let mut level = 0;
    if end > 0 && bytes[end - 1] == b']' {
        end -= 1;
    }
    let quote = end.checked_sub(1).map(|at| bytes[at]).filter(|c| matches!(c, b'"' | b'\''));
    if quote.is_some() {
        end -= 1;
        level = bytes[..end].iter().rev().take(MAX_BLANKS).take_while(|c| **c == b'\\').count();
        end -= level;
    }
    let length = match quote {
        Some(quote) => bytes[..end].iter().rev().take(MAX_KEY).take_while(|c| **c != quote && **c != b'\n').count(),
        None => bytes[..end].iter().rev().take(MAX_KEY).take_while(|c| is_key_byte(**c)).count(),
    };
    let mut start = end - length;
    // The `n` of a line break that is written as `\n`.
    if start > 0 && bytes[start - 1] == b'\\' && start < end && matches!(bytes[start], b'n' | b'r' | b't') {
        start += 1;
    }
    // The first byte of a key may lie within a character.
    while start < end && !bytes[start].is_ascii() && bytes[start] & 0xC0 == 0x80 {
        start += 1;
    }
    (start < end && bytes[end - 1].is_ascii()).then_some(Key { start, end, quoted: quote.is_some(), level })
}

/// Whether only blanks, a dash, a quote or `export` precede a key on its line.
pub(super) fn starts_line(bytes: &[u8], key: Key) -> bool {
    let before = &bytes[..key.start - usize::from(key.quoted) * (key.level + 1).min(key.start)];
    let before = before.trim_ascii_end_blanks();
    before.is_empty() || before.ends_with(b"\n") || before.ends_with(b"\\n") || before.ends_with(b"\n-") || {
        let line =
            before.strip_suffix(b"-").or_else(|| before.strip_suffix(b"export")).map(Blanks::trim_ascii_end_blanks);
        line.is_some_and(|line| line.is_empty() || line.ends_with(b"\n") || line.ends_with(b"\\n"))
    }
}

trait Blanks {
    fn trim_ascii_end_blanks(&self) -> &Self;
}

impl Blanks for [u8] {
    fn trim_ascii_end_blanks(&self) -> &Self {
        let blanks = self.iter().rev().take(4 * MAX_KEY).take_while(|c| matches!(c, b' ' | b'\t')).count();
        &self[..self.len() - blanks]
    }
}

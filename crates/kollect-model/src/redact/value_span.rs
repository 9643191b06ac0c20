//! The position of a value in a text, and the quotes around it.

/// Longest run of blanks between a key, its sign and its value.
pub(super) const MAX_BLANKS: usize = 64;

/// Where a value is.
#[derive(Clone, Copy)]
pub(super) struct ValueSpan {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) form: ValueForm,
    /// The value continues after `end`.
    pub(super) cut: bool,
    /// Of the quotes of a flow, or the column of the key of a block.
    pub(super) level: usize,
}

impl ValueSpan {
    pub(super) fn text(start: usize, end: usize) -> Self {
        Self { start, end, form: ValueForm::Text, cut: false, level: 0 }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ValueForm {
    Text,
    /// A map or list.
    Nested,
}

/// A quote and the backslashes before it.
pub(super) fn quote_at(bytes: &[u8], at: usize) -> Option<(u8, usize)> {
    let level = bytes.iter().skip(at).take(MAX_BLANKS).take_while(|c| **c == b'\\').count();
    bytes.get(at + level).copied().filter(|c| matches!(c, b'"' | b'\'' | b'`')).map(|quote| (quote, level))
}

pub(super) fn quote_before(bytes: &[u8], at: usize) -> Option<(u8, usize)> {
    let quote = at.checked_sub(1).map(|at| bytes[at]).filter(|c| matches!(c, b'"' | b'\'' | b'`'))?;
    Some((quote, bytes[..at - 1].iter().rev().take(MAX_BLANKS).take_while(|c| **c == b'\\').count()))
}

/// The content of quotes; to the end of the text where they are not closed.
pub(super) fn quoted(bytes: &[u8], start: usize, quote: u8, level: usize) -> ValueSpan {
    let mut at = start;
    let end = loop {
        let Some(found) = memchr::memchr(quote, bytes.get(at..).unwrap_or_default()) else { break bytes.len() };
        let place = at + found;
        let slashes = bytes[start..place].iter().rev().take_while(|c| **c == b'\\').count();
        let doubled = quote == b'\'' && level == 0 && bytes.get(place + 1) == Some(&quote);
        if doubled {
            at = place + 2;
        } else if slashes > level && (quote != b'\'' || level > 0) && (slashes - level) % 2 == 1 {
            at = place + 1;
        } else {
            break place - slashes.min(level);
        }
    };
    ValueSpan::text(start.min(end), end)
}

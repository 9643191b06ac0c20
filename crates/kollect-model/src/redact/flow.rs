//! Where values end: scalars, `{…}` and `[…]`, and blocks of YAML; and whether they only refer to something.

use super::assigned_key::is_key_byte;
use super::key::Sensitivity;
use super::value::{is_reference_key, is_reference_value, is_schema_key};
use super::value_span::{ValueForm, ValueSpan};

/// Larger maps are not references. Also the bound of what is read twice.
const MAX_REFERENCE: usize = 1024;

/// The end of a value without quotes. A greedy one reaches to the end of its line.
pub(super) fn scalar_end(bytes: &[u8], start: usize, greedy: bool, assigns: bool) -> usize {
    let mut at = start;
    while let Some(c) = bytes.get(at) {
        let rest = &bytes[at + 1..];
        let ends = match c {
            b'\n' | b'\r' => true,
            b'\\' => matches!(rest.first(), Some(b'n' | b'r' | b'"' | b'\'')),
            // Between letters or digits a quote is a part of the value.
            b'"' | b'`' | b'\'' => {
                let inside = at > start
                    && bytes[at - 1].is_ascii_alphanumeric()
                    && rest.first().is_some_and(u8::is_ascii_alphanumeric);
                !greedy && !inside
            }
            b' ' | b'\t' if greedy && assigns => next_assignment(rest),
            b' ' | b'\t' => !greedy || rest.first() == Some(&b'#'),
            b';' | b',' | b'&' => rest.first().is_none_or(u8::is_ascii_whitespace) || next_assignment(rest),
            b')' | b'}' | b']' | b'>' | b'<' if !greedy => rest.first().is_none_or(|c| !c.is_ascii_alphanumeric()),
            _ => false,
        };
        if ends && !(greedy && matches!(c, b',' | b'&' | b';') && !next_assignment(rest)) {
            break;
        }
        at += 1;
    }
    at
}

/// Whether `word=` or a flag comes next.
fn next_assignment(rest: &[u8]) -> bool {
    let blanks = rest.iter().take(8).take_while(|c| **c == b' ').count();
    let rest = &rest[blanks..];
    let word = rest.iter().take(64).take_while(|c| is_key_byte(**c) || **c == b' ').count();
    (word > 0 && rest.get(word) == Some(&b'=')) || rest.starts_with(b"--")
}

/// The rest of a value that was cut.
pub(super) fn whole(bytes: &[u8], place: ValueSpan) -> usize {
    if matches!(bytes[place.start], b'{' | b'[') {
        return closing(bytes, place.start, place.level, usize::MAX).end;
    }
    let next = memchr::memchr(b'\n', &bytes[place.end..]).map_or(bytes.len(), |at| place.end + at + 1);
    let (end, _) = lines_end(bytes, next, place.level, false, usize::MAX);
    place.end + bytes[place.end..end].trim_ascii_end().len()
}

/// To the end of the bracket that opens at `start`; quotes with `level` backslashes hide brackets.
pub(super) fn closing(bytes: &[u8], start: usize, level: usize, limit: usize) -> ValueSpan {
    let mut depth = 0_usize;
    let mut quote = None;
    let mut slashes = 0;
    let stop = start.saturating_add(limit).min(bytes.len());
    let place = |end, cut| ValueSpan { start, end, form: ValueForm::Nested, cut, level };
    for (at, c) in bytes[..stop].iter().enumerate().skip(start) {
        match c {
            b'\\' => {
                slashes += 1;
                continue;
            }
            b'"' | b'\'' if slashes <= level || (slashes - level).is_multiple_of(2) => match quote {
                Some(open) if open == *c => quote = None,
                Some(_) => {}
                None => quote = Some(*c),
            },
            b'{' | b'[' if quote.is_none() => depth += 1,
            b'}' | b']' if quote.is_none() => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return place(at + 1, false);
                }
            }
            _ => {}
        }
        slashes = 0;
    }
    place(stop, stop < bytes.len())
}

/// The lines below a key of YAML, which are its value. `from`: where the rest of the key's line begins.
pub(super) fn block(bytes: &[u8], key: usize, from: usize, limit: usize) -> Option<ValueSpan> {
    let line = memchr::memrchr(b'\n', &bytes[..key]).map_or(0, |at| at + 1);
    let scalar = matches!(bytes.get(from), Some(b'|' | b'>'));
    let first = memchr::memchr(b'\n', bytes.get(from..)?).map(|at| from + at + 1)?;
    let (end, cut) = lines_end(bytes, first, key - line, scalar, first.saturating_add(limit));
    let content = bytes[first..end].trim_ascii_start().len();
    let (start, end) = (end - content, first + bytes[first..end].trim_ascii_end().len());
    let form = if scalar { ValueForm::Text } else { ValueForm::Nested };
    (start < end).then_some(ValueSpan { start, end, form, cut, level: key - line })
}

/// Where the lines from `first` on end that are deeper than `column`, and whether it is behind `stop`.
fn lines_end(bytes: &[u8], first: usize, column: usize, scalar: bool, stop: usize) -> (usize, bool) {
    let (mut at, mut end) = (first, first);
    while at < bytes.len() {
        let next = memchr::memchr(b'\n', &bytes[at..]).map_or(bytes.len(), |found| at + found + 1);
        let indent = bytes[at..next].iter().take_while(|c| matches!(c, b' ' | b'\t')).count();
        let text = bytes[at + indent..next].trim_ascii();
        let below = indent > column || (indent == column && !scalar && text.starts_with(b"- "));
        if !text.is_empty() {
            if !below {
                return (end, false);
            }
            end = next;
        }
        at = next;
        if at >= stop {
            return (end, at < bytes.len());
        }
    }
    (end, false)
}

/// The position of the `|` or `>` of a block of text, perhaps after a tag or an anchor: `!!binary |`.
pub(super) fn block_sign(bytes: &[u8], start: usize) -> Option<usize> {
    let mut at = start;
    for _ in 0..2 {
        match bytes.get(at)? {
            b'|' | b'>' => return Some(at),
            b'!' | b'&' => {
                at += bytes[at..].iter().take(128).take_while(|c| !c.is_ascii_whitespace()).count();
                at += bytes[at..].iter().take(64).take_while(|c| **c == b' ').count();
            }
            _ => return None,
        }
    }
    matches!(bytes.get(at), Some(b'|' | b'>')).then_some(at)
}

/// Whether a map or list in a text holds only names and paths, or is a schema.
pub(super) fn is_reference(text: &str, found: Sensitivity) -> bool {
    let mut at = 0;
    let bytes = &text.as_bytes()[..text.len().min(MAX_REFERENCE)];
    let complete = text.len() <= MAX_REFERENCE;
    let (mut reference, mut schema, mut after_key) = (complete, true, false);
    let (mut any, mut first) = (false, false);
    while at < bytes.len() {
        let c = bytes[at];
        if c.is_ascii_whitespace() || matches!(c, b'{' | b'}' | b'[' | b']' | b',' | b'"' | b'\'' | b'\\' | b'|') {
            after_key &= !matches!(c, b',' | b'}' | b'\n');
            at += 1;
            continue;
        }
        let length = bytes[at..]
            .iter()
            .take_while(|c| {
                !c.is_ascii_whitespace() && !matches!(c, b'{' | b'}' | b'[' | b']' | b',' | b'"' | b'\'' | b'\\' | b':')
            })
            .count();
        let word = text.get(at..at + length).unwrap_or("\u{0}");
        at += length.max(1);
        let quotes =
            bytes[at..].iter().take(MAX_REFERENCE).take_while(|c| matches!(c, b'"' | b'\'' | b'\\' | b' ')).count();
        if length == 0 || (word == "-" && !after_key) {
            continue;
        }
        any = true;
        let is_key = bytes.get(at + quotes) == Some(&b':') && !after_key;
        if is_key {
            reference &= is_reference_key(word);
            schema &= is_schema_key(word) && !matches!(word, "default" | "example" | "examples" | "enum");
            at += quotes + 1;
            (after_key, first) = (true, true);
        } else {
            // A name is one word.
            let named = (after_key && first) || found == Sensitivity::Name;
            reference &= named && is_reference_value(word);
            first = false;
            schema &= after_key;
        }
        if !reference && !schema {
            return false;
        }
    }
    // An empty map, or only numbers and switches, is no secret either.
    !any || reference || schema
}

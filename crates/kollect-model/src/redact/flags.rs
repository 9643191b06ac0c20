//! `--password x` and what some commands take as short flags.

use super::assigned_key::is_key_byte;
use super::edits::{Edits, skipped};
use super::key::{Sensitivity, sensitivity};
use super::value::has_harmless_form;
use super::value_span::{quote_at, quoted};
use memchr::memmem;

/// Commands whose short flag takes a password.
const COMMANDS: &[(&str, &str, Form)] = &[
    ("sshpass", " -p", Form::Glued),
    ("sshpass", " -p ", Form::Word),
    ("mysql", " -p", Form::Glued),
    ("mariadb", " -p", Form::Glued),
    ("redis-cli", " -a ", Form::Word),
    ("ldapsearch", " -w ", Form::Word),
    ("docker login", " -p ", Form::Word),
    ("sqlcmd", " -P ", Form::Word),
    ("curl", " -u ", Form::AfterColon),
    ("curl", " --user ", Form::AfterColon),
    ("sshpass", "\"-p\",", Form::Word),
    ("curl", "\"-u\",", Form::AfterColon),
    ("curl", "\"--user\",", Form::AfterColon),
];
/// What of the next word is secret.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Word,
    /// The word begins directly behind the flag.
    Glued,
    /// The user comes first.
    AfterColon,
    /// Only one in quotes.
    Quoted,
    /// Only one in quotes that a semicolon follows.
    Ended,
}

/// Hides what follows a sensitive flag.
pub(super) fn find(text: &str, skip: &[(usize, usize)], edits: &mut Edits) {
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(found) = memmem::find(&bytes[at..], b"--") {
        let start = at + found + 2;
        let length = bytes[start..].iter().take(128).take_while(|c| is_key_byte(**c)).count();
        at = start + length;
        let name = &text[start..at];
        if name.starts_with('-')
            || bytes.get(at) == Some(&b'=')
            || !follows_boundary(bytes, start - 2)
            || skipped(skip, start).is_some()
        {
            continue;
        }
        if let Some(found) = sensitivity(name)
            && let Some((start, end)) = next_word(bytes, at)
            && !(bytes[start] == b'-' || has_harmless_form(name, found, &text[start..end]))
        {
            edits.hide(start, end);
            at = end;
        }
    }
    if memmem::find(bytes, b" -").is_some() || memmem::find(bytes, b"\"-").is_some() {
        for known in COMMANDS {
            known_words(text, *known, edits);
        }
    }
}

/// Hides the words that follow a flag or setting, where the text has a command or setting before.
pub(super) fn known_words(text: &str, (command, flag, form): (&str, &str, Form), edits: &mut Edits) {
    let bytes = text.as_bytes();
    let Some(from) = memmem::find(bytes, command.as_bytes()) else { return };
    for found in memmem::find_iter(&bytes[from..], flag.as_bytes()) {
        let start = from + found + flag.len();
        if form == Form::Glued && bytes.get(start).is_none_or(u8::is_ascii_whitespace) {
            continue;
        }
        let word = match form {
            Form::Quoted | Form::Ended => quoted_word(bytes, start),
            Form::Word | Form::Glued | Form::AfterColon => next_word(bytes, start),
        };
        let Some((start, end)) = word else { continue };
        let start = match form {
            Form::AfterColon => memchr::memchr(b':', &bytes[start..end]).map(|at| start + at + 1),
            Form::Ended if bytes.get(end + 1) != Some(&b';') => None,
            Form::Word | Form::Glued | Form::Quoted | Form::Ended => Some(start),
        };
        if let Some(start) = start.filter(|start| !has_harmless_form("", Sensitivity::Secret, &text[*start..end])) {
            edits.hide(start, end);
        }
    }
}

fn follows_boundary(bytes: &[u8], at: usize) -> bool {
    at.checked_sub(1).is_none_or(|before| {
        bytes[before].is_ascii_whitespace() || matches!(bytes[before], b'"' | b'\'' | b'[' | b',' | b'(' | b'=')
    })
}

/// The content of the quotes that open here.
fn quoted_word(bytes: &[u8], at: usize) -> Option<(usize, usize)> {
    let (quote, level) = quote_at(bytes, at)?;
    let place = quoted(bytes, at + level + 1, quote, level);
    (place.start < place.end).then_some((place.start, place.end))
}

/// The next word of a command line, of a list in JSON, or of a list in YAML.
fn next_word(bytes: &[u8], at: usize) -> Option<(usize, usize)> {
    let mut at = at;
    if let Some((_, level)) = quote_at(bytes, at) {
        // The flag is quoted itself.
        at += level + 1;
    }
    let between =
        bytes[at..].iter().take(256).take_while(|c| c.is_ascii_whitespace() || **c == b',' || **c == b'\\').count();
    let gap = &bytes[at..at + between];
    let mut start = at + between;
    if gap.contains(&b'\n') && bytes[start..].starts_with(b"- ") {
        start += 2;
    } else if gap.contains(&b'\n') && !gap.contains(&b',') && !gap.contains(&b'\\') {
        return None;
    }
    if let Some(trimmed) =
        bytes.get(start).filter(|_| gap.ends_with(b"\\") && matches!(bytes.get(start), Some(b'"' | b'\'')))
    {
        let level = gap.iter().rev().take_while(|c| **c == b'\\').count();
        let place = quoted(bytes, start + 1, *trimmed, level);
        return (place.start < place.end).then_some((place.start, place.end));
    }
    if quote_at(bytes, start).is_some() {
        return quoted_word(bytes, start);
    }
    let length =
        bytes[start..].iter().take_while(|c| !c.is_ascii_whitespace() && !matches!(c, b'"' | b'\'' | b'`')).count();
    (length > 0 && (between > 0 || start == at)).then_some((start, start + length))
}

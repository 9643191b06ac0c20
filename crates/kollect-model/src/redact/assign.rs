//! `key=value`, `key: value` and `"key": "value"` in a text: properties, YAML, JSON, DSNs, queries, headers, shell.
//!
//! One lenient reader for all of them, which never builds what it reads: the layout stays, only values are replaced.
//! Linear: hidden text is skipped, and text that is scanned twice is at most `MAX_READ_TWICE` bytes.

use super::edits::Edits;
use super::flow;
use super::key::{Sensitivity, may_be_sensitive, sensitivity};
use super::value::has_harmless_form;
use memchr::memmem;

/// Longest key.
const MAX_KEY: usize = 128;
/// Longest run of blanks between a key, its sign and its value.
const MAX_BLANKS: usize = 64;
/// How much of a map or list is read before it is known whether it stays.
const MAX_READ_TWICE: usize = 1024;

/// Hides the values of sensitive keys. `queries`: the text may have queries of URLs.
pub(super) fn find(text: &str, skip: &[(usize, usize)], queries: bool, edits: &mut Edits) {
    let bytes = text.as_bytes();
    // `sig` and `signature` are secrets only in queries.
    let may_sign = || queries && memmem::find(bytes, b"ig").is_some();
    if !may_be_sensitive(bytes) && !may_sign() {
        return;
    }
    let several = bytes.contains(&b'\n');
    let mut scan = Scan { text, bytes, edits, several, pair: Pair::default(), of_secret: false };
    let mut at = 0;
    while let Some(found) = memchr::memchr3(b'=', b':', b'>', &bytes[at..]) {
        let sign = at + found;
        at = super::skipped(skip, sign).unwrap_or_else(|| scan.sign(sign)).max(sign + 1);
    }
}

/// A key in front of a sign.
#[derive(Clone, Copy)]
pub(super) struct Key {
    pub(super) start: usize,
    end: usize,
    /// It stands in quotes of its own.
    quoted: bool,
    /// Backslashes before a quote: text in a text in a text.
    pub(super) level: usize,
}

/// A name that says what the value beside it holds, or the other way around.
#[derive(Default)]
struct Pair {
    names_secret: bool,
    named: bool,
    /// A value that came before its name.
    value: Option<(usize, usize)>,
    seen: usize,
}

struct Scan<'t, 'e> {
    text: &'t str,
    bytes: &'t [u8],
    edits: &'e mut Edits,
    /// The text has more than one line.
    several: bool,
    pair: Pair,
    /// `kind: Secret` was read, so what stands under `data` is secret whatever its keys.
    of_secret: bool,
}

impl Scan<'_, '_> {
    /// Handles one sign. Returns where to go on.
    fn sign(&mut self, sign: usize) -> usize {
        let bytes = self.bytes;
        let Some(key) = key_before(bytes, sign) else { return sign + 1 };
        if bytes[sign] == b':' && bytes[sign..].starts_with(b"://") {
            return sign + 3;
        }
        let name = &self.text[key.start..key.end];
        if bytes[sign] == b'>' {
            return self.element(name, key, sign);
        }
        let found = self.class(name, key);
        let role = if found.is_some() { Role::Other } else { role(name) };
        if found.is_none() && role == Role::Other {
            return sign + 1;
        }
        // Maps and lists are read only where they may be hidden as a whole.
        let nested = match found {
            Some(found) => found != Sensitivity::Scheme,
            None => role == Role::Value && self.pair.named && self.pair.names_secret,
        };
        let Some(place) = self.place(sign, key, found, nested) else { return sign + 1 };
        match (found, role) {
            (Some(found), _) => self.decide(name, found, place),
            (None, Role::Kind) => {
                self.of_secret |= self.text[place.start..place.end].trim_matches(is_quote) == "Secret";
                place.start
            }
            (None, role) => self.paired(role, key, place),
        }
    }

    fn class(&self, name: &str, key: Key) -> Option<Sensitivity> {
        let in_query = key.start > 0 && matches!(self.bytes[key.start - 1], b'?' | b'&' | b';');
        if in_query && (name == "sig" || name.to_ascii_lowercase().ends_with("signature")) {
            return Some(Sensitivity::Secret);
        }
        if self.of_secret && matches!(name, "data" | "stringData") {
            return Some(Sensitivity::Secret);
        }
        let copy = name.len() > 12 && super::is_copy(name);
        if copy || name == "tls" { Some(Sensitivity::Secret) } else { sensitivity(name) }
    }

    /// `<password>…<`
    fn element(&mut self, name: &str, key: Key, sign: usize) -> usize {
        let opens = key.start > 0 && self.bytes[key.start - 1] == b'<';
        if !opens || sensitivity(name).is_none() {
            return sign + 1;
        }
        let end = memchr::memchr(b'<', &self.bytes[sign..]).map_or(self.bytes.len(), |at| sign + at);
        self.edits.hide(sign + 1, end);
        end
    }

    fn decide(&mut self, name: &str, found: Sensitivity, place: Place) -> usize {
        let value = &self.text[place.start..place.end];
        match place.form {
            // Only the key of a certificate is a secret.
            _ if name == "tls" && !(value.contains("key") && value.contains("crt")) => place.start,
            Form::Text => {
                if !has_harmless_form(name, found, value) {
                    self.edits.hide(place.start, place.end);
                }
                place.end
            }
            Form::Nested if flow::is_reference(value, found) => place.start + 1,
            Form::Nested => self.hide_nested(place),
        }
    }

    /// Hides what stands between the brackets of a flow, or the lines of a block.
    fn hide_nested(&mut self, place: Place) -> usize {
        // Only the begin of what is large was read so far.
        let end = if place.cut { flow::whole(self.bytes, place) } else { place.end };
        let bracket = usize::from(matches!(self.bytes[place.start], b'{' | b'['));
        let closed = bracket == 1 && matches!(self.bytes[end - 1], b'}' | b']');
        self.edits.hide(place.start + bracket, end - usize::from(closed));
        end
    }

    /// `name: DB_PASSWORD` and `value: …` beside each other.
    fn paired(&mut self, role: Role, key: Key, place: Place) -> usize {
        let between = self.bytes.get(self.pair.seen..key.start).unwrap_or_default();
        if between.contains(&b'}')
            || memmem::find_iter(between, b"\n").any(|at| starts_item(&between[at + 1..]))
            || between.ends_with(b"- ")
        {
            self.pair = Pair::default();
        }
        self.pair.seen = key.start;
        let harmless = |text: &str| has_harmless_form("", Sensitivity::Secret, text);
        if role == Role::Names {
            let name = self.text[place.start..place.end].trim_matches(is_quote);
            let secret = matches!(sensitivity(name), Some(Sensitivity::Secret | Sensitivity::Scheme));
            if let (true, Some((start, end))) = (secret, self.pair.value.take())
                && !harmless(&self.text[start..end])
            {
                self.edits.hide(start, end);
            }
            self.pair.names_secret = secret;
            self.pair.named = true;
            return place.end;
        }
        if self.pair.named {
            self.pair.named = false;
            if self.pair.names_secret {
                if place.form == Form::Nested {
                    return self.hide_nested(place);
                }
                if !harmless(&self.text[place.start..place.end]) {
                    self.edits.hide(place.start, place.end);
                }
                return place.end;
            }
        } else {
            self.pair.value = Some((place.start, place.end));
        }
        // The value may hold keys of its own.
        place.start
    }

    /// Where the value behind a sign is.
    fn place(&self, sign: usize, key: Key, found: Option<Sensitivity>, nested: bool) -> Option<Place> {
        let bytes = self.bytes;
        let assigns = bytes[sign] == b'=';
        let signs = bytes[sign + 1..].iter().take_while(|c| assigns && matches!(c, b'=' | b'>')).count();
        let start = skip_blanks(bytes, sign + 1 + signs);
        let line = starts_line(bytes, key);
        let Some(first) = bytes.get(start).copied().filter(|c| !matches!(c, b'\n' | b'\r')) else {
            return (!assigns && line && nested)
                .then(|| flow::block(bytes, key.start, start, MAX_READ_TWICE))
                .flatten();
        };
        let bare = !assigns && start == sign + 1 && !key.quoted;
        if bare && !self.is_bare_assignment(key, start) {
            return None;
        }
        if let Some((quote, level)) = quote_at(bytes, start) {
            return Some(quoted(bytes, start + level + 1, quote, level));
        }
        if !assigns && matches!(first, b'{' | b'[') && !bytes[start..].starts_with(b"{{") && (key.quoted || line) {
            // A place must end between two characters.
            let most = self.text.floor_char_boundary(start + MAX_READ_TWICE) - start;
            return nested.then(|| flow::closing(bytes, start, key.level, most));
        }
        if !assigns
            && line
            && let Some(sign) = flow::block_sign(bytes, start)
        {
            return flow::block(bytes, key.start, sign, usize::MAX);
        }
        Some(self.scalar(start, key, Context { assigns, line, found }))
    }

    /// `key:value` without a blank: only where it can be nothing else. Images, URNs and times have colons as well.
    fn is_bare_assignment(&self, key: Key, start: usize) -> bool {
        let before = key.start.checked_sub(1).map_or(b' ', |at| self.bytes[at]);
        let boundary = before.is_ascii_whitespace()
            || matches!(before, b'"' | b'\'' | b'{' | b'(' | b'[' | b',' | b'?' | b'&' | b';');
        let value = &self.bytes[start..];
        let version =
            value.strip_prefix(b"v").unwrap_or(value).iter().take_while(|c| c.is_ascii_digit() || **c == b'.').count();
        let is_version = version > 0 && !value.get(version + 1).is_some_and(u8::is_ascii_alphanumeric);
        boundary
            && !self.bytes[key.start..key.end].contains(&b'/')
            && !matches!(value[0], b'/' | b':')
            && !value.starts_with(b"latest")
            && !is_version
    }

    fn scalar(&self, start: usize, key: Key, context: Context) -> Place {
        let bytes = self.bytes;
        let place = |end| Place::text(start, end);
        // `"X-Api-Key: …"`, a header in quotes.
        if let Some((quote, level)) = quote_before(bytes, key.start).filter(|_| !key.quoted) {
            return quoted(bytes, start, quote, level);
        }
        let scheme = context.found == Some(Sensitivity::Scheme);
        let greedy = context.line && (context.assigns || self.several || is_password(&self.text[key.start..key.end]));
        let end = flow::scalar_end(bytes, start, greedy || scheme, context.assigns);
        let prose = !greedy && !scheme && !context.assigns && end < bytes.len() && bytes[end] == b' ';
        if prose && bytes[start..end].iter().all(u8::is_ascii_lowercase) {
            // "token: not found"
            return place(start);
        }
        place(end)
    }
}

#[derive(Clone, Copy)]
struct Context {
    assigns: bool,
    line: bool,
    found: Option<Sensitivity>,
}

/// Where a value stands.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) form: Form,
    /// It goes on behind `end`.
    pub(super) cut: bool,
    /// Of the quotes of a flow, or the column of the key of a block.
    pub(super) level: usize,
}

impl Place {
    pub(super) fn text(start: usize, end: usize) -> Self {
        Self { start, end, form: Form::Text, cut: false, level: 0 }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Text,
    /// A map or list.
    Nested,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Names,
    Value,
    Kind,
    Other,
}

fn role(name: &str) -> Role {
    match name.as_bytes().last().map(u8::to_ascii_lowercase) {
        Some(b'd') if name == "kind" => Role::Kind,
        Some(_) if super::is_naming(name) => Role::Names,
        Some(_) if super::is_paired_value(name) => Role::Value,
        _ => Role::Other,
    }
}

fn is_quote(c: char) -> bool {
    matches!(c, '"' | '\'')
}

fn is_password(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    key.contains("pass") || key.contains("pwd")
}

fn skip_blanks(bytes: &[u8], at: usize) -> usize {
    at + bytes.iter().skip(at).take(MAX_BLANKS).take_while(|c| matches!(c, b' ' | b'\t')).count()
}

pub(super) fn is_key_byte(c: u8) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, b'_' | b'-' | b'.' | b'/')
}

fn key_before(bytes: &[u8], sign: usize) -> Option<Key> {
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

/// Whether only blanks, a dash, a quote or `export` stand before a key on its line.
fn starts_line(bytes: &[u8], key: Key) -> bool {
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

fn starts_item(line: &[u8]) -> bool {
    let blanks = line.iter().take_while(|c| **c == b' ').count();
    line[blanks..].starts_with(b"- ")
}

/// A quote and the backslashes before it.
pub(super) fn quote_at(bytes: &[u8], at: usize) -> Option<(u8, usize)> {
    let level = bytes.iter().skip(at).take(MAX_BLANKS).take_while(|c| **c == b'\\').count();
    bytes.get(at + level).copied().filter(|c| matches!(c, b'"' | b'\'' | b'`')).map(|quote| (quote, level))
}

fn quote_before(bytes: &[u8], at: usize) -> Option<(u8, usize)> {
    let quote = at.checked_sub(1).map(|at| bytes[at]).filter(|c| matches!(c, b'"' | b'\'' | b'`'))?;
    Some((quote, bytes[..at - 1].iter().rev().take(MAX_BLANKS).take_while(|c| **c == b'\\').count()))
}

/// What stands between quotes; to the end of the text where they are never closed.
pub(super) fn quoted(bytes: &[u8], start: usize, quote: u8, level: usize) -> Place {
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
    Place::text(start.min(end), end)
}

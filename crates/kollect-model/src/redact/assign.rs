//! `key=value`, `key: value` and `"key": "value"` in a text: properties, YAML, JSON, DSNs, queries, headers, shell.
//!
//! One lenient reader for all of them, which never builds what it reads: the layout stays, only values are replaced.
//! Linear: hidden text is skipped, and text that is scanned twice is at most `MAX_READ_TWICE` bytes.

use super::assigned_key::{Key, key_before, starts_line};
use super::edits::{Edits, skipped};
use super::flow;
use super::key::{Sensitivity, may_be_sensitive, sensitivity};
use super::packed::is_copy;
use super::pairs::{is_naming, is_paired_value};
use super::value::has_harmless_form;
use super::value_span::{MAX_BLANKS, ValueForm, ValueSpan, quote_at, quote_before, quoted};
use memchr::memmem;

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
        at = skipped(skip, sign).unwrap_or_else(|| scan.sign(sign)).max(sign + 1);
    }
}

/// A name that describes the value beside it, whichever comes first.
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
    /// `kind: Secret` was read, so everything under `data` is secret.
    of_secret: bool,
}

impl Scan<'_, '_> {
    /// Handles one sign. Returns where to continue.
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
        let copy = name.len() > 12 && is_copy(name);
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

    fn decide(&mut self, name: &str, found: Sensitivity, place: ValueSpan) -> usize {
        let value = &self.text[place.start..place.end];
        match place.form {
            // Only the key of a certificate is a secret.
            _ if name == "tls" && !(value.contains("key") && value.contains("crt")) => place.start,
            ValueForm::Text => {
                if !has_harmless_form(name, found, value) {
                    self.edits.hide(place.start, place.end);
                }
                place.end
            }
            ValueForm::Nested if flow::is_reference(value, found) => place.start + 1,
            ValueForm::Nested => self.hide_nested(place),
        }
    }

    /// Hides the content of the brackets of a flow, or the lines of a block.
    fn hide_nested(&mut self, place: ValueSpan) -> usize {
        // Only the beginning of a large value was read so far.
        let end = if place.cut { flow::whole(self.bytes, place) } else { place.end };
        let bracket = usize::from(matches!(self.bytes[place.start], b'{' | b'['));
        let closed = bracket == 1 && matches!(self.bytes[end - 1], b'}' | b']');
        self.edits.hide(place.start + bracket, end - usize::from(closed));
        end
    }

    /// `name: DB_PASSWORD` and `value: …` beside each other.
    fn paired(&mut self, role: Role, key: Key, place: ValueSpan) -> usize {
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
                if place.form == ValueForm::Nested {
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
    fn place(&self, sign: usize, key: Key, found: Option<Sensitivity>, nested: bool) -> Option<ValueSpan> {
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

    fn scalar(&self, start: usize, key: Key, context: Context) -> ValueSpan {
        let bytes = self.bytes;
        let place = |end| ValueSpan::text(start, end);
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
        Some(_) if is_naming(name) => Role::Names,
        Some(_) if is_paired_value(name) => Role::Value,
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

fn starts_item(line: &[u8]) -> bool {
    let blanks = line.iter().take_while(|c| **c == b' ').count();
    line[blanks..].starts_with(b"- ")
}

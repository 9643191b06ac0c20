//! URLs and absolute paths, split into parts without normalisation.

use percent_encoding::percent_decode_str;
use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cel) struct Url {
    text: String,
    scheme: Range<usize>,
    host: Range<usize>,
    path: Range<usize>,
    query: Range<usize>,
}

impl Url {
    pub(super) fn parse(text: &str) -> Option<Self> {
        if text.chars().any(|c| c.is_control() || c == ' ') {
            return None;
        }
        let scheme =
            if text.starts_with('/') { 0..0 } else { 0..text.find(':').filter(|at| is_scheme(&text[..*at]))? };
        let mut at = if scheme.is_empty() { 0 } else { scheme.end + 1 };
        let end = text[at..].find('#').map_or(text.len(), |found| at + found);
        let mut host = at..at;
        if !scheme.is_empty() && text[at..end].starts_with("//") {
            let from = at + 2;
            let until = text[from..end].find(['/', '?']).map_or(end, |found| from + found);
            let user = text[from..until].rfind('@').map_or(0, |found| found + 1);
            host = from + user..until;
            at = until;
            is_host(&text[host.clone()]).then_some(())?;
        } else if !text[at..end].starts_with('/') {
            // As in mailto:name: neither host nor path.
            let query = end..end;
            return Some(Self { text: text.to_owned(), scheme, host, path: query.clone(), query });
        }
        let question = text[at..end].find('?').map(|found| at + found);
        let path = at..question.unwrap_or(end);
        let query = question.map_or(end, |question| question + 1)..end;
        Some(Self { text: text.to_owned(), scheme, host, path, query })
    }

    pub(super) fn scheme(&self) -> String {
        self.text[self.scheme.clone()].to_ascii_lowercase()
    }

    pub(super) fn host(&self) -> &str {
        &self.text[self.host.clone()]
    }

    /// The host without port and brackets.
    pub(super) fn hostname(&self) -> &str {
        let host = split_port(self.host()).0;
        host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
    }

    pub(super) fn port(&self) -> &str {
        split_port(self.host()).1
    }

    pub(super) fn path(&self) -> &str {
        &self.text[self.path.clone()]
    }

    /// Names and values, decoded, as often as they occur.
    pub(super) fn query(&self) -> impl Iterator<Item = (String, String)> {
        self.text[self.query.clone()].split('&').filter(|pair| !pair.is_empty()).filter_map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((decoded(name)?, decoded(value)?))
        })
    }
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
}

fn split_port(host: &str) -> (&str, &str) {
    match host.rfind(':') {
        Some(colon) if !host[colon..].contains(']') => (&host[..colon], &host[colon + 1..]),
        _ => (host, ""),
    }
}

fn is_host(host: &str) -> bool {
    let (name, port) = split_port(host);
    let bracketed = name.starts_with('[') && name.ends_with(']') && name.len() > 2;
    let plain = !name.contains(['[', ']', ':', '<', '>', '"', '\\', '^', '`', '{', '|', '}']);
    (bracketed || plain) && port.bytes().all(|b| b.is_ascii_digit())
}

/// Strict as in Go: `None` for an incomplete escape.
fn decoded(text: &str) -> Option<String> {
    let is_escape = |after: &str| after.as_bytes().get(..2).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit));
    let text = text.split('%').skip(1).all(is_escape).then(|| text.replace('+', " "))?;
    percent_decode_str(&text).decode_utf8().ok().map(Cow::into_owned)
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

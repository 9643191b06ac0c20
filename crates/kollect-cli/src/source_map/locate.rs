//! From a field path to the bytes that it names.
//!
//! The document resolves ambiguous paths, so that keys with dots need no quoting.

use super::{LocatedContent, LocatedEntry, LocatedNode, QuoteStyle, SourceDocument, SourceText};
use std::ops::Range;

/// What a field path led to.
struct Found<'a> {
    node: &'a LocatedNode,
    /// The key that holds the node, or the last key on the way when the path ended early.
    key: Option<Range<usize>>,
    /// The whole path was there.
    complete: bool,
}

impl SourceDocument {
    /// Whether the document has this field.
    pub fn has(&self, field: &str) -> bool {
        self.find(field).complete
    }

    /// The bytes of the value of `field`; of a map or list its key; of a missing field what should hold it.
    pub fn value_span(&self, source: &SourceText, field: &str) -> Range<usize> {
        let found = self.find(field);
        let scalar = matches!(found.node.content, LocatedContent::Scalar(_) | LocatedContent::Alias);
        let value = found.node.span.clone();
        let span = match found.key {
            Some(key) if !found.complete || !scalar || value.is_empty() => key,
            None if !found.complete => self.first_key().unwrap_or(value),
            _ => value,
        };
        source.first_line_of(span)
    }

    /// The bytes of the key of `field`.
    pub fn key_span(&self, source: &SourceText, field: &str) -> Range<usize> {
        let found = self.find(field);
        source.first_line_of(found.key.unwrap_or_else(|| found.node.span.clone()))
    }

    /// The byte at `offset` of the decoded text value of `field`; `None` where its style makes that ambiguous.
    pub fn inside(&self, source: &SourceText, field: &str, offset: usize) -> Option<usize> {
        let found = self.find(field);
        let LocatedContent::Scalar(style) = found.node.content else { return None };
        let raw = source.text.get(found.node.span.clone())?;
        if !found.complete || raw.contains('\n') {
            return None;
        }
        let at = match style {
            QuoteStyle::Plain => offset.min(raw.len()),
            QuoteStyle::SingleQuoted | QuoteStyle::DoubleQuoted => in_quotes(raw, style, offset)?,
            QuoteStyle::Block => return None,
        };
        Some(found.node.span.start + at)
    }

    fn first_key(&self) -> Option<Range<usize>> {
        match &self.root.content {
            LocatedContent::Map(entries) => entries.first().map(|entry| entry.key_span.clone()),
            _ => None,
        }
    }

    fn find(&self, field: &str) -> Found<'_> {
        let mut found = Found { node: &self.root, key: None, complete: false };
        let mut rest = field;
        loop {
            rest = rest.strip_prefix('.').unwrap_or(rest);
            if rest.is_empty() {
                found.complete = true;
                return found;
            }
            match &found.node.content {
                LocatedContent::Map(entries) => {
                    let Some((entry, used)) = entry_of(entries, rest) else { return found };
                    found.key = Some(entry.key_span.clone());
                    found.node = &entry.value;
                    rest = &rest[used..];
                }
                LocatedContent::List(items) => {
                    let Some((item, used)) = item_of(items, rest) else { return found };
                    // A member of a list has no key, and the list's key is less specific than the member itself.
                    found.key = match &item.content {
                        LocatedContent::Map(entries) => entries.first().map(|entry| entry.key_span.clone()),
                        _ => None,
                    };
                    found.node = item;
                    rest = &rest[used..];
                }
                LocatedContent::Scalar(_) | LocatedContent::Alias => return found,
            }
        }
    }
}

/// The entry that a path begins with, and how much of the path it takes: the longest key that fits.
fn entry_of<'a>(entries: &'a [LocatedEntry], path: &str) -> Option<(&'a LocatedEntry, usize)> {
    let bracket = path.strip_prefix('[').and_then(|rest| Some((rest.split(']').next()?, rest.find(']')? + 2)));
    let fits = |entry: &LocatedEntry| {
        if let Some((inside, used)) = bracket {
            return (inside.trim_matches(['"', '\'']) == entry.key).then_some(used);
        }
        let rest = path.strip_prefix(entry.key.as_str())?;
        (rest.is_empty() || rest.starts_with(['.', '['])).then_some(entry.key.len())
    };
    entries.iter().filter_map(|entry| Some((entry, fits(entry)?))).max_by_key(|(_, used)| *used)
}

fn item_of<'a>(items: &'a [LocatedNode], path: &str) -> Option<(&'a LocatedNode, usize)> {
    let inside = path.strip_prefix('[')?;
    let end = inside.find(']')?;
    let at: usize = inside[..end].parse().ok()?;
    Some((items.get(at)?, end + 2))
}

/// The byte of a quoted scalar of one line that holds the decoded byte `offset`.
fn in_quotes(raw: &str, style: QuoteStyle, offset: usize) -> Option<usize> {
    let mut decoded = 0;
    let mut chars = raw.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if decoded >= offset {
            return Some(at);
        }
        decoded += match (style, c) {
            (QuoteStyle::SingleQuoted, '\'') => {
                chars.next();
                1
            }
            (QuoteStyle::DoubleQuoted, '\\') => {
                let (_, escape) = chars.next()?;
                let digits = match escape {
                    'x' => 2,
                    'u' => 4,
                    'U' => 8,
                    _ => 0,
                };
                let code = raw.get(at + 2..at + 2 + digits)?;
                for _ in 0..digits {
                    chars.next();
                }
                match escape {
                    'x' | 'u' | 'U' => char::from_u32(u32::from_str_radix(code, 16).ok()?)?.len_utf8(),
                    '_' | 'N' => 2,
                    'L' | 'P' => 3,
                    _ => 1,
                }
            }
            _ => c.len_utf8(),
        };
    }
    // Past the last character: the closing quote.
    Some(raw.len().saturating_sub(1))
}

impl SourceText {
    /// What is marked never runs over the end of its line.
    fn first_line_of(&self, span: Range<usize>) -> Range<usize> {
        let text = self.text.get(span.clone()).unwrap_or_default();
        let line = text.split('\n').next().unwrap_or_default().trim_end();
        span.start..span.start + line.len()
    }
}

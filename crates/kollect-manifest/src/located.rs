//! Documents with the byte range of every key and value, for messages that point into a file.

use crate::documents::Documents;
use crate::fault::{FaultKind, LineColumn};
use crate::json;
use crate::limits::{MAX_DEPTH, MAX_NODES};
use crate::objects::{ManifestFormat, json_in};
use crate::syntax::{self, moved};
use crate::values::parse;
use granit_parser::{Event, Marker, Parser, ScalarStyle, Span};
use serde_json::Value;
use std::ops::Range;

/// One document with byte ranges.
#[derive(Clone, Debug)]
pub struct LocatedDocument {
    /// 1-based.
    pub number: usize,
    /// Its value.
    pub value: Value,
    /// Byte ranges of its nodes.
    pub root: LocatedNode,
}

/// A document that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocatedFault {
    /// 1-based.
    pub document: usize,
    /// The byte of the text where reading ended.
    pub byte: usize,
    /// What is wrong.
    pub what: FaultKind,
}

/// One node of a document with its bytes in the text.
#[derive(Clone, Debug)]
pub struct LocatedNode {
    /// Its bytes.
    pub span: Range<usize>,
    /// What it is.
    pub content: LocatedContent,
}

/// What a node is.
#[derive(Clone, Debug)]
pub enum LocatedContent {
    /// A scalar.
    Scalar(QuoteStyle),
    /// A list.
    List(Vec<LocatedNode>),
    /// A map.
    Map(Vec<LocatedEntry>),
    /// `*name`.
    Alias,
}

/// The notation of a scalar, which determines places inside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuoteStyle {
    /// Without quotes.
    Plain,
    /// In single quotes.
    SingleQuoted,
    /// In double quotes.
    DoubleQuoted,
    /// A block of lines.
    Block,
}

/// One entry of a map.
#[derive(Clone, Debug)]
pub struct LocatedEntry {
    /// The decoded key.
    pub key: String,
    /// Its bytes.
    pub key_span: Range<usize>,
    /// Its value.
    pub value: LocatedNode,
}

/// Reads all documents that are not empty. A document that cannot be read does not hide the others.
pub fn read(text: &str, format: ManifestFormat) -> (Vec<LocatedDocument>, Vec<LocatedFault>) {
    let is_json = matches!(format, ManifestFormat::Json | ManifestFormat::JsonLines);
    if is_json || json_in(text).is_some() {
        return match json::values(text, MAX_NODES) {
            Ok(ranges) => {
                ((1..).zip(ranges).map(|(number, range)| json_document(text, number, range)).collect(), vec![])
            }
            Err((byte, what)) => (Vec::new(), vec![LocatedFault { document: 1, byte, what }]),
        };
    }
    let (mut all, mut faults) = (Vec::new(), Vec::new());
    let (mut line, mut start) = (0, 0);
    for document in Documents::new(text.as_bytes()) {
        // Reading from memory does not fail.
        let Ok(document) = document else { break };
        let skipped =
            text[start..].split_inclusive('\n').take(usize::try_from(document.lines_before - line).unwrap_or(0));
        start += skipped.map(str::len).sum::<usize>();
        line = document.lines_before;
        let number = document.number;
        match document.text.and_then(|part| Ok((parse(&part)?, part))) {
            Ok((Value::Null, _)) => {}
            Ok((value, part)) => {
                let mut root = nodes(&part).unwrap_or_else(|| whole(&(0..part.len())));
                shift(&mut root, start);
                all.push(LocatedDocument { number, value, root });
            }
            Err(fault) => {
                let fault = moved(fault, document.lines_before);
                faults.push(LocatedFault { document: number, byte: byte_of(text, fault.place), what: fault.what });
            }
        }
    }
    (all, faults)
}

fn json_document(text: &str, number: usize, range: Range<usize>) -> LocatedDocument {
    let part = &text[range.clone()];
    let mut root = nodes(part).unwrap_or_else(|| whole(&(0..part.len())));
    shift(&mut root, range.start);
    LocatedDocument { number, value: serde_json::from_str(part).unwrap_or_default(), root }
}

fn whole(span: &Range<usize>) -> LocatedNode {
    LocatedNode { span: span.clone(), content: LocatedContent::Scalar(QuoteStyle::Block) }
}

fn byte_of(text: &str, place: LineColumn) -> usize {
    let skip = |number: u64| usize::try_from(number.saturating_sub(1)).unwrap_or(usize::MAX);
    let start: usize = text.split_inclusive('\n').take(skip(place.line)).map(str::len).sum();
    let rest = &text[start..];
    start + rest.char_indices().nth(skip(place.column)).map_or(rest.len(), |(at, _)| at)
}

/// An open collection.
struct Open {
    start: usize,
    is_map: bool,
    key: Option<(String, Range<usize>)>,
    entries: Vec<LocatedEntry>,
    items: Vec<LocatedNode>,
}

impl Open {
    fn new(start: usize, is_map: bool) -> Self {
        Self { start, is_map, key: None, entries: Vec::new(), items: Vec::new() }
    }

    fn add(&mut self, node: LocatedNode, text: &str) {
        if !self.is_map {
            self.items.push(node);
        } else if let Some((key, key_span)) = self.key.take() {
            self.entries.push(LocatedEntry { key, key_span, value: node });
        } else {
            self.key = Some((text.to_owned(), node.span));
        }
    }

    fn close(self, end: usize) -> LocatedNode {
        let content = if self.is_map { LocatedContent::Map(self.entries) } else { LocatedContent::List(self.items) };
        LocatedNode { span: self.start..end.max(self.start), content }
    }
}

fn bytes(mark: Marker) -> usize {
    mark.byte_offset().unwrap_or(0)
}

/// The nodes of one document; `None` when the parser refuses it.
fn nodes(text: &str) -> Option<LocatedNode> {
    let mut parser = Parser::new_from_str_with_options(text, syntax::options());
    let mut open: Vec<Open> = Vec::new();
    let mut count = 0;
    while let Some(next) = parser.next_event() {
        let (event, span) = next.ok()?;
        count += 1;
        if count > MAX_NODES || open.len() > MAX_DEPTH {
            return None;
        }
        let Some((node, content)) = step(event, span, &mut open) else { continue };
        match open.last_mut() {
            Some(parent) => parent.add(node, &content),
            None => return Some(node),
        }
    }
    None
}

/// Applies one event inside a document; returns a complete node with its text.
fn step(event: Event<'_>, span: Span, open: &mut Vec<Open>) -> Option<(LocatedNode, String)> {
    let range = bytes(span.start)..bytes(span.end);
    match event {
        Event::Scalar(text, style, ..) => {
            let style = match style {
                ScalarStyle::Plain => QuoteStyle::Plain,
                ScalarStyle::SingleQuoted => QuoteStyle::SingleQuoted,
                ScalarStyle::DoubleQuoted => QuoteStyle::DoubleQuoted,
                ScalarStyle::Literal | ScalarStyle::Folded => QuoteStyle::Block,
            };
            Some((LocatedNode { span: range, content: LocatedContent::Scalar(style) }, text.into_owned()))
        }
        Event::Alias(_) => Some((LocatedNode { span: range, content: LocatedContent::Alias }, String::new())),
        Event::SequenceStart(..) => {
            open.push(Open::new(range.start, false));
            None
        }
        Event::MappingStart(..) => {
            open.push(Open::new(range.start, true));
            None
        }
        Event::SequenceEnd | Event::MappingEnd => Some((open.pop()?.close(range.end), String::new())),
        _ => None,
    }
}

/// Moves the ranges of a node by the offset of its document. Recursive: the depth is limited.
fn shift(node: &mut LocatedNode, by: usize) {
    node.span = node.span.start + by..node.span.end + by;
    match &mut node.content {
        LocatedContent::List(items) => items.iter_mut().for_each(|item| shift(item, by)),
        LocatedContent::Map(entries) => {
            for entry in entries {
                entry.key_span = entry.key_span.start + by..entry.key_span.end + by;
                shift(&mut entry.value, by);
            }
        }
        LocatedContent::Scalar(_) | LocatedContent::Alias => {}
    }
}

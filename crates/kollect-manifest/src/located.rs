//! Documents with the bytes of every key and value, for messages that point into a file.

use crate::documents::Documents;
use crate::fault::{Place, What};
use crate::json;
use crate::limits::{MAX_DEPTH, MAX_NODES};
use crate::objects::{Format, json_in};
use crate::syntax::{self, moved};
use crate::values::parse;
use granit_parser::{Event, Marker, Parser, ScalarStyle, Span};
use serde_json::Value;
use std::ops::Range;

/// One document with places.
#[derive(Clone, Debug)]
pub struct LocatedDocument {
    /// 1-based.
    pub number: usize,
    /// What it says.
    pub value: Value,
    /// Where it says it.
    pub root: Node,
}

/// A document that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocatedFault {
    /// 1-based.
    pub document: usize,
    /// The byte of the text where reading ended.
    pub byte: usize,
    /// What is wrong.
    pub what: What,
}

/// One node of a document with its bytes in the text.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its bytes.
    pub span: Range<usize>,
    /// What it is.
    pub content: Content,
}

/// What a node is.
#[derive(Clone, Debug)]
pub enum Content {
    /// A scalar.
    Scalar(Style),
    /// A list.
    List(Vec<Node>),
    /// A map.
    Map(Vec<Entry>),
    /// `*name`: what it stands for is elsewhere.
    Alias,
}

/// How a scalar is written, as far as it matters for places inside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
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
pub struct Entry {
    /// The key as it reads.
    pub key: String,
    /// Its bytes.
    pub key_span: Range<usize>,
    /// What it holds.
    pub value: Node,
}

/// Reads all documents of a text that say anything. A document that cannot be read does not hide the others.
pub fn read(text: &str, format: Format) -> (Vec<LocatedDocument>, Vec<LocatedFault>) {
    let is_json = matches!(format, Format::Json | Format::JsonLines);
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

fn whole(span: &Range<usize>) -> Node {
    Node { span: span.clone(), content: Content::Scalar(Style::Block) }
}

fn byte_of(text: &str, place: Place) -> usize {
    let skip = |number: u64| usize::try_from(number.saturating_sub(1)).unwrap_or(usize::MAX);
    let start: usize = text.split_inclusive('\n').take(skip(place.line)).map(str::len).sum();
    let rest = &text[start..];
    start + rest.char_indices().nth(skip(place.column)).map_or(rest.len(), |(at, _)| at)
}

/// A collection whose end has not been met.
struct Open {
    start: usize,
    is_map: bool,
    key: Option<(String, Range<usize>)>,
    entries: Vec<Entry>,
    items: Vec<Node>,
}

impl Open {
    fn new(start: usize, is_map: bool) -> Self {
        Self { start, is_map, key: None, entries: Vec::new(), items: Vec::new() }
    }

    fn add(&mut self, node: Node, text: &str) {
        if !self.is_map {
            self.items.push(node);
        } else if let Some((key, key_span)) = self.key.take() {
            self.entries.push(Entry { key, key_span, value: node });
        } else {
            self.key = Some((text.to_owned(), node.span));
        }
    }

    fn close(self, end: usize) -> Node {
        let content = if self.is_map { Content::Map(self.entries) } else { Content::List(self.items) };
        Node { span: self.start..end.max(self.start), content }
    }
}

fn bytes(mark: Marker) -> usize {
    mark.byte_offset().unwrap_or(0)
}

/// The nodes of one document; `None` when the parser refuses it.
fn nodes(text: &str) -> Option<Node> {
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

/// Takes one event inside a document; a node that is complete comes back with its text.
fn step(event: Event<'_>, span: Span, open: &mut Vec<Open>) -> Option<(Node, String)> {
    let range = bytes(span.start)..bytes(span.end);
    match event {
        Event::Scalar(text, style, ..) => {
            let style = match style {
                ScalarStyle::Plain => Style::Plain,
                ScalarStyle::SingleQuoted => Style::SingleQuoted,
                ScalarStyle::DoubleQuoted => Style::DoubleQuoted,
                ScalarStyle::Literal | ScalarStyle::Folded => Style::Block,
            };
            Some((Node { span: range, content: Content::Scalar(style) }, text.into_owned()))
        }
        Event::Alias(_) => Some((Node { span: range, content: Content::Alias }, String::new())),
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

/// Moves a node by what stands before its part of the text. Its depth is limited.
fn shift(node: &mut Node, by: usize) {
    node.span = node.span.start + by..node.span.end + by;
    match &mut node.content {
        Content::List(items) => items.iter_mut().for_each(|item| shift(item, by)),
        Content::Map(entries) => {
            for entry in entries {
                entry.key_span = entry.key_span.start + by..entry.key_span.end + by;
                shift(&mut entry.value, by);
            }
        }
        Content::Scalar(_) | Content::Alias => {}
    }
}

//! Text to documents with places: YAML events in, nodes out.
//!
//! Separate because it is the only part that knows the YAML parser. A broken document does not hide those after it.

use super::{Content, Document, Entry, Node, Source, Style, SyntaxError};
use granit_parser::{Event, Marker, Options, Parser, ScalarStyle, Span};
use serde_json::Value;
use std::ops::Range;

impl Source {
    /// Reads a text. What cannot be read is in [`Source::errors`].
    pub fn parse(name: impl Into<String>, text: impl Into<String>) -> Self {
        let mut source = Self { name: name.into(), text: text.into(), documents: Vec::new(), errors: Vec::new() };
        let mut start = 0;
        let mut number = 0;
        while let Some(rest) = source.text.get(start..) {
            let read = read_stream(rest);
            for mut document in read.documents {
                number += 1;
                match value_of(rest, &document, start) {
                    // Nothing but comments.
                    Ok(Value::Null) => {}
                    Ok(value) => {
                        shift(&mut document.root, start);
                        source.documents.push(Document { number, value, root: document.root });
                    }
                    Err((span, message)) => source.errors.push(SyntaxError { document: number, span, message }),
                }
            }
            let Some((at, message)) = read.error else { break };
            number += 1;
            let span = start + at..start + at;
            source.errors.push(SyntaxError { document: number, span, message });
            match next_document(rest, at) {
                Some(next) => start += next,
                None => break,
            }
        }
        source
    }
}

/// What was read of a text up to its end or its first error.
#[derive(Default)]
struct Read {
    documents: Vec<Raw>,
    error: Option<(usize, String)>,
}

struct Raw {
    bytes: Range<usize>,
    root: Node,
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

fn read_stream(text: &str) -> Read {
    let mut options = Options::default();
    options.set_emit_comments(false);
    let mut parser = Parser::new_from_str_with_options(text, options);
    let mut read = Read::default();
    let mut open: Vec<Open> = Vec::new();
    let mut root: Option<Node> = None;
    let mut start = 0;
    while let Some(next) = parser.next_event() {
        let (event, span) = match next {
            Ok(next) => next,
            Err(error) => {
                let at = bytes(*error.marker()).min(text.len());
                read.error = Some((at, error.info()));
                return read;
            }
        };
        match event {
            Event::DocumentStart(..) => start = bytes(span.start),
            Event::DocumentEnd => {
                if let Some(root) = root.take() {
                    read.documents.push(Raw { bytes: start..bytes(span.end).min(text.len()), root });
                }
            }
            event => {
                let Some((node, content)) = step(event, span, &mut open) else { continue };
                match open.last_mut() {
                    Some(parent) => parent.add(node, &content),
                    None => root = Some(node),
                }
            }
        }
    }
    read
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

/// What a document says, read by the parser that every command uses for manifests.
fn value_of(text: &str, raw: &Raw, shift: usize) -> Result<Value, (Range<usize>, String)> {
    let start = raw.bytes.start;
    let slice = text.get(start..raw.bytes.end).unwrap_or_default();
    let options = serde_saphyr::options! { with_snippet: false };
    serde_saphyr::from_str_with_options(slice, options).map_err(|error| {
        let at = error.location().map_or(0, |place| byte_of(slice, place.line(), place.column()));
        (shift + start + at..shift + start + at, first_line(&error.to_string()))
    })
}

/// Without the place, which is named in our own way.
fn first_line(message: &str) -> String {
    let line = message.lines().next().unwrap_or_default().trim();
    let line = line.strip_prefix("error: ").unwrap_or(line);
    line.split(" at line ").next().unwrap_or(line).to_owned()
}

fn byte_of(text: &str, line: u64, column: u64) -> usize {
    let (line, column) = (usize::try_from(line).unwrap_or(1), usize::try_from(column).unwrap_or(1));
    let start: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    let rest = text.get(start..).unwrap_or_default();
    start + rest.char_indices().nth(column.saturating_sub(1)).map_or(0, |(at, _)| at)
}

/// Where the first document after `at` begins: three dashes in the first column always do, whatever is around them.
fn next_document(text: &str, at: usize) -> Option<usize> {
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        if start > at && line.strip_prefix("---").is_some_and(|rest| rest.trim_start().len() < rest.len()) {
            return Some(start);
        }
        start += line.len();
    }
    None
}

/// Moves a node by what stands before its part of the text.
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

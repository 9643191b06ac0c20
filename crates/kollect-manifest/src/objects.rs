//! Streams the objects of a file: of documents, lists, arrays and consecutive values, in YAML and JSON.
//!
//! Every part that cannot be read is a [`ManifestFault`]; the other objects are emitted, as JSON that `serde_json` parses.

use crate::documents::Documents;
use crate::fault::{FaultKind, LineColumn, ManifestFault, ReadError};
use crate::json;
use crate::json_stream::{JsonStream, Length};
use crate::limits::{MAX_NODES, MAX_OBJECT_BYTES};
use crate::list::{EachObject, ListHead, emit, emit_array};
use crate::syntax::moved;
use crate::tree;
use serde_json::Value;
use std::collections::HashSet;
use std::io::{BufReader, Read, Seek, SeekFrom};

/// Values up to this size are read as a whole; longer lists are split while they are read.
const WHOLE: usize = 8 << 20;
/// Longest `kind`, `apiVersion` and `metadata` that are read to recognise a long list.
const SMALL: usize = 1 << 20;
/// After so many faults the rest of a JSON file is not read.
const MAX_FAULTS: usize = 100;
/// Bytes per read.
const CHUNK: usize = 1 << 16;

/// The format that the name of a file implies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ManifestFormat {
    /// YAML documents.
    Yaml,
    /// JSON values one after the other.
    Json,
    /// A JSON value in each line.
    JsonLines,
    /// Detected by the text.
    Unknown,
}

impl ManifestFormat {
    /// By the extension of a file.
    pub fn of_extension(extension: &str) -> Self {
        match extension.to_ascii_lowercase().as_str() {
            "yaml" | "yml" => Self::Yaml,
            "json" => Self::Json,
            "ndjson" | "jsonl" => Self::JsonLines,
            _ => Self::Unknown,
        }
    }
}

/// One item of a file.
#[derive(Debug)]
pub enum ManifestItem<'a> {
    /// One object as JSON; also other values, such as a number.
    Object {
        /// Its text.
        json: &'a str,
        /// Where it begins.
        place: LineColumn,
    },
    /// A document, a value or the rest of the file that cannot be read.
    Fault(ManifestFault),
}

/// Receives the items of a file; returns whether to continue.
pub type EachItem<'a> = dyn FnMut(ManifestItem<'_>) -> bool + 'a;

/// Reads all objects of a text in UTF-8 without a byte order mark, from the reader's position.
pub fn read_objects(
    mut text: impl Read + Seek,
    format: ManifestFormat,
    each: &mut EachItem<'_>,
) -> Result<(), ReadError> {
    match format {
        ManifestFormat::Yaml => yaml(text, each),
        ManifestFormat::Json | ManifestFormat::JsonLines => json(text, format == ManifestFormat::JsonLines, each),
        ManifestFormat::Unknown => {
            let start = text.stream_position()?;
            let mut stream = JsonStream::new(&mut text)?;
            let is_json = matches!(stream.peek()?, Some(b'{' | b'['))
                && match stream.length(WHOLE)? {
                    Length::Known(length) => stream.taken(length).is_ok(),
                    Length::Longer => true,
                    Length::CutOff => false,
                };
            text.seek(SeekFrom::Start(start))?;
            if is_json { json(text, false, each) } else { yaml(text, each) }
        }
    }
}

fn stop_unless(more: bool) -> Result<(), ReadError> {
    if more { Ok(()) } else { Err(ReadError::Stopped) }
}

fn yaml(text: impl Read, each: &mut EachItem<'_>) -> Result<(), ReadError> {
    for document in Documents::new(BufReader::with_capacity(CHUNK, text)) {
        let document = document?;
        let lines = document.lines_before;
        let read = document.text.and_then(|text| yaml_document(&text, lines, each));
        match read {
            Ok(more) => stop_unless(more)?,
            Err(fault) => stop_unless(each(ManifestItem::Fault(moved(fault, lines))))?,
        }
    }
    Ok(())
}

/// Emits the objects of one document; none of a document with a fault.
fn yaml_document(text: &str, lines: u64, each: &mut EachItem<'_>) -> Result<bool, ManifestFault> {
    let mut give = |json: &str, place: LineColumn| {
        each(ManifestItem::Object { json, place: LineColumn { line: place.line + lines, ..place } })
    };
    if let Some(values) = json_in(text) {
        let mut place = LineColumn::default();
        let mut from = 0;
        return Ok(values.into_iter().all(|range| {
            place = place.advanced(&text.as_bytes()[from..], range.start - from);
            from = range.start;
            top(&text[range], place, &mut give)
        }));
    }
    let tree = tree::read(text)?;
    let place = tree.place;
    let head = ListHead::of_value(&tree.root);
    let is_list = tree.root.is_array() || (tree.has_items && head.is_list());
    if is_list && !tree.elements.is_empty() {
        return Ok(tree.elements.into_iter().all(|(json, place)| match head.named(&json) {
            Some(named) => emit(&named, place, &mut give),
            None => emit(&json, place, &mut give),
        }));
    }
    match tree.into_value() {
        Value::Null => Ok(true),
        value => Ok(top(&value.to_string(), place, &mut give)),
    }
}

/// The values of a document that is JSON whatever its name.
pub(crate) fn json_in(text: &str) -> Option<Vec<std::ops::Range<usize>>> {
    let begins = text.trim_start();
    if begins.starts_with(['{', '[']) { json::values(text, MAX_NODES).ok() } else { None }
}

/// One whole value at the top of a text.
fn top(json: &str, place: LineColumn, each: &mut EachObject<'_>) -> bool {
    if json.starts_with('[') { emit_array(json, place, each) } else { emit(json, place, each) }
}

fn json(text: impl Read + Seek, lines: bool, each: &mut EachItem<'_>) -> Result<(), ReadError> {
    let mut stream = JsonStream::new(text)?;
    let mut single_lines = false;
    let mut faults = 0;
    while stream.peek()?.is_some() {
        let start = stream.mark();
        let mut give = |json: &str, place: LineColumn| each(ManifestItem::Object { json, place });
        let read = if lines && single_lines { one_line(&mut stream, &mut give) } else { value(&mut stream, &mut give) };
        match read {
            Ok(more) => stop_unless(more)?,
            Err(ReadError::Fault(fault)) => {
                let same_line = fault.place.line == start.place.line;
                stop_unless(each(ManifestItem::Fault(fault)))?;
                faults += 1;
                // A faulty value that ends in its line leaves the lines below readable; the end of a longer one is unknown.
                if !lines && (!same_line || faults > MAX_FAULTS) {
                    return Ok(());
                }
                single_lines = true;
                stream.rewind(start)?;
                if !stream.next_line()? {
                    return Ok(());
                }
            }
            Err(other) => return Err(other),
        }
    }
    Ok(())
}

/// Reads the next value, which must end in its line.
fn one_line<R: Read + Seek>(stream: &mut JsonStream<R>, each: &mut EachObject<'_>) -> Result<bool, ReadError> {
    let place = stream.place();
    let line = stream.line(MAX_OBJECT_BYTES)?;
    let length = line.len();
    let blank = line.iter().rev().take_while(|byte| json::is_blank(**byte)).count();
    let value = stream.taken(length - blank)?;
    Ok(value == "null" || top(value, place, each))
}

fn value<R: Read + Seek>(stream: &mut JsonStream<R>, each: &mut EachObject<'_>) -> Result<bool, ReadError> {
    let place = stream.place();
    let first = stream.peek()?;
    match stream.length(WHOLE)? {
        Length::Known(length) if length > 0 => {
            let value = stream.taken(length)?;
            Ok(value == "null" || top(value, place, each))
        }
        Length::Known(_) => Err(stream.fault_at(0, FaultKind::NoValue)),
        Length::CutOff => stream.value().map(|_| true),
        Length::Longer if first == Some(b'[') => elements(stream, &ListHead::default(), each),
        Length::Longer if first == Some(b'{') => long_map(stream, each),
        Length::Longer => Err(stream.fault_at(0, FaultKind::ObjectTooLarge)),
    }
}

/// Reads an array and emits its elements one at a time; `false` when the callback stopped.
fn elements<R: Read + Seek>(
    stream: &mut JsonStream<R>,
    head: &ListHead,
    each: &mut EachObject<'_>,
) -> Result<bool, ReadError> {
    stream.take(b'[', "[")?;
    if stream.peek()? != Some(b']') {
        loop {
            let place = stream.place();
            let item = stream.value()?;
            let more = match head.named(item) {
                Some(named) => emit(&named, place, each),
                None => emit(item, place, each),
            };
            if !more {
                return Ok(false);
            }
            if !stream.has_more(b']', "a comma or ]")? {
                break;
            }
        }
    }
    stream.take(b']', "]").map(|()| true)
}

/// Reads a long map: a list, whose items are emitted one at a time, or one large object.
fn long_map<R: Read + Seek>(stream: &mut JsonStream<R>, each: &mut EachObject<'_>) -> Result<bool, ReadError> {
    let start = stream.mark();
    let head = long_head(stream)?;
    stream.rewind(start)?;
    if !head.is_list() {
        let place = stream.place();
        let value = stream.value()?;
        return Ok(emit(value, place, each));
    }
    stream.take(b'{', "{")?;
    loop {
        let is_items = key(stream)? == "items";
        if is_items && stream.peek()? == Some(b'[') {
            if !elements(stream, &head, each)? {
                return Ok(false);
            }
        } else {
            stream.value()?;
        }
        if !stream.has_more(b'}', "a comma or }")? {
            break;
        }
    }
    stream.take(b'}', "}").map(|()| true)
}

fn key<R: Read + Seek>(stream: &mut JsonStream<R>) -> Result<String, ReadError> {
    if stream.peek()? != Some(b'"') {
        return Err(stream.fault_at(0, FaultKind::Expected("a key in double quotes")));
    }
    let key = serde_json::from_str(stream.value()?).unwrap_or_default();
    stream.take(b':', "a colon")?;
    Ok(key)
}

/// Skips through a long map to recognise a list: its kind may come after its items.
fn long_head<R: Read + Seek>(stream: &mut JsonStream<R>) -> Result<ListHead, ReadError> {
    let mut head = ListHead::default();
    let mut keys = HashSet::new();
    stream.take(b'{', "{")?;
    loop {
        let at = stream.mark();
        let key = key(stream)?;
        stream.peek()?;
        let small = matches!(stream.length(SMALL)?, Length::Known(_));
        match key.as_str() {
            "kind" if small => head.kind = serde_json::from_str(stream.value()?).unwrap_or_default(),
            "apiVersion" if small => head.api_version = serde_json::from_str(stream.value()?).unwrap_or_default(),
            "metadata" if small => head.note_metadata(stream.value()?),
            _ => stream.skip()?,
        }
        let short = crate::fault::ShortKey::new(&key);
        if !keys.insert(key) {
            return Err(ManifestFault::new(at.place, FaultKind::DuplicateKey(short)).into());
        }
        if !stream.has_more(b'}', "a comma or }")? {
            return Ok(head);
        }
    }
}

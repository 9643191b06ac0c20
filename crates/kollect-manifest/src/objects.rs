//! A file to its objects, one at a time: documents, lists, arrays and values one after the other, in YAML and JSON.
//!
//! Objects that can be read are handed out although others of the file cannot; every part that cannot be read is a
//! [`Fault`]. What is handed out is JSON that `serde_json` reads.

use crate::documents::Documents;
use crate::fault::{Fault, Place, ReadError, What};
use crate::json;
use crate::limits::{MAX_NODES, MAX_OBJECT_BYTES};
use crate::list::{EachObject, ListHead, hand_out, hand_out_array};
use crate::pieces::{Length, Pieces};
use crate::syntax::moved;
use crate::tree;
use serde_json::Value;
use std::collections::HashSet;
use std::io::{BufReader, Read, Seek, SeekFrom};

/// Values up to this size are read as a whole; longer lists are taken apart while they are read.
const WHOLE: usize = 8 << 20;
/// Members of a long list that are kept to find out whether it is one.
const SMALL: usize = 1 << 20;
/// After so many faults the rest of a JSON file is not tried.
const MAX_FAULTS: usize = 100;
/// Read at once.
const CHUNK: usize = 1 << 16;

/// What the name of a file says about its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// YAML documents.
    Yaml,
    /// JSON values one after the other.
    Json,
    /// A JSON value in each line.
    JsonLines,
    /// The text itself shows it.
    Unknown,
}

impl Format {
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

/// What a file holds.
#[derive(Debug)]
pub enum Found<'a> {
    /// One object as JSON; also what is none, such as a number.
    Object {
        /// Its text.
        json: &'a str,
        /// Where it begins.
        place: Place,
    },
    /// A document, a value or the rest of the file that cannot be read.
    Fault(Fault),
}

/// Is given what a file holds, and says whether to go on.
pub type Each<'a> = dyn FnMut(Found<'_>) -> bool + 'a;

/// Reads all objects of a text in UTF-8 without a byte order mark, from where the reader stands.
pub fn read_objects(mut text: impl Read + Seek, format: Format, each: &mut Each<'_>) -> Result<(), ReadError> {
    match format {
        Format::Yaml => yaml(text, each),
        Format::Json | Format::JsonLines => json(text, format == Format::JsonLines, each),
        Format::Unknown => {
            let start = text.stream_position()?;
            let mut pieces = Pieces::new(&mut text)?;
            let is_json = matches!(pieces.peek()?, Some(b'{' | b'['))
                && match pieces.length(WHOLE)? {
                    Length::Known(length) => pieces.taken(length).is_ok(),
                    Length::Longer => true,
                    Length::CutOff => false,
                };
            text.seek(SeekFrom::Start(start))?;
            if is_json { json(text, false, each) } else { yaml(text, each) }
        }
    }
}

fn go_on(go_on: bool) -> Result<(), ReadError> {
    if go_on { Ok(()) } else { Err(ReadError::Stopped) }
}

fn yaml(text: impl Read, each: &mut Each<'_>) -> Result<(), ReadError> {
    for document in Documents::new(BufReader::with_capacity(CHUNK, text)) {
        let document = document?;
        let lines = document.lines_before;
        let read = document.text.and_then(|text| yaml_document(&text, lines, each));
        match read {
            Ok(more) => go_on(more)?,
            Err(fault) => go_on(each(Found::Fault(moved(fault, lines))))?,
        }
    }
    Ok(())
}

/// The objects of one document; nothing is handed out of a document with a fault.
fn yaml_document(text: &str, lines: u64, each: &mut Each<'_>) -> Result<bool, Fault> {
    let mut give =
        |json: &str, place: Place| each(Found::Object { json, place: Place { line: place.line + lines, ..place } });
    if let Some(values) = json_in(text) {
        let mut place = Place::default();
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
            Some(named) => hand_out(&named, place, &mut give),
            None => hand_out(&json, place, &mut give),
        }));
    }
    match tree.into_value() {
        Value::Null => Ok(true),
        value => Ok(top(&value.to_string(), place, &mut give)),
    }
}

/// The values of a document that is JSON in spite of its name.
pub(crate) fn json_in(text: &str) -> Option<Vec<std::ops::Range<usize>>> {
    let begins = text.trim_start();
    if begins.starts_with(['{', '[']) { json::values(text, MAX_NODES).ok() } else { None }
}

/// One whole value at the top of a text.
fn top(json: &str, place: Place, each: &mut EachObject<'_>) -> bool {
    if json.starts_with('[') { hand_out_array(json, place, each) } else { hand_out(json, place, each) }
}

fn json(text: impl Read + Seek, lines: bool, each: &mut Each<'_>) -> Result<(), ReadError> {
    let mut pieces = Pieces::new(text)?;
    let mut single_lines = false;
    let mut faults = 0;
    while pieces.peek()?.is_some() {
        let start = pieces.mark();
        let mut give = |json: &str, place: Place| each(Found::Object { json, place });
        let read = if lines && single_lines { one_line(&mut pieces, &mut give) } else { value(&mut pieces, &mut give) };
        match read {
            Ok(more) => go_on(more)?,
            Err(ReadError::Fault(fault)) => {
                let same_line = fault.place.line == start.place.line;
                go_on(each(Found::Fault(fault)))?;
                faults += 1;
                // A faulty value that ends in its line leaves the lines below readable; the end of a longer one is unknown.
                if !lines && (!same_line || faults > MAX_FAULTS) {
                    return Ok(());
                }
                single_lines = true;
                pieces.rewind(start)?;
                if !pieces.next_line()? {
                    return Ok(());
                }
            }
            Err(other) => return Err(other),
        }
    }
    Ok(())
}

/// The value that is next and must end in its line.
fn one_line<R: Read + Seek>(pieces: &mut Pieces<R>, each: &mut EachObject<'_>) -> Result<bool, ReadError> {
    let place = pieces.place();
    let line = pieces.line(MAX_OBJECT_BYTES)?;
    let length = line.len();
    let blank = line.iter().rev().take_while(|byte| json::is_blank(**byte)).count();
    let value = pieces.taken(length - blank)?;
    Ok(value == "null" || top(value, place, each))
}

fn value<R: Read + Seek>(pieces: &mut Pieces<R>, each: &mut EachObject<'_>) -> Result<bool, ReadError> {
    let place = pieces.place();
    let first = pieces.peek()?;
    match pieces.length(WHOLE)? {
        Length::Known(length) if length > 0 => {
            let value = pieces.taken(length)?;
            Ok(value == "null" || top(value, place, each))
        }
        Length::Known(_) => Err(pieces.wrong(0, What::NoValue)),
        Length::CutOff => pieces.value().map(|_| true),
        Length::Longer if first == Some(b'[') => elements(pieces, &ListHead::default(), each),
        Length::Longer if first == Some(b'{') => long_map(pieces, each),
        Length::Longer => Err(pieces.wrong(0, What::ObjectTooLarge)),
    }
}

/// Takes an array, whose elements are handed out one at a time; `false` when the receiver has enough.
fn elements<R: Read + Seek>(
    pieces: &mut Pieces<R>,
    head: &ListHead,
    each: &mut EachObject<'_>,
) -> Result<bool, ReadError> {
    pieces.take(b'[', "[")?;
    if pieces.peek()? != Some(b']') {
        loop {
            let place = pieces.place();
            let item = pieces.value()?;
            let more = match head.named(item) {
                Some(named) => hand_out(&named, place, each),
                None => hand_out(item, place, each),
            };
            if !more {
                return Ok(false);
            }
            if !pieces.goes_on(b']', "a comma or ]")? {
                break;
            }
        }
    }
    pieces.take(b']', "]").map(|()| true)
}

/// A map that is too long to be held: a list, whose items are handed out as they come, or one large object.
fn long_map<R: Read + Seek>(pieces: &mut Pieces<R>, each: &mut EachObject<'_>) -> Result<bool, ReadError> {
    let start = pieces.mark();
    let head = long_head(pieces)?;
    pieces.rewind(start)?;
    if !head.is_list() {
        let place = pieces.place();
        let value = pieces.value()?;
        return Ok(hand_out(value, place, each));
    }
    pieces.take(b'{', "{")?;
    loop {
        let is_items = key(pieces)? == "items";
        if is_items && pieces.peek()? == Some(b'[') {
            if !elements(pieces, &head, each)? {
                return Ok(false);
            }
        } else {
            pieces.value()?;
        }
        if !pieces.goes_on(b'}', "a comma or }")? {
            break;
        }
    }
    pieces.take(b'}', "}").map(|()| true)
}

fn key<R: Read + Seek>(pieces: &mut Pieces<R>) -> Result<String, ReadError> {
    if pieces.peek()? != Some(b'"') {
        return Err(pieces.wrong(0, What::Expected("a key in double quotes")));
    }
    let key = serde_json::from_str(pieces.value()?).unwrap_or_default();
    pieces.take(b':', "a colon")?;
    Ok(key)
}

/// Passes over a long map to learn whether it is a list: its kind may come after its items.
fn long_head<R: Read + Seek>(pieces: &mut Pieces<R>) -> Result<ListHead, ReadError> {
    let mut head = ListHead::default();
    let mut keys = HashSet::new();
    pieces.take(b'{', "{")?;
    loop {
        let at = pieces.mark();
        let key = key(pieces)?;
        pieces.peek()?;
        let small = matches!(pieces.length(SMALL)?, Length::Known(_));
        match key.as_str() {
            "kind" if small => head.kind = serde_json::from_str(pieces.value()?).unwrap_or_default(),
            "apiVersion" if small => head.api_version = serde_json::from_str(pieces.value()?).unwrap_or_default(),
            "metadata" if small => head.note_metadata(pieces.value()?),
            _ => pieces.skip()?,
        }
        let short = crate::fault::ShortKey::new(&key);
        if !keys.insert(key) {
            return Err(Fault::new(at.place, What::DuplicateKey(short)).into());
        }
        if !pieces.goes_on(b'}', "a comma or }")? {
            return Ok(head);
        }
    }
}

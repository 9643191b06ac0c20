//! Finds the end of JSON values in a stream, so that one value at a time is in memory.

use crate::fault::{FaultKind, LineColumn, ManifestFault, ReadError};
use crate::json;
use crate::limits::MAX_OBJECT_BYTES;
use memchr::{memchr, memchr2};
use std::io::{Read, Seek, SeekFrom};

/// Bytes per read.
const CHUNK: usize = 1 << 18;

/// A position in the text for [`JsonStream::rewind`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark {
    offset: u64,
    pub(crate) place: LineColumn,
}

/// Length of the next value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Length {
    /// It ends after this many bytes.
    Known(usize),
    /// It is longer than the limit.
    Longer,
    /// The text ends before it.
    CutOff,
}

/// A text and a position in it.
pub(crate) struct JsonStream<R> {
    text: R,
    buffer: Vec<u8>,
    /// Index of the next byte in the buffer.
    at: usize,
    /// Bytes of the text before the buffer.
    before: u64,
    /// The last byte of the buffer whose place was computed, so that places cost one pass over the text.
    known: (usize, LineColumn),
}

impl<R: Read + Seek> JsonStream<R> {
    /// Reads `text` from its current position, which becomes line 1.
    pub(crate) fn new(mut text: R) -> Result<Self, ReadError> {
        let before = text.stream_position()?;
        Ok(Self { text, buffer: Vec::new(), at: 0, before, known: (0, LineColumn::default()) })
    }

    /// Reads another chunk; `false` at the end of the text.
    fn more(&mut self) -> Result<bool, ReadError> {
        if self.at >= CHUNK {
            self.place();
            self.buffer.drain(..self.at);
            self.before += self.at as u64;
            self.known.0 = 0;
            self.at = 0;
        }
        let room = self.buffer.len();
        (&mut self.text).take(CHUNK as u64).read_to_end(&mut self.buffer)?;
        Ok(self.buffer.len() > room)
    }

    /// The place of the next byte.
    pub(crate) fn place(&mut self) -> LineColumn {
        let (from, place) = self.known;
        let place = place.advanced(&self.buffer[from..self.at], self.at - from);
        self.known = (self.at, place);
        place
    }

    /// A fault at a byte after the position.
    pub(crate) fn fault_at(&mut self, byte: usize, what: FaultKind) -> ReadError {
        let place = self.place().advanced(&self.buffer[self.at..], byte);
        ManifestFault::new(place, what).into()
    }

    /// The current position.
    pub(crate) fn mark(&mut self) -> Mark {
        Mark { offset: self.before + self.at as u64, place: self.place() }
    }

    /// Returns to a position.
    pub(crate) fn rewind(&mut self, mark: Mark) -> Result<(), ReadError> {
        self.text.seek(SeekFrom::Start(mark.offset))?;
        self.buffer.clear();
        self.at = 0;
        self.before = mark.offset;
        self.known = (0, mark.place);
        Ok(())
    }

    /// The next byte that is no white space, without consuming it.
    pub(crate) fn peek(&mut self) -> Result<Option<u8>, ReadError> {
        loop {
            self.at += self.buffer[self.at..].iter().take_while(|byte| json::is_blank(**byte)).count();
            if let Some(next) = self.buffer.get(self.at) {
                return Ok(Some(*next));
            }
            if !self.more()? {
                return Ok(None);
            }
        }
    }

    /// Consumes `wanted`, which must be next.
    pub(crate) fn take(&mut self, wanted: u8, name: &'static str) -> Result<(), ReadError> {
        match self.peek()? {
            Some(next) if next == wanted => {
                self.at += 1;
                Ok(())
            }
            Some(_) => Err(self.fault_at(0, FaultKind::Expected(name))),
            None => Err(self.fault_at(0, FaultKind::CutOff)),
        }
    }

    /// Consumes a comma between members; `false` before `end`.
    pub(crate) fn has_more(&mut self, end: u8, name: &'static str) -> Result<bool, ReadError> {
        if self.peek()? == Some(end) {
            return Ok(false);
        }
        let comma = self.mark();
        self.take(b',', name)?;
        if self.peek()? == Some(end) {
            return Err(ManifestFault::new(comma.place, FaultKind::TrailingComma).into());
        }
        Ok(true)
    }

    /// Skips to the beginning of the next line; `false` at the end of the text.
    pub(crate) fn next_line(&mut self) -> Result<bool, ReadError> {
        loop {
            match memchr(b'\n', &self.buffer[self.at..]) {
                Some(found) => {
                    self.at += found + 1;
                    return Ok(true);
                }
                None => self.at = self.buffer.len(),
            }
            if !self.more()? {
                return Ok(false);
            }
        }
    }

    /// The rest of the line, with the next `limit` bytes at most.
    pub(crate) fn line(&mut self, limit: usize) -> Result<&[u8], ReadError> {
        let mut length = 0;
        loop {
            if let Some(found) = memchr(b'\n', &self.buffer[self.at + length..]) {
                length += found;
                break;
            }
            length = self.buffer.len() - self.at;
            if length >= limit || !self.more()? {
                break;
            }
        }
        Ok(&self.buffer[self.at..self.at + length.min(limit)])
    }

    /// Length of the next value.
    pub(crate) fn length(&mut self, limit: usize) -> Result<Length, ReadError> {
        let mut scan = Scan::default();
        let mut length = 0;
        loop {
            while self.at + length >= self.buffer.len() {
                if length > limit {
                    return Ok(Length::Longer);
                }
                if self.more()? {
                    continue;
                }
                let whole = scan.depth == 0 && !scan.quoted && length > 0 && self.at + length == self.buffer.len();
                return Ok(if whole { Length::Known(length) } else { Length::CutOff });
            }
            let (used, ended) = scan.step(&self.buffer[self.at + length..]);
            length += used;
            if ended {
                return Ok(Length::Known(length));
            }
        }
    }

    /// Skips the next value without checking it.
    pub(crate) fn skip(&mut self) -> Result<(), ReadError> {
        let mut scan = Scan::default();
        self.peek()?;
        loop {
            while self.at >= self.buffer.len() {
                let beyond = self.at - self.buffer.len();
                self.at = self.buffer.len();
                if !self.more()? {
                    return Err(self.fault_at(0, FaultKind::CutOff));
                }
                self.at += beyond;
            }
            let (used, ended) = scan.step(&self.buffer[self.at..]);
            self.at += used;
            if ended {
                self.at = self.at.min(self.buffer.len());
                return Ok(());
            }
        }
    }

    /// Consumes and checks the next value.
    pub(crate) fn value(&mut self) -> Result<&str, ReadError> {
        self.peek()?;
        let length = match self.length(MAX_OBJECT_BYTES)? {
            Length::Known(length) => length,
            Length::Longer => return Err(self.fault_at(0, FaultKind::ObjectTooLarge)),
            Length::CutOff => self.buffer.len() - self.at,
        };
        self.taken(length)
    }

    /// Consumes the next `length` bytes, which must be one value.
    pub(crate) fn taken(&mut self, length: usize) -> Result<&str, ReadError> {
        if let Err((byte, what)) = json::check(&self.buffer[self.at..self.at + length]) {
            return Err(self.fault_at(byte, what));
        }
        let from = self.at;
        self.at += length;
        // The check includes UTF-8.
        Ok(std::str::from_utf8(&self.buffer[from..self.at]).unwrap_or_default())
    }
}

/// Tracks brackets and quotes.
#[derive(Default)]
struct Scan {
    depth: usize,
    quoted: bool,
}

impl Scan {
    /// Consumes some bytes; returns their number, and whether the value ends with them.
    fn step(&mut self, rest: &[u8]) -> (usize, bool) {
        if self.quoted {
            let Some(found) = memchr2(b'"', b'\\', rest) else { return (rest.len(), false) };
            self.quoted = rest[found] == b'\\';
            return (found + if self.quoted { 2 } else { 1 }, !self.quoted && self.depth == 0);
        }
        match rest[0] {
            b'"' => self.quoted = true,
            b'}' | b']' | b',' | b':' | b' ' | b'\n' | b'\r' | b'\t' if self.depth == 0 => return (0, true),
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => {
                self.depth -= 1;
                return (1, self.depth == 0);
            }
            _ => {}
        }
        (1, false)
    }
}

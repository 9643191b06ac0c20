//! Finds where JSON values end in a text that comes in chunks, so that one value at a time is in memory.
//!
//! Separate because it is about bytes only. Each value is checked before it is handed out; a general reader that takes one
//! byte after the other is several times slower.

use super::error::TextError;
use memchr::{memchr_iter, memchr2};
use serde_json::value::RawValue;
use std::io::Read;

/// Read at once.
const CHUNK: usize = 1 << 18;
/// Largest value. The API server itself takes objects of a few MiB.
const LARGEST: usize = 64 << 20;

/// A text, and how far it was taken.
pub(super) struct Pieces<R> {
    text: R,
    buffer: Vec<u8>,
    /// Where in the buffer the next byte is.
    at: usize,
    /// Lines that have left the buffer.
    lines: u64,
}

impl<R: Read> Pieces<R> {
    pub(super) fn new(text: R) -> Self {
        Self { text, buffer: Vec::with_capacity(2 * CHUNK), at: 0, lines: 0 }
    }

    /// Reads another chunk; `false` at the end of the text.
    fn more(&mut self) -> Result<bool, TextError> {
        if self.at >= CHUNK {
            self.lines += memchr_iter(b'\n', &self.buffer[..self.at]).count() as u64;
            self.buffer.drain(..self.at);
            self.at = 0;
        }
        let room = self.buffer.len();
        let mut chunk = (&mut self.text).take(CHUNK as u64);
        chunk.read_to_end(&mut self.buffer).map_err(TextError::Io)?;
        Ok(self.buffer.len() > room)
    }

    /// An error at a line of what is next, 0 = the present one.
    pub(super) fn wrong(&self, below: u64, why: &str) -> TextError {
        let here = memchr_iter(b'\n', &self.buffer[..self.at]).count() as u64;
        TextError::Syntax { line: self.lines + here + below + 1, why: format!("not valid JSON ({why})") }
    }

    /// The next byte that is no white space, without taking it.
    pub(super) fn peek(&mut self) -> Result<Option<u8>, TextError> {
        loop {
            let blank = |c: &u8| matches!(c, b' ' | b'\n' | b'\r' | b'\t');
            let skipped = self.buffer[self.at..].iter().take_while(|c| blank(c)).count();
            self.at += skipped;
            if let Some(next) = self.buffer.get(self.at) {
                return Ok(Some(*next));
            }
            if !self.more()? {
                return Ok(None);
            }
        }
    }

    /// Takes `wanted`, which must be next.
    pub(super) fn take(&mut self, wanted: u8) -> Result<(), TextError> {
        match self.peek()? {
            Some(next) if next == wanted => {
                self.at += 1;
                Ok(())
            }
            Some(_) => Err(self.wrong(0, &format!("expected `{}`", char::from(wanted)))),
            None => Err(self.wrong(0, "EOF while parsing a value")),
        }
    }

    /// Length of the value that is next, from the present byte on.
    fn length(&mut self) -> Result<usize, TextError> {
        let (mut depth, mut length, mut quoted) = (0_usize, 0, false);
        loop {
            while self.at + length >= self.buffer.len() {
                if length > LARGEST {
                    return Err(self.wrong(0, "one object has more than 64 MiB"));
                }
                if self.more()? {
                    continue;
                }
                let whole = depth == 0 && !quoted && self.at + length == self.buffer.len();
                return if whole { Ok(length) } else { Err(self.wrong(0, "EOF while parsing a value")) };
            }
            let rest = &self.buffer[self.at + length..];
            if quoted {
                let Some(found) = memchr2(b'"', b'\\', rest) else {
                    length += rest.len();
                    continue;
                };
                quoted = rest[found] == b'\\';
                length += found + if quoted { 2 } else { 1 };
                if !quoted && depth == 0 {
                    return Ok(length);
                }
                continue;
            }
            match rest[0] {
                b'"' => quoted = true,
                b'}' | b']' | b',' | b':' | b' ' | b'\n' | b'\r' | b'\t' if depth == 0 => return Ok(length),
                b'{' | b'[' => depth += 1,
                b'}' | b']' if depth == 1 => return Ok(length + 1),
                b'}' | b']' => depth -= 1,
                _ => {}
            }
            length += 1;
        }
    }

    /// Takes the value that is next.
    pub(super) fn value(&mut self) -> Result<&str, TextError> {
        self.peek()?;
        let length = self.length()?;
        let checked = serde_json::from_slice::<&RawValue>(&self.buffer[self.at..self.at + length]).map(|_| ());
        if let Err(error) = checked {
            let below = (error.line() as u64).saturating_sub(1);
            return Err(self.wrong(below, &super::error::kind_of(&error)));
        }
        let from = self.at;
        self.at += length;
        std::str::from_utf8(&self.buffer[from..self.at])
            .map_err(|_| TextError::Syntax { line: self.lines + 1, why: "not valid JSON (not UTF-8)".to_owned() })
    }

    /// Takes an array, whose elements are handed out one at a time; `false` when the receiver has enough.
    pub(super) fn elements(&mut self, each: &mut dyn FnMut(&str) -> bool) -> Result<bool, TextError> {
        self.take(b'[')?;
        if self.peek()? == Some(b']') {
            self.take(b']')?;
            return Ok(true);
        }
        loop {
            if !each(self.value()?) {
                return Ok(false);
            }
            if self.peek()? == Some(b',') {
                self.take(b',')?;
            } else {
                return self.take(b']').map(|()| true);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives one byte at a time.
    struct Slow<'a>(&'a [u8]);

    impl Read for Slow<'_> {
        fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
            let (Some(byte), Some(place)) = (self.0.first(), out.first_mut()) else { return Ok(0) };
            *place = *byte;
            self.0 = &self.0[1..];
            Ok(1)
        }
    }

    fn elements(text: impl Read) -> Result<Vec<String>, TextError> {
        let mut found = Vec::new();
        Pieces::new(text).elements(&mut |value| {
            found.push(value.to_owned());
            true
        })?;
        Ok(found)
    }

    #[test]
    fn values_end_where_they_should_whatever_is_in_their_strings() {
        let text = r#" [ {"a":"]}\\","b":[1,{"c":"\""}]} , "x,y" ,-1.5e3,null , [] ]"#;
        let wanted = [r#"{"a":"]}\\","b":[1,{"c":"\""}]}"#, r#""x,y""#, "-1.5e3", "null", "[]"];
        assert_eq!(elements(text.as_bytes()).unwrap(), wanted);
        assert_eq!(elements(Slow(text.as_bytes())).unwrap(), wanted);
        assert!(elements(&b"[]"[..]).unwrap().is_empty());
    }

    #[test]
    fn values_across_chunks_are_whole() {
        let long = format!("\"{}\\\"\"", "x".repeat(CHUNK - 3));
        let text = format!("[{long},{long},\n{long}]");
        assert_eq!(elements(text.as_bytes()).unwrap(), [long.clone(), long.clone(), long]);
    }

    #[test]
    fn what_is_broken_is_named_by_its_line() {
        for (text, wanted) in [
            ("[1,\n2,\n}]", 3),
            ("[1\n2]", 2),
            ("[{\"a\":\n\"x}", 1),
            ("[\"\\", 1),
            ("[1,]", 1),
            ("[\n{\"a\"\n 1}]", 3),
        ] {
            let Err(TextError::Syntax { line, .. }) = elements(text.as_bytes()) else { panic!("{text} was read") };
            assert_eq!(line, wanted, "{text}");
        }
        assert!(elements(&b"[\"\xff\"]"[..]).is_err());
    }
}

//! Checks one JSON value byte by byte: grammar, depth, repeated keys at every depth, valid numbers and escapes.
//!
//! serde readers neither report repeated keys nor give an error class and place that can be mapped to [`FaultKind`].

use crate::fault::{FaultKind, ShortKey};
use crate::key_set::KeySet;
use crate::limits::{MAX_DEPTH, MAX_NODES};
use std::borrow::Cow;
use std::ops::Range;

/// Byte offset and kind of a fault.
pub(crate) type Wrong = (usize, FaultKind);

/// Checks that `bytes` hold one value, with white space around it.
pub(crate) fn check(bytes: &[u8]) -> Result<(), Wrong> {
    let end = check_first(bytes)?;
    let blanks = bytes[end..].iter().take_while(|byte| is_blank(**byte)).count();
    if end + blanks < bytes.len() { Err((end + blanks, FaultKind::AfterEnd)) } else { Ok(()) }
}

/// Checks the value at the start of `bytes`; returns its end.
fn check_first(bytes: &[u8]) -> Result<usize, Wrong> {
    if let Err(error) = std::str::from_utf8(bytes) {
        return Err((error.valid_up_to(), FaultKind::NotUtf8));
    }
    let mut checker = Checker { bytes, at: 0, open: Vec::new(), nodes: 0, most: MAX_NODES };
    checker.value()?;
    Ok(checker.at)
}

/// The byte range of every value of a text of consecutive values, none with more than `most` keys and values.
pub(crate) fn values(text: &str, most: usize) -> Result<Vec<Range<usize>>, Wrong> {
    let mut found = Vec::new();
    let mut at = 0;
    loop {
        at += text.as_bytes()[at..].iter().take_while(|byte| is_blank(**byte)).count();
        if at == text.len() {
            return Ok(found);
        }
        let mut checker = Checker { bytes: text.as_bytes(), at, open: Vec::new(), nodes: 0, most };
        checker.value()?;
        found.push(at..checker.at);
        at = checker.at;
    }
}

pub(crate) fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\n' | b'\r' | b'\t')
}

enum Open<'a> {
    List,
    Map(KeySet<'a>),
}

struct Checker<'a> {
    bytes: &'a [u8],
    at: usize,
    open: Vec<Open<'a>>,
    nodes: usize,
    most: usize,
}

impl<'a> Checker<'a> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn blanks(&mut self) {
        while self.peek().is_some_and(is_blank) {
            self.at += 1;
        }
    }

    fn wrong<T>(&self, what: FaultKind) -> Result<T, Wrong> {
        Err((self.at, what))
    }

    fn expect(&mut self, wanted: u8, name: &'static str) -> Result<(), Wrong> {
        self.blanks();
        match self.peek() {
            Some(next) if next == wanted => {
                self.at += 1;
                Ok(())
            }
            Some(_) => self.wrong(FaultKind::Expected(name)),
            None => self.wrong(FaultKind::CutOff),
        }
    }

    /// Checks a value with its members.
    fn value(&mut self) -> Result<(), Wrong> {
        loop {
            self.blanks();
            self.nodes += 1;
            if self.nodes > self.most {
                return self.wrong(FaultKind::TooManyNodes);
            }
            match self.peek() {
                Some(open @ (b'{' | b'[')) => {
                    if self.open.len() >= MAX_DEPTH {
                        return self.wrong(FaultKind::TooDeep);
                    }
                    self.at += 1;
                    self.blanks();
                    let empty = self.peek() == Some(if open == b'{' { b'}' } else { b']' });
                    self.open.push(if open == b'{' { Open::Map(KeySet::default()) } else { Open::List });
                    if empty {
                        self.at += 1;
                        self.open.pop();
                    } else {
                        if open == b'{' {
                            self.key()?;
                        }
                        continue;
                    }
                }
                Some(b'"') => _ = self.text()?,
                Some(b'-' | b'0'..=b'9') => self.number()?,
                Some(_) => self.word()?,
                None => return self.wrong(FaultKind::CutOff),
            }
            if self.ended()? {
                return Ok(());
            }
        }
    }

    /// After a value: closes containers that end here; `true` when none is open, `false` before the next value.
    fn ended(&mut self) -> Result<bool, Wrong> {
        loop {
            let is_map = match self.open.last() {
                None => return Ok(true),
                Some(Open::Map(_)) => true,
                Some(Open::List) => false,
            };
            self.blanks();
            match self.peek() {
                Some(b',') => {
                    let comma = self.at;
                    self.at += 1;
                    self.blanks();
                    if matches!(self.peek(), Some(b'}' | b']')) {
                        return Err((comma, FaultKind::TrailingComma));
                    }
                    if is_map {
                        self.key()?;
                    }
                    return Ok(false);
                }
                Some(b'}') if is_map => self.at += 1,
                Some(b']') if !is_map => self.at += 1,
                Some(_) => {
                    return self.wrong(FaultKind::Expected(if is_map { "a comma or }" } else { "a comma or ]" }));
                }
                None => return self.wrong(FaultKind::CutOff),
            }
            self.open.pop();
        }
    }

    fn key(&mut self) -> Result<(), Wrong> {
        self.blanks();
        let place = self.at;
        match self.peek() {
            Some(b'"') => {}
            Some(_) => return self.wrong(FaultKind::Expected("a key in double quotes")),
            None => return self.wrong(FaultKind::CutOff),
        }
        let key = self.text()?;
        let short = ShortKey::new(&key);
        if let Some(Open::Map(keys)) = self.open.last_mut()
            && !keys.insert(key)
        {
            return Err((place, FaultKind::DuplicateKey(short)));
        }
        self.expect(b':', "a colon")
    }

    /// Checks a text in quotes; returns it decoded.
    fn text(&mut self) -> Result<Cow<'a, str>, Wrong> {
        let bytes = self.bytes;
        let start = self.at;
        self.at += 1;
        let mut plain = true;
        loop {
            match self.peek() {
                None => return self.wrong(FaultKind::CutOff),
                Some(b'"') => break,
                Some(b'\\') => {
                    plain = false;
                    self.escape()?;
                }
                Some(0..=0x1f) => return self.wrong(FaultKind::Control),
                Some(_) => self.at += 1,
            }
        }
        self.at += 1;
        let inner = &bytes[start + 1..self.at - 1];
        if plain {
            return Ok(String::from_utf8_lossy(inner));
        }
        // The escapes are valid, so decoding does not fail.
        Ok(Cow::Owned(serde_json::from_slice::<String>(&bytes[start..self.at]).unwrap_or_default()))
    }

    fn escape(&mut self) -> Result<(), Wrong> {
        let start = self.at;
        let bad = Err((start, FaultKind::BadEscape));
        self.at += 2;
        match self.bytes.get(start + 1) {
            None => return self.wrong(FaultKind::CutOff),
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => return Ok(()),
            Some(b'u') => {}
            Some(_) => return bad,
        }
        let Some(first) = self.unit() else { return bad };
        if !(0xd800..0xe000).contains(&first) {
            return Ok(());
        }
        // A high surrogate needs a low one after it.
        if first >= 0xdc00 || self.bytes.get(self.at..self.at + 2) != Some(br"\u") {
            return bad;
        }
        self.at += 2;
        match self.unit() {
            Some(0xdc00..=0xdfff) => Ok(()),
            _ => bad,
        }
    }

    fn unit(&mut self) -> Option<u32> {
        let digits = self.bytes.get(self.at..self.at + 4)?;
        let unit = digits.iter().try_fold(0, |unit, digit| Some(unit * 16 + char::from(*digit).to_digit(16)?))?;
        self.at += 4;
        Some(unit)
    }

    fn number(&mut self) -> Result<(), Wrong> {
        let start = self.at;
        let bad = Err((start, FaultKind::BadNumber));
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        let zero = self.peek() == Some(b'0');
        let whole = self.digits();
        if whole == 0 || (zero && whole > 1) {
            return bad;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            if self.digits() == 0 {
                return bad;
            }
        }
        let mut large = whole > 300;
        if matches!(self.peek(), Some(b'e' | b'E')) {
            large = true;
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            if self.digits() == 0 {
                return bad;
            }
        }
        if matches!(self.peek(), Some(b'_' | b'.' | b'a'..=b'z' | b'A'..=b'Z')) {
            return bad;
        }
        let text = || String::from_utf8_lossy(&self.bytes[start..self.at]);
        if large && text().parse::<f64>().is_ok_and(f64::is_infinite) {
            return Err((start, FaultKind::NumberTooLarge));
        }
        Ok(())
    }

    fn digits(&mut self) -> usize {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        self.at - start
    }

    fn word(&mut self) -> Result<(), Wrong> {
        let rest = &self.bytes[self.at..];
        for word in [&b"true"[..], b"false", b"null"] {
            if rest.starts_with(word) && !rest.get(word.len()).is_some_and(u8::is_ascii_alphanumeric) {
                self.at += word.len();
                return Ok(());
            }
        }
        self.wrong(if self.peek().is_some_and(|byte| byte < b' ') { FaultKind::Control } else { FaultKind::NoValue })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn what_is_accepted_is_what_serde_json_reads() {
        let deep = |levels| format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
        for text in [
            "1",
            "-0.5e+3",
            "\"a\\u00e9\\ud83d\\ude00\\/\"",
            "[]",
            "{}",
            " [1, {\"a\": [null, true]}] ",
            "{\"a\":{\"a\":1}}",
            &deep(MAX_DEPTH),
        ] {
            assert_eq!(check(text.as_bytes()), Ok(()), "{text}");
            serde_json::from_str::<Value>(text).unwrap();
        }
    }

    #[test]
    fn faults_have_their_place_and_kind() {
        let deep = format!("{}1", "[".repeat(MAX_DEPTH + 1));
        let expected = |what| FaultKind::Expected(what);
        for (text, at, what) in [
            ("{\"a\":1,\"b\":{\"c\":1,\"c\":2}}", 18, FaultKind::DuplicateKey(ShortKey::new("c"))),
            ("{\"a\":1,\"\\u0061\":2}", 7, FaultKind::DuplicateKey(ShortKey::new("a"))),
            ("[1,]", 2, FaultKind::TrailingComma),
            ("{\"a\":1,}", 6, FaultKind::TrailingComma),
            ("{\"a\" 1}", 5, expected("a colon")),
            ("{a:1}", 1, expected("a key in double quotes")),
            ("[1 2]", 3, expected("a comma or ]")),
            ("{\"a\":1]", 6, expected("a comma or }")),
            ("[1", 2, FaultKind::CutOff),
            ("\"a", 2, FaultKind::CutOff),
            ("[01]", 1, FaultKind::BadNumber),
            ("[1.]", 1, FaultKind::BadNumber),
            ("[1e400]", 1, FaultKind::NumberTooLarge),
            ("[NaN]", 1, FaultKind::NoValue),
            ("\"\\x\"", 1, FaultKind::BadEscape),
            ("\"\\ud800\"", 1, FaultKind::BadEscape),
            ("\"a\nb\"", 2, FaultKind::Control),
            ("1 2", 2, FaultKind::AfterEnd),
            (&deep, MAX_DEPTH, FaultKind::TooDeep),
        ] {
            assert_eq!(check(text.as_bytes()), Err((at, what)), "{text}");
        }
        assert_eq!(check(b"\"\xff\""), Err((1, FaultKind::NotUtf8)));
    }

    #[test]
    fn a_repeated_key_is_found_among_many() {
        let keys: Vec<String> = (0..1000).map(|n| format!("\"k{n}\":{n}")).collect();
        assert_eq!(check(format!("{{{}}}", keys.join(",")).as_bytes()), Ok(()));
        let twice = format!("{{{},\"k7\":1}}", keys.join(","));
        assert!(matches!(check(twice.as_bytes()), Err((_, FaultKind::DuplicateKey(_)))));
    }
}

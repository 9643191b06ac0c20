//! JSON on a terminal: what the terminal would obey is written with JSON's own escapes, so that it stays the same JSON.

use super::clean::is_hostile;
use std::io::{self, Write};

/// Escapes what passes through. The text is JSON, so that such characters are inside of strings.
pub(super) struct Escaping<'a> {
    inner: &'a mut dyn Write,
    /// The begin of a character whose other bytes come with the next piece.
    begun: Vec<u8>,
}

impl<'a> Escaping<'a> {
    pub(super) fn new(inner: &'a mut dyn Write) -> Self {
        Self { inner, begun: Vec::new() }
    }

    fn text(&mut self, text: &str) -> io::Result<()> {
        let mut shown = 0;
        for (at, c) in text.char_indices().filter(|(_, c)| is_hostile(*c) && !matches!(c, '\n' | '\t')) {
            self.inner.write_all(&text.as_bytes()[shown..at])?;
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(self.inner, "\\u{unit:04x}")?;
            }
            shown = at + c.len_utf8();
        }
        self.inner.write_all(&text.as_bytes()[shown..])
    }
}

impl Write for Escaping<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut all = std::mem::take(&mut self.begun);
        all.extend_from_slice(bytes);
        let whole = match std::str::from_utf8(&all) {
            Ok(text) => text.len(),
            Err(error) => error.valid_up_to(),
        };
        let (text, rest) = all.split_at(whole);
        // At most three bytes are a begun character; more are no text, which is shown as such.
        if rest.len() > 3 {
            self.text(&String::from_utf8_lossy(&all))?;
        } else {
            self.text(std::str::from_utf8(text).unwrap_or_default())?;
            self.begun = rest.to_vec();
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(json: &str, piece: usize) -> String {
        let mut out = Vec::new();
        let mut escaping = Escaping::new(&mut out);
        json.as_bytes().chunks(piece).for_each(|piece| escaping.write_all(piece).unwrap());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_a_terminal_obeys_is_escaped_and_the_value_stays() {
        let value = "a\u{9b}2J\u{202e}b\u{7f}\u{e0041}größe 日本 👩‍🚀";
        let json = format!("{{\n  \"v\": \"{value}\"\n}}\n");
        for piece in [1, 2, 3, 5, 100] {
            let text = shown(&json, piece);
            assert!(!text.chars().any(|c| is_hostile(c) && c != '\n'), "{text}");
            let read: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!(read["v"], value);
            assert!(text.contains("größe 日本 👩‍🚀"), "{text}");
        }
    }
}

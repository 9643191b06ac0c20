//! Indented JSON, made from compact JSON without parsing it.
//!
//! Only brackets and quotes are interpreted: everything between them is copied byte for byte.

/// Appends compact JSON with two spaces per level and a final line feed. Strings and numbers stay byte for byte.
pub fn write_indented(compact: &[u8], out: &mut Vec<u8>) {
    out.reserve(compact.len() * 2);
    Indenter::default().feed(compact, out);
    out.push(b'\n');
}

/// Indents compact JSON that comes in pieces, cut anywhere, so that a long text need not be held twice.
#[derive(Debug, Default)]
pub struct Indenter {
    depth: usize,
    in_string: bool,
    escaped: bool,
    /// A bracket was opened, and it is not known yet whether anything is in it.
    opened: bool,
}

impl Indenter {
    /// Appends the next piece, indented.
    pub fn feed(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        for &c in piece {
            if self.in_string {
                out.push(c);
                (self.in_string, self.escaped) = (self.escaped || c != b'"', !self.escaped && c == b'\\');
                continue;
            }
            let closes = matches!(c, b'}' | b']');
            if closes {
                self.depth = self.depth.saturating_sub(1);
            }
            // An empty pair of brackets stays together.
            if std::mem::take(&mut self.opened) != closes {
                self.line(out);
            }
            out.push(c);
            match c {
                b'"' => self.in_string = true,
                b'{' | b'[' => {
                    self.depth += 1;
                    self.opened = true;
                }
                b',' => self.line(out),
                b':' => out.push(b' '),
                _ => {}
            }
        }
    }

    fn line(&self, out: &mut Vec<u8>) {
        out.push(b'\n');
        out.resize(out.len() + self.depth * 2, b' ');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structure_is_indented_and_strings_are_not_touched() {
        let mut out = Vec::new();
        let compact = r#"{"a":[1,{"b":"x{,:[\"\\"}],"c":{},"d":[],"e":["[",""]}"#;
        write_indented(compact.as_bytes(), &mut out);
        let text = String::from_utf8(out).unwrap();
        let wanted = "{\n  \"a\": [\n    1,\n    {\n      \"b\": \"x{,:[\\\"\\\\\"\n    }\n  ],\n  \"c\": {},\n  \"d\": [],\n  \"e\": [\n    \"[\",\n    \"\"\n  ]\n}\n";
        assert_eq!(text, wanted);
        let mut pieces = Vec::new();
        let mut indenter = Indenter::default();
        compact.as_bytes().chunks(1).for_each(|piece| indenter.feed(piece, &mut pieces));
        assert_eq!(String::from_utf8(pieces).unwrap(), wanted.trim_end());
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value, serde_json::from_str::<serde_json::Value>(compact).unwrap());
    }
}
